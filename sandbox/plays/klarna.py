"""Klarna as the sandbox plays it: pushes and notifications without proof, and orders to be fetched.

In life Klarna pushes a purchase until it is acknowledged, and no capture or refund; here whatever happens comes with a
push, as if it fell between two of them.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import Put, Sealed, Told
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

WORDS: Final[dict[str, PaymentState | RefundState | None]] = {
    "purchase": PaymentState.AUTHORIZED,
    "purchase under review": PaymentState.PENDING,
    "FRAUD_RISK_ACCEPTED": PaymentState.AUTHORIZED,
    "FRAUD_RISK_REJECTED": PaymentState.FAILED,
    "FRAUD_RISK_STOPPED": None,  # after the capture, which stands
    "capture": PaymentState.SUCCEEDED,
    "cancellation": PaymentState.CANCELLED,
    "expiry": PaymentState.CANCELLED,
    "refund": RefundState.SUCCEEDED,
}
STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "purchase": ("AUTHORIZED", "ACCEPTED"),
    "purchase under review": ("AUTHORIZED", "PENDING"),
    "FRAUD_RISK_ACCEPTED": ("AUTHORIZED", "ACCEPTED"),
    "FRAUD_RISK_REJECTED": ("CANCELLED", "REJECTED"),
    "capture": ("CAPTURED", "ACCEPTED"),
    "cancellation": ("CANCELLED", "ACCEPTED"),
    "expiry": ("EXPIRED", "ACCEPTED"),
}

TEMPLATES: Final = (
    Template(
        name="captured",
        weight=36,
        says=(Say("purchase"), Say("capture", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="captured at once", weight=10, says=(Say("capture"),), status=Status.PAID, paid=ALL),
    Template(
        name="looked at, accepted, and captured",
        weight=6,
        says=(Say("purchase under review"), Say("FRAUD_RISK_ACCEPTED"), Say("capture")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="authorised is not paid", weight=8, says=(Say("purchase"),), status=Status.PROCESSING),
    Template(name="under review", weight=3, says=(Say("purchase under review"),), status=Status.PROCESSING),
    Template(
        name="rejected",
        weight=5,
        says=(Say("purchase under review"), Say("FRAUD_RISK_REJECTED")),
        status=Status.FAILED,
    ),
    Template(name="cancelled", weight=5, says=(Say("purchase"), Say("cancellation")), status=Status.FAILED),
    Template(name="expired", weight=4, says=(Say("purchase"), Say("expiry")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        says=(Say("purchase"), Say("capture"), Say("refund", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        says=(Say("capture"), Say("refund", 3, "1"), Say("refund", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="fraud that was found too late",
        weight=2,
        says=(Say("capture"), Say("FRAUD_RISK_STOPPED")),
        status=Status.PAID,  # and disputed
        paid=ALL,
    ),
    Template(
        name="captured in part",
        weight=3,
        says=(Say("purchase"), Say("capture", 8)),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("capture"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def klarna_pushed() -> Signed:
    """A push: everything it says stands in the URL."""
    return {"Content-Type": "application/json", "User-Agent": "Klarna-Push/1.0"}, b""


def klarna_notified(ref: str, event_type: str) -> Signed:
    """A notification about fraud."""
    headers = {"Content-Type": "application/json", "User-Agent": "Klarna-Push/1.0"}
    return headers, json.dumps({"order_id": ref, "event_type": event_type}).encode()


def klarna_order(ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """An order that was authorised and accepted, unless `more` says otherwise."""
    return {
        "order_id": ref,
        "status": "AUTHORIZED",
        "fraud_status": "ACCEPTED",
        "order_amount": amount,
        "original_order_amount": amount,
        "captured_amount": 0,
        "refunded_amount": 0,
        "remaining_authorized_amount": amount,
        "purchase_currency": currency,
        "purchase_country": "DE",
        "locale": "de-DE",
        "merchant_reference1": order_ref or "",
        "merchant_reference2": "",
        "klarna_reference": "20S0TILL",
        "created_at": "2026-10-05T11:50:00.680Z",
        "expires_at": "2026-11-02T00:00:00.000Z",
        "captures": [],
        "refunds": [],
        "initial_payment_method": {"type": "INVOICE", "description": "Pay later"},
    } | more


def klarna_capture(capture_id: str, amount: int, /, **more: Any) -> Json:
    """A capture."""
    return {
        "capture_id": capture_id,
        "klarna_reference": "20S0TILL-1",
        "captured_amount": amount,
        "captured_at": "2026-10-05T11:55:00.738Z",
        "description": "",
        "refunded_amount": 0,
    } | more


def klarna_refund(refund_id: str | None, amount: int, /, **more: Any) -> Json:
    """A refund."""
    return {
        "refund_id": refund_id,
        "refunded_amount": amount,
        "refunded_at": "2026-10-05T11:58:00.100Z",
        "description": "",
    } | more


def written(at: datetime) -> str:
    """A time as Klarna writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.500Z"


class KlarnaVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Klarna's, which proves nothing."""

    gateway: ClassVar[str] = "klarna"
    pays: ClassVar[str] = "capture"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    username: str
    password: str  # who shows it may ask

    def query(self, story: Story, happening: Happening) -> str:
        """The order, but for what is told by a notification."""
        return "" if happening.word.startswith("FRAUD_RISK") else f"klarna_order_id={story.payment_ref}"

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same each time."""
        if happening.word.startswith("FRAUD_RISK"):
            return klarna_notified(story.payment_ref, happening.word)
        return klarna_pushed()


class KlarnaApi:
    """One merchant's: orders, and their acknowledgements."""

    def __init__(self, voice: KlarnaVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002 - its books are at once
        """One query."""
        credentials = b64encode(f"{self._voice.username}:{self._voice.password}".encode()).decode()
        if put.headers.get("authorization") != f"Basic {credentials}":
            return Told(status=401, body=b"", about="nothing", said="UNAUTHORIZED")
        match (put.method, *put.path.split("/")[1:]):
            case ("GET", "ordermanagement", "v1", "orders", ref):
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None:
                    return _found(order_of(books, knows_at), books.story)
            case ("POST", "ordermanagement", "v1", "orders", ref, "acknowledge"):
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None:
                    order_ref = books.story.order_ref
                    return Told(status=204, body=b"", about="payment", ref=ref, order_ref=order_ref, said="noted")
        return _error(404, "NO_SUCH_ORDER")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Klarna's words for trouble of its own."""
        return _error(status, "TEMPORARILY_UNAVAILABLE")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {
            "Content-Type": "application/json",
            "Date": format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True),
            **told.headers,
        }
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)


def order_of(books: Known, knows_at: datetime) -> Json:
    """The order as it stands."""
    story = books.story
    status, fraud = STATUSES.get(books.word, ("AUTHORIZED", "PENDING"))
    if any(it.word == "FRAUD_RISK_STOPPED" and it.at <= knows_at for it in story.happenings):
        fraud = "REJECTED"
    if 0 < books.captured < story.amount:
        status = "PART_CAPTURED"
    capture_id = f"{story.payment_ref}-c1"
    paid_at = written(books.paid_at or books.at)
    captures = [klarna_capture(capture_id, books.captured, captured_at=paid_at)] if books.captured else []
    refunds = [klarna_refund(it.refund_ref, it.amount, refunded_at=written(it.at)) for it in books.refunds]
    return klarna_order(
        story.payment_ref,
        story.amount,
        story.currency,
        story.order_ref,
        status=status,
        fraud_status=fraud,
        created_at=written(story.started_at),
        expires_at=written(story.started_at + timedelta(days=28)),
        captured_amount=books.captured,
        remaining_authorized_amount=story.amount - books.captured,
        refunded_amount=books.refunded,
        captures=captures,
        refunds=refunds,
    )


def _found(order: Json, story: Story) -> Told:
    return Told(
        body=json.dumps(order).encode(),
        about="payment",
        ref=story.payment_ref,
        order_ref=story.order_ref,
        said=f"{order['status']} {order['fraud_status']}",
    )


def _error(status: int, code: str) -> Told:
    body = {"error_code": code, "error_messages": [code.lower()], "correlation_id": "6a9b1cb1-73a3-4936"}
    return Told(status=status, body=json.dumps(body).encode(), about="nothing", said=code)


def _new_voice(account: str) -> Voice:
    username = f"K{secrets.randbelow(10**6):06d}_{bare(account)[:12]}"
    return KlarnaVoice(account=account, username=username, password=secrets.token_urlsafe(18))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    own = cast("KlarnaVoice", voice)
    return {"username": own.username, "password": Kept(own.password)}


PLAY: Final = Play(
    gateway="klarna",
    words=cast("Mapping[str, PaymentState | RefundState]", WORDS),
    fetched=frozenset(WORDS),
    templates=TEMPLATES,
    currencies=("EUR", "SEK", "NOK", "USD"),
    payment_prefix="7849fd84-47dc-4919-a7ce-",
    new_voice=_new_voice,
    impostor=None,
    settings=_settings,
    api=lambda voice, ledger: KlarnaApi(cast("KlarnaVoice", voice), ledger),
)
