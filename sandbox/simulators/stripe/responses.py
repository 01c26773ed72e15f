"""Builds Stripe's objects as of a time.  Amounts are in Stripe's units, which for the currencies that
are played are minor units."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tillkeeper.sandbox.formats import Json
from tillkeeper.sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from tillkeeper.sandbox.simulators.stripe.objects import (
    charge_ref_of,
    session_ref_of,
    stripe_charge,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
)
from tillkeeper.sandbox.story import Story

DECLINED: Final[Mapping[str, Any]] = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "insufficient_funds",
    "message": "Your card has insufficient funds.",
}

INTENT_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.CREATED: "requires_payment_method",
    PaymentState.PENDING: "processing",
    PaymentState.AUTHORIZED: "requires_capture",
    PaymentState.FAILED: "requires_payment_method",
    PaymentState.CANCELLED: "canceled",
    PaymentState.SUCCEEDED: "succeeded",
}

CHARGE_STATUSES: Final[Mapping[PaymentState, str]] = {
    PaymentState.PENDING: "pending",
    PaymentState.AUTHORIZED: "succeeded",
    PaymentState.FAILED: "failed",
    PaymentState.SUCCEEDED: "succeeded",
}

REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "pending",
    RefundState.SUCCEEDED: "succeeded",
    RefundState.FAILED: "failed",
}


def intent_of(record: PaymentRecord) -> Json:
    """Returns the PaymentIntent."""
    story, state = record.story, record.state
    content: dict[str, Any] = {
        "status": INTENT_STATUSES[state],
        "created": _unix(story.started_at),
        "amount_received": record.captured,
        "amount_capturable": story.amount if state is PaymentState.AUTHORIZED else 0,
        "latest_charge": charge_ref_of(story.payment_ref) if state in CHARGE_STATUSES else None,
    }
    if state is PaymentState.FAILED:
        content |= {"last_payment_error": {**DECLINED, "charge": content["latest_charge"]}, "payment_method": None}
    if state is PaymentState.CANCELLED:
        content |= {"cancellation_reason": "abandoned", "canceled_at": _unix(record.at)}
    return stripe_payment_intent(story.payment_ref, story.amount, story.currency, story.order_ref, **content)


def charge_of(record: PaymentRecord, *, with_refunds: bool = False) -> Json | None:
    """Returns the charge of the latest attempt, if there was one; with its refunds if they are asked for, newest
    first."""
    story, state = record.story, record.state
    if state not in CHARGE_STATUSES:
        return None
    failed, charge_ref = state is PaymentState.FAILED, charge_ref_of(story.payment_ref)
    refunded = record.going_back  # what was authorized and never taken is none of it, since API release basil
    refunds = [refund_of(story, refund) for refund in reversed(record.refunds)]
    listed = {"object": "list", "data": refunds, "has_more": False, "url": f"/v1/charges/{charge_ref}/refunds"}
    return stripe_charge(
        charge_ref,
        story.payment_ref,
        story.amount,
        story.currency,
        status=CHARGE_STATUSES[state],
        created=_unix(record.paid_at or record.at),
        captured=state is PaymentState.SUCCEEDED,
        paid=state in (PaymentState.SUCCEEDED, PaymentState.AUTHORIZED),
        amount_captured=record.captured,
        amount_refunded=refunded,
        refunded=refunded == record.captured > 0,
        failure_code="card_declined" if failed else None,
        failure_message=DECLINED["message"] if failed else None,
        outcome={
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": DECLINED["decline_code"] if failed else None,
            "risk_level": "normal",
        },
        metadata={"order_id": story.order_ref},
        **({"refunds": listed} if with_refunds else {}),
    )


def session_of(record: PaymentRecord) -> Json | None:
    """Returns the checkout session, for the payments that were made in one."""
    story = record.story
    if not any(event.event_type.startswith("checkout.session.") and event.at <= record.at for event in story.events):
        return None
    return stripe_session(
        session_ref_of(story.payment_ref),
        story.payment_ref,
        story.amount,
        story.currency,
        client_reference_id=story.order_ref,
        created=_unix(story.started_at),
        payment_status="paid" if record.state is PaymentState.SUCCEEDED else "unpaid",
    )


def refund_of(story: Story, refund: RefundRecord) -> Json:
    """Returns a refund."""
    content: dict[str, Any] = {"status": REFUND_STATUSES[refund.state], "created": _unix(refund.asked_at)}
    if refund.state is RefundState.FAILED:
        content["failure_reason"] = "expired_or_canceled_card"
    return stripe_refund(
        refund.refund_ref,
        story.payment_ref,
        refund.amount,
        story.currency,
        charge=charge_ref_of(story.payment_ref),
        **content,
    )


def _unix(at: datetime) -> int:
    return int(at.timestamp())
