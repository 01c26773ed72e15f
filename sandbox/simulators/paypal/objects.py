"""Builds the objects of a simulated PayPal, for webhooks and responses."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from tillkeeper.sandbox.formats import Json, utc_seconds

CAPTURE_PREFIX: Final = "7CAP"

ORDER_PREFIX: Final = "5ORD"

API: Final = "https://api.paypal.com"


# PayPal writes these without decimals, whatever ISO 4217 says of the first and the last.
WITHOUT_DECIMALS: Final = frozenset({"HUF", "JPY", "TWD"})


def paypal_money(amount: int, currency: str) -> Json:
    """Returns an amount in minor units as PayPal writes it."""
    digits = 0 if currency == "JPY" else 2
    major = Decimal(amount).scaleb(-digits)
    return {"value": f"{major:.{0 if currency in WITHOUT_DECIMALS else 2}f}", "currency_code": currency}


def paypal_capture(
    capture_id: str, amount: int, currency: str, order_ref: str, /, *, at: datetime, **more: Any
) -> Json:
    """Returns a capture that is completed, unless `more` says otherwise."""
    return {
        "id": capture_id,
        "amount": paypal_money(amount, currency),
        "final_capture": True,
        "seller_protection": {"status": "ELIGIBLE", "dispute_categories": ["ITEM_NOT_RECEIVED"]},
        "custom_id": order_ref,
        "status": "COMPLETED",
        "supplementary_data": {"related_ids": {"order_id": order_id(capture_id)}},
        "create_time": utc_seconds(at),
        "update_time": utc_seconds(at),
        "links": [
            _link("self", f"/v2/payments/captures/{capture_id}"),
            _link("up", f"/v2/checkout/orders/{order_id(capture_id)}"),
        ],
    } | more


def paypal_refund(refund_id: str, capture_id: str, amount: int, currency: str, /, *, at: datetime, **more: Any) -> Json:
    """Returns a refund that is completed, unless `more` says otherwise.  Its capture stands among its links alone."""
    return {
        "id": refund_id,
        "amount": paypal_money(amount, currency),
        "seller_payable_breakdown": {"total_refunded_amount": paypal_money(amount, currency)},
        "status": "COMPLETED",
        "create_time": utc_seconds(at),
        "update_time": utc_seconds(at),
        "links": [
            _link("self", f"/v2/payments/refunds/{refund_id}"),
            _link("up", f"/v2/payments/captures/{capture_id}"),
        ],
    } | more


def paypal_order(order_id: str, amount: int, currency: str, order_ref: str, /, *, at: datetime, **more: Any) -> Json:
    """Returns an order that the buyer approved, unless `more` says otherwise."""
    return {
        "id": order_id,
        "intent": "CAPTURE",
        "status": "APPROVED",
        "purchase_units": [
            {"reference_id": "default", "amount": paypal_money(amount, currency), "custom_id": order_ref}
        ],
        "create_time": utc_seconds(at),
        "links": [_link("self", f"/v2/checkout/orders/{order_id}")],
    } | more


def paypal_dispute(
    dispute_id: str, capture_id: str, amount: int, currency: str, order_ref: str, /, *, at: datetime, **more: Any
) -> Json:
    """Returns a dispute that was opened, unless `more` says otherwise."""
    return {
        "dispute_id": dispute_id,
        "create_time": utc_seconds(at),
        "update_time": utc_seconds(at),
        "disputed_transactions": [{"seller_transaction_id": capture_id, "custom": order_ref}],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "OPEN",
        "dispute_amount": paypal_money(amount, currency),
        "dispute_life_cycle_stage": "INQUIRY",
    } | more


def order_id(capture_id: str) -> str:
    """PayPal's number for the order of a capture."""
    return with_prefix(capture_id, ORDER_PREFIX)


def with_prefix(capture_id: str, prefix: str) -> str:
    """Returns a capture's number with the beginning of another kind of number."""
    return f"{prefix}{capture_id.removeprefix(CAPTURE_PREFIX)}"


def _link(rel: str, path: str) -> Json:
    return {"href": f"{API}{path}", "rel": rel, "method": "GET"}
