"""Lists what can happen to a payment at Mollie, and what each event type means."""

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
    "paid": PaymentState.SUCCEEDED,
    "failed": PaymentState.FAILED,
    "canceled": PaymentState.CANCELLED,
    "expired": PaymentState.CANCELLED,
    "refund queued": RefundState.PENDING,
    "refund paid": RefundState.SUCCEEDED,
    "refund failed": RefundState.FAILED,
    "charged back": None,
    "chargeback reversed": None,
}

TEMPLATES: Final = (
    paid("paid", 36, Event("paid")),
    paid("paid by transfer", 8, Event("pending"), Event("paid", after_s=AT_ONCE_S)),
    paid("authorized, then captured", 5, Event("authorized"), Event("paid")),
    processing("only authorized", 3, Event("authorized")),
    processing("on its way", 4, Event("pending")),
    failed("declined", 6, Event("failed")),
    failed("called off", 5, Event("canceled")),
    failed("never paid", 5, Event("pending"), Event("expired")),
    partially_refunded(
        "a part given back", 6, 4, Event("paid"), Event("refund queued", 4, "1"), Event("refund paid", 4, "1")
    ),
    refunded(
        "given back in two parts",
        5,
        Event("paid"),
        Event("refund queued", 3, "1"),
        Event("refund paid", 3, "1"),
        Event("refund paid", 7, "2"),
    ),
    refunding("being given back", 3, Event("paid"), Event("refund queued", 4, "1")),
    paid("a refund that fails", 3, Event("paid"), Event("refund queued", ALL, "1"), Event("refund failed", ALL, "1")),
    paid("charged back", 3, Event("paid"), Event("charged back")),
    paid("a chargeback that was reversed", 2, Event("paid"), Event("charged back"), Event("chargeback reversed")),
    paid_too_little("paid"),
    at_other_account(Event("paid")),
)
