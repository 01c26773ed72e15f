"""Lists what can happen to a payment at Mercado Pago, and what each event type means."""

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
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "approved": PaymentState.SUCCEEDED,
    "rejected": PaymentState.FAILED,
    "cancelled": PaymentState.CANCELLED,
    "refund in_process": RefundState.PENDING,
    "refund approved": RefundState.SUCCEEDED,
    "refund rejected": RefundState.FAILED,
    "charged_back": None,
    "chargeback reimbursed": None,
    "merchant_order": None,  # another topic, of which nothing is asked
}

TEMPLATES: Final = (
    paid("paid", 36, Event("approved")),
    paid(
        "paid in cash",
        10,
        Event("pending"),
        Event("approved", after_s=AT_ONCE_S),
        Event("merchant_order", after_s=AT_ONCE_S),
    ),
    paid("authorized, then captured", 5, Event("authorized"), Event("approved")),
    processing("on its way", 4, Event("pending")),
    failed("declined", 7, Event("rejected")),
    failed("never paid", 5, Event("pending"), Event("cancelled")),
    partially_refunded(
        "a part given back",
        6,
        4,
        Event("approved"),
        Event("refund in_process", 4, "1"),
        Event("refund approved", 4, "1"),
    ),
    refunded(
        "given back in two parts",
        5,
        Event("approved"),
        Event("refund approved", 3, "1"),
        Event("refund approved", 7, "2"),
    ),
    refunding("being given back", 3, Event("approved"), Event("refund in_process", 4, "1")),
    paid(
        "a refund that fails",
        3,
        Event("approved"),
        Event("refund in_process", ALL, "1"),
        Event("refund rejected", ALL, "1"),
    ),
    paid("charged back", 3, Event("approved"), Event("charged_back")),
    paid(
        "a chargeback that was reimbursed", 2, Event("approved"), Event("charged_back"), Event("chargeback reimbursed")
    ),
    paid_too_little("approved"),
    at_other_account(Event("approved")),
)
