"""What can happen to a payment at ShopeePay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.statuses import Status

CASH: Final = "(cash on delivery)"

AFTER_PAYMENT: Final = "(after it was paid)"

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        events=(Event("UNPAID"), Event("READY_TO_SHIP"), Event("SHIPPED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and received",
        weight=12,
        events=(Event("READY_TO_SHIP"), Event("SHIPPED"), Event("TO_CONFIRM_RECEIVE"), Event("COMPLETED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="not paid yet", weight=6, events=(Event("UNPAID"),), status=Status.UNPAID),
    Template(
        name="never paid",
        weight=8,
        events=(Event("UNPAID"), Event("CANCELLED")),
        status=Status.FAILED,
    ),
    Template(
        name="cash on delivery, on its way",
        weight=6,
        events=(Event(f"READY_TO_SHIP {CASH}"), Event(f"SHIPPED {CASH}")),
        status=Status.PROCESSING,
    ),
    Template(
        name="cash on delivery, paid at the door",
        weight=6,
        events=(Event(f"SHIPPED {CASH}"), Event(f"COMPLETED {CASH}")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="cash on delivery, refused at the door",
        weight=3,
        events=(Event(f"SHIPPED {CASH}"), Event(f"CANCELLED {CASH}")),
        status=Status.FAILED,
    ),
    Template(
        name="cancelled after it was paid",
        weight=6,
        events=(Event("READY_TO_SHIP"), Event("IN_CANCEL"), Event(f"CANCELLED {AFTER_PAYMENT}", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="sent back",
        weight=3,
        events=(Event("READY_TO_SHIP"), Event("SHIPPED"), Event("TO_RETURN")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("READY_TO_SHIP", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("READY_TO_SHIP"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("READY_TO_SHIP"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState]] = {
    "UNPAID": PaymentState.CREATED,
    "READY_TO_SHIP": PaymentState.SUCCEEDED,
    "SHIPPED": PaymentState.SUCCEEDED,
    "TO_CONFIRM_RECEIVE": PaymentState.SUCCEEDED,
    "IN_CANCEL": PaymentState.SUCCEEDED,
    "TO_RETURN": PaymentState.SUCCEEDED,
    "COMPLETED": PaymentState.SUCCEEDED,
    "CANCELLED": PaymentState.CANCELLED,
    f"READY_TO_SHIP {CASH}": PaymentState.PENDING,
    f"SHIPPED {CASH}": PaymentState.PENDING,
    f"COMPLETED {CASH}": PaymentState.SUCCEEDED,
    f"CANCELLED {CASH}": PaymentState.CANCELLED,
    f"CANCELLED {AFTER_PAYMENT}": RefundState.SUCCEEDED,
}
