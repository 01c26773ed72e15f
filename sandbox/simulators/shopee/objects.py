"""Builds the objects of a simulated ShopeePay, for webhooks and responses."""

from decimal import Decimal
from typing import Any

from tillkeeper.domain.money import EXPONENTS
from tillkeeper.sandbox.formats import Json


def shopee_order(order_sn: str, amount: Decimal, currency: str, status: str, /, **more: Any) -> Json:
    """Returns an order as the API shows it: paid on line, unless `more` says otherwise.  The amount is in major
    units."""
    return {
        "order_sn": order_sn,
        "order_status": status,
        "region": currency[:2],
        "currency": currency,
        "cod": False,
        "total_amount": amount,
        "create_time": 1_790_000_000,
        "update_time": 1_790_000_000,
        "pay_time": 1_790_000_000,
        "payment_method": "Credit/Debit Card",
        "cancel_by": "",
        "cancel_reason": "",
        "days_to_ship": 2,
        "message_to_seller": "",
    } | more


def shopee_amount(minor: int, currency: str) -> Decimal:
    """In major units, with a decimal point also where the currency has no decimals."""
    major = Decimal(minor).scaleb(-EXPONENTS[currency])
    return major if major.as_tuple().exponent else major.quantize(Decimal("0.1"))
