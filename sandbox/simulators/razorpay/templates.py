"""What can happen to a payment at Razorpay, and what each event type means."""

from typing import Final

from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

LET_GO: Final = "refund.processed (uncaptured)"  # what was authorized and never captured

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        events=(Event("payment.authorized"), Event("payment.captured", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=12,
        events=(
            Event("payment.authorized"),
            Event("payment.captured", after_s=AT_ONCE_S),
            Event("order.paid", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, and authorized after all",
        weight=8,
        events=(Event("payment.failed"), Event("payment.authorized"), Event("payment.captured", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, events=(Event("payment.failed"),), status=Status.FAILED),
    Template(
        name="authorized, and not captured", weight=5, events=(Event("payment.authorized"),), status=Status.PROCESSING
    ),
    Template(
        name="never captured, and let go",
        weight=4,
        events=(Event("payment.authorized"), Event(LET_GO)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("payment.captured"),
            Event("refund.created", 4, "1"),
            Event("refund.processed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event("payment.captured"), Event("refund.processed", 3, "1"), Event("refund.processed", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("payment.captured"), Event("refund.created", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("payment.captured"),
            Event("refund.created", ALL, "1"),
            Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("payment.captured"), Event("payment.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payment.captured", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("payment.captured"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment.captured"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
