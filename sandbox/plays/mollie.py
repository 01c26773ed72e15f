"""Mollie as the sandbox plays it: classic calls that name a payment and nothing else, and an API to ask.

Next-gen events are made here as well, for tests; no story is told by them, for Mollie has hardly any for payments yet.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import Put, Sealed, Told
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.money import exponent
from tillkeeper.domain.order.status import Status

WORDS: Final[dict[str, PaymentState | RefundState | None]] = {
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "paid": PaymentState.SUCCEEDED,
    "failed": PaymentState.FAILED,
    "canceled": PaymentState.CANCELLED,
    "expired": PaymentState.CANCELLED,
    "refund queued": RefundState.PENDING,
    "refund paid": RefundState.SUCCEEDED,
    "refund failed": RefundState.FAILED,
    "charged back": None,
    "chargeback reversed": None,
}
# Where a payment tells since when it has a status.
SINCE: Final[Mapping[str, str]] = {
    "authorized": "authorizedAt",
    "paid": "paidAt",
    "failed": "failedAt",
    "canceled": "canceledAt",
    "expired": "expiredAt",
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "queued",
    RefundState.SUCCEEDED: "refunded",
    RefundState.FAILED: "failed",
}

TEMPLATES: Final = (
    Template(name="paid", weight=36, says=(Say("paid"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid by transfer",
        weight=8,
        says=(Say("pending"), Say("paid", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        says=(Say("authorized"), Say("paid")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="only authorized", weight=3, says=(Say("authorized"),), status=Status.PROCESSING),
    Template(name="on its way", weight=4, says=(Say("pending"),), status=Status.PROCESSING),
    Template(name="declined", weight=6, says=(Say("failed"),), status=Status.FAILED),
    Template(name="called off", weight=5, says=(Say("canceled"),), status=Status.FAILED),
    Template(name="never paid", weight=5, says=(Say("pending"), Say("expired")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        says=(Say("paid"), Say("refund queued", 4, "1"), Say("refund paid", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        says=(Say("paid"), Say("refund queued", 3, "1"), Say("refund paid", 3, "1"), Say("refund paid", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say("paid"), Say("refund queued", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(Say("paid"), Say("refund queued", ALL, "1"), Say("refund failed", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="charged back", weight=3, says=(Say("paid"), Say("charged back")), status=Status.PAID, paid=ALL),
    Template(
        name="a chargeback that was reversed",
        weight=2,
        says=(Say("paid"), Say("charged back"), Say("chargeback reversed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, says=(Say("paid", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("paid"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def mollie_called(ref: str) -> Signed:
    """A classic call: the id, and nothing that proves anything."""
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
    """A next-gen event about an entity, or one that only names it by `entityId`."""
    event = {
        "resource": "event",
        "id": "event_GvJ8WHrp5isUdRub9CJyH",
        "type": event_type,
        "entityId": "" if entity is None else entity["id"],
        "createdAt": written(now),
    }
    return json.dumps(event | ({} if entity is None else {"_embedded": {"entity": entity}}) | more).encode()


def money(amount: int, currency: str) -> Json:
    """An amount as Mollie writes it."""
    return {"value": f"{Decimal(amount).scaleb(-exponent(currency))}", "currency": currency}


def mollie_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """A payment that was paid, unless `more` says otherwise."""
    return {
        "resource": "payment",
        "id": payment_ref,
        "mode": "test",
        "createdAt": "2026-10-05T11:50:00+00:00",
        "amount": money(amount, currency),
        "description": "Order at the till",
        "method": "ideal",
        "metadata": None if order_ref is None else {"order_id": order_ref},
        "status": "paid",
        "paidAt": "2026-10-05T11:58:00+00:00",
        "amountRefunded": money(0, currency),
        "amountRemaining": money(amount, currency),
        "locale": "nl_NL",
        "countryCode": "NL",
        "profileId": "pfl_QkEhN94Ba",
        "sequenceType": "oneoff",
        "redirectUrl": "https://shop.example/thanks",
        "webhookUrl": "https://shop.example/webhooks/mollie-main",
    } | more


def mollie_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A refund that was paid, unless `more` says otherwise."""
    return {
        "resource": "refund",
        "id": refund_ref,
        "mode": "test",
        "amount": money(amount, currency),
        "status": "refunded",
        "createdAt": "2026-10-05T11:59:00+00:00",
        "description": "Order at the till",
        "metadata": None,
        "paymentId": payment_ref,
    } | more


def mollie_chargeback(ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A chargeback that stands, unless `more` says otherwise."""
    return {
        "resource": "chargeback",
        "id": ref,
        "amount": money(amount, currency),
        "settlementAmount": {"value": f"-{money(amount, currency)['value']}", "currency": currency},
        "createdAt": "2026-10-05T11:59:30+00:00",
        "reversedAt": None,
        "reason": {"code": "AC01", "description": "Account identifier incorrect"},
        "paymentId": payment_ref,
    } | more


def written(at: datetime) -> str:
    """A time as Mollie writes it."""
    return at.astimezone(UTC).replace(microsecond=0).isoformat()


class MollieVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Mollie's, by classic calls."""

    gateway: ClassVar[str] = "mollie"
    pays: ClassVar[str] = "paid"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    api_key: str  # who shows it may ask

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same call for whatever happened."""
        return mollie_called(story.payment_ref)


class MollieApi:
    """One profile's: payments and refunds."""

    def __init__(self, voice: MollieVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002 - its books are at once
        """One query."""
        if put.headers.get("authorization") != f"Bearer {self._voice.api_key}":
            return _error(401, "Unauthorized Request", "Missing authentication, or failed to authenticate")
        match put.path.split("/")[1:]:
            case ["v2", "payments", ref]:
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None:
                    payment = payment_of(books, knows_at, (put.first("embed") or "").split(","))
                    return _found(payment, "payment", ref, books.story)
            case ["v2", "payments", ref, "refunds", refund_ref]:
                books = self._ledger.payment_of_refund(self.account, refund_ref, knows_at)
                refund = None if books is None else books.refund(refund_ref)
                if books is not None and refund is not None and books.story.payment_ref == ref:
                    return _found(refund_of(books.story, refund), "refund", refund_ref, books.story)
        return _error(404, "Not Found", "No payment exists with that token.")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Mollie's words for trouble of its own."""
        return _error(status, "Trouble", "The service is not available at the moment.")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {
            "Content-Type": "application/hal+json",
            "Date": format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True),
            **told.headers,
        }
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)


def payment_of(books: Known, knows_at: datetime, embed: list[str]) -> Json:
    """The payment as it stands, with what is asked for along with it."""
    story = books.story
    status = books.word if WORDS.get(books.word) is not None else "open"
    told: dict[str, Any] = {
        "status": status,
        "createdAt": written(story.started_at),
        "paidAt": None,
        "amountRefunded": money(books.going_back, story.currency),
        "_embedded": {},
    }
    if status in SINCE:
        told[SINCE[status]] = written(books.paid_at or books.at)
    if status == "failed":
        told["details"] = {"failureReason": "insufficient_funds"}
    if "refunds" in embed:
        told["_embedded"]["refunds"] = [refund_of(story, it) for it in books.refunds]
    happened = {it.word: it for it in story.happenings if it.at <= knows_at}
    chargebacks = [_chargeback_of(story, happened)] if "charged back" in happened else []
    if chargebacks:
        told["amountChargedBack"] = chargebacks[0]["amount"]
    if "chargebacks" in embed:
        told["_embedded"]["chargebacks"] = chargebacks
    return mollie_payment(story.payment_ref, books.captured or story.amount, story.currency, story.order_ref, **told)


def _chargeback_of(story: Story, happened: Mapping[str, Happening]) -> Json:
    made, won = happened["charged back"], happened.get("chargeback reversed")
    times = {"createdAt": written(made.at), "reversedAt": None if won is None else written(won.at)}
    return mollie_chargeback(f"chb_{bare(story.order_ref)}", story.payment_ref, made.amount, story.currency, **times)


def refund_of(story: Story, refund: KnownRefund) -> Json:
    """A refund."""
    more = {"status": REFUND_STATUSES[refund.state], "createdAt": written(refund.asked_at)}
    return mollie_refund(refund.refund_ref, story.payment_ref, refund.amount, story.currency, **more)


def _found(told: Json, about: str, ref: str, story: Story) -> Told:
    body = json.dumps(told).encode()
    return Told(body=body, about=about, ref=ref, order_ref=story.order_ref, said=told["status"])


def _error(status: int, title: str, detail: str) -> Told:
    body = json.dumps({"status": status, "title": title, "detail": detail}).encode()
    return Told(status=status, body=body, about="nothing", said=title)


def _settings(voice: Voice) -> Mapping[str, Setting]:
    return {"api_key": Kept(cast("MollieVoice", voice).api_key)}


PLAY: Final = Play(
    gateway="mollie",
    words=cast("Mapping[str, PaymentState | RefundState]", WORDS),
    fetched=frozenset(WORDS),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "GBP", "JPY"),
    payment_prefix="tr_",
    new_voice=lambda account: MollieVoice(account=account, api_key=f"test_{secrets.token_hex(16)}"),
    impostor=None,
    settings=_settings,
    api=lambda voice, ledger: MollieApi(cast("MollieVoice", voice), ledger),
)
