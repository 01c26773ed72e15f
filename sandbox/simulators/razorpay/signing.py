"""Signs as Razorpay does."""

import hmac
import json
from datetime import datetime
from typing import ClassVar

import msgspec

from tillkeeper.sandbox.formats import Json, Signed
from tillkeeper.sandbox.simulators.razorpay.objects import (
    OUTCOMES,
    razorpay_dispute,
    razorpay_order,
    razorpay_payment,
    razorpay_refund,
)
from tillkeeper.sandbox.story import Story, StoryEvent, bare


class RazorpaySigner(msgspec.Struct, frozen=True, kw_only=True):
    """Razorpay's, with a webhook's secret."""

    gateway: ClassVar[str] = "razorpay"
    pays: ClassVar[str] = "payment.captured"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret: str
    key_id: str
    key_secret: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same event each time, under the same id."""
        return razorpay_signed(self.secret, _body(story, event), event_id=event.event_id)


def razorpay_signed(secret: str, body: bytes, *, event_id: str) -> Signed:
    """Any body with Razorpay's headers."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Razorpay-Webhook/v1",
        "X-Razorpay-Event-Id": event_id,
        "X-Razorpay-Signature": hmac.digest(secret.encode(), body, "sha256").hex(),
    }, body


def razorpay_body(event: str, created: int, **entities: Json) -> bytes:
    """Returns the event around its objects."""
    return json.dumps(
        {
            "entity": "event",
            "account_id": "acc_BFQ7uQEaa7j2z7",
            "event": event,
            "contains": [*entities],
            "payload": {name: {"entity": entity} for name, entity in entities.items()},
            "created_at": created,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def dispute_ref(story: Story) -> str:
    """Razorpay's number for the dispute about a story's payment."""
    return f"disp_{bare(story.order_ref)}"


def _body(story: Story, event: StoryEvent) -> bytes:
    name, created = event.event_type.partition(" ")[0], int(event.at.timestamp())
    taken = event.amount if event.event_type in ("payment.captured", "order.paid") else story.amount
    outcome = OUTCOMES.get(event.event_type, {})
    entities = {"payment": razorpay_payment(story.payment_ref, taken, story.currency, story.order_ref, **outcome)}
    content = story.payment_ref, event.amount, story.currency
    if name == "order.paid":
        entities["order"] = razorpay_order(story.order_ref, event.amount, story.currency)
    elif name.startswith("refund."):
        status = {"refund.created": "pending"}.get(name, name.removeprefix("refund."))
        entities = {"refund": razorpay_refund(event.refund_ref, *content, status=status), **entities}
    elif name.startswith("payment.dispute."):
        entities["dispute"] = razorpay_dispute(dispute_ref(story), *content)
    return razorpay_body(name, created, **entities)
