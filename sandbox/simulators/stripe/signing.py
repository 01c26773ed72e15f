"""Signs as Stripe does."""

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from tillkeeper.sandbox.formats import Json, Signed, word_of
from tillkeeper.sandbox.simulators.stripe.objects import (
    charge_ref_of,
    session_ref_of,
    stripe_charge,
    stripe_dispute,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
)
from tillkeeper.sandbox.story import Story, StoryEvent, bare


class StripeSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's, with an endpoint's secret."""

    gateway: ClassVar[str] = "stripe"
    pays: ClassVar[str] = "payment_intent.succeeded"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"amount": '

    account: str
    secret: str
    api_key: str = ""  # who shows it may ask

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Signed anew each time; `pending_webhooks` changes between deliveries, as it does in life."""
        return stripe_signed(self.secret, now, self.body(story, event, pending_webhooks=max(0, 1 - again)))

    def body(self, story: Story, event: StoryEvent, *, pending_webhooks: int) -> bytes:
        """Returns the event, as a delivery and as the list of events show it."""
        return stripe_body(
            event.at,
            event.event_type,
            STRIPE_OBJECTS[event.event_type](story, event),
            id=event.event_id,
            pending_webhooks=pending_webhooks,
        )


def _intent(status: str, **more: object) -> Callable[[Story, StoryEvent], Json]:
    def make(story: Story, _happening: StoryEvent) -> Json:
        content = {"status": status, "amount_received": 0, **more}
        return stripe_payment_intent(story.payment_ref, story.amount, story.currency, story.order_ref, **content)

    return make


def _intent_authorized(story: Story, event: StoryEvent) -> Json:
    return _intent("requires_capture", amount_capturable=event.amount)(story, event)


def _intent_succeeded(story: Story, event: StoryEvent) -> Json:
    return _intent("succeeded", amount_received=event.amount)(story, event)


def _session(payment_status: str) -> Callable[[Story, StoryEvent], Json]:
    def make(story: Story, event: StoryEvent) -> Json:
        content = {"client_reference_id": story.order_ref, "payment_status": payment_status}
        return stripe_session(
            session_ref_of(story.payment_ref), story.payment_ref, event.amount, story.currency, **content
        )

    return make


def _refund(status: str, **more: object) -> Callable[[Story, StoryEvent], Json]:
    def make(story: Story, event: StoryEvent) -> Json:
        return stripe_refund(event.refund_ref, story.payment_ref, event.amount, story.currency, status=status, **more)

    return make


def _charge_refunded(story: Story, event: StoryEvent) -> Json:
    """What was authorized and never taken does not count as refunded, since API release basil."""
    captured = next(each.amount for each in story.events if each.event_type == "payment_intent.succeeded")
    refunded = event.amount
    content = {"amount_captured": captured, "amount_refunded": refunded, "refunded": refunded == captured}
    return stripe_charge(charge_ref_of(story.payment_ref), story.payment_ref, story.amount, story.currency, **content)


def _dispute(story: Story, event: StoryEvent) -> Json:
    return stripe_dispute(f"dp_{bare(story.order_ref)}", story.payment_ref, event.amount, story.currency)


STRIPE_OBJECTS: Final[Mapping[str, Callable[[Story, StoryEvent], Json]]] = {
    "payment_intent.created": _intent("requires_payment_method"),
    "payment_intent.processing": _intent("processing"),
    "payment_intent.amount_capturable_updated": _intent_authorized,
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.payment_failed": _intent(
        "requires_payment_method",
        last_payment_error={"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"},
    ),
    "payment_intent.canceled": _intent("canceled", cancellation_reason="abandoned"),
    "checkout.session.completed": _session("unpaid"),
    "checkout.session.async_payment_succeeded": _session("paid"),
    "refund.created": _refund("pending"),
    "refund.updated": _refund("succeeded"),
    "refund.failed": _refund("failed", failure_reason="expired_or_canceled_card"),
    "charge.refunded": _charge_refunded,
    "charge.dispute.created": _dispute,
}


def stripe_delivery(secret: str, now: datetime, event_type: str, subject: Json, /, **event: Any) -> Signed:
    """Returns a signed delivery of one event about one object; `event` are fields of the event, such as `id` or
    `created`."""
    return stripe_signed(secret, now, stripe_body(now, event_type, subject, **event))


def stripe_signed(secret: str, now: datetime, body: bytes) -> Signed:
    """Any body with Stripe's headers."""
    timestamp = str(int(now.timestamp()))
    signature = hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": f"t={timestamp},v1={signature}",
    }, body


def stripe_body(now: datetime, event_type: str, subject: Json, /, **event: Any) -> bytes:
    """Returns the event around an object, laid out as Stripe lays it out."""
    seconds = int(now.timestamp())
    return json.dumps(
        {
            "id": f"evt_{word_of(event_type, subject['id'], seconds)}",
            "object": "event",
            "api_version": "2025-09-30.clover",
            "created": seconds,
            "data": {"object": subject},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": f"req_{word_of(subject['id'])[:14]}", "idempotency_key": None},
            "type": event_type,
        }
        | event,
        indent=2,
        ensure_ascii=False,
    ).encode()
