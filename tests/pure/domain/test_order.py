"""Order does not matter: facts, statuses and concerns of any history."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.definition import status_by_definition
from tests.pure.domain.histories_of_one import FAILED, NOTHING_KNOWN, an_event, facts_after
from tests.pure.domain.strategies import AN_ORDER, NOON, events, histories
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order import facts as rules
from tillkeeper.domain.order.case_reasons import reasons_in
from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts, PaymentFacts
from tillkeeper.domain.order.mismatch import Mismatch, mismatch_of
from tillkeeper.domain.order.state import paid_through
from tillkeeper.domain.order.status import is_under_way, summarize
from tillkeeper.domain.order.sums import charged_back, held_in_all
from tillkeeper.domain.statuses import STATUS_ZH, Status


def plain(facts):
    """Facts as built-in values, so that equality does not lean on the code under test."""
    return msgspec.to_builtins(
        {
            name: {f"{account}/{ref}": told for (account, ref), told in getattr(facts, name).items()}
            for name in ("payments", "refunds", "disputes")
        }
    )


def a_release(amount, ref="r1"):
    return an_event(Kind.REFUND_SUCCEEDED, refund_ref=ref, amount=amount, may_be_release=True)


@given(histories, st.randoms(use_true_random=False))
def test_any_permutation_ends_in_the_same_facts(history, chance):
    shuffled = chance.sample(history, len(history))
    assert plain(facts_after(shuffled)) == plain(facts_after(history))
    assert summarize(AN_ORDER, facts_after(shuffled)) == summarize(AN_ORDER, facts_after(history))


@given(histories, st.data())
def test_any_repetition_ends_in_the_same_facts(history, data):
    repeated = [*history, *data.draw(st.lists(st.sampled_from(history), max_size=8) if history else st.just([]))]
    repeated = data.draw(st.permutations(repeated))
    assert plain(facts_after(repeated)) == plain(facts_after(history))


@given(histories, st.integers(0, 12), st.integers(0, 12))
def test_any_split_into_batches_through_storage_ends_in_the_same_facts(history, first, second):
    cuts = sorted((first, second))
    facts = OrderFacts()
    for batch in (history[: cuts[0]], history[cuts[0] : cuts[1]], history[cuts[1] :]):
        facts = facts_after(batch, facts)
        stored = {key: msgspec.json.encode(told) for key, told in facts.payments.items()}
        loaded = {key: msgspec.json.decode(told, type=PaymentFacts) for key, told in stored.items()}
        facts = msgspec.structs.replace(facts, payments=loaded)
    assert plain(facts) == plain(facts_after(history))


@given(histories, events())
def test_an_event_that_is_known_changes_nothing(history, event):
    once = facts_after([*history, event])
    assert rules.apply(once, event) is once


@given(histories)
def test_status_is_what_the_design_defines(history):
    """The definition, computed from the bare events without any of the code under test."""
    assert summarize(AN_ORDER, facts_after(history)).status == status_by_definition(AN_ORDER, history)


@given(histories)
def test_paid_means_that_the_amount_came_in_in_the_orders_currency_at_its_accounts(history):
    summary = summarize(AN_ORDER, facts_after(history))
    if summary.status is Status.PAID:
        greatest = {}
        for event in history:
            ours = event.currency == AN_ORDER.currency and event.account in AN_ORDER.accounts
            if event.kind is Kind.PAYMENT_SUCCEEDED and ours:
                key = (event.account, event.payment_ref, event.capture_ref)
                greatest[key] = max(greatest.get(key, 0), event.amount)
        assert sum(greatest.values()) + summary.discount >= AN_ORDER.amount


@given(histories)
def test_concerns_name_each_thing_once(history):
    named = [(concern.kind, concern.subject) for concern in reasons_in(AN_ORDER, facts_after(history))]
    assert len(named) == len(set(named))


@given(histories)
def test_every_mismatched_event_leaves_a_concern(history):
    kinds = {concern.kind for concern in reasons_in(AN_ORDER, facts_after(history))}
    for event in history:
        if mismatch_of(AN_ORDER, event) is Mismatch.UNEXPECTED_ACCOUNT:
            assert Mismatch.UNEXPECTED_ACCOUNT in kinds


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([], "unpaid"),
        ([an_event(Kind.PAYMENT_PENDING)], "processing"),
        ([an_event(Kind.PAYMENT_AUTHORIZED)], "processing"),
        ([an_event(Kind.PAYMENT_FAILED)], "failed"),
        ([an_event(Kind.PAYMENT_CANCELLED)], "failed"),
        ([an_event(Kind.PAYMENT_FAILED), an_event(Kind.PAYMENT_PENDING, second=1)], "processing"),
        ([an_event(Kind.PAYMENT_FAILED), an_event(Kind.PAYMENT_PENDING)], "failed"),
        ([an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.PAYMENT_FAILED, second=9)], "paid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=60)], "partially_paid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=60, capture_ref=ref) for ref in ("c1", "c2")], "paid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, currency="USD")], "unpaid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, account="stranger")], "unpaid"),
        # What a gateway took back itself was never there; what is captured later counts again.
        ([an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.PAYMENT_REVERSED)], "failed"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, second=1), an_event(Kind.PAYMENT_REVERSED)], "paid"),
        ([an_event(Kind.PAYMENT_REVERSED)], "unpaid"),
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED, amount=60, capture_ref="c1"),
                an_event(Kind.PAYMENT_SUCCEEDED, amount=40, capture_ref="c2"),
                an_event(Kind.PAYMENT_REVERSED, second=1, capture_ref="c2"),
            ],
            "partially_paid",
        ),
        # Asked later, the gateway still tells of the capture that it took back: that is no new one.
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED),
                an_event(Kind.PAYMENT_REVERSED, second=1),
                an_event(Kind.PAYMENT_SUCCEEDED, as_of=NOON + timedelta(seconds=9)),
            ],
            "failed",
        ),
        # A later answer stands over an earlier one, whenever the gateway says that it happened.
        (
            [
                an_event(Kind.PAYMENT_PENDING, as_of=NOON + timedelta(seconds=1)),
                an_event(Kind.PAYMENT_FAILED, as_of=NOON + timedelta(seconds=9)),
            ],
            "failed",
        ),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=80, discount=20)], "paid"),
        # A refund that may tell of an authorization that was let go does, where so much of it was.
        ([an_event(Kind.PAYMENT_SUCCEEDED, released=30), a_release(30)], "paid"),
        ([a_release(30), an_event(Kind.PAYMENT_SUCCEEDED, second=1, released=30)], "paid"),
        ([an_event(Kind.PAYMENT_CANCELLED, released=100, currency="CNY"), a_release(100)], "failed"),
        ([a_release(30)], "processing"),
        ([an_event(Kind.PAYMENT_SUCCEEDED), a_release(30)], "partially_refunded"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, released=40), a_release(30)], "partially_refunded"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, released=30), a_release(30), a_release(30, "r2")], "partially_refunded"),
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED, released=30),
                a_release(30),
                an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30),
            ],
            "partially_refunded",
        ),
        # A report that knows of no fee tells it in one amount with the rest.
        ([an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.PAYMENT_SUCCEEDED, amount=115)], "paid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.PAYMENT_SUCCEEDED, amount=115, second=9)], "paid"),
        # What was given on top goes back with the rest.
        ([an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.REFUND_SUCCEEDED, total=115)], "refunded"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=0, discount=100)], "paid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=0, discount=100, account="stranger")], "unpaid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=0, discount=20)], "unpaid"),
        # A discount goes with what was paid, also where the gateway, having taken that back, collects it anew.
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED, amount=0, discount=100),
                an_event(Kind.PAYMENT_REVERSED, second=1),
                an_event(Kind.PAYMENT_PENDING, second=2),
            ],
            "processing",
        ),
        ([an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=10)], "refunding"),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=10)],
            "partially_refunded",
        ),
        ([an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=10, payment_ref=None)], "refunding"),
        # Something goes back, or is contested, of money that was never heard to come in.
        ([an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30)], "processing"),
        ([an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30, payment_ref=None)], "processing"),
        ([an_event(Kind.REFUND_FAILED, refund_ref="r1", amount=30)], "processing"),
        ([an_event(Kind.REFUND_FAILED, refund_ref="r1", amount=30, failure_code="withdrawn")], "unpaid"),
        ([an_event(Kind.REFUND_SUCCEEDED, total=30)], "processing"),
        ([an_event(Kind.REFUND_SUCCEEDED, total=0)], "unpaid"),
        ([an_event(Kind.PAYMENT_FAILED), an_event(Kind.REFUND_SUCCEEDED, total=30)], "processing"),
        ([an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", amount=100)], "processing"),
        ([an_event(Kind.DISPUTE_WON, dispute_ref="d1", payment_ref=None)], "processing"),
        ([an_event(Kind.DISPUTE_WON, dispute_ref="d1", account="stranger")], "unpaid"),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.REFUND_SUCCEEDED, total=100, payment_ref="p2")],
            "partially_refunded",
        ),
        ([an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.DISPUTE_OPENED, dispute_ref="d1")], "paid"),
        ([an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.REFUND_SUCCEEDED, total=100)], "refunded"),
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED),
                an_event(Kind.REFUND_SUCCEEDED, total=30),
                an_event(Kind.REFUND_FAILED, second=5, refund_ref="r1", amount=30),
            ],
            "paid",
        ),
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED),
                *(an_event(kind, second, refund_ref="r1", amount=30)
                  for second, kind in enumerate([Kind.REFUND_FAILED, Kind.REFUND_SUCCEEDED, Kind.REFUND_FAILED])),
                an_event(Kind.REFUND_SUCCEEDED, 1, total=30),
            ],
            "paid",
        ),
        # Told again later, a failure from before the total was reported takes nothing off it.
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED),
                an_event(Kind.REFUND_FAILED, 1, refund_ref="r1", amount=30),
                an_event(Kind.REFUND_SUCCEEDED, 2, total=30),
                an_event(Kind.REFUND_FAILED, 9, refund_ref="r1", amount=30),
            ],
            "partially_refunded",
        ),
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED),
                an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30),
                an_event(Kind.REFUND_FAILED, second=5, refund_ref="r1", amount=30),
            ],
            "paid",
        ),
    ],
)  # fmt: skip
def test_a_history_makes_its_status(history, status):
    assert summarize(AN_ORDER, facts_after(history)).status == status


@pytest.mark.parametrize(
    ("history", "kinds"),
    [
        ([an_event(Kind.PAYMENT_SUCCEEDED)], []),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=130)], ["overpaid"]),
        ([an_event(Kind.PAYMENT_SUCCEEDED, payment_ref=ref) for ref in ("p1", "p2")], ["paid_twice"]),
        ([an_event(Kind.PAYMENT_SUCCEEDED, currency="USD")], ["wrong_currency"]),
        ([an_event(Kind.PAYMENT_PENDING, account="stranger")], ["unexpected_account"]),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.REFUND_SUCCEEDED, total=101)],
            ["refunded_more_than_captured"],
        ),
        ([an_event(Kind.REFUND_SUCCEEDED, total=50)], []),
        ([an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.REFUND_SUCCEEDED, total=115)], []),
        ([an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.PAYMENT_SUCCEEDED, amount=115)], []),
        ([an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.PAYMENT_SUCCEEDED, amount=116)], ["overpaid"]),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED, on_top=15), an_event(Kind.REFUND_SUCCEEDED, total=116)],
            ["refunded_more_than_captured"],
        ),
        ([an_event(Kind.PAYMENT_SUCCEEDED, has_refunds=True)], ["refund_unknown"]),
        ([an_event(Kind.PAYMENT_SUCCEEDED, has_refunds=True, account="stranger")], ["unexpected_account"]),
        (
            [
                an_event(Kind.PAYMENT_SUCCEEDED, has_refunds=True),
                an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=10),
            ],
            [],
        ),
        ([an_event(Kind.PAYMENT_SUCCEEDED, amount=80, discount=30)], ["overpaid"]),
        ([an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.PAYMENT_REVERSED, 1)], ["payment_reversed"]),
        ([an_event(Kind.PAYMENT_REVERSED, 1)], []),
        ([an_event(Kind.PAYMENT_SUCCEEDED, 2), an_event(Kind.PAYMENT_REVERSED, 1)], []),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.PAYMENT_REVERSED, 1),
             an_event(Kind.PAYMENT_SUCCEEDED, 2, payment_ref="p2")],
            [],
        ),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED, account="stranger"),
             an_event(Kind.PAYMENT_REVERSED, 1, account="stranger")],
            ["unexpected_account"],
        ),
        (
            [an_event(Kind.PAYMENT_SUCCEEDED), an_event(Kind.REFUND_SUCCEEDED, total=30),
             an_event(Kind.PAYMENT_REVERSED, 1)],
            ["refunded_more_than_captured", "payment_reversed"],
        ),
        ([an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", amount=100)], ["disputed"]),
        ([an_event(Kind.DISPUTE_OPENED, dispute_ref="d1"), an_event(Kind.DISPUTE_WON, second=1, dispute_ref="d1")], []),
    ],
)  # fmt: skip
def test_a_history_leaves_its_concerns(history, kinds):
    assert [concern.kind for concern in reasons_in(AN_ORDER, facts_after(history))] == kinds


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], 0),
        ([an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", amount=40)], 0),
        ([an_event(Kind.DISPUTE_LOST, dispute_ref=ref, amount=40) for ref in ("d1", "d2")], 80),
        ([an_event(Kind.DISPUTE_LOST, dispute_ref="d1", amount=40, currency="USD")], 0),
        ([an_event(Kind.DISPUTE_LOST, dispute_ref="d1", amount=40, account="stranger")], 0),
        ([an_event(Kind.DISPUTE_LOST, dispute_ref="d1")], 0),
        (
            [an_event(Kind.DISPUTE_LOST, dispute_ref="d1", amount=40), an_event(Kind.DISPUTE_WON, 1, dispute_ref="d1")],
            0,
        ),
    ],
)
def test_what_was_charged_back_is_the_sum_of_lost_disputes(history, expected):
    assert charged_back(AN_ORDER, facts_after(history)) == expected


def test_a_failure_is_remembered_with_its_class():
    facts = facts_after([an_event(Kind.PAYMENT_FAILED, failure=FailureClass.INSUFFICIENT_FUNDS)])
    payment = facts.payments[("stripe-main", "p1")]
    assert payment.status is ObjectStatus.FAILED
    assert rules.failure_of(payment) is FailureClass.INSUFFICIENT_FUNDS
    assert rules.failure_of(PaymentFacts()) is None


def test_every_status_has_its_chinese_name():
    assert set(STATUS_ZH) == set(Status)


def test_an_order_climbs_the_ladder_of_the_payment_that_was_heard_of_last():
    card = an_event(Kind.PAYMENT_FAILED, second=1, payment_ref="p1", method="card")
    debit = an_event(Kind.PAYMENT_PENDING, second=2, payment_ref="p2", method="sepa_debit")
    other = an_event(Kind.PAYMENT_PENDING, second=3, payment_ref="p3", account="alipay-main")
    stranger = an_event(Kind.PAYMENT_PENDING, second=4, payment_ref="p4", account="stranger", method="card")
    assert paid_through(AN_ORDER, facts_after([debit, card])) == ("stripe-main", "sepa_debit")
    assert paid_through(AN_ORDER, facts_after([debit, card, other, stranger])) == ("alipay-main", None)


def test_before_any_payment_it_is_the_ladder_of_the_only_account_if_it_is_one():
    at_one = msgspec.structs.replace(AN_ORDER, accounts=frozenset({"stripe-main"}))
    assert paid_through(at_one, NOTHING_KNOWN) == ("stripe-main", None)
    assert paid_through(AN_ORDER, NOTHING_KNOWN) == (None, None)
    claimed = OrderFacts(payments={("stripe-main", "p1"): PaymentFacts()})
    assert paid_through(AN_ORDER, claimed) == (None, None)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (an_event(Kind.PAYMENT_PENDING, payment_ref="p2"), True),
        (an_event(Kind.PAYMENT_AUTHORIZED, payment_ref="p2"), True),
        (an_event(Kind.PAYMENT_FAILED, payment_ref="p2"), False),
        (an_event(Kind.DISPUTE_OPENED, payment_ref="p2", dispute_ref="d1"), True),
        (an_event(Kind.PAYMENT_PENDING, payment_ref="p2", account="nobodys"), False),
        (an_event(Kind.PAYMENT_PENDING, payment_ref="p2", amount=40, currency="USD"), False),
    ],
)
def test_a_payment_under_way_shows_although_a_part_came_in_already(event, expected):
    facts = facts_after([an_event(Kind.PAYMENT_SUCCEEDED, payment_ref="p1", amount=40), event])
    assert summarize(AN_ORDER, facts).status is Status.PARTIALLY_PAID
    assert is_under_way(AN_ORDER, facts) is expected


AUTHORIZED = an_event(Kind.PAYMENT_AUTHORIZED, amount=100)
PART = an_event(Kind.PAYMENT_SUCCEEDED, 10, amount=60, capture_ref="c1")


BESIDE = an_event(Kind.PAYMENT_AUTHORIZED, 10, amount=100, capture_ref="parts")


@pytest.mark.parametrize(
    ("history", "held"),
    [
        ([AUTHORIZED], 0),  # on its way as a whole
        ([AUTHORIZED, PART], 40),
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_SUCCEEDED, 20, amount=40, capture_ref="c2")], 0),
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_AUTHORIZED, 20, amount=80)], 20),  # lowered
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_AUTHORIZED, 20)], 40),  # said again, without an amount
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_CANCELLED, 20)], 0),  # what was left was let go
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_FAILED, 20)], 0),
        ([AUTHORIZED, an_event(Kind.PAYMENT_CANCELLED), PART], 0),  # of one instant it was let go
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_CANCELLED, 20), an_event(Kind.PAYMENT_AUTHORIZED, 30)], 40),
        ([PART], 0),
        ([an_event(Kind.PAYMENT_AUTHORIZED), PART], 0),  # how much is not known
        ([an_event(Kind.PAYMENT_PENDING, amount=100), PART], 0),  # never held
        ([AUTHORIZED, an_event(Kind.PAYMENT_SUCCEEDED, 10, amount=60)], 0),  # a capture without a name is the only one
        (
            [BESIDE, an_event(Kind.PAYMENT_SUCCEEDED, 10, amount=60)],
            40,
        ),  # but not where it stands beside
        ([BESIDE, an_event(Kind.PAYMENT_SUCCEEDED, 11, amount=60)], 0),  # until the last of them
        ([AUTHORIZED, an_event(Kind.PAYMENT_SUCCEEDED, 10, amount=30), BESIDE], 70),
        ([an_event(Kind.PAYMENT_AUTHORIZED, amount=100, currency="USD"), PART], 0),
        ([AUTHORIZED, PART, an_event(Kind.PAYMENT_REVERSED, 20, capture_ref="c1")], 0),
        (
            [
                an_event(Kind.PAYMENT_AUTHORIZED, amount=100, account="stranger"),
                an_event(Kind.PAYMENT_SUCCEEDED, 10, amount=60, capture_ref="c1", account="stranger"),
            ],
            0,
        ),
    ],
)
def test_what_is_held_beside_a_part_is_what_was_authorized_less_its_captures_while_it_stands(history, held):
    assert held_in_all(AN_ORDER, facts_after(history)) == held
    assert held_in_all(AN_ORDER, facts_after(history[::-1])) == held


@given(histories)
def test_nothing_is_held_of_what_was_never_authorized_and_never_more_than_that(history):
    told = [entry.amount or 0 for entry in history if entry.kind is Kind.PAYMENT_AUTHORIZED]
    assert 0 <= held_in_all(AN_ORDER, facts_after(history)) <= sum(told)


@pytest.mark.parametrize("webhook", [[], [an_event(FAILED, 5, refund_ref="r1", amount=30)]])
def test_a_failed_refund_that_an_answer_dates_as_its_beginning_failed_after_the_total_that_counts_it(webhook):
    """Stripe's refunds have one date; the total was told while it was pending."""
    history = [
        an_event(Kind.PAYMENT_SUCCEEDED),
        an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=30, as_of=NOON + timedelta(seconds=2)),
        an_event(Kind.REFUND_SUCCEEDED, 2, total=30),
        an_event(FAILED, refund_ref="r1", amount=30, as_of=NOON + timedelta(seconds=9)),
        *webhook,
    ]
    assert summarize(AN_ORDER, facts_after(history)).status is Status.PAID
    assert summarize(AN_ORDER, facts_after(history[::-1])).status is Status.PAID
