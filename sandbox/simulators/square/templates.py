"""What can happen to a payment at Square, and what each event type means."""

from typing import Final

from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(Event("payment COMPLETED"),), status=Status.PAID, paid=ALL),
    Template(
        name="authorized, then captured",
        weight=15,
        events=(Event("payment APPROVED"), Event("payment COMPLETED", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="by bank, which takes its time",
        weight=6,
        events=(Event("payment PENDING"), Event("payment COMPLETED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=5, events=(Event("payment PENDING"),), status=Status.PROCESSING),
    Template(
        name="authorized, and not captured", weight=3, events=(Event("payment APPROVED"),), status=Status.PROCESSING
    ),
    Template(name="declined", weight=8, events=(Event("payment FAILED"),), status=Status.FAILED),
    Template(
        name="authorized, then let go",
        weight=4,
        events=(Event("payment APPROVED"), Event("payment CANCELED", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("payment COMPLETED"),
            Event("refund PENDING", 4, "1"),
            Event("refund COMPLETED", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event("payment COMPLETED"), Event("refund COMPLETED", 3, "1"), Event("refund COMPLETED", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("payment COMPLETED"), Event("refund PENDING", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that is rejected",
        weight=3,
        events=(
            Event("payment COMPLETED"),
            Event("refund PENDING", ALL, "1"),
            Event("refund REJECTED", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        events=(
            Event("payment COMPLETED"),
            Event("refund COMPLETED", 3, "1"),
            Event("refund FAILED", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("payment COMPLETED"), Event("dispute EVIDENCE_REQUIRED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payment COMPLETED", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("payment COMPLETED"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment COMPLETED"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
