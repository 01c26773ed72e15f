"""A simulated Mercado Pago: notices that name a payment and no more, and an API to fetch it from."""

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

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.money import exponent
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=36, events=(Event("approved"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid in cash",
        weight=10,
        events=(Event("pending"), Event("approved", after_s=AT_ONCE_S), Event("merchant_order", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        events=(Event("authorized"), Event("approved")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=4, events=(Event("pending"),), status=Status.PROCESSING),
    Template(name="declined", weight=7, events=(Event("rejected"),), status=Status.FAILED),
    Template(name="never paid", weight=5, events=(Event("pending"), Event("cancelled")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event("approved"), Event("refund in_process", 4, "1"), Event("refund approved", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(Event("approved"), Event("refund approved", 3, "1"), Event("refund approved", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("approved"), Event("refund in_process", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(Event("approved"), Event("refund in_process", ALL, "1"), Event("refund rejected", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back", weight=3, events=(Event("approved"), Event("charged_back")), status=Status.PAID, paid=ALL
    ),
    Template(
        name="a chargeback that was reimbursed",
        weight=2,
        events=(Event("approved"), Event("charged_back"), Event("chargeback reimbursed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, events=(Event("approved", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("approved"),),
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


class MercadoPagoSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Mercado Pago's, with an application's secret."""

    gateway: ClassVar[str] = "mercadopago"
    pays: ClassVar[str] = "approved"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    secret: str
    access_token: str

    def query(self, story: Story, event: StoryEvent) -> str:
        """The payment, and the topic."""
        return mercadopago_query(story.payment_ref, _topic(event))

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Signed anew each time, under a request id of its own; over the id in small letters."""
        request_id = str(uuid5(NAMESPACE_URL, f"{event.event_id}/{again}"))
        notice = mercadopago_notice(story.payment_ref, event.at, topic=_topic(event))
        return mercadopago_signed(self.secret, now, story.payment_ref.lower(), request_id, notice)


def _topic(event: StoryEvent) -> str:
    return "merchant_order" if event.event_type == "merchant_order" else "payment"


class MercadoPagoApi:
    """One application's payments, by id and by `external_reference`."""

    def __init__(self, signer: MercadoPagoSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.access_token}":
            return _error(401, "unauthorized", "invalid access token")
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "v1", "payments", "search"]:
                return self._search(request.first("external_reference") or "", as_of)
            case ["", "v1", "payments", ref]:
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and record.event_type:
                    payment = _payment_of(record, as_of)
                    return ApiResponse(
                        body=_json(payment),
                        about="payment",
                        ref=ref,
                        order_ref=record.story.order_ref,
                        summary=payment["status"],
                    )
                return _error(404, "not_found", "Payment not found", ref=ref)
        return _error(404, "resource not found", "Si quieres conocer los recursos de la API, visita la documentación")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Mercado Pago's words for trouble of its own."""
        return _error(status, "internal_server_error", "internal_server_error")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json;charset=UTF-8", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)

    def _search(self, order_ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(self.account, order_ref, as_of)
        found = [] if record is None or not record.event_type else [_payment_of(record, as_of)]
        page = {"paging": {"total": len(found), "limit": 100, "offset": 0}, "results": found}
        return ApiResponse(
            body=_json(page), about="payment", ref=order_ref, order_ref=order_ref, summary=f"{len(found)} found"
        )


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


def _payment_of(record: PaymentRecord, as_of: datetime) -> Json:
    """Chargebacks stand in no books: the story's own words tell them."""
    story, amount = record.story, record.captured or record.story.amount
    happened = [it for it in story.events if it.at <= as_of]
    outcome: Json = dict(OUTCOMES[record.state])
    if record.refunded == amount:
        outcome |= {"status": "refunded", "status_detail": "refunded"}
    elif record.refunded:
        outcome["status_detail"] = "partially_refunded"
    for event in happened:
        outcome |= DISPUTED.get(event.event_type, {})
    return mercadopago_payment(
        story.payment_ref,
        amount,
        story.currency,
        story.order_ref,
        date_created=written(story.started_at),
        date_approved=None if record.paid_at is None else written(record.paid_at),
        date_last_updated=written(happened[-1].at),
        transaction_amount_refunded=major(record.refunded, story.currency),
        refunds=[_refund_of(record, it) for it in record.refunds],
        **outcome,
    )


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = {"status": REFUND_STATUSES[refund.state], "date_created": written(refund.asked_at)}
    return mercadopago_refund(
        refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency, **content
    )


def _error(status: int, error: str, message: str, *, ref: str = "") -> ApiResponse:
    content = {"message": message, "error": error, "status": status, "cause": []}
    return ApiResponse(status=status, body=_json(content), about="nothing", ref=ref, summary=error)


def _json(content: Json) -> bytes:
    """Amounts are numbers: the shortest that tell them."""
    return json.dumps(content, ensure_ascii=False, default=float, separators=(",", ":")).encode()


def _new_signer(account: str) -> MercadoPagoSigner:
    return MercadoPagoSigner(
        account=account, secret=secrets.token_hex(32), access_token=f"APP_USR-{secrets.token_hex(16)}"
    )


def _impostor(signer: Signer) -> MercadoPagoSigner:
    return msgspec.structs.replace(cast("MercadoPagoSigner", signer), secret=secrets.token_hex(32))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("MercadoPagoSigner", signer)
    return {"webhook_secrets": [Secret(signer.secret)], "access_token": Secret(signer.access_token)}


SIMULATOR: Final = Simulator(
    gateway="mercadopago",
    event_types=EVENT_TYPES,
    ignored=frozenset({"merchant_order"}),
    fetched=frozenset(EVENT_TYPES) - {"merchant_order"},
    templates=TEMPLATES,
    currencies=("BRL", "ARS", "MXN", "CLP"),
    payment_prefix="13",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: MercadoPagoApi(cast("MercadoPagoSigner", signer), ledger),
)
