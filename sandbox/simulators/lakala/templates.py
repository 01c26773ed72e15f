"""Lists what can happen to a payment at Lakala, and what each event type means."""

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
    processing,
    refunded,
    refunding,
)

PAID: Final = "PAY.S"

DECLINED: Final = "PAY.F"

PAYING: Final = "PAY.P"

EXPIRED: Final = "ORDER.4"

CANCELLED: Final = "ORDER.5"

UNTOLD: Final = "ORDER.6"  # some of it went back, in a notice that shows the payment

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    PAYING: PaymentState.PENDING,
    PAID: PaymentState.SUCCEEDED,
    DECLINED: PaymentState.FAILED,
    EXPIRED: PaymentState.CANCELLED,
    CANCELLED: PaymentState.CANCELLED,
    "REFUND.P": RefundState.PENDING,
    "REFUND.S": RefundState.SUCCEEDED,
    "REFUND.F": RefundState.FAILED,
    UNTOLD: RefundState.SUCCEEDED,
}

TEMPLATES: Final = (
    paid("paid", 35, Event(PAID)),
    paid("paid after a while", 8, Event(PAYING), Event(PAID)),
    processing("being paid", 3, Event(PAYING)),
    failed("never paid", 4, Event(EXPIRED)),
    failed("called off", 3, Event(CANCELLED)),
    failed("declined", 5, Event(PAYING), Event(DECLINED)),
    paid("declined, then paid", 8, Event(DECLINED), Event(PAID, after_s=AT_ONCE_S)),
    partially_refunded(
        "a part given back", 8, 2, Event(PAID), Event("REFUND.P", 2, "1"), Event("REFUND.S", 2, "1", after_s=AT_ONCE_S)
    ),
    refunded("given back in two parts", 6, Event(PAID), Event("REFUND.S", 4, "1"), Event("REFUND.S", 6, "2")),
    refunded("given back", 8, Event(PAID), Event("REFUND.S", ALL, "1")),
    partially_refunded("a part given back, of which only the order tells", 4, 3, Event(PAID), Event(UNTOLD, 3, "1")),
    refunding("being given back", 4, Event(PAID), Event("REFUND.P", 5, "1")),
    paid("a refund that failed", 4, Event(PAID), Event("REFUND.P", 5, "1"), Event("REFUND.F", 5, "1")),
    partially_paid("paid too little", 3, 8, Event(PAID, 8)),
    at_other_account(Event(PAID)),
)
