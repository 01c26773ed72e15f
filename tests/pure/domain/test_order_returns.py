"""What goes back: disputes, reversals, refunds that failed and are owed."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.pure.domain.histories_of_one import FAILED, SUCCEEDED, an_event, facts_after
from tests.pure.domain.strategies import AN_ORDER, NOON, histories
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.order import facts as rules
from tillkeeper.domain.order.case_reasons import reasons_in
from tillkeeper.domain.order.status import summarize


@given(histories)
def test_a_reversal_undoes_what_it_is_about_and_no_more(history):
    """Captured is the sum of captures that no reversal of theirs, or of the whole payment, came after."""
    without = [entry for entry in history if entry.kind is not Kind.PAYMENT_REVERSED]
    gross, net = (summarize(AN_ORDER, facts_after(each)).captured for each in (without, history))
    assert 0 <= net <= gross
    facts = facts_after(history)
    for payment in facts.payments.values():
        assert len(payment.kept_captures) + len(payment.undone_captures) == len(payment.captures)
    # Words in two currencies of one instant: either may win, and only the order's own counts.
    assume(all(event.currency in (None, AN_ORDER.currency) for event in without))
    later = [msgspec.structs.replace(each, occurred_at=NOON + timedelta(days=1), as_of=None) for each in without]
    assert summarize(AN_ORDER, facts_after([*history, *later])).captured >= net


def a_refund(kind, ref="r1", second=0, **fields):
    return an_event(kind, second, **{"refund_ref": ref, "amount": 30, **fields})


@pytest.mark.parametrize(
    ("history", "owed"),
    [
        ([a_refund(Kind.REFUND_PENDING), a_refund(FAILED)], ["r1"]),
        ([a_refund(SUCCEEDED), a_refund(FAILED, second=9)], ["r1"]),
        ([a_refund(FAILED, amount=None, currency=None)], ["r1"]),
        ([a_refund(FAILED, payment_ref=None)], ["r1"]),
        # The merchant says that it was never made; the gateway may know better.
        ([a_refund(FAILED, failure_code="withdrawn")], []),
        ([a_refund(FAILED, failure_code="withdrawn"), a_refund(FAILED, second=1)], ["r1"]),
        # Mismatched ones have their case as such.
        ([a_refund(FAILED, currency="USD")], []),
        ([a_refund(FAILED, account="stranger")], []),
        # It succeeds after all, or another one of its payment and amount does.
        ([a_refund(FAILED), a_refund(SUCCEEDED, second=1)], []),
        ([a_refund(FAILED), a_refund(Kind.REFUND_PENDING, "r2", 1)], ["r1"]),
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1)], []),
        ([a_refund(FAILED, second=1), a_refund(SUCCEEDED, "r2")], ["r1"]),
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1, amount=20)], ["r1"]),
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1, payment_ref="p2")], ["r1"]),
        ([a_refund(FAILED), a_refund(FAILED, "r2", 1), a_refund(SUCCEEDED, "r3", 2)], ["r2"]),
        # What began before it failed made nothing good, however often and late it is told.
        (
            [a_refund(Kind.REFUND_PENDING, "r2", 1), a_refund(SUCCEEDED, "r2", 2), a_refund(FAILED, second=3),
             a_refund(SUCCEEDED, "r2", 9)],
            ["r1"],
        ),
        # Nor is it undone what was made good, however often and late the failure is told.
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1), a_refund(FAILED, "r1", 9), a_refund(SUCCEEDED, "r2", 9)], []),
        # By its sum: two halves, or a greater one that makes two good; one that makes one good makes no other.
        ([a_refund(FAILED), *(a_refund(SUCCEEDED, ref, 1, amount=15) for ref in ("r2", "r3"))], []),
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1, amount=15)], ["r1"]),
        ([a_refund(FAILED), a_refund(FAILED, "r2"), a_refund(SUCCEEDED, "r3", 1)], ["r2"]),
        ([a_refund(FAILED), a_refund(FAILED, "r2"), a_refund(SUCCEEDED, "r3", 1, amount=60)], []),
        ([a_refund(FAILED), a_refund(FAILED, "r2", amount=20), a_refund(SUCCEEDED, "r3", 1, amount=20)], ["r1"]),
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1, amount=20), a_refund(SUCCEEDED, "r3", 1, amount=25)], []),
        ([a_refund(FAILED, amount=None, currency=None), a_refund(SUCCEEDED, "r2", 1)], ["r1"]),
        # It came back after it had been given; what was made before then is another's.
        ([a_refund(SUCCEEDED), a_refund(SUCCEEDED, "r2", 1), a_refund(FAILED, second=5)], ["r1"]),
        # The merchant's word about the one that makes it good is by no gateway's clock.
        (
            [a_refund(FAILED, second=5), a_refund(SUCCEEDED, "r2", 9),
             a_refund(Kind.REFUND_PENDING, "r2", evidence=Evidence.OPERATOR)],
            [],
        ),
        # The payment that it was of is told later: it was made good already.
        (
            [a_refund(FAILED, payment_ref=None), a_refund(SUCCEEDED, "r2", 1),
             an_event(Kind.PAYMENT_SUCCEEDED, payment_ref="p2")],
            ["r1"],
        ),
        ([a_refund(FAILED, payment_ref=None), a_refund(SUCCEEDED, "r2", 1), a_refund(FAILED)], []),
        # All is back, however.
        ([a_refund(FAILED), an_event(SUCCEEDED, 1, total=100)], []),
        ([a_refund(FAILED), a_refund(SUCCEEDED, "r2", 1, amount=100, payment_ref=None)], []),
        # All that its payment brought in is, whatever another brought in, and though the failure was told only later.
        (
            [an_event(Kind.PAYMENT_SUCCEEDED, payment_ref="p2"), a_refund(SUCCEEDED, "r2", 1, amount=100),
             a_refund(FAILED, second=9)],
            [],
        ),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED, payment_ref="p2"), a_refund(SUCCEEDED, "r2", 1, amount=99),
             a_refund(FAILED, second=9)],
            ["r1"],
        ),
    ],
)  # fmt: skip
def test_a_refund_that_failed_is_owed_until_it_is_made_good(history, owed):
    told = reasons_in(AN_ORDER, facts_after([an_event(Kind.PAYMENT_SUCCEEDED), *history]))
    assert [event.subject for event in told if event.kind == "refund_failed"] == [
        f"refund:stripe-main/{ref}" for ref in owed
    ]


@given(
    st.lists(
        st.builds(
            a_refund,
            st.sampled_from([Kind.REFUND_PENDING, SUCCEEDED, FAILED]),
            st.sampled_from(["r1", "r2", "r3"]),
            st.integers(0, 5),
            amount=st.sampled_from([15, 30]),
        ),
        max_size=8,
    ),
    st.integers(1, 100),
    st.randoms(use_true_random=False),
)
def test_hearing_of_the_same_refunds_again_leaves_the_same_owed(history, later, chance):
    """As a query does: each as it stands by now, for a later moment."""
    known = facts_after([an_event(Kind.PAYMENT_SUCCEEDED, amount=200), *history])
    kinds = {step: kind for kind, (step, _) in rules.REFUND_STATUSES.items()}
    again = [
        a_refund(kinds[refund.latest.status], ref, 5 + later, amount=refund.amount.minor)
        for (_, ref), refund in known.refunds.items()
    ]
    heard = facts_after(chance.sample(again, len(again)), known)
    assert owed_in(heard) == owed_in(known)


def owed_in(facts):
    return {reason.subject for reason in reasons_in(AN_ORDER, facts) if reason.kind == "refund_failed"}


def test_a_refund_that_failed_before_its_payment_is_known_is_owed():
    assert [reason.kind for reason in reasons_in(AN_ORDER, facts_after([a_refund(FAILED)]))] == ["refund_failed"]
