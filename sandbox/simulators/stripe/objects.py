"""Builds the objects of a simulated Stripe, for webhooks and responses."""

from typing import Any

from tillkeeper.sandbox.formats import Json, word_of


def stripe_payment_intent(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """Returns a PaymentIntent that succeeded, unless `more` says otherwise; amounts in Stripe's units."""
    return {
        "id": payment_ref,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": amount,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{payment_ref}_secret_{word_of(payment_ref)}",
        "confirmation_method": "automatic",
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "customer": None,
        "description": "Order at the till",
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": charge_ref_of(payment_ref),
        "livemode": False,
        "metadata": {} if order_ref is None else {"order_id": order_ref},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": f"pm_{word_of('method', payment_ref)}",
        "payment_method_configuration_details": {"id": f"pmc_{word_of('configuration')}", "parent": None},
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            },
            "link": {"persistent_token": None},
        },
        "payment_method_types": ["card", "link"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    } | more


def charge_ref_of(payment_ref: str) -> str:
    """Returns the one charge of an intent."""
    return f"ch_{payment_ref.removeprefix('pi_')}"


def session_ref_of(payment_ref: str) -> str:
    """Returns the checkout session in which an intent is paid."""
    return f"cs_test_{payment_ref.removeprefix('pi_')}"


def stripe_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a Refund that succeeded, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "object": "refund",
        "amount": amount,
        "balance_transaction": f"txn_{word_of('transaction', refund_ref)}",
        "charge": charge_ref_of(payment_ref),
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "destination_details": {
            "card": {
                "reference": "8004719386295471",
                "reference_status": "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {},
        "payment_intent": payment_ref,
        "reason": "requested_by_customer",
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    } | more


def stripe_session(session_ref: str, payment_ref: str | None, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a checkout session that is complete and paid, unless `more` says otherwise."""
    return {
        "id": session_ref,
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "cancel_url": "https://shop.example/cart",
        "client_reference_id": None,
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "customer_details": {"email": "payer@shop.example", "name": "Ada 王", "tax_exempt": "none"},
        "expires_at": 1_790_086_400,
        "livemode": False,
        "metadata": {},
        "mode": "payment",
        "payment_intent": payment_ref,
        "payment_method_types": ["card"],
        "payment_status": "paid",
        "status": "complete",
        "success_url": "https://shop.example/thanks",
        "url": None,
    } | more


def stripe_charge(charge_ref: str, payment_ref: str | None, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a captured charge, unless `more` says otherwise."""
    return {
        "id": charge_ref,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "balance_transaction": f"txn_{word_of('transaction', charge_ref)}",
        "billing_details": {"address": {"country": "DE", "postal_code": "10115"}, "email": None, "name": "Ada 王"},
        "captured": True,
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "outcome": {"network_status": "approved_by_network", "reason": None, "risk_level": "normal"},
        "paid": True,
        "payment_intent": payment_ref,
        "payment_method_details": {"card": {"brand": "visa", "country": "DE", "last4": "4242"}, "type": "card"},
        "refunded": False,
        "status": "succeeded",
    } | more


def stripe_dispute(dispute_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """Returns a dispute that waits for the merchant's word, unless `more` says otherwise."""
    return {
        "id": dispute_ref,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge_ref_of(payment_ref),
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "evidence_details": {"due_by": 1_790_600_000, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": payment_ref,
        "reason": "product_not_received",
        "status": "needs_response",
    } | more
