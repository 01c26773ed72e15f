"""Lists what can happen to a payment at ShengPay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    paid,
    partially_paid,
    partially_refunded,
    refunded,
    refunding,
    unpaid,
)

PAID: Final = "SUCCESS"

DECLINED: Final = "FAIL"

BOUND: Final = "BIND"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    BOUND: None,
    "WAIT_PAY": PaymentState.CREATED,
    "PAYING": PaymentState.PENDING,
    "CLOSED": PaymentState.CANCELLED,
    DECLINED: PaymentState.FAILED,
    PAID: PaymentState.SUCCEEDED,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.REFUND_CLOSE": RefundState.FAILED,
    "REFUND.CHANGE": RefundState.FAILED,
}

TEMPLATES: Final = (
    paid("paid", 35, Event(PAID)),
    paid("paid with a card newly bound", 6, Event(BOUND), Event(PAID)),
    unpaid("never paid", 5),  # ShengPay says nothing then
    failed("declined", 5, Event(DECLINED)),
    paid("declined, then paid", 8, Event(DECLINED), Event(PAID, after_s=AT_ONCE_S)),
    partially_refunded(
        "a part given back", 10, 2, Event(PAID), Event("REFUND.PROCESSING", 2, "1"), Event("REFUND.SUCCESS", 2, "1")
    ),
    refunded(
        "given back in two parts", 6, Event(PAID), Event("REFUND.SUCCESS", 4, "1"), Event("REFUND.SUCCESS", 6, "2")
    ),
    refunded("given back", 8, Event(PAID), Event("REFUND.SUCCESS", ALL, "1")),
    refunding("being given back", 4, Event(PAID), Event("REFUND.PROCESSING", 5, "1")),
    paid(
        "a refund that the payer's card does not take",
        4,
        Event(PAID),
        Event("REFUND.PROCESSING", 5, "1"),
        Event("REFUND.CHANGE", 5, "1"),
    ),
    paid("a refund that is called off", 3, Event(PAID), Event("REFUND.REFUND_CLOSE", 5, "1")),
    partially_paid("paid too little", 3, 8, Event(PAID, 8)),
    at_other_account(Event(PAID)),
)
