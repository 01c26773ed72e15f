"""Builds the objects of a simulated Razorpay, for webhooks and responses."""

from collections.abc import Mapping
from typing import Any, Final

from tillkeeper.sandbox.formats import Json
from tillkeeper.sandbox.simulators.razorpay.templates import LET_GO
from tillkeeper.sandbox.story import bare


def razorpay_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """Returns a payment by card that is captured, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "entity": "payment",
        "amount": amount,
        "currency": currency,
        "status": "captured",
        "order_id": razorpay_order_ref(order_ref or payment_ref),
        "invoice_id": None,
        "international": False,
        "method": "card",
        "amount_refunded": 0,
        "refund_status": None,
        "captured": True,
        "description": None,
        "card_id": f"card_{payment_ref[-14:]}",
        "email": "payer@shop.example",
        "contact": "+919000000000",
        "notes": [] if order_ref is None else {"order_id": order_ref},
        "error_code": None,
        "error_description": None,
        "error_source": None,
        "error_step": None,
        "error_reason": None,
        "created_at": 1_790_000_000,
    } | more


def razorpay_order_ref(order_ref: str) -> str:
    """Razorpay's own number for an order."""
    return f"order_{bare(order_ref)[-14:]:0>14}"


def razorpay_order(order_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns an order that is paid, unless `more` says otherwise."""
    return {
        "id": razorpay_order_ref(order_ref),
        "entity": "order",
        "amount": amount,
        "amount_paid": amount,
        "amount_due": 0,
        "currency": currency,
        "receipt": order_ref,
        "status": "paid",
        "attempts": 1,
        "notes": [],
        "created_at": 1_790_000_000,
    } | more


def razorpay_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a refund that is processed, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "entity": "refund",
        "amount": amount,
        "currency": currency,
        "payment_id": payment_ref,
        "notes": [],
        "receipt": None,
        "acquirer_data": {"arn": None},
        "created_at": 1_790_000_000,
        "batch_id": None,
        "status": "processed",
        "speed_processed": "normal",
        "speed_requested": "normal",
    } | more


def razorpay_dispute(dispute_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a dispute that is open, unless `more` says otherwise."""
    return {
        "id": dispute_ref,
        "entity": "dispute",
        "payment_id": payment_ref,
        "amount": amount,
        "currency": currency,
        "amount_deducted": 0,
        "reason_code": "goods_or_services_not_received_or_partially_received",
        "respond_by": 1_790_600_000,
        "status": "open",
        "phase": "chargeback",
        "created_at": 1_790_000_000,
    } | more


DECLINE: Final[Json] = {
    "status": "failed",
    "captured": False,
    "error_code": "BAD_REQUEST_ERROR",
    "error_description": "Your payment could not be completed as there is not enough balance in your account.",
    "error_source": "customer",
    "error_step": "payment_authorization",
    "error_reason": "insufficient_funds",
}

OUTCOMES: Final[Mapping[str, Json]] = {
    "payment.authorized": {"status": "authorized", "captured": False},
    "payment.failed": DECLINE,
    LET_GO: {"status": "refunded", "captured": False},
}
