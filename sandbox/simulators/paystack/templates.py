"""Lists what can happen to a payment at Paystack, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    in_other_currency,
    paid,
    partially_paid,
    partially_refunded,
    refunded,
    refunding,
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
    partially_refunded(
        "a part given back",
        6,
        4,
        Event("charge.success"),
        Event("refund.pending", 4, "1"),
        Event("refund.processing", 4, "1", after_s=AT_ONCE_S),
        Event("refund.processed", 4, "1", after_s=AT_ONCE_S),
    ),
    refunded(
        "given back in two parts",
        4,
        Event("charge.success"),
        Event("refund.pending", 3, "1"),
        Event("refund.processed", 3, "1"),
        Event("refund.processed", 7, "2"),
    ),
    refunding("being given back", 3, Event("charge.success"), Event("refund.pending", 5, "1")),
    paid(
        "a refund that fails",
        3,
        Event("charge.success"),
        Event("refund.pending", ALL, "1"),
        Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 2, Event("charge.success"), Event("charge.dispute.create")),
    paid(
        "disputed without success",
        2,
        Event("charge.success"),
        Event("charge.dispute.create"),
        Event("charge.dispute.resolve"),
    ),
    partially_paid("paid too little", 2, 8, Event("charge.success", 8)),
    in_other_currency(Event("charge.success")),
    at_other_account(Event("charge.success")),
)
