"""Builds the objects of a simulated Paystack, for webhooks and responses."""

from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from tillkeeper.sandbox.formats import Json, utc_milliseconds


def number_of(*event_types: str) -> int:
    """Paystack's own number for something, the same for the same words."""
    return int.from_bytes(blake2b(" ".join(event_types).encode(), digest_size=4).digest())


def paystack_transaction(reference: str, amount: int, currency: str, at: datetime, /, **more: Any) -> Json:
    """Returns a transaction that succeeded, unless `more` says otherwise; amounts in hundredths."""
    return {
        "id": number_of("transaction", reference),
        "domain": "test",
        "status": "success",
        "reference": reference,
        "amount": amount,
        "message": None,
        "gateway_response": "Approved",
        "paid_at": utc_milliseconds(at),
        "created_at": utc_milliseconds(at),
        "channel": "card",
        "currency": currency,
        "ip_address": "102.89.0.1",
        "metadata": "",
        "log": None,
        "fees": amount // 100,
        "customer": {"id": 7, "email": "payer@shop.example", "customer_code": "CUS_xnxdt6s1zg1f4nx"},
        "authorization": {"authorization_code": "AUTH_f5rnfq9p", "last4": "4081", "brand": "visa"},
    } | more


DECLINE: Final[Json] = {"status": "failed", "gateway_response": "Insufficient Funds", "paid_at": None}


def paystack_refund(refund_ref: str | None, reference: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a refund that is processed, unless `more` says otherwise; its amount is digits in quotes, as webhooks
    have it."""
    return {
        **({} if refund_ref is None else {"id": refund_ref}),
        "status": "processed",
        "transaction_reference": reference,
        "refund_reference": None,
        "amount": str(amount),
        "currency": currency,
        "processor": "mpgs_zen",
        "customer": {"first_name": "Ada", "email": "payer@shop.example"},
        "integration": 463433,
        "domain": "test",
    } | more


def paystack_dispute(reference: str, amount: int, currency: str, at: datetime, /, **more: Any) -> Json:
    """Returns a dispute that the merchant must answer, unless `more` says otherwise."""
    return {
        "id": number_of("dispute", reference),
        "refund_amount": amount,
        "currency": currency,
        "status": "awaiting-merchant-feedback",
        "resolution": None,
        "domain": "test",
        "transaction": paystack_transaction(reference, amount, currency, at),
        "transaction_reference": None,
        "category": None,
        "resolvedAt": None,
        "created_at": utc_milliseconds(at),
        "updated_at": utc_milliseconds(at),
    } | more
