"""Builds the objects of a simulated Mollie, for webhooks and responses."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tillkeeper.domain.money import exponent
from tillkeeper.sandbox.formats import Json


def money(amount: int, currency: str) -> Json:
    """Returns an amount as Mollie writes it."""
    return {"value": f"{Decimal(amount).scaleb(-exponent(currency))}", "currency": currency}


def mollie_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """Returns a payment that was paid, unless `more` says otherwise."""
    return {
        "resource": "payment",
        "id": payment_ref,
        "mode": "test",
        "createdAt": "2026-10-05T11:50:00+00:00",
        "amount": money(amount, currency),
        "description": "Order at the till",
        "method": "ideal",
        "metadata": None if order_ref is None else {"order_id": order_ref},
        "status": "paid",
        "paidAt": "2026-10-05T11:58:00+00:00",
        "amountRefunded": money(0, currency),
        "amountRemaining": money(amount, currency),
        "locale": "nl_NL",
        "countryCode": "NL",
        "profileId": "pfl_QkEhN94Ba",
        "sequenceType": "oneoff",
        "redirectUrl": "https://shop.example/thanks",
        "webhookUrl": "https://shop.example/webhooks/mollie-main",
    } | more


def mollie_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a refund that was paid, unless `more` says otherwise."""
    return {
        "resource": "refund",
        "id": refund_ref,
        "mode": "test",
        "amount": money(amount, currency),
        "status": "refunded",
        "createdAt": "2026-10-05T11:59:00+00:00",
        "description": "Order at the till",
        "metadata": None,
        "paymentId": payment_ref,
    } | more


def mollie_chargeback(ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a chargeback that stands, unless `more` says otherwise."""
    return {
        "resource": "chargeback",
        "id": ref,
        "amount": money(amount, currency),
        "settlementAmount": {"value": f"-{money(amount, currency)['value']}", "currency": currency},
        "createdAt": "2026-10-05T11:59:30+00:00",
        "reversedAt": None,
        "reason": {"code": "AC01", "description": "Account identifier incorrect"},
        "paymentId": payment_ref,
    } | more


def time_text(at: datetime) -> str:
    """Returns a time as Mollie writes it."""
    return at.astimezone(UTC).replace(microsecond=0).isoformat()
