"""Lists what can happen to a payment at Paystack, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    AT_ONCE_S,
    Event,
    a_part_given_back,
    a_refund_that_fails,
    at_other_account,
    being_given_back,
    failed,
    in_other_currency,
    paid,
    paid_too_little,
    refunded,
)

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
    paid("paid", 40, Event("charge.success")),
    paid("declined, then paid", 10, Event("charge.failed"), Event("charge.success", after_s=AT_ONCE_S)),
    failed("declined", 8, Event("charge.failed")),
    paid("paid, and paid out", 3, Event("charge.success"), Event("transfer.success")),
    a_part_given_back("charge.success", "refund.pending", "refund.processing", "refund.processed"),
    refunded(
        "given back in two parts",
        4,
        Event("charge.success"),
        Event("refund.pending", 3, "1"),
        Event("refund.processed", 3, "1"),
        Event("refund.processed", 7, "2"),
    ),
    being_given_back("charge.success", "refund.pending"),
    a_refund_that_fails("charge.success", "refund.pending", "refund.failed"),
    paid("disputed", 2, Event("charge.success"), Event("charge.dispute.create")),
    paid(
        "disputed without success",
        2,
        Event("charge.success"),
        Event("charge.dispute.create"),
        Event("charge.dispute.resolve"),
    ),
    paid_too_little("charge.success"),
    in_other_currency(Event("charge.success")),
    at_other_account(Event("charge.success")),
)
