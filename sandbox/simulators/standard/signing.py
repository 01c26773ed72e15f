"""Signs as Standard Webhooks specifies."""

import hmac
import json
from base64 import b64decode, b64encode
from datetime import datetime
from typing import ClassVar

import msgspec

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.story import Story, StoryEvent


class StandardSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Lantern Pay's, with an endpoint's secret."""

    gateway: ClassVar[str] = "standard"
    pays: ClassVar[str] = "payment.paid"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"amount":"'

    account: str
    secret: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same message each time, signed anew."""
        return signed(self.secret, event.event_id, now, body_of(story, event))


def signed(secret: str, message_id: str, now: datetime, body: bytes) -> Signed:
    """Any body with the headers of Standard Webhooks."""
    timestamp = str(int(now.timestamp()))
    key = b64decode(secret.removeprefix("whsec_"))
    signature = b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }, body


def body_of(story: Story, event: StoryEvent) -> bytes:
    """Returns the message, compact, amounts in major units."""
    data: dict[str, object] = {"order": story.order_ref, "payment": story.payment_ref, "currency": story.currency}
    event_type = event.event_type
    data["amount"] = major(event.amount, story.currency)
    if event_type.startswith("refund."):
        data["refund"] = event.refund_ref
    if event_type.startswith("dispute."):
        data["dispute"] = f"dis_{story.payment_ref}"
    if event_type == "payment.declined":
        data["reason"] = "no_money"
    message = {"id": event.event_id, "type": event_type, "timestamp": f"{event.at:%Y-%m-%dT%H:%M:%SZ}", "data": data}
    return json.dumps(message, separators=(",", ":")).encode()


def major(amount: int, currency: str) -> str:
    """1230 of CNY as 12.30."""
    digits = {"JPY": 0, "KWD": 3}.get(currency, 2)
    return f"{amount // 10**digits}.{amount % 10**digits:0{digits}d}" if digits else str(amount)
