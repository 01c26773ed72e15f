"""Signs as Klarna does."""

import json
from datetime import datetime
from typing import ClassVar

import msgspec

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.story import Story, StoryEvent


def klarna_pushed() -> Signed:
    """Returns a push: everything it says stands in the URL."""
    return {"Content-Type": "application/json", "User-Agent": "Klarna-Push/1.0"}, b""


def klarna_notified(ref: str, event_type: str) -> Signed:
    """Returns a notification about fraud."""
    headers = {"Content-Type": "application/json", "User-Agent": "Klarna-Push/1.0"}
    return headers, json.dumps({"order_id": ref, "event_type": event_type}).encode()


class KlarnaSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Klarna's, which proves nothing."""

    gateway: ClassVar[str] = "klarna"
    pays: ClassVar[str] = "capture"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    username: str
    password: str  # who shows it may ask

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same each time."""
        if event.event_type.startswith("FRAUD_RISK"):
            return klarna_notified(story.payment_ref, event.event_type)
        return klarna_pushed()


def klarna_query(story: Story, event: StoryEvent) -> str:
    """Returns the URL's query: the order, but for what is told by a notification."""
    return "" if event.event_type.startswith("FRAUD_RISK") else f"klarna_order_id={story.payment_ref}"
