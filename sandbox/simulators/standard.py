"""A provider that signs as Standard Webhooks says, and has no file of its own: the shop "Lantern Pay"."""

import hmac
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

SECRET_BYTES: Final = 24

KINDS: Final[Mapping[str, str]] = {
    "payment.started": "payment.pending",
    "payment.paid": "payment.succeeded",
    "payment.declined": "payment.failed",
    "refund.started": "refund.pending",
    "refund.done": "refund.succeeded",
    "refund.refused": "refund.failed",
    "dispute.opened": "dispute.opened",
    "payment.viewed": "ignore",
}
FAILURES: Final[Mapping[str, str]] = {"no_money": "insufficient_funds", "card_gone": "card_expired_or_invalid"}
MAPPING: Final[Mapping[str, Setting]] = {
    "event_id": "id",
    "kind": "type",
    "kinds": KINDS,
    "order_ref": "data.order",
    "payment_ref": "data.payment",
    "refund_ref": "data.refund",
    "dispute_ref": "data.dispute",
    "amount": "data.amount",
    "unit": "major",
    "currency": "data.currency",
    "occurred_at": "timestamp",
    "failure": "data.reason",
    "failures": FAILURES,
}


class StandardSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Lantern Pay's, with an endpoint's secret."""

    gateway: ClassVar[str] = "standard"
    pays: ClassVar[str] = "payment.paid"
    signs_time: ClassVar[bool] = True
    amount_follows: ClassVar[bytes | None] = b'"amount":"'

    account: str
    secret: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same message each time, signed anew."""
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
    """The message, compact, amounts in major units."""
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


def _new_signer(account: str) -> Signer:
    return StandardSigner(account=account, secret=_secret())


def _impostor(signer: Signer) -> Signer:
    assert isinstance(signer, StandardSigner)
    return msgspec.structs.replace(signer, secret=_secret())


def _secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _settings(signer: Signer) -> Mapping[str, Setting]:
    assert isinstance(signer, StandardSigner)
    return {"webhook_secrets": [Secret(signer.secret)], "mapping": MAPPING}


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=40,
        events=(Event("payment.viewed"), Event("payment.started"), Event("payment.paid", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=6, events=(Event("payment.started"),), status=Status.PROCESSING),
    Template(
        name="declined",
        weight=8,
        events=(Event("payment.started"), Event("payment.declined", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=10,
        events=(
            Event("payment.paid"),
            Event("refund.started", 3, "1"),
            Event("refund.done", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="being given back",
        weight=4,
        events=(Event("payment.paid"), Event("refund.started", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event("payment.paid"), Event("refund.done", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that is refused",
        weight=4,
        events=(Event("payment.paid"), Event("refund.started", 5, "1"), Event("refund.refused", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed", weight=3, events=(Event("payment.paid"), Event("dispute.opened")), status=Status.PAID, paid=ALL
    ),
    Template(
        name="paid too little", weight=3, events=(Event("payment.paid", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment.paid"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)

SIMULATOR: Final = Simulator(
    gateway="standard",
    event_types={
        "payment.viewed": None,
        "dispute.opened": None,
        "payment.started": PaymentState.PENDING,
        "payment.paid": PaymentState.SUCCEEDED,
        "payment.declined": PaymentState.FAILED,
        "refund.started": RefundState.PENDING,
        "refund.done": RefundState.SUCCEEDED,
        "refund.refused": RefundState.FAILED,
    },
    ignored=frozenset({"payment.viewed"}),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "CNY", "JPY", "KWD"),
    payment_prefix="lan_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=None,
)
