"""Signs as Checkout.com does."""

import hmac
import json
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.sandbox.formats import Json, Signed
from tillkeeper.sandbox.simulators.checkout.objects import checkout_action, checkout_dispute, rfc3339
from tillkeeper.sandbox.simulators.checkout.templates import CAPTURED
from tillkeeper.sandbox.story import Story, StoryEvent, bare


class CheckoutSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Checkout.com's, with a webhook's signature key."""

    gateway: ClassVar[str] = "checkout"
    pays: ClassVar[str] = CAPTURED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    signature_key: str
    secret_key: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same event each time."""
        return checkout_signed(self.signature_key, _body(story, event))


def checkout_signed(key: str, body: bytes) -> Signed:
    """Any body with Checkout.com's headers."""
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Checkout.com",
        "Cko-Signature": hmac.digest(key.encode(), body, "sha256").hex(),
    }, body


def checkout_body(event_type: str, data: Json, *, event_id: str, at: datetime) -> bytes:
    """Returns the event around its data."""
    return json.dumps(
        {
            "id": event_id,
            "source": "gwc_notifier1",
            "type": event_type,
            "timestamp": rfc3339(at),
            "version": "1.0.29",
            "data": data,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


DECLINE: Final[Json] = {"response_code": "20051", "response_summary": "Insufficient Funds"}


def capture_ref(event: StoryEvent) -> str:
    """Checkout.com's number for the capture of a payment."""
    return f"act_{event.event_id.removeprefix('evt_')}"


def _body(story: Story, event: StoryEvent) -> bytes:
    event_type, content = event.event_type, (story.payment_ref, event.amount, story.currency)
    if event_type.startswith("dispute_"):
        data = checkout_dispute(f"dsp_{bare(story.order_ref)}", *content, order_ref=story.order_ref)
    else:
        action_id = event.refund_ref if "refund" in event_type else capture_ref(event)
        more = DECLINE if event_type.endswith("declined") else {}
        data = checkout_action(action_id, *content, order_ref=story.order_ref, at=event.at, **more)
    return checkout_body(event_type, data, event_id=event.event_id, at=event.at)
