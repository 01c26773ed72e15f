"""Paystack as the sandbox plays it: charges that succeed or fail, refunds and disputes, and an API to verify with."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

import msgspec

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

WORDS: Final[dict[str, PaymentState | RefundState | None]] = {
    "charge.success": PaymentState.SUCCEEDED,
    "charge.failed": PaymentState.FAILED,
    "refund.pending": RefundState.PENDING,
    "refund.processing": RefundState.PENDING,
    "refund.processed": RefundState.SUCCEEDED,
    "refund.failed": RefundState.FAILED,
    "charge.dispute.create": None,
    "charge.dispute.resolve": None,
    "transfer.success": None,  # money that the merchant pays out: no order's
}

TEMPLATES: Final = (
    Template(name="paid", weight=40, says=(Say("charge.success"),), status=Status.PAID, paid=ALL),
    Template(
        name="declined, then paid",
        weight=10,
        says=(Say("charge.failed"), Say("charge.success", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, says=(Say("charge.failed"),), status=Status.FAILED),
    Template(
        name="paid, and paid out",
        weight=3,
        says=(Say("charge.success"), Say("transfer.success")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say("charge.success"),
            Say("refund.pending", 4, "1"),
            Say("refund.processing", 4, "1", after_s=AT_ONCE_S),
            Say("refund.processed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        says=(
            Say("charge.success"),
            Say("refund.pending", 3, "1"),
            Say("refund.processed", 3, "1"),
            Say("refund.processed", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say("charge.success"), Say("refund.pending", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(
            Say("charge.success"),
            Say("refund.pending", ALL, "1"),
            Say("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        says=(Say("charge.success"), Say("charge.dispute.create")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed without success",
        weight=2,
        says=(Say("charge.success"), Say("charge.dispute.create"), Say("charge.dispute.resolve")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, says=(Say("charge.success", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("charge.success"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("charge.success"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def paystack_signed(secret_key: str, body: bytes) -> Signed:
    """Any body with Paystack's headers."""
    signature = hmac.digest(secret_key.encode(), body, "sha512").hex()
    return {"Content-Type": "application/json", "X-Paystack-Signature": signature}, body


def paystack_body(event: str, data: Json) -> bytes:
    """The event around an object."""
    return _json({"event": event, "data": data})


def number_of(*words: str) -> int:
    """Paystack's own number for something, the same for the same words."""
    return int.from_bytes(blake2b(" ".join(words).encode(), digest_size=4).digest())


def written(at: datetime) -> str:
    """As Paystack writes a time."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def paystack_transaction(reference: str, amount: int, currency: str, at: datetime, /, **more: Any) -> Json:
    """A transaction that succeeded, unless `more` says otherwise; amounts in hundredths."""
    return {
        "id": number_of("transaction", reference),
        "domain": "test",
        "status": "success",
        "reference": reference,
        "amount": amount,
        "message": None,
        "gateway_response": "Approved",
        "paid_at": written(at),
        "created_at": written(at),
        "channel": "card",
        "currency": currency,
        "ip_address": "102.89.0.1",
        "metadata": "",
        "log": None,
        "fees": amount // 100,
        "customer": {"id": 7, "email": "payer@shop.example", "customer_code": "CUS_xnxdt6s1zg1f4nx"},
        "authorization": {"authorization_code": "AUTH_f5rnfq9p", "last4": "4081", "brand": "visa"},
    } | more


DECLINE: Final[Json] = {"status": "failed", "gateway_response": "Insufficient Funds", "paid_at": None}


def paystack_refund(refund_ref: str | None, reference: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A refund that is processed, unless `more` says otherwise; its amount is digits in quotes, as webhooks have it."""
    return {
        **({} if refund_ref is None else {"id": refund_ref}),
        "status": "processed",
        "transaction_reference": reference,
        "refund_reference": None,
        "amount": str(amount),
        "currency": currency,
        "processor": "mpgs_zen",
        "customer": {"first_name": "Ada", "email": "payer@shop.example"},
        "integration": 463433,
        "domain": "test",
    } | more


def paystack_dispute(reference: str, amount: int, currency: str, at: datetime, /, **more: Any) -> Json:
    """A dispute that the merchant must answer, unless `more` says otherwise."""
    return {
        "id": number_of("dispute", reference),
        "refund_amount": amount,
        "currency": currency,
        "status": "awaiting-merchant-feedback",
        "resolution": None,
        "domain": "test",
        "transaction": paystack_transaction(reference, amount, currency, at),
        "transaction_reference": None,
        "category": None,
        "resolvedAt": None,
        "created_at": written(at),
        "updated_at": written(at),
    } | more


class PaystackVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Paystack's, with the integration's secret key."""

    gateway: ClassVar[str] = "paystack"
    pays: ClassVar[str] = "charge.success"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret_key: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time."""
        return paystack_signed(self.secret_key, paystack_body(happening.word, _data(story, happening)))


def _data(story: Story, happening: Happening) -> Json:
    told = story.payment_ref, happening.amount, story.currency
    order = {"metadata": {"order_id": story.order_ref}}
    kind, _, outcome = happening.word.rpartition(".")
    match kind:
        case "refund":
            # The number is not told, and the reference is the bank's, which has none yet while it is pending.
            reference = None if outcome == "pending" else f"{number_of('bank', happening.refund_ref)}"
            return paystack_refund(None, *told, status=outcome, refund_reference=reference)
        case "charge.dispute":
            transaction = paystack_transaction(*told, happening.at, **order)
            end = {"status": "resolved", "resolution": "merchant-accepted", "resolvedAt": written(happening.at)}
            return paystack_dispute(
                *told, happening.at, transaction=transaction, **(end if outcome == "resolve" else {})
            )
        case "transfer":
            return {"id": number_of("transfer", story.payment_ref), "amount": happening.amount, "status": "success"}
        case _:
            return paystack_transaction(*told, happening.at, **order, **(DECLINE if outcome == "failed" else {}))


def _renamed(story: Story, happening: Happening) -> str:
    """Paystack gives events no id."""
    kind = happening.word.rpartition(".")[0]
    return f"{happening.word}:{number_of('dispute' if kind == 'charge.dispute' else 'transaction', story.payment_ref)}"


class PaystackApi:
    """One integration's transactions by reference, and its refunds by number or by their transaction's reference."""

    def __init__(self, voice: PaystackVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        if put.headers.get("authorization") != f"Bearer {self._voice.secret_key}":
            return _error(401, "invalid_Key", "Invalid key")
        match [unquote(part) for part in put.path.split("/")]:
            case ["", "transaction", "verify", ref]:
                books = self._ledger.payment(self.account, ref, knows_at)
                # A shop may give a transaction its order's reference: here it is found by both.
                books = books or self._ledger.payments_of_order(self.account, ref, knows_at)
                if books is not None:
                    return _found("payment", "Verification successful", _transaction_of(books), books)
                return _error(400, "transaction_not_found", "Transaction reference not found.", ref=ref)
            case ["", "refund"]:
                return self._refunds(put.first("transaction") or "", knows_at)
            case ["", "refund", ref]:
                return self._refund(ref, knows_at)
        return _error(404, "unknown_endpoint", "The endpoint does not exist")

    def _refund(self, ref: str, knows_at: datetime) -> Told:
        books = self._ledger.payment_of_refund(self.account, ref, knows_at)
        refund = None if books is None else books.refund(ref)
        if books is not None and refund is not None:
            return _found("refund", "Refund retrieved", _refund_of(books, refund), books)
        return _error(404, "not_found", "Refund not found", ref=ref)

    def _refunds(self, ref: str, knows_at: datetime) -> Told:
        books = self._ledger.payment(self.account, ref, knows_at)
        listed = [] if books is None else [_refund_of(books, refund) for refund in books.refunds]
        body = _json({"status": True, "message": "Refunds retrieved", "data": listed})
        order_ref = "" if books is None else books.story.order_ref
        return Told(body=body, about="refund", ref=ref, order_ref=order_ref, said=f"{len(listed)} found")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Paystack's words for trouble of its own."""
        return _error(status, "api_error", "An error occurred")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json; charset=utf-8", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)


TRANSACTION_STATUSES: Final[Mapping[PaymentState, Json]] = {
    PaymentState.CREATED: {"status": "ongoing", "gateway_response": "The transaction was not completed"},
    PaymentState.FAILED: DECLINE,
    PaymentState.SUCCEEDED: {},
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "processing",
    RefundState.SUCCEEDED: "processed",
    RefundState.FAILED: "failed",
}


def _transaction_of(books: Known) -> Json:
    amount = books.captured or books.story.amount
    outcome = dict(TRANSACTION_STATUSES[books.state])
    if books.refunded == amount:
        outcome["status"] = "reversed"
    at = books.paid_at or books.at
    order = {"order_id": books.story.order_ref}
    return paystack_transaction(books.story.payment_ref, amount, books.story.currency, at, metadata=order, **outcome)


def _refund_of(books: Known, refund: KnownRefund) -> Json:
    told = {"status": REFUND_STATUSES[refund.state], "amount": refund.amount}
    told["transaction"] = number_of("transaction", books.story.payment_ref)
    return paystack_refund(refund.refund_ref, books.story.payment_ref, refund.amount, books.story.currency, **told)


def _found(about: str, message: str, data: Json, books: Known) -> Told:
    body = _json({"status": True, "message": message, "data": data})
    return Told(body=body, about=about, ref=str(data["id"]), order_ref=books.story.order_ref, said=data["status"])


def _error(status: int, code: str, message: str, *, ref: str = "") -> Told:
    told = {"status": False, "message": message, "meta": {"nextStep": ""}, "type": "validation_error", "code": code}
    return Told(status=status, body=_json(told), about="nothing", ref=ref, said=code)


def _json(told: Json) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _new_voice(account: str) -> PaystackVoice:
    return PaystackVoice(account=account, secret_key=f"sk_test_{secrets.token_hex(20)}")


def _impostor(voice: Voice) -> PaystackVoice:
    return _new_voice(voice.account)


def _settings(voice: Voice) -> Mapping[str, Setting]:
    return {"secret_keys": [Kept(cast("PaystackVoice", voice).secret_key)]}


PLAY: Final = Play(
    gateway="paystack",
    words=WORDS,
    silent=frozenset({"transfer.success"}),
    fetched=frozenset(word for word in WORDS if word.startswith("refund.")),
    renamed=_renamed,
    templates=TEMPLATES,
    currencies=("NGN", "GHS", "ZAR", "KES", "USD"),
    payment_prefix="ref",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: PaystackApi(cast("PaystackVoice", voice), ledger),
)
