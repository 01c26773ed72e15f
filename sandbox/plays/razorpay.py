"""Razorpay as the sandbox plays it: events about payments, orders, refunds and disputes, with ids in a header alone."""

import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

LET_GO: Final = "refund.processed (uncaptured)"  # what was authorized and never captured


class RazorpayVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Razorpay's, with a webhook's secret."""

    gateway: ClassVar[str] = "razorpay"
    pays: ClassVar[str] = "payment.captured"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret: str
    key_id: str
    key_secret: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time, under the same id."""
        return razorpay_signed(self.secret, _body(story, happening), event_id=happening.event_id)


def razorpay_signed(secret: str, body: bytes, *, event_id: str) -> Signed:
    """Any body with Razorpay's headers."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Razorpay-Webhook/v1",
        "X-Razorpay-Event-Id": event_id,
        "X-Razorpay-Signature": hmac.digest(secret.encode(), body, "sha256").hex(),
    }, body


def razorpay_body(event: str, created: int, **entities: Json) -> bytes:
    """The event around its objects."""
    return json.dumps(
        {
            "entity": "event",
            "account_id": "acc_BFQ7uQEaa7j2z7",
            "event": event,
            "contains": [*entities],
            "payload": {name: {"entity": entity} for name, entity in entities.items()},
            "created_at": created,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def razorpay_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """A payment by card that is captured, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "entity": "payment",
        "amount": amount,
        "currency": currency,
        "status": "captured",
        "order_id": razorpay_order_ref(order_ref or payment_ref),
        "invoice_id": None,
        "international": False,
        "method": "card",
        "amount_refunded": 0,
        "refund_status": None,
        "captured": True,
        "description": None,
        "card_id": f"card_{payment_ref[-14:]}",
        "email": "payer@shop.example",
        "contact": "+919000000000",
        "notes": [] if order_ref is None else {"order_id": order_ref},
        "error_code": None,
        "error_description": None,
        "error_source": None,
        "error_step": None,
        "error_reason": None,
        "created_at": 1_790_000_000,
    } | more


def razorpay_order_ref(order_ref: str) -> str:
    """Razorpay's own number for an order."""
    return f"order_{bare(order_ref)[-14:]:0>14}"


def razorpay_order(order_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """An order that is paid, unless `more` says otherwise."""
    return {
        "id": razorpay_order_ref(order_ref),
        "entity": "order",
        "amount": amount,
        "amount_paid": amount,
        "amount_due": 0,
        "currency": currency,
        "receipt": order_ref,
        "status": "paid",
        "attempts": 1,
        "notes": [],
        "created_at": 1_790_000_000,
    } | more


def razorpay_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A refund that is processed, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "entity": "refund",
        "amount": amount,
        "currency": currency,
        "payment_id": payment_ref,
        "notes": [],
        "receipt": None,
        "acquirer_data": {"arn": None},
        "created_at": 1_790_000_000,
        "batch_id": None,
        "status": "processed",
        "speed_processed": "normal",
        "speed_requested": "normal",
    } | more


def razorpay_dispute(dispute_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A dispute that is open, unless `more` says otherwise."""
    return {
        "id": dispute_ref,
        "entity": "dispute",
        "payment_id": payment_ref,
        "amount": amount,
        "currency": currency,
        "amount_deducted": 0,
        "reason_code": "goods_or_services_not_received_or_partially_received",
        "respond_by": 1_790_600_000,
        "status": "open",
        "phase": "chargeback",
        "created_at": 1_790_000_000,
    } | more


DECLINE: Final[Json] = {
    "status": "failed",
    "captured": False,
    "error_code": "BAD_REQUEST_ERROR",
    "error_description": "Your payment could not be completed as there is not enough balance in your account.",
    "error_source": "customer",
    "error_step": "payment_authorization",
    "error_reason": "insufficient_funds",
}
OUTCOMES: Final[Mapping[str, Json]] = {
    "payment.authorized": {"status": "authorized", "captured": False},
    "payment.failed": DECLINE,
    LET_GO: {"status": "refunded", "captured": False},
}


def _dispute_ref(story: Story) -> str:
    return f"disp_{bare(story.order_ref)}"


def _body(story: Story, happening: Happening) -> bytes:
    event, created = happening.word.partition(" ")[0], int(happening.at.timestamp())
    taken = happening.amount if happening.word in ("payment.captured", "order.paid") else story.amount
    outcome = OUTCOMES.get(happening.word, {})
    entities = {"payment": razorpay_payment(story.payment_ref, taken, story.currency, story.order_ref, **outcome)}
    told = story.payment_ref, happening.amount, story.currency
    if event == "order.paid":
        entities["order"] = razorpay_order(story.order_ref, happening.amount, story.currency)
    elif event.startswith("refund."):
        status = {"refund.created": "pending"}.get(event, event.removeprefix("refund."))
        entities = {"refund": razorpay_refund(happening.refund_ref, *told, status=status), **entities}
    elif event.startswith("payment.dispute."):
        entities["dispute"] = razorpay_dispute(_dispute_ref(story), *told)
    return razorpay_body(event, created, **entities)


def _renamed(story: Story, happening: Happening) -> str:
    """Signed words alone make the id."""
    event, created = happening.word.partition(" ")[0], int(happening.at.timestamp())
    if event.startswith("refund."):
        return f"{event}:{happening.refund_ref}:{created}"
    ref = _dispute_ref(story) if event.startswith("payment.dispute.") else story.payment_ref
    return f"{event}:{ref}:{created}"


class RazorpayApi:
    """One account's payments and refunds by id, and its orders by receipt."""

    def __init__(self, voice: RazorpayVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        basic = b64encode(f"{self._voice.key_id}:{self._voice.key_secret}".encode()).decode()
        if put.headers.get("authorization") != f"Basic {basic}":
            return _error(401, "BAD_REQUEST_ERROR", "Authentication failed")
        match put.path.split("/"):
            case ["", "v1", "orders"] if put.method == "GET":
                return self._orders(put.first("receipt") or "", knows_at)
            case ["", "v1", "payments", ref] if put.method == "GET":
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None and books.word:
                    return _found("payment", _payment_of(books), books)
            case ["", "v1", "refunds", ref] if put.method == "GET":
                books = self._ledger.payment_of_refund(self.account, ref, knows_at)
                refund = None if books is None else books.refund(ref)
                if books is not None and refund is not None:
                    return _found("refund", _refund_of(books, refund), books)
        return _error(400, "BAD_REQUEST_ERROR", "The id provided does not exist")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Razorpay's words for trouble of its own."""
        code = "BAD_REQUEST_ERROR" if status == 429 else "SERVER_ERROR"  # noqa: PLR2004 - too many requests
        return _error(status, code, "We are facing some trouble completing your request at the moment.")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)

    def _orders(self, receipt: str, knows_at: datetime) -> Told:
        books = self._ledger.payments_of_order(self.account, receipt, knows_at)
        orders = []
        if books is not None:
            payments = [_payment_of(books)] if books.word else []
            listed = {"entity": "collection", "count": len(payments), "items": payments}
            orders = [razorpay_order(receipt, books.story.amount, books.story.currency, payments=listed)]
        body = _json({"entity": "collection", "count": len(orders), "items": orders})
        return Told(body=body, about="payment", ref=receipt, order_ref=receipt, said=f"{len(orders)} orders")


STATUSES: Final = {
    PaymentState.CREATED: {"status": "created", "captured": False},
    PaymentState.PENDING: {"status": "created", "captured": False},
    PaymentState.AUTHORIZED: {"status": "authorized", "captured": False},
    PaymentState.FAILED: DECLINE,
    PaymentState.CANCELLED: OUTCOMES[LET_GO],
    PaymentState.SUCCEEDED: {"status": "captured", "captured": True},
}


def _payment_of(books: Known) -> Json:
    story, outcome = books.story, dict(STATUSES[books.state])
    amount = books.captured or story.amount
    if books.refunded:
        all_of_it = books.refunded == amount
        outcome["amount_refunded"] = books.refunded
        outcome["refund_status"] = "full" if all_of_it else "partial"
        outcome["status"] = "refunded" if all_of_it else "captured"
    created = {"created_at": int(story.started_at.timestamp())}
    return razorpay_payment(story.payment_ref, amount, story.currency, story.order_ref, **created, **outcome)


REFUND_STATUSES: Final = {
    RefundState.PENDING: "pending",
    RefundState.SUCCEEDED: "processed",
    RefundState.FAILED: "failed",
}


def _refund_of(books: Known, refund: KnownRefund) -> Json:
    told = {"status": REFUND_STATUSES[refund.state], "created_at": int(refund.asked_at.timestamp())}
    return razorpay_refund(refund.refund_ref, books.story.payment_ref, refund.amount, books.story.currency, **told)


def _found(about: str, entity: Json, books: Known) -> Told:
    order_ref = books.story.order_ref
    return Told(body=_json(entity), about=about, ref=entity["id"], order_ref=order_ref, said=entity["status"])


def _error(status: int, code: str, description: str) -> Told:
    error = {"code": code, "description": description, "source": "NA", "step": "NA", "reason": "NA", "metadata": {}}
    return Told(status=status, body=_json({"error": error}), about="nothing", said=description)


def _json(told: Json) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        says=(Say("payment.authorized"), Say("payment.captured", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=12,
        says=(
            Say("payment.authorized"),
            Say("payment.captured", after_s=AT_ONCE_S),
            Say("order.paid", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, and authorized after all",
        weight=8,
        says=(Say("payment.failed"), Say("payment.authorized"), Say("payment.captured", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, says=(Say("payment.failed"),), status=Status.FAILED),
    Template(
        name="authorized, and not captured", weight=5, says=(Say("payment.authorized"),), status=Status.PROCESSING
    ),
    Template(
        name="never captured, and let go",
        weight=4,
        says=(Say("payment.authorized"), Say(LET_GO)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say("payment.captured"),
            Say("refund.created", 4, "1"),
            Say("refund.processed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        says=(Say("payment.captured"), Say("refund.processed", 3, "1"), Say("refund.processed", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say("payment.captured"), Say("refund.created", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(
            Say("payment.captured"),
            Say("refund.created", ALL, "1"),
            Say("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        says=(Say("payment.captured"), Say("payment.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        says=(Say("payment.captured", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("payment.captured"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("payment.captured"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_voice(account: str) -> RazorpayVoice:
    return RazorpayVoice(
        account=account,
        secret=secrets.token_hex(20),
        key_id=f"rzp_test_{secrets.token_hex(7)}",
        key_secret=secrets.token_urlsafe(18),
    )


def _impostor(voice: Voice) -> RazorpayVoice:
    return msgspec.structs.replace(cast("RazorpayVoice", voice), secret=secrets.token_hex(20))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    voice = cast("RazorpayVoice", voice)
    return {
        "webhook_secrets": [Kept(voice.secret)],
        "key_id": voice.key_id,
        "key_secret": Kept(voice.key_secret),
    }


PLAY: Final = Play(
    gateway="razorpay",
    words={
        "payment.authorized": PaymentState.AUTHORIZED,
        "payment.captured": PaymentState.SUCCEEDED,
        "order.paid": PaymentState.SUCCEEDED,
        "payment.failed": PaymentState.FAILED,
        LET_GO: PaymentState.CANCELLED,
        "refund.created": RefundState.PENDING,
        "refund.processed": RefundState.SUCCEEDED,
        "refund.failed": RefundState.FAILED,
        "payment.dispute.created": None,
    },
    renamed=_renamed,
    templates=TEMPLATES,
    currencies=("INR", "USD", "EUR", "JPY"),
    payment_prefix="pay_",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: RazorpayApi(cast("RazorpayVoice", voice), ledger),
)
