"""Builds the objects of a simulated GoCardless, for webhooks and responses."""

from datetime import datetime
from typing import Any

from tillkeeper.sandbox.formats import Json, utc_milliseconds


def gocardless_event(event_id: str, at: datetime, resource: str, action: str, /, **more: Any) -> Json:
    """One event; `more` are its fields, such as `links` or `details`."""
    return {
        "id": event_id,
        "created_at": utc_milliseconds(at),
        "resource_type": resource,
        "action": action,
        "links": {},
        "details": {"origin": "gocardless", "cause": f"{resource[:-1]}_{action}", "description": "As it says."},
        "metadata": {},
    } | more


def gocardless_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """Returns a payment that was collected, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "created_at": "2026-09-28T09:00:00.000Z",
        "charge_date": "2026-10-02",
        "amount": amount,
        "description": None,
        "currency": currency,
        "status": "confirmed",
        "amount_refunded": 0,
        "reference": None,
        "metadata": {} if order_ref is None else {"order_id": order_ref},
        "fx": {"fx_currency": currency, "fx_amount": None, "exchange_rate": None, "estimated_exchange_rate": None},
        "links": {"mandate": "MD000TILL", "creditor": "CR000TILL"},
        "retry_if_possible": False,
        "scheme": "sepa_core",
    } | more


def gocardless_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a refund that was paid, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "created_at": "2026-10-03T09:00:00.000Z",
        "amount": amount,
        "currency": currency,
        "status": "paid",
        "reference": None,
        "metadata": {},
        "links": {"payment": payment_ref, "mandate": "MD000TILL"},
    } | more


def refund_id(refund_ref: str) -> str:
    """Returns a refund's reference in the shape of GoCardless's own; `refund_ref_of` undoes it."""
    return f"RF{refund_ref.removeprefix('re_')}"


def refund_ref_of(refund_id: str) -> str:
    """Returns the story's reference of a refund."""
    return f"re_{refund_id.removeprefix('RF')}"
