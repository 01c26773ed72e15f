"""Mercado Pago as the sandbox plays it: notices that name a payment and no more, and an API to fetch it from."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote, urlencode
from uuid import NAMESPACE_URL, uuid5

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
from tillkeeper.domain.money import exponent
from tillkeeper.domain.order.status import Status

WORDS: Final[dict[str, PaymentState | RefundState | None]] = {
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "approved": PaymentState.SUCCEEDED,
    "rejected": PaymentState.FAILED,
    "cancelled": PaymentState.CANCELLED,
    "refund in_process": RefundState.PENDING,
    "refund approved": RefundState.SUCCEEDED,
    "refund rejected": RefundState.FAILED,
    "charged_back": None,
    "chargeback reimbursed": None,
    "merchant_order": None,  # another topic, of which nothing is asked
}
DISPUTED: Final[Mapping[str, Json]] = {
    "charged_back": {"status": "charged_back", "status_detail": "in_process"},
    "chargeback reimbursed": {"status": "charged_back", "status_detail": "reimbursed"},
}

TEMPLATES: Final = (
    Template(name="paid", weight=36, says=(Say("approved"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid in cash",
        weight=10,
        says=(Say("pending"), Say("approved", after_s=AT_ONCE_S), Say("merchant_order", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        says=(Say("authorized"), Say("approved")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=4, says=(Say("pending"),), status=Status.PROCESSING),
    Template(name="declined", weight=7, says=(Say("rejected"),), status=Status.FAILED),
    Template(name="never paid", weight=5, says=(Say("pending"), Say("cancelled")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        says=(Say("approved"), Say("refund in_process", 4, "1"), Say("refund approved", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        says=(Say("approved"), Say("refund approved", 3, "1"), Say("refund approved", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say("approved"), Say("refund in_process", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(Say("approved"), Say("refund in_process", ALL, "1"), Say("refund rejected", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="charged back", weight=3, says=(Say("approved"), Say("charged_back")), status=Status.PAID, paid=ALL),
    Template(
        name="a chargeback that was reimbursed",
        weight=2,
        says=(Say("approved"), Say("charged_back"), Say("chargeback reimbursed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, says=(Say("approved", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("approved"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def mercadopago_query(data_id: str, topic: str = "payment") -> str:
    """What stands behind the query mark of a notice's URL."""
    return urlencode({"data.id": data_id, "type": topic})


def mercadopago_signed(secret: str, now: datetime, data_id: str | None, request_id: str | None, body: bytes) -> Signed:
    """Any body with Mercado Pago's headers, which sign the id alone; times in milliseconds, as they come today."""
    time = int(now.timestamp() * 1000)
    manifest = "" if data_id is None else f"id:{data_id};"
    manifest += "" if request_id is None else f"request-id:{request_id};"
    signature = hmac.digest(secret.encode(), f"{manifest}ts:{time};".encode(), "sha256").hex()
    headers = {"Content-Type": "application/json", "X-Signature": f"ts={time},v1={signature}"}
    return headers | ({} if request_id is None else {"X-Request-Id": request_id}), body


def mercadopago_notice(data_id: str, at: datetime, *, topic: str = "payment", notice_id: int = 107438123) -> bytes:
    """A notice: that something changed."""
    return _json(
        {
            "action": f"{topic}.updated",
            "api_version": "v1",
            "data": {"id": data_id},
            "date_created": f"{at:%Y-%m-%dT%H:%M:%S}Z",
            "id": notice_id,
            "live_mode": True,
            "type": topic,
            "user_id": "724484980",
        }
    )


def written(at: datetime) -> str:
    """As Mercado Pago writes a time: its own clock is four hours behind UTC."""
    return at.astimezone(CLOCK).isoformat(timespec="milliseconds")


CLOCK: Final = datetime.fromisoformat("2026-01-01T00:00:00-04:00").tzinfo


def major(amount: int, currency: str) -> Decimal:
    """Minor units as the JSON number that is sent."""
    return Decimal(amount).scaleb(-exponent(currency))


def mercadopago_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """A payment that is approved, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "date_created": "2026-10-05T07:58:00.000-04:00",
        "date_approved": "2026-10-05T07:59:00.000-04:00",
        "date_last_updated": "2026-10-05T07:59:00.000-04:00",
        "money_release_date": None,
        "operation_type": "regular_payment",
        "payment_method_id": "master",
        "payment_type_id": "credit_card",
        "status": "approved",
        "status_detail": "accredited",
        "currency_id": currency,
        "description": "Order at the till",
        "live_mode": True,
        "external_reference": order_ref,
        "transaction_amount": major(amount, currency),
        "transaction_amount_refunded": 0,
        "captured": True,
        "installments": 1,
        "refunds": [],
    } | more


def mercadopago_refund(refund_ref: object, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A refund that is approved, unless `more` says otherwise; it tells no currency."""
    return {
        "id": refund_ref,
        "payment_id": payment_ref,
        "amount": major(amount, currency),
        "source": {"id": "724484980", "name": "Shop", "type": "collector"},
        "date_created": "2026-10-05T07:59:30.000-04:00",
        "unique_sequence_number": None,
        "refund_mode": "standard",
        "status": "approved",
    } | more


class MercadoPagoVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Mercado Pago's, with an application's secret."""

    gateway: ClassVar[str] = "mercadopago"
    pays: ClassVar[str] = "approved"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    secret: str
    access_token: str

    def query(self, story: Story, happening: Happening) -> str:
        """The payment, and the topic."""
        return mercadopago_query(story.payment_ref, _topic(happening))

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:
        """Signed anew each time, under a request id of its own; over the id in small letters."""
        request_id = str(uuid5(NAMESPACE_URL, f"{happening.event_id}/{again}"))
        notice = mercadopago_notice(story.payment_ref, happening.at, topic=_topic(happening))
        return mercadopago_signed(self.secret, now, story.payment_ref.lower(), request_id, notice)


def _topic(happening: Happening) -> str:
    return "merchant_order" if happening.word == "merchant_order" else "payment"


class MercadoPagoApi:
    """One application's payments, by id and by `external_reference`."""

    def __init__(self, voice: MercadoPagoVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        if put.headers.get("authorization") != f"Bearer {self._voice.access_token}":
            return _error(401, "unauthorized", "invalid access token")
        match [unquote(part) for part in put.path.split("/")]:
            case ["", "v1", "payments", "search"]:
                return self._search(put.first("external_reference") or "", knows_at)
            case ["", "v1", "payments", ref]:
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None and books.word:
                    payment = _payment_of(books, knows_at)
                    return Told(
                        body=_json(payment),
                        about="payment",
                        ref=ref,
                        order_ref=books.story.order_ref,
                        said=payment["status"],
                    )
                return _error(404, "not_found", "Payment not found", ref=ref)
        return _error(404, "resource not found", "Si quieres conocer los recursos de la API, visita la documentación")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Mercado Pago's words for trouble of its own."""
        return _error(status, "internal_server_error", "internal_server_error")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json;charset=UTF-8", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)

    def _search(self, order_ref: str, knows_at: datetime) -> Told:
        books = self._ledger.payments_of_order(self.account, order_ref, knows_at)
        found = [] if books is None or not books.word else [_payment_of(books, knows_at)]
        page = {"paging": {"total": len(found), "limit": 100, "offset": 0}, "results": found}
        return Told(body=_json(page), about="payment", ref=order_ref, order_ref=order_ref, said=f"{len(found)} found")


OUTCOMES: Final[Mapping[PaymentState, Json]] = {
    PaymentState.PENDING: {"status": "pending", "status_detail": "pending_waiting_payment"},
    PaymentState.AUTHORIZED: {"status": "authorized", "status_detail": "pending_capture", "captured": False},
    PaymentState.FAILED: {"status": "rejected", "status_detail": "cc_rejected_insufficient_amount"},
    PaymentState.CANCELLED: {"status": "cancelled", "status_detail": "expired"},
    PaymentState.SUCCEEDED: {},
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "in_process",
    RefundState.SUCCEEDED: "approved",
    RefundState.FAILED: "rejected",
}


def _payment_of(books: Known, knows_at: datetime) -> Json:
    """Chargebacks stand in no books: the story's own words tell them."""
    story, amount = books.story, books.captured or books.story.amount
    happened = [it for it in story.happenings if it.at <= knows_at]
    outcome: Json = dict(OUTCOMES[books.state])
    if books.refunded == amount:
        outcome |= {"status": "refunded", "status_detail": "refunded"}
    elif books.refunded:
        outcome["status_detail"] = "partially_refunded"
    for happening in happened:
        outcome |= DISPUTED.get(happening.word, {})
    return mercadopago_payment(
        story.payment_ref,
        amount,
        story.currency,
        story.order_ref,
        date_created=written(story.started_at),
        date_approved=None if books.paid_at is None else written(books.paid_at),
        date_last_updated=written(happened[-1].at),
        transaction_amount_refunded=major(books.refunded, story.currency),
        refunds=[_refund_of(books, it) for it in books.refunds],
        **outcome,
    )


def _refund_of(books: Known, refund: KnownRefund) -> Json:
    told = {"status": REFUND_STATUSES[refund.state], "date_created": written(refund.asked_at)}
    return mercadopago_refund(refund.refund_ref, books.story.payment_ref, refund.amount, books.story.currency, **told)


def _error(status: int, error: str, message: str, *, ref: str = "") -> Told:
    told = {"message": message, "error": error, "status": status, "cause": []}
    return Told(status=status, body=_json(told), about="nothing", ref=ref, said=error)


def _json(told: Json) -> bytes:
    """Amounts are numbers: the shortest that tell them."""
    return json.dumps(told, ensure_ascii=False, default=float, separators=(",", ":")).encode()


def _new_voice(account: str) -> MercadoPagoVoice:
    return MercadoPagoVoice(
        account=account, secret=secrets.token_hex(32), access_token=f"APP_USR-{secrets.token_hex(16)}"
    )


def _impostor(voice: Voice) -> MercadoPagoVoice:
    return msgspec.structs.replace(cast("MercadoPagoVoice", voice), secret=secrets.token_hex(32))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    voice = cast("MercadoPagoVoice", voice)
    return {"webhook_secrets": [Kept(voice.secret)], "access_token": Kept(voice.access_token)}


PLAY: Final = Play(
    gateway="mercadopago",
    words=WORDS,
    silent=frozenset({"merchant_order"}),
    fetched=frozenset(WORDS) - {"merchant_order"},
    templates=TEMPLATES,
    currencies=("BRL", "ARS", "MXN", "CLP"),
    payment_prefix="13",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: MercadoPagoApi(cast("MercadoPagoVoice", voice), ledger),
)
