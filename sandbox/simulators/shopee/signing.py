"""Signs as ShopeePay does."""

import hmac
import json
from datetime import datetime
from typing import ClassVar

import msgspec

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.story import Story, StoryEvent


class ShopeeSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Shopee's, with an app's partner key and one shop."""

    gateway: ClassVar[str] = "shopee"
    pays: ClassVar[str] = "READY_TO_SHIP"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None  # a push tells none

    account: str
    partner_key: str
    partner_id: str
    shop_id: str
    push_url: str
    access_token: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same push each time."""
        status, told_at = event.event_type.partition(" ")[0], int(event.at.timestamp())
        body = shopee_push(story.order_ref, status, shop_id=int(self.shop_id), at=told_at)
        return shopee_signed(self.partner_key, self.push_url, body)


def shopee_signed(key: str, url: str, body: bytes) -> Signed:
    """Any body with Shopee's headers."""
    signature = hmac.digest(key.encode(), url.encode() + b"|" + body, "sha256").hex()
    return {"Content-Type": "application/json", "Authorization": signature}, body


def shopee_push(order_sn: str, status: str, *, shop_id: int, at: int, code: int = 3) -> bytes:
    """Returns a push of a code about one order."""
    data = {"items": [], "ordersn": order_sn, "status": status, "completed_scenario": "", "update_time": at}
    push = {"data": data, "shop_id": shop_id, "code": code, "timestamp": at}
    return json.dumps(push, separators=(",", ":")).encode()
