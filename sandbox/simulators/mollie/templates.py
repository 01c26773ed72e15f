"""What can happen to a payment at Mollie, and what each event type means."""

from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "paid": PaymentState.SUCCEEDED,
    "failed": PaymentState.FAILED,
    "canceled": PaymentState.CANCELLED,
    "expired": PaymentState.CANCELLED,
    "refund queued": RefundState.PENDING,
    "refund paid": RefundState.SUCCEEDED,
    "refund failed": RefundState.FAILED,
    "charged back": None,
    "chargeback reversed": None,
}

TEMPLATES: Final = (
    Template(name="paid", weight=36, events=(Event("paid"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid by transfer",
        weight=8,
        events=(Event("pending"), Event("paid", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        events=(Event("authorized"), Event("paid")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="only authorized", weight=3, events=(Event("authorized"),), status=Status.PROCESSING),
    Template(name="on its way", weight=4, events=(Event("pending"),), status=Status.PROCESSING),
    Template(name="declined", weight=6, events=(Event("failed"),), status=Status.FAILED),
    Template(name="called off", weight=5, events=(Event("canceled"),), status=Status.FAILED),
    Template(name="never paid", weight=5, events=(Event("pending"), Event("expired")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event("paid"), Event("refund queued", 4, "1"), Event("refund paid", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(
            Event("paid"),
            Event("refund queued", 3, "1"),
            Event("refund paid", 3, "1"),
            Event("refund paid", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("paid"), Event("refund queued", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(Event("paid"), Event("refund queued", ALL, "1"), Event("refund failed", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back", weight=3, events=(Event("paid"), Event("charged back")), status=Status.PAID, paid=ALL
    ),
    Template(
        name="a chargeback that was reversed",
        weight=2,
        events=(Event("paid"), Event("charged back"), Event("chargeback reversed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, events=(Event("paid", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("paid"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
