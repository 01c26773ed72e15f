"""What can happen to a payment at GoCardless, and what each event type means."""

from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "payments.created": PaymentState.PENDING,
    "payments.submitted": PaymentState.PENDING,
    "payments.confirmed": PaymentState.SUCCEEDED,
    "payments.paid_out": PaymentState.SUCCEEDED,
    "payments.failed": PaymentState.FAILED,
    "payments.failed, to be retried": PaymentState.PENDING,
    "payments.failed late": PaymentState.REVERSED,
    "payments.failed late, to be retried": PaymentState.REVERSED,
    "payments.late_failure_settled": None,
    "payments.cancelled": PaymentState.CANCELLED,
    "payments.charged_back": None,
    "payments.chargeback_cancelled": None,
    "refunds.created": RefundState.PENDING,
    "refunds.paid": RefundState.SUCCEEDED,
    "refunds.failed": RefundState.FAILED,
    "mandates.active": None,
}

_PAID: Final = (Event("payments.created"), Event("payments.submitted"), Event("payments.confirmed", after_s=AT_ONCE_S))

TEMPLATES: Final = (
    Template(name="paid", weight=30, events=_PAID, status=Status.PAID, paid=ALL),
    Template(
        name="paid, and paid out",
        weight=10,
        events=(Event("mandates.active"), *_PAID, Event("payments.paid_out")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="failed, collected again, and paid",
        weight=8,
        events=(
            Event("payments.created"),
            Event("payments.failed, to be retried"),
            Event("payments.submitted"),
            Event("payments.confirmed"),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="failed, to be collected again",
        weight=4,
        events=(Event("payments.submitted"), Event("payments.failed, to be retried")),
        status=Status.PROCESSING,
    ),
    Template(
        name="on its way",
        weight=5,
        events=(Event("payments.created"), Event("payments.submitted")),
        status=Status.PROCESSING,
    ),
    Template(
        name="failed",
        weight=8,
        events=(Event("payments.submitted"), Event("payments.failed", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="cancelled",
        weight=4,
        events=(Event("payments.created"), Event("payments.cancelled")),
        status=Status.FAILED,
    ),
    Template(
        name="failed late",
        weight=3,
        events=(*_PAID, Event("payments.failed late"), Event("payments.late_failure_settled")),
        status=Status.FAILED,
    ),
    Template(
        name="failed late, to be collected again",
        weight=2,
        events=(*_PAID, Event("payments.failed late, to be retried")),
        status=Status.PROCESSING,
    ),
    Template(
        name="failed late, collected again, and paid",
        weight=2,
        events=(
            *_PAID,
            Event("payments.failed late, to be retried"),
            Event("payments.submitted"),
            Event("payments.confirmed"),
            Event("payments.late_failure_settled"),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back",
        weight=3,
        events=(*_PAID, Event("payments.charged_back")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a chargeback that was cancelled",
        weight=2,
        events=(*_PAID, Event("payments.charged_back"), Event("payments.chargeback_cancelled")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(*_PAID, Event("refunds.created", 4, "1"), Event("refunds.paid", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(
            Event("payments.confirmed"),
            Event("refunds.created", 3, "1"),
            Event("refunds.paid", 3, "1", after_s=AT_ONCE_S),
            Event("refunds.created", 7, "2"),
            Event("refunds.paid", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(*_PAID, Event("refunds.created", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(*_PAID, Event("refunds.created", ALL, "1"), Event("refunds.failed", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payments.confirmed", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payments.confirmed"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
