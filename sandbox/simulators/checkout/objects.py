"""Builds the objects of a simulated Checkout.com, for webhooks and responses."""

from datetime import UTC, datetime
from typing import Any

from tillkeeper.sandbox.formats import Json


def checkout_action(
    action_id: str, payment_ref: str, amount: int, currency: str, *, order_ref: str, at: datetime, **more: Any
) -> Json:
    """Returns an action on a payment that is approved, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "action_id": action_id,
        "reference": order_ref,
        "amount": amount,
        "processed_on": rfc3339(at),
        "response_code": "10000",
        "response_summary": "Approved",
        "currency": currency,
        "processing": {"acquirer_transaction_id": "865749780760868955557"},
    } | more


def checkout_dispute(
    dispute_ref: str, payment_ref: str, amount: int, currency: str, *, order_ref: str, **more: Any
) -> Json:
    """Returns a dispute."""
    return {
        "id": dispute_ref,
        "category": "general",
        "amount": amount,
        "currency": currency,
        "reason_code": "13.1",
        "payment_id": payment_ref,
        "payment_reference": order_ref,
    } | more


def checkout_payment(
    payment_ref: str, amount: int, currency: str, order_ref: str, /, *, actions: list[Json], **more: Any
) -> Json:
    """Returns a payment as the API shows it; captured, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "requested_on": "2026-09-21T15:33:20Z",
        "source": {"type": "card", "scheme": "Visa", "last4": "4242"},
        "amount": amount,
        "currency": currency,
        "payment_type": "Regular",
        "reference": order_ref,
        "status": "Captured",
        "approved": True,
        "balances": {"total_authorized": amount, "total_captured": amount, "total_refunded": 0},
        "actions": actions,
    } | more


def rfc3339(at: datetime) -> str:
    """Returns a time as RFC 3339 writes it, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.4695512Z")
