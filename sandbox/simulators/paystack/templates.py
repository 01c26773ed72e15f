"""What can happen to a payment at Paystack, and what each event type means."""

from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "charge.success": PaymentState.SUCCEEDED,
    "charge.failed": PaymentState.FAILED,
    "refund.pending": RefundState.PENDING,
    "refund.processing": RefundState.PENDING,
    "refund.processed": RefundState.SUCCEEDED,
    "refund.failed": RefundState.FAILED,
    "charge.dispute.create": None,
    "charge.dispute.resolve": None,
    "transfer.success": None,  # money that the merchant pays out: no order's
}

TEMPLATES: Final = (
    Template(name="paid", weight=40, events=(Event("charge.success"),), status=Status.PAID, paid=ALL),
    Template(
        name="declined, then paid",
        weight=10,
        events=(Event("charge.failed"), Event("charge.success", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, events=(Event("charge.failed"),), status=Status.FAILED),
    Template(
        name="paid, and paid out",
        weight=3,
        events=(Event("charge.success"), Event("transfer.success")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("charge.success"),
            Event("refund.pending", 4, "1"),
            Event("refund.processing", 4, "1", after_s=AT_ONCE_S),
            Event("refund.processed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(
            Event("charge.success"),
            Event("refund.pending", 3, "1"),
            Event("refund.processed", 3, "1"),
            Event("refund.processed", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("charge.success"), Event("refund.pending", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("charge.success"),
            Event("refund.pending", ALL, "1"),
            Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("charge.success"), Event("charge.dispute.create")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed without success",
        weight=2,
        events=(Event("charge.success"), Event("charge.dispute.create"), Event("charge.dispute.resolve")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, events=(Event("charge.success", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("charge.success"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("charge.success"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
