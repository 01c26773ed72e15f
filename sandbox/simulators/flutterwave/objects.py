"""Builds the objects of a simulated Flutterwave, for webhooks and responses."""

from typing import Any

from tillkeeper.sandbox.formats import Json, major_units


def flutterwave_charge(charge_ref: str, amount: int, currency: str, reference: str, /, **more: Any) -> Json:
    """v4's charge that succeeded, unless `more` says otherwise."""
    return {
        "id": charge_ref,
        "amount": major_units(amount, currency),
        "currency": currency,
        "reference": reference,
        "status": "succeeded",
        "customer": {"id": "cus_X0yJv3ZMpL", "email": "payer@shop.example"},
        "payment_method": {"type": "card", "id": "pmd_wlVhaYmkl2"},
        "processor_response": {"type": "approved", "code": "00"},
        "redirect_url": None,
        "meta": {},
        "created_datetime": "2026-10-05T11:58:00.000Z",
    } | more


def flutterwave_refund(refund_ref: str, charge_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """v4's refund that succeeded, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "charge_id": charge_ref,
        "amount_refunded": major_units(amount, currency),
        "currency": currency,
        "status": "succeeded",
        "reason": "requested_by_customer",
        "created_datetime": "2026-10-05T11:59:00.000Z",
    } | more
