"""Lists what can happen to a payment at Klarna, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    paid,
    partially_paid,
    partially_refunded,
    processing,
    refunded,
)

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "purchase": PaymentState.AUTHORIZED,
    "purchase under review": PaymentState.PENDING,
    "FRAUD_RISK_ACCEPTED": PaymentState.AUTHORIZED,
    "FRAUD_RISK_REJECTED": PaymentState.FAILED,
    "FRAUD_RISK_STOPPED": None,  # after the capture, which stands
    "capture": PaymentState.SUCCEEDED,
    "cancellation": PaymentState.CANCELLED,
    "expiry": PaymentState.CANCELLED,
    "refund": RefundState.SUCCEEDED,
}

TEMPLATES: Final = (
    paid("captured", 36, Event("purchase"), Event("capture", after_s=AT_ONCE_S)),
    paid("captured at once", 10, Event("capture")),
    paid(
        "looked at, accepted, and captured",
        6,
        Event("purchase under review"),
        Event("FRAUD_RISK_ACCEPTED"),
        Event("capture"),
    ),
    processing("authorised is not paid", 8, Event("purchase")),
    processing("under review", 3, Event("purchase under review")),
    failed("rejected", 5, Event("purchase under review"), Event("FRAUD_RISK_REJECTED")),
    failed("cancelled", 5, Event("purchase"), Event("cancellation")),
    failed("expired", 4, Event("purchase"), Event("expiry")),
    partially_refunded("a part given back", 6, 4, Event("purchase"), Event("capture"), Event("refund", 4, "1")),
    refunded("given back in two parts", 5, Event("capture"), Event("refund", 3, "1"), Event("refund", 7, "2")),
    paid("fraud that was found too late", 2, Event("capture"), Event("FRAUD_RISK_STOPPED")),
    partially_paid("captured in part", 3, 8, Event("purchase"), Event("capture", 8)),
    at_other_account(Event("capture")),
)
