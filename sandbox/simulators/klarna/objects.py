"""Builds the objects of a simulated Klarna, for webhooks and responses."""

from typing import Any

from tillkeeper.sandbox.formats import Json


def klarna_order(ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """Returns an order that was authorised and accepted, unless `more` says otherwise."""
    return {
        "order_id": ref,
        "status": "AUTHORIZED",
        "fraud_status": "ACCEPTED",
        "order_amount": amount,
        "original_order_amount": amount,
        "captured_amount": 0,
        "refunded_amount": 0,
        "remaining_authorized_amount": amount,
        "purchase_currency": currency,
        "purchase_country": "DE",
        "locale": "de-DE",
        "merchant_reference1": order_ref or "",
        "merchant_reference2": "",
        "klarna_reference": "20S0TILL",
        "created_at": "2026-10-05T11:50:00.680Z",
        "expires_at": "2026-11-02T00:00:00.000Z",
        "captures": [],
        "refunds": [],
        "initial_payment_method": {"type": "INVOICE", "description": "Pay later"},
    } | more


def klarna_capture(capture_id: str, amount: int, /, **more: Any) -> Json:
    """Returns a capture."""
    return {
        "capture_id": capture_id,
        "klarna_reference": "20S0TILL-1",
        "captured_amount": amount,
        "captured_at": "2026-10-05T11:55:00.738Z",
        "description": "",
        "refunded_amount": 0,
    } | more


def klarna_refund(refund_id: str | None, amount: int, /, **more: Any) -> Json:
    """Returns a refund."""
    return {
        "refund_id": refund_id,
        "refunded_amount": amount,
        "refunded_at": "2026-10-05T11:58:00.100Z",
        "description": "",
    } | more
