"""Checkout.com as the sandbox plays it: payments with captures and refunds that are actions of their own."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

CAPTURED: Final = "payment_captured"


class CheckoutVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Checkout.com's, with a webhook's signature key."""

    gateway: ClassVar[str] = "checkout"
    pays: ClassVar[str] = CAPTURED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    signature_key: str
    secret_key: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time."""
        return checkout_signed(self.signature_key, _body(story, happening))


def checkout_signed(key: str, body: bytes) -> Signed:
    """Any body with Checkout.com's headers."""
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Checkout.com",
        "Cko-Signature": hmac.digest(key.encode(), body, "sha256").hex(),
    }, body


def checkout_body(event_type: str, data: Json, *, event_id: str, at: datetime) -> bytes:
    """The event around its data."""
    return json.dumps(
        {
            "id": event_id,
            "source": "gwc_notifier1",
            "type": event_type,
            "timestamp": _rfc3339(at),
            "version": "1.0.29",
            "data": data,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def checkout_action(
    action_id: str, payment_ref: str, amount: int, currency: str, *, order_ref: str, at: datetime, **more: Any
) -> Json:
    """An action on a payment that is approved, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "action_id": action_id,
        "reference": order_ref,
        "amount": amount,
        "processed_on": _rfc3339(at),
        "response_code": "10000",
        "response_summary": "Approved",
        "currency": currency,
        "processing": {"acquirer_transaction_id": "865749780760868955557"},
    } | more


def checkout_dispute(
    dispute_ref: str, payment_ref: str, amount: int, currency: str, *, order_ref: str, **more: Any
) -> Json:
    """A dispute."""
    return {
        "id": dispute_ref,
        "category": "general",
        "amount": amount,
        "currency": currency,
        "reason_code": "13.1",
        "payment_id": payment_ref,
        "payment_reference": order_ref,
    } | more


def checkout_payment(
    payment_ref: str, amount: int, currency: str, order_ref: str, /, *, actions: list[Json], **more: Any
) -> Json:
    """A payment as the API shows it; captured, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "requested_on": "2026-09-21T15:33:20Z",
        "source": {"type": "card", "scheme": "Visa", "last4": "4242"},
        "amount": amount,
        "currency": currency,
        "payment_type": "Regular",
        "reference": order_ref,
        "status": "Captured",
        "approved": True,
        "balances": {"total_authorized": amount, "total_captured": amount, "total_refunded": 0},
        "actions": actions,
    } | more


DECLINE: Final[Json] = {"response_code": "20051", "response_summary": "Insufficient Funds"}


def _capture_ref(happening: Happening) -> str:
    return f"act_{happening.event_id.removeprefix('evt_')}"


def _body(story: Story, happening: Happening) -> bytes:
    word, told = happening.word, (story.payment_ref, happening.amount, story.currency)
    if word.startswith("dispute_"):
        data = checkout_dispute(f"dsp_{bare(story.order_ref)}", *told, order_ref=story.order_ref)
    else:
        action_id = happening.refund_ref if "refund" in word else _capture_ref(happening)
        more = DECLINE if word.endswith("declined") else {}
        data = checkout_action(action_id, *told, order_ref=story.order_ref, at=happening.at, **more)
    return checkout_body(word, data, event_id=happening.event_id, at=happening.at)


class CheckoutApi:
    """One account's payments, by id or reference, and their actions."""

    def __init__(self, voice: CheckoutVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        if put.headers.get("authorization") != f"Bearer {self._voice.secret_key}":
            return Told(status=401, body=b"", about="nothing", said="unauthorized")
        match put.path.split("/"):
            case ["", "payments"] if put.method == "GET":
                return self._list(put.first("reference") or "", knows_at)
            case ["", "payments", ref] if put.method == "GET":
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None and books.word:
                    payment = _payment_of(books, knows_at)
                    return _found(payment, books, about="payment", said=payment["status"])
            case ["", "payments", ref, "actions"] if put.method == "GET":
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None and books.word:
                    actions = _actions_of(books, knows_at)
                    return _found(actions, books, about="refund", said=f"{len(actions)} actions")
        return Told(status=404, body=b"", about="nothing", said="not found")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Checkout.com says nothing then."""
        return Told(status=status, body=b"", about="nothing", said="broken")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)

    def _list(self, reference: str, knows_at: datetime) -> Told:
        books = self._ledger.payments_of_order(self.account, reference, knows_at)
        found = [] if books is None or not books.word else [_payment_of(books, knows_at)]
        listed = {"limit": 100, "skip": 0, "total_count": len(found), "data": found}
        said = f"{len(found)} payments"
        return Told(body=_json(listed), about="payment", ref=reference, order_ref=reference, said=said)


STATUSES: Final = {
    PaymentState.CREATED: "Pending",
    PaymentState.PENDING: "Pending",
    PaymentState.AUTHORIZED: "Authorized",
    PaymentState.FAILED: "Declined",
    PaymentState.CANCELLED: "Voided",
    PaymentState.SUCCEEDED: "Captured",
}
APPROVED: Final = {RefundState.PENDING: None, RefundState.SUCCEEDED: True, RefundState.FAILED: False}


def _captures(books: Known, knows_at: datetime) -> list[Happening]:
    """Each of them, for the books know their sum alone."""
    return [it for it in books.story.happenings if it.word == CAPTURED and it.at <= knows_at]


def _actions_of(books: Known, knows_at: datetime) -> list[Json]:
    """All that happened to a payment, newest first."""
    captures = [
        _action(_capture_ref(it), "Capture", it.amount, it.at, approved=True) for it in _captures(books, knows_at)
    ]
    refunds = [_action(it.refund_ref, "Refund", it.amount, it.at, approved=APPROVED[it.state]) for it in books.refunds]
    return [*reversed(refunds), *reversed(captures)]


def _action(action_id: str, action_type: str, amount: int, at: datetime, *, approved: bool | None) -> Json:
    outcome = {"response_code": "10000", "response_summary": "Approved"} if approved else {}
    told = {"id": action_id, "type": action_type, "processed_on": _rfc3339(at), "amount": amount}
    return told | {"approved": approved} | (DECLINE if approved is False else outcome)


def _payment_of(books: Known, knows_at: datetime) -> Json:
    story, summary = books.story, list[Json]()
    for it in _actions_of(books, knows_at):
        summary.append({name: it[name] for name in ("id", "type", "response_code", "response_summary") if name in it})
    if books.state is PaymentState.FAILED:
        summary.append({"id": f"act_{bare(story.order_ref)}", "type": "Authorization", **DECLINE})
    captured = sum(it.amount for it in _captures(books, knows_at))
    balances = {"total_authorized": story.amount, "total_captured": captured, "total_refunded": books.refunded}
    status = STATUSES[books.state]
    if books.refunded:
        status = "Refunded" if books.refunded == captured else "Partially Refunded"
    elif 0 < captured < story.amount:
        status = "Partially Captured"
    told = (story.payment_ref, story.amount, story.currency, story.order_ref)
    return checkout_payment(*told, actions=summary, status=status, balances=balances)


def _found(told: Json | list[Json], books: Known, *, about: str, said: str) -> Told:
    story = books.story
    return Told(body=_json(told), about=about, ref=story.payment_ref, order_ref=story.order_ref, said=said)


def _json(told: Json | list[Json]) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.4695512Z")


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=35,
        says=(Say("payment_approved"), Say(CAPTURED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="captured in part",
        weight=4,
        says=(Say("payment_approved"), Say(CAPTURED, 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="by bank, which takes its time",
        weight=6,
        says=(Say("payment_pending"), Say("payment_approved"), Say(CAPTURED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=4, says=(Say("payment_pending"),), status=Status.PROCESSING),
    Template(name="authorized, not captured", weight=4, says=(Say("payment_approved"),), status=Status.PROCESSING),
    Template(name="declined", weight=8, says=(Say("payment_declined"),), status=Status.FAILED),
    Template(
        name="authorized, then let go",
        weight=4,
        says=(Say("payment_approved"), Say("payment_voided")),
        status=Status.FAILED,
    ),
    Template(
        name="never finished", weight=3, says=(Say("payment_pending"), Say("payment_expired")), status=Status.FAILED
    ),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say(CAPTURED),
            Say("payment_refund_pending", 4, "1"),
            Say("payment_refunded", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        says=(Say(CAPTURED), Say("payment_refunded", 3, "1"), Say("payment_refunded", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say(CAPTURED), Say("payment_refund_pending", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that is declined",
        weight=3,
        says=(
            Say(CAPTURED),
            Say("payment_refund_pending", ALL, "1"),
            Say("payment_refund_declined", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="disputed", weight=2, says=(Say(CAPTURED), Say("dispute_received")), status=Status.PAID, paid=ALL),
    Template(name="paid too little", weight=2, says=(Say(CAPTURED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say(CAPTURED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say(CAPTURED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_voice(account: str) -> CheckoutVoice:
    return CheckoutVoice(
        account=account, signature_key=secrets.token_hex(16), secret_key=f"sk_sbox_{secrets.token_hex(14)}"
    )


def _impostor(voice: Voice) -> CheckoutVoice:
    return msgspec.structs.replace(cast("CheckoutVoice", voice), signature_key=secrets.token_hex(16))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    voice = cast("CheckoutVoice", voice)
    return {"signature_keys": [Kept(voice.signature_key)], "secret_key": Kept(voice.secret_key)}


PLAY: Final = Play(
    gateway="checkout",
    words={
        "payment_pending": PaymentState.PENDING,
        "payment_approved": PaymentState.AUTHORIZED,
        CAPTURED: PaymentState.SUCCEEDED,
        "payment_declined": PaymentState.FAILED,
        "payment_voided": PaymentState.CANCELLED,
        "payment_expired": PaymentState.CANCELLED,
        "payment_refund_pending": RefundState.PENDING,
        "payment_refunded": RefundState.SUCCEEDED,
        "payment_refund_declined": RefundState.FAILED,
        "dispute_received": None,
    },
    parts=frozenset({CAPTURED}),
    templates=TEMPLATES,
    currencies=("GBP", "EUR", "USD", "AED", "JPY"),
    payment_prefix="pay_",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: CheckoutApi(cast("CheckoutVoice", voice), ledger),
)
