"""Signs as Square does."""

import hmac
import json
from base64 import b64encode
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.sandbox.formats import Json, Signed, utc_milliseconds
from tillkeeper.sandbox.simulators.square.objects import DECLINE, square_dispute, square_payment, square_refund
from tillkeeper.sandbox.story import Story, StoryEvent, bare

DECLINED: Final = "payment FAILED"


class SquareSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Square's, with a subscription's signature key."""

    gateway: ClassVar[str] = "square"
    pays: ClassVar[str] = "payment COMPLETED"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    signature_key: str
    notification_url: str
    access_token: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same event each time; only the headers count repetitions."""
        headers, body = square_signed(self.signature_key, self.notification_url, _body(story, event))
        return headers | ({"square-retry-number": str(again)} if again else {}), body


def square_signed(key: str, url: str, body: bytes) -> Signed:
    """Any body with Square's headers."""
    signature = hmac.digest(key.encode(), url.encode() + body, "sha256")
    return {
        "Content-Type": "application/json",
        "User-Agent": "Square Connect v2",
        "Square-Environment": "Production",
        "X-Square-Hmacsha256-Signature": b64encode(signature).decode(),
    }, body


def square_body(event_type: str, name: str, subject: Json, *, event_id: str, at: datetime) -> bytes:
    """Returns the event around an object."""
    return json.dumps(
        {
            "merchant_id": "MLEFBHHSJGVHD",
            "type": event_type,
            "event_id": event_id,
            "created_at": utc_milliseconds(at),
            "data": {"type": name, "id": subject["id"], "object": {name: subject}},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def _body(story: Story, event: StoryEvent) -> bytes:
    name, _, status = event.event_type.partition(" ")
    match name:
        case "payment":
            amount = event.amount if status == "COMPLETED" else story.amount
            more = {"card_details": DECLINE} if event.event_type == DECLINED else {}
            payment = square_payment(
                story.payment_ref, amount, story.currency, story.order_ref, event.at, status=status, **more
            )
            return square_body("payment.updated", name, payment, event_id=event.event_id, at=event.at)
        case "refund":
            refund = square_refund(
                event.refund_ref,
                story.payment_ref,
                event.amount,
                story.currency,
                status=status,
                at=event.at,
            )
            return square_body(
                "refund.created" if status == "PENDING" else "refund.updated",
                name,
                refund,
                event_id=event.event_id,
                at=event.at,
            )
        case _:
            ref = f"dispute{bare(story.order_ref)}"
            dispute = square_dispute(ref, story.payment_ref, event.amount, story.currency, state=status, at=event.at)
            return square_body("dispute.created", name, dispute, event_id=event.event_id, at=event.at)
