"""Signs as Mollie does."""

import hmac
import json
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from tillkeeper.sandbox.formats import Json, Signed
from tillkeeper.sandbox.simulators.mollie.objects import time_text
from tillkeeper.sandbox.story import Story, StoryEvent


def mollie_called(ref: str) -> Signed:
    """Returns a classic call: the id, and nothing that proves anything."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Mollie HTTP client/1.0"}
    return headers, f"id={ref}".encode()


def mollie_signed(secret: str, body: bytes, *, prefix: str = "sha256=") -> Signed:
    """Any body with the headers of a next-gen event."""
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Mollie HTTP client/1.0",
        "X-Mollie-Signature": f"{prefix}{signature}",
    }, body


def mollie_event(now: datetime, event_type: str, entity: Json | None, /, **more: Any) -> bytes:
    """Returns a next-gen event about an entity, or one that only names it by `entityId`."""
    event = {
        "resource": "event",
        "id": "event_GvJ8WHrp5isUdRub9CJyH",
        "type": event_type,
        "entityId": "" if entity is None else entity["id"],
        "createdAt": time_text(now),
    }
    return json.dumps(event | ({} if entity is None else {"_embedded": {"entity": entity}}) | more).encode()


class MollieSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Mollie's, by classic calls."""

    gateway: ClassVar[str] = "mollie"
    pays: ClassVar[str] = "paid"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    api_key: str  # who shows it may ask

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same call for whatever happened."""
        return mollie_called(story.payment_ref)
