"""What can happen to a payment at Stripe, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "payment_intent.created": PaymentState.CREATED,
    "payment_intent.processing": PaymentState.PENDING,
    "payment_intent.amount_capturable_updated": PaymentState.AUTHORIZED,
    "payment_intent.succeeded": PaymentState.SUCCEEDED,
    "payment_intent.payment_failed": PaymentState.FAILED,
    "payment_intent.canceled": PaymentState.CANCELLED,
    "checkout.session.completed": PaymentState.PENDING,
    "checkout.session.async_payment_succeeded": PaymentState.SUCCEEDED,
    "refund.created": RefundState.PENDING,
    "refund.updated": RefundState.SUCCEEDED,
    "refund.failed": RefundState.FAILED,
    "charge.refunded": None,  # its refunds are words of their own
    "charge.dispute.created": None,
}

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        events=(
            Event("payment_intent.created"),
            Event("payment_intent.processing"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=8,
        events=(
            Event("payment_intent.amount_capturable_updated"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured in part",
        weight=5,
        events=(Event("payment_intent.amount_capturable_updated"), Event("payment_intent.succeeded", 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="captured in part, and a part of that given back",
        weight=2,
        events=(
            Event("payment_intent.amount_capturable_updated"),
            Event("payment_intent.succeeded", 6),
            Event("refund.updated", 2, "1"),
            Event("charge.refunded", 2, after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=6,
        refunded=2,
    ),
    Template(
        name="authorized, then let go",
        weight=2,
        events=(Event("payment_intent.amount_capturable_updated"), Event("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(
        name="declined, then paid",
        weight=12,
        events=(
            Event("payment_intent.payment_failed"),
            Event("payment_intent.processing"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=5,
        events=(
            Event("checkout.session.completed"),
            Event("checkout.session.async_payment_succeeded"),
            Event("payment_intent.succeeded", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=6,
        events=(Event("payment_intent.processing"), Event("payment_intent.payment_failed", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="declined, and tried again",
        weight=3,
        events=(Event("payment_intent.payment_failed"), Event("payment_intent.processing")),
        status=Status.PROCESSING,
    ),
    Template(
        name="abandoned",
        weight=5,
        events=(Event("payment_intent.processing"), Event("payment_intent.canceled")),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=4, events=(Event("payment_intent.processing"),), status=Status.PROCESSING),
    Template(name="only looked at", weight=3, events=(Event("payment_intent.created"),), status=Status.UNPAID),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", 4, "1"),
            Event("charge.refunded", 4, after_s=AT_ONCE_S),
            Event("refund.updated", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="two parts given back",
        weight=3,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", 2, "1"),
            Event("refund.updated", 2, "1", after_s=AT_ONCE_S),
            Event("refund.created", 5, "2"),
            Event("refund.updated", 5, "2", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=5,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", ALL, "1"),
            Event("refund.updated", ALL, "1", after_s=AT_ONCE_S),
            Event("charge.refunded", ALL),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(
            Event("payment_intent.succeeded"),
            Event("charge.refunded", 4),
            Event("refund.created", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.created", ALL, "1"),
            Event("charge.refunded", ALL, after_s=AT_ONCE_S),
            Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        events=(
            Event("payment_intent.succeeded"),
            Event("refund.updated", 3, "1"),
            Event("refund.failed", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("payment_intent.succeeded"), Event("charge.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payment_intent.succeeded", 9),),
        status=Status.PARTIALLY_PAID,
        paid=9,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("payment_intent.processing"), Event("payment_intent.succeeded", after_s=AT_ONCE_S)),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment_intent.succeeded"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
