"""Builds the objects of a simulated Square, for webhooks and responses."""

from datetime import datetime
from typing import Any, Final

from tillkeeper.sandbox.formats import Json, utc_milliseconds
from tillkeeper.sandbox.story import bare


def square_payment(payment_ref: str, amount: int, currency: str, order_ref: str, at: datetime, **more: Any) -> Json:
    """Returns a payment by card that is completed, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "created_at": utc_milliseconds(at),
        "updated_at": utc_milliseconds(at),
        "amount_money": {"amount": amount, "currency": currency},
        "total_money": {"amount": amount, "currency": currency},
        "status": "COMPLETED",
        "delay_duration": "PT168H",
        "source_type": "CARD",
        "card_details": {"status": "CAPTURED", "entry_method": "KEYED", "card": {"card_brand": "VISA"}},
        "location_id": "VJDQQP3CG14EY",
        "order_id": f"sq0{bare(order_ref)}",
        "reference_id": order_ref,
    } | more


def square_refund(
    refund_ref: str, payment_ref: str, amount: int, currency: str, *, status: str, at: datetime, **more: Any
) -> Json:
    """Returns a refund in a state."""
    return {
        "id": refund_ref,
        "created_at": utc_milliseconds(at),
        "updated_at": utc_milliseconds(at),
        "amount_money": {"amount": amount, "currency": currency},
        "status": status,
        "location_id": "VJDQQP3CG14EY",
        "order_id": f"return_{refund_ref}",
        "payment_id": payment_ref,
    } | more


def square_dispute(
    dispute_ref: str, payment_ref: str, amount: int, currency: str, *, state: str, at: datetime, **more: Any
) -> Json:
    """Returns a dispute in a state."""
    return {
        "id": dispute_ref,
        "amount_money": {"amount": amount, "currency": currency},
        "card_brand": "VISA",
        "created_at": utc_milliseconds(at),
        "disputed_payment": {"payment_id": payment_ref},
        "reason": "NOT_RECEIVED",
        "state": state,
        "updated_at": utc_milliseconds(at),
        "version": 2,
    } | more


DECLINE: Final[Json] = {
    "status": "FAILED",
    "errors": [{"category": "PAYMENT_METHOD_ERROR", "code": "INSUFFICIENT_FUNDS", "detail": "Authorization error"}],
}
