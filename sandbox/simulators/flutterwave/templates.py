"""What can happen to a payment at Flutterwave, and what each event type means."""

from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

# The event, and the status in it.
EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "charge.pending": PaymentState.PENDING,
    "charge.completed": PaymentState.SUCCEEDED,
    "charge.completed (failed)": PaymentState.FAILED,
    "refund.completed (pending)": RefundState.PENDING,
    "refund.completed": RefundState.SUCCEEDED,
    "refund.completed (failed)": RefundState.FAILED,
    "chargeback.created": None,
    "transfer.completed": None,  # money that the merchant pays out: no order's
}

TEMPLATES: Final = (
    Template(name="paid", weight=34, events=(Event("charge.completed"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid by transfer",
        weight=10,
        events=(Event("charge.pending"), Event("charge.completed", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, then paid",
        weight=8,
        events=(Event("charge.completed (failed)"), Event("charge.completed", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, events=(Event("charge.completed (failed)"),), status=Status.FAILED),
    Template(name="on its way", weight=4, events=(Event("charge.pending"),), status=Status.PROCESSING),
    Template(
        name="paid, and paid out",
        weight=3,
        events=(Event("charge.completed"), Event("transfer.completed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("charge.completed"),
            Event("refund.completed (pending)", 4, "1"),
            Event("refund.completed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event("charge.completed"), Event("refund.completed", 3, "1"), Event("refund.completed", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("charge.completed"), Event("refund.completed (pending)", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("charge.completed"),
            Event("refund.completed (pending)", ALL, "1"),
            Event("refund.completed (failed)", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back",
        weight=2,
        events=(Event("charge.completed"), Event("chargeback.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, events=(Event("charge.completed", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("charge.completed"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("charge.completed"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
