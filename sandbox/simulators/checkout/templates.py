"""What can happen to a payment at Checkout.com, and what each event type means."""

from typing import Final

from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

CAPTURED: Final = "payment_captured"

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=35,
        events=(Event("payment_approved"), Event(CAPTURED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="captured in part",
        weight=4,
        events=(Event("payment_approved"), Event(CAPTURED, 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="by bank, which takes its time",
        weight=6,
        events=(Event("payment_pending"), Event("payment_approved"), Event(CAPTURED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=4, events=(Event("payment_pending"),), status=Status.PROCESSING),
    Template(name="authorized, not captured", weight=4, events=(Event("payment_approved"),), status=Status.PROCESSING),
    Template(name="declined", weight=8, events=(Event("payment_declined"),), status=Status.FAILED),
    Template(
        name="authorized, then let go",
        weight=4,
        events=(Event("payment_approved"), Event("payment_voided")),
        status=Status.FAILED,
    ),
    Template(
        name="never finished",
        weight=3,
        events=(Event("payment_pending"), Event("payment_expired")),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event(CAPTURED),
            Event("payment_refund_pending", 4, "1"),
            Event("payment_refunded", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event(CAPTURED), Event("payment_refunded", 3, "1"), Event("payment_refunded", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event(CAPTURED), Event("payment_refund_pending", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that is declined",
        weight=3,
        events=(
            Event(CAPTURED),
            Event("payment_refund_pending", ALL, "1"),
            Event("payment_refund_declined", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed", weight=2, events=(Event(CAPTURED), Event("dispute_received")), status=Status.PAID, paid=ALL
    ),
    Template(name="paid too little", weight=2, events=(Event(CAPTURED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event(CAPTURED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(CAPTURED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
