"""Builds the objects of a simulated Mercado Pago, for webhooks and responses."""

from datetime import datetime
from typing import Any, Final

from tillkeeper.sandbox.formats import Json, major_units

CLOCK: Final = datetime.fromisoformat("2026-01-01T00:00:00-04:00").tzinfo


def mercadopago_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """Returns a payment that is approved, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "date_created": "2026-10-05T07:58:00.000-04:00",
        "date_approved": "2026-10-05T07:59:00.000-04:00",
        "date_last_updated": "2026-10-05T07:59:00.000-04:00",
        "money_release_date": None,
        "operation_type": "regular_payment",
        "payment_method_id": "master",
        "payment_type_id": "credit_card",
        "status": "approved",
        "status_detail": "accredited",
        "currency_id": currency,
        "description": "Order at the till",
        "live_mode": True,
        "external_reference": order_ref,
        "transaction_amount": major_units(amount, currency),
        "transaction_amount_refunded": 0,
        "captured": True,
        "installments": 1,
        "refunds": [],
    } | more


def mercadopago_refund(refund_ref: object, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a refund that is approved, unless `more` says otherwise; it tells no currency."""
    return {
        "id": refund_ref,
        "payment_id": payment_ref,
        "amount": major_units(amount, currency),
        "source": {"id": "724484980", "name": "Shop", "type": "collector"},
        "date_created": "2026-10-05T07:59:30.000-04:00",
        "unique_sequence_number": None,
        "refund_mode": "standard",
        "status": "approved",
    } | more
