"""Signs as Mercado Pago does."""

import hmac
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

import msgspec

from tillkeeper.sandbox.formats import Signed, compact_json
from tillkeeper.sandbox.story import Story, StoryEvent


def mercadopago_query(data_id: str, topic: str = "payment") -> str:
    """Returns what stands behind the query mark of a notice's URL."""
    return urlencode({"data.id": data_id, "type": topic})


def mercadopago_signed(secret: str, now: datetime, data_id: str | None, request_id: str | None, body: bytes) -> Signed:
    """Any body with Mercado Pago's headers, which sign the id alone; times in milliseconds, as they come today."""
    time = int(now.timestamp() * 1000)
    manifest = "" if data_id is None else f"id:{data_id};"
    manifest += "" if request_id is None else f"request-id:{request_id};"
    signature = hmac.digest(secret.encode(), f"{manifest}ts:{time};".encode(), "sha256").hex()
    headers = {"Content-Type": "application/json", "X-Signature": f"ts={time},v1={signature}"}
    return headers | ({} if request_id is None else {"X-Request-Id": request_id}), body


def mercadopago_notice(data_id: str, at: datetime, *, topic: str = "payment", notice_id: int = 107438123) -> bytes:
    """Returns a notice: that something changed."""
    return compact_json(
        {
            "action": f"{topic}.updated",
            "api_version": "v1",
            "data": {"id": data_id},
            "date_created": f"{at:%Y-%m-%dT%H:%M:%S}Z",
            "id": notice_id,
            "live_mode": True,
            "type": topic,
            "user_id": "724484980",
        }
    )


class MercadoPagoSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Mercado Pago's, with an application's secret."""

    gateway: ClassVar[str] = "mercadopago"
    pays: ClassVar[str] = "approved"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    secret: str
    access_token: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Signed anew each time, under a request id of its own; over the id in small letters."""
        request_id = str(uuid5(NAMESPACE_URL, f"{event.event_id}/{again}"))
        notice = mercadopago_notice(story.payment_ref, event.at, topic=_topic(event))
        return mercadopago_signed(self.secret, now, story.payment_ref.lower(), request_id, notice)


def _topic(event: StoryEvent) -> str:
    return "merchant_order" if event.event_type == "merchant_order" else "payment"


def query_of(story: Story, event: StoryEvent) -> str:
    """Returns the URL's query: the payment, and the topic."""
    return mercadopago_query(story.payment_ref, _topic(event))
