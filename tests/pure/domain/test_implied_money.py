"""Which money the facts imply and do not know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.histories_of_one import an_event, facts_after
from tests.pure.domain.strategies import AN_ORDER, histories
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.implied_money import ImpliedMoney, implied_money
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.statuses import Status

PAID, GIVEN_BACK = Kind.PAYMENT_SUCCEEDED, Kind.REFUND_SUCCEEDED
P1 = ImpliedMoney(account="stripe-main", payment_ref="p1")
R1 = ImpliedMoney(account="stripe-main", refund_ref="r1")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], ()),
        ([an_event(Kind.PAYMENT_FAILED)], ()),
        ([an_event(PAID), an_event(GIVEN_BACK, refund_ref="r1", amount=30)], ()),
        ([an_event(GIVEN_BACK, refund_ref="r1", amount=30)], (P1,)),
        ([an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=30)], (P1,)),
        ([an_event(Kind.REFUND_FAILED, refund_ref="r1", amount=30)], (P1,)),
        ([an_event(Kind.REFUND_FAILED, refund_ref="r1", amount=30, failure_code="withdrawn")], ()),
        ([an_event(GIVEN_BACK, total=30)], (P1,)),
        ([an_event(GIVEN_BACK, refund_ref="r1", amount=30, currency="USD")], ()),
        ([an_event(GIVEN_BACK, refund_ref="r1", amount=30, account="stranger")], ()),
        # Of an account's payments none is named: the refund itself, or the order.
        ([an_event(GIVEN_BACK, refund_ref="r1", amount=30, payment_ref=None)], (R1,)),
        ([an_event(PAID), an_event(GIVEN_BACK, refund_ref="r1", amount=30, payment_ref=None)], ()),
        ([an_event(PAID, payment_ref=ref) for ref in ("p1", "p2")]
         + [an_event(GIVEN_BACK, refund_ref="r1", amount=30, payment_ref=None)], ()),
        ([an_event(Kind.DISPUTE_OPENED, dispute_ref="d1")], (P1,)),
        ([an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", payment_ref=None)], (ImpliedMoney(account="stripe-main"),)),
        # A success was taken back that was not heard of.
        ([an_event(Kind.PAYMENT_REVERSED)], (P1,)),
        ([an_event(PAID), an_event(Kind.PAYMENT_REVERSED, 1)], ()),
        ([an_event(PAID, capture_ref="c1"), an_event(Kind.PAYMENT_REVERSED, 1, capture_ref="c1")], ()),
        ([an_event(PAID, capture_ref="c1"), an_event(Kind.PAYMENT_REVERSED, 1, capture_ref="c2")], (P1,)),
        ([an_event(Kind.PAYMENT_REVERSED, account="stranger")], ()),
        # The gateway says that something went back, and a refund that is known pends.
        ([an_event(PAID, has_refunds=True)], ()),
        (
            [an_event(PAID, has_refunds=True), an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=30)],
            (ImpliedMoney(account="stripe-main", payment_ref="p1", refund_ref="r1"),),
        ),
        ([an_event(PAID, has_refunds=True), an_event(GIVEN_BACK, refund_ref="r1", amount=30)], ()),
        # More went back than came in: a capture was not heard of.
        ([an_event(PAID, amount=40), an_event(GIVEN_BACK, total=60)], (P1,)),
        ([an_event(PAID, amount=40), an_event(GIVEN_BACK, total=40)], ()),
        ([an_event(PAID, amount=40), an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=60)], (P1,)),
        (
            [an_event(PAID), an_event(Kind.PAYMENT_REVERSED, 1),
             an_event(Kind.REFUND_PENDING, 2, refund_ref="r1", amount=30)],
            (P1,),
        ),
        (
            [an_event(GIVEN_BACK, total=30, payment_ref="p2"), an_event(GIVEN_BACK, total=30)],
            (P1, ImpliedMoney(account="stripe-main", payment_ref="p2")),
        ),
    ],
)  # fmt: skip
def test_what_went_back_or_is_contested_implies_what_came_in(history, expected):
    assert implied_money(AN_ORDER, facts_after(history)) == expected


@given(histories, st.randoms(use_true_random=False))
def test_what_is_implied_depends_on_no_order_of_arrival(history, chance):
    shuffled = chance.sample(history, len(history))
    assert implied_money(AN_ORDER, facts_after(shuffled)) == implied_money(AN_ORDER, facts_after(history))


@given(histories)
def test_nothing_is_refunded_of_what_never_came_in(history):
    summary = summarize(AN_ORDER, facts_after(history))
    if summary.status in (Status.REFUNDED, Status.PARTIALLY_REFUNDED):
        assert summary.captured > 0
    if summary.captured == 0 and summary.refunded > 0:
        assert summary.status in (Status.PROCESSING, Status.REFUNDING)
        assert implied_money(AN_ORDER, facts_after(history))
