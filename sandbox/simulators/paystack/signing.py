"""Signs as Paystack does."""

import hmac
from datetime import datetime
from typing import ClassVar

import msgspec

from tillkeeper.sandbox.formats import Json, Signed, compact_json, utc_milliseconds
from tillkeeper.sandbox.simulators.paystack.objects import (
    DECLINE,
    number_of,
    paystack_dispute,
    paystack_refund,
    paystack_transaction,
)
from tillkeeper.sandbox.story import Story, StoryEvent


def paystack_signed(secret_key: str, body: bytes) -> Signed:
    """Any body with Paystack's headers."""
    signature = hmac.digest(secret_key.encode(), body, "sha512").hex()
    return {"Content-Type": "application/json", "X-Paystack-Signature": signature}, body


def paystack_body(event: str, data: Json) -> bytes:
    """Returns the event around an object."""
    return compact_json({"event": event, "data": data})


class PaystackSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Paystack's, with the integration's secret key."""

    gateway: ClassVar[str] = "paystack"
    pays: ClassVar[str] = "charge.success"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret_key: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same event each time."""
        return paystack_signed(self.secret_key, paystack_body(event.event_type, _data(story, event)))


def _data(story: Story, event: StoryEvent) -> Json:
    content = story.payment_ref, event.amount, story.currency
    order = {"metadata": {"order_id": story.order_ref}}
    kind, _, outcome = event.event_type.rpartition(".")
    match kind:
        case "refund":
            # The number is not told, and the reference is the bank's, which has none yet while it is pending.
            reference = None if outcome == "pending" else f"{number_of('bank', event.refund_ref)}"
            return paystack_refund(None, *content, status=outcome, refund_reference=reference)
        case "charge.dispute":
            transaction = paystack_transaction(*content, event.at, **order)
            end = {"status": "resolved", "resolution": "merchant-accepted", "resolvedAt": utc_milliseconds(event.at)}
            return paystack_dispute(
                *content, event.at, transaction=transaction, **(end if outcome == "resolve" else {})
            )
        case "transfer":
            return {"id": number_of("transfer", story.payment_ref), "amount": event.amount, "status": "success"}
        case _:
            return paystack_transaction(*content, event.at, **order, **(DECLINE if outcome == "failed" else {}))
