"""Signs as Braintree does."""

import hashlib
import hmac
from base64 import encodebytes
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import urlencode

import msgspec

from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.simulators.braintree.objects import Transaction, Xml, credit, dispute, major, notification, sale
from tillkeeper.sandbox.simulators.braintree.templates import (
    DECLINED,
    DISBURSED,
    REFUND_FAILED,
    REFUND_SETTLED,
    RETRIED,
    SETTLED,
)
from tillkeeper.sandbox.story import Story, StoryEvent


class BraintreeSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Braintree's, with one of the merchant's key pairs."""

    gateway: ClassVar[str] = "braintree"
    pays: ClassVar[str] = SETTLED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"bt_payload="

    account: str
    merchant_id: str
    public_key: str
    private_key: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same notification each time, under the time at which it was made."""
        kind, subject = SUBJECTS[event.event_type](story, event)
        return self.sent(notification(kind, event.at, subject))

    def sent(self, body: bytes) -> Signed:
        """Any XML as a signed form."""
        return self.sent_payload(encodebytes(body).decode())

    def sent_payload(self, payload: str) -> Signed:
        """Any payload as a signed form."""
        pairs = f"{self.public_key}|{digest_of(self.private_key, payload)}"
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Braintree Webhooks",
        }, urlencode({"bt_payload": payload, "bt_signature": pairs}).encode()


def digest_of(private_key: str, signed: str) -> str:
    """HMAC-SHA1 under the SHA-1 of the private key."""
    key = hashlib.sha1(private_key.encode(), usedforsecurity=False).digest()
    return hmac.new(key, signed.encode(), "sha1").hexdigest()


Subject = tuple[str, Mapping[str, Xml]]


def _of_sale(kind: str, status: str) -> Callable[[Story, StoryEvent], Subject]:
    return lambda story, event: (kind, {"transaction": sale(story, event.amount, status, event.at)})


def _of_credit(kind: str, status: str) -> Callable[[Story, StoryEvent], Subject]:
    return lambda story, event: (kind, {"transaction": credit(story, event.refund_ref, event.amount, status, event.at)})


def _of_dispute(story: Story, event: StoryEvent) -> Subject:
    return event.event_type, {"dispute": dispute(story, event)}


def _of_disbursement(story: Story, event: StoryEvent) -> Subject:
    """It names neither status nor currency."""
    paid_out = {"settlement-amount": major(event.amount, story.currency), "disbursement-date": f"{event.at:%Y-%m-%d}"}
    content: Transaction = {
        "id": story.payment_ref,
        "amount": major(event.amount, story.currency),
        "disbursement-details": paid_out,
    }
    return DISBURSED, {"transaction": content}


def _of_subscription(story: Story, event: StoryEvent) -> Subject:
    charged = {"id": story.payment_ref, "status": "settled", "amount": major(event.amount, story.currency)}
    return event.event_type, {"subscription": {"id": "sub_1", "transactions": [("transaction", charged)]}}


SUBJECTS: Final[Mapping[str, Callable[[Story, StoryEvent], Subject]]] = {
    "subscription_charged_successfully": _of_subscription,
    RETRIED: _of_sale(RETRIED, "submitted_for_settlement"),
    SETTLED: _of_sale(SETTLED, "settled"),
    DISBURSED: _of_disbursement,
    DECLINED: _of_sale(DECLINED, "settlement_declined"),
    REFUND_SETTLED: _of_credit(SETTLED, "settled"),
    REFUND_FAILED: _of_credit(REFUND_FAILED, "processor_declined"),
    "dispute_opened": _of_dispute,
    "dispute_won": _of_dispute,
    "dispute_lost": _of_dispute,
}
