"""Lists what can happen to a payment at GoCardless, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    paid,
    paid_too_little,
    partially_refunded,
    processing,
    refunded,
    refunding,
)

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
    paid("paid", 30, *_PAID),
    paid("paid, and paid out", 10, Event("mandates.active"), *_PAID, Event("payments.paid_out")),
    paid(
        "failed, collected again, and paid",
        8,
        Event("payments.created"),
        Event("payments.failed, to be retried"),
        Event("payments.submitted"),
        Event("payments.confirmed"),
    ),
    processing(
        "failed, to be collected again", 4, Event("payments.submitted"), Event("payments.failed, to be retried")
    ),
    processing("on its way", 5, Event("payments.created"), Event("payments.submitted")),
    failed("failed", 8, Event("payments.submitted"), Event("payments.failed", after_s=AT_ONCE_S)),
    failed("cancelled", 4, Event("payments.created"), Event("payments.cancelled")),
    failed("failed late", 3, *_PAID, Event("payments.failed late"), Event("payments.late_failure_settled")),
    processing("failed late, to be collected again", 2, *_PAID, Event("payments.failed late, to be retried")),
    paid(
        "failed late, collected again, and paid",
        2,
        *_PAID,
        Event("payments.failed late, to be retried"),
        Event("payments.submitted"),
        Event("payments.confirmed"),
        Event("payments.late_failure_settled"),
    ),
    paid("charged back", 3, *_PAID, Event("payments.charged_back")),
    paid(
        "a chargeback that was cancelled",
        2,
        *_PAID,
        Event("payments.charged_back"),
        Event("payments.chargeback_cancelled"),
    ),
    partially_refunded(
        "a part given back", 6, 4, *_PAID, Event("refunds.created", 4, "1"), Event("refunds.paid", 4, "1")
    ),
    refunded(
        "given back in two parts",
        4,
        Event("payments.confirmed"),
        Event("refunds.created", 3, "1"),
        Event("refunds.paid", 3, "1", after_s=AT_ONCE_S),
        Event("refunds.created", 7, "2"),
        Event("refunds.paid", 7, "2"),
    ),
    refunding("being given back", 3, *_PAID, Event("refunds.created", 4, "1")),
    paid("a refund that fails", 3, *_PAID, Event("refunds.created", ALL, "1"), Event("refunds.failed", ALL, "1")),
    paid_too_little("payments.confirmed"),
    at_other_account(Event("payments.confirmed")),
)
