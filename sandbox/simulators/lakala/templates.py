"""What can happen to a payment at Lakala, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

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
    Template(name="paid", weight=35, events=(Event(PAID),), status=Status.PAID, paid=ALL),
    Template(name="paid after a while", weight=8, events=(Event(PAYING), Event(PAID)), status=Status.PAID, paid=ALL),
    Template(name="being paid", weight=3, events=(Event(PAYING),), status=Status.PROCESSING),
    Template(name="never paid", weight=4, events=(Event(EXPIRED),), status=Status.FAILED),
    Template(name="called off", weight=3, events=(Event(CANCELLED),), status=Status.FAILED),
    Template(name="declined", weight=5, events=(Event(PAYING), Event(DECLINED)), status=Status.FAILED),
    Template(
        name="declined, then paid",
        weight=8,
        events=(Event(DECLINED), Event(PAID, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=8,
        events=(Event(PAID), Event("REFUND.P", 2, "1"), Event("REFUND.S", 2, "1", after_s=AT_ONCE_S)),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        events=(Event(PAID), Event("REFUND.S", 4, "1"), Event("REFUND.S", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event(PAID), Event("REFUND.S", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back, of which only the order tells",
        weight=4,
        events=(Event(PAID), Event(UNTOLD, 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="being given back",
        weight=4,
        events=(Event(PAID), Event("REFUND.P", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that failed",
        weight=4,
        events=(Event(PAID), Event("REFUND.P", 5, "1"), Event("REFUND.F", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, events=(Event(PAID, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(PAID),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
