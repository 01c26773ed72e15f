"""Signs as Adyen does."""

import hmac
import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from tillkeeper.sandbox.formats import Json, Signed
from tillkeeper.sandbox.story import Story, StoryEvent, bare

OF_THE_PAYMENT: Final = frozenset({"AUTHORISATION", "PENDING", "OFFER_CLOSED"})  # all others refer to it

OF_A_REFUND: Final = frozenset({"REFUND", "REFUND_FAILED", "REFUNDED_REVERSED"})

REASONS: Final = {"AUTHORISATION false": "Not enough balance", "REFUND false": "Insufficient balance on payment"}


class AdyenSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Adyen's, with a merchant account's HMAC key."""

    gateway: ClassVar[str] = "adyen"
    pays: ClassVar[str] = "AUTHORISATION"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"value":'

    account: str
    hmac_key: str
    merchant_account: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same delivery each time; nothing counts repetitions."""
        code, success = code_of(event)
        more: Json = {} if code in OF_THE_PAYMENT else {"originalReference": story.payment_ref}
        item = adyen_item(
            code,
            psp_ref(story, event),
            event.amount,
            story.currency,
            story.order_ref,
            at=event.at,
            success=success,
            merchant_account=self.merchant_account,
            reason=REASONS.get(event.event_type, ""),
            **more,
        )
        return adyen_delivery([adyen_signed(self.hmac_key, item)])


def adyen_item(
    code: str, psp_ref: str, value: int, currency: str, order_ref: str, *, at: datetime, success: str, **more: Any
) -> Json:
    """Returns an item about a card payment, not signed yet; `more` are further fields, or others than these."""
    return {
        "amount": {"currency": currency, "value": value},
        "eventCode": code,
        "eventDate": at.isoformat(timespec="seconds"),
        "merchantAccountCode": "TillECOM",
        "merchantReference": order_ref,
        "paymentMethod": "visa",
        "pspReference": psp_ref,
        "reason": "",
        "success": success,
    } | {{"merchant_account": "merchantAccountCode"}.get(name, name): value for name, value in more.items()}


def adyen_signed(key: str, item: Json) -> Json:
    """Returns the item with its signature, last in what else it has of additionalData."""
    amount = item["amount"]
    fields = [
        item["pspReference"],
        item.get("originalReference") or "",
        item["merchantAccountCode"],
        item["merchantReference"],
        str(amount["value"]),
        amount["currency"],
        item["eventCode"],
        item["success"],
    ]
    digest = hmac.digest(bytes.fromhex(key), ":".join(fields).encode(), "sha256")
    return item | {"additionalData": item.get("additionalData", {}) | {"hmacSignature": b64encode(digest).decode()}}


def adyen_delivery(items: Sequence[Json], live: str = "false") -> Signed:
    """Returns the body around items, and the headers it comes with."""
    body = {"live": live, "notificationItems": [{"NotificationRequestItem": item} for item in items]}
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Adyen HttpClient 1.0"}
    return headers, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def code_of(event: StoryEvent) -> tuple[str, str]:
    """Returns the event code without what tells two of a kind apart."""
    code, _, success = event.event_type.partition(" ")
    return code, success or "true"


def psp_ref(story: Story, event: StoryEvent) -> str:
    """Refunds have one for all that becomes of them, and so have disputes."""
    code, _ = code_of(event)
    if code in OF_THE_PAYMENT:
        return story.payment_ref
    if code in OF_A_REFUND:
        return event.refund_ref
    return f"{'D' if 'CHARGEBACK' in code else 'M'}{bare(story.order_ref)}"
