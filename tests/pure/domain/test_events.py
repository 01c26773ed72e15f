"""An event that means nothing is named as such before it goes anywhere."""

import msgspec
import pytest

from tests.pure.domain.strategies import NOON
from tillkeeper.domain.events import Kind, PaymentEvent, problem_with

PAID = PaymentEvent(
    event_id="e1",
    kind=Kind.PAYMENT_SUCCEEDED,
    account="a",
    occurred_at=NOON,
    payment_ref="p1",
    amount=1,
    currency="CNY",
)


def test_a_whole_event_has_no_problem():
    assert problem_with(PAID) is None
    assert problem_with(msgspec.structs.replace(PAID, order_ref="ORDER\u200b1")) is None  # odd, and can be kept


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"payment_ref": None}, "payment.succeeded needs payment_ref"),
        ({"amount": None}, "payment.succeeded needs amount"),
        ({"currency": None}, "payment.succeeded needs currency"),
        ({"kind": Kind.REFUND_PENDING}, "refund.pending needs refund_ref"),
        ({"kind": Kind.DISPUTE_WON}, "dispute.won needs dispute_ref"),
        (
            {"kind": Kind.REFUND_SUCCEEDED, "amount": None, "total": 1, "payment_ref": None},
            "refund.succeeded needs payment_ref",
        ),
        ({"total": 1}, "payment.succeeded cannot carry a running total"),
        ({"amount": -1}, "an amount is negative"),
        ({"discount": -1}, "an amount is negative"),
        ({"kind": Kind.PAYMENT_PENDING, "discount": 1}, "payment.pending cannot carry a discount"),
        ({"kind": Kind.PAYMENT_REVERSED, "payment_ref": None}, "payment.reversed needs payment_ref"),
        ({"order_ref": ""}, "order_ref must have 1 to 255 characters"),
        ({"order_ref": "x" * 256}, "order_ref must have 1 to 255 characters"),
        ({"event_id": "a\x00"}, "event_id holds a character that no database can keep"),
        ({"payment_ref": "\ud800"}, "payment_ref holds a character that no database can keep"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(change, problem):
    assert problem_with(msgspec.structs.replace(PAID, **change)) == problem
