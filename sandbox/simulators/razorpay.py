"""A simulated Razorpay: events about payments, orders, refunds and disputes, with ids in a header alone."""

import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

LET_GO: Final = "refund.processed (uncaptured)"  # what was authorized and never captured


class RazorpaySigner(msgspec.Struct, frozen=True, kw_only=True):
    """Razorpay's, with a webhook's secret."""

    gateway: ClassVar[str] = "razorpay"
    pays: ClassVar[str] = "payment.captured"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret: str
    key_id: str
    key_secret: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time, under the same id."""
        return razorpay_signed(self.secret, _body(story, event), event_id=event.event_id)


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


def _body(story: Story, event: StoryEvent) -> bytes:
    name, created = event.event_type.partition(" ")[0], int(event.at.timestamp())
    taken = event.amount if event.event_type in ("payment.captured", "order.paid") else story.amount
    outcome = OUTCOMES.get(event.event_type, {})
    entities = {"payment": razorpay_payment(story.payment_ref, taken, story.currency, story.order_ref, **outcome)}
    content = story.payment_ref, event.amount, story.currency
    if name == "order.paid":
        entities["order"] = razorpay_order(story.order_ref, event.amount, story.currency)
    elif name.startswith("refund."):
        status = {"refund.created": "pending"}.get(name, name.removeprefix("refund."))
        entities = {"refund": razorpay_refund(event.refund_ref, *content, status=status), **entities}
    elif name.startswith("payment.dispute."):
        entities["dispute"] = razorpay_dispute(_dispute_ref(story), *content)
    return razorpay_body(name, created, **entities)


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Signed words alone make the id."""
    name, created = event.event_type.partition(" ")[0], int(event.at.timestamp())
    if name.startswith("refund."):
        return f"{name}:{event.refund_ref}:{created}"
    ref = _dispute_ref(story) if name.startswith("payment.dispute.") else story.payment_ref
    return f"{name}:{ref}:{created}"


class RazorpayApi:
    """One account's payments and refunds by id, and its orders by receipt."""

    def __init__(self, signer: RazorpaySigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        basic = b64encode(f"{self._signer.key_id}:{self._signer.key_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return _error(401, "BAD_REQUEST_ERROR", "Authentication failed")
        match request.path.split("/"):
            case ["", "v1", "orders"] if request.method == "GET":
                return self._orders(request.first("receipt") or "", as_of)
            case ["", "v1", "payments", ref] if request.method == "GET":
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and record.event_type:
                    return _found("payment", _payment_of(record), record)
            case ["", "v1", "refunds", ref] if request.method == "GET":
                record = self._ledger.payment_of_refund(self.account, ref, as_of)
                refund = None if record is None else record.refund(ref)
                if record is not None and refund is not None:
                    return _found("refund", _refund_of(record, refund), record)
        return _error(400, "BAD_REQUEST_ERROR", "The id provided does not exist")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Razorpay's words for trouble of its own."""
        code = "BAD_REQUEST_ERROR" if status == 429 else "SERVER_ERROR"  # noqa: PLR2004 - too many requests
        return _error(status, code, "We are facing some trouble completing your request at the moment.")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)

    def _orders(self, receipt: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(self.account, receipt, as_of)
        orders = []
        if record is not None:
            payments = [_payment_of(record)] if record.event_type else []
            listed = {"entity": "collection", "count": len(payments), "items": payments}
            orders = [razorpay_order(receipt, record.story.amount, record.story.currency, payments=listed)]
        body = _json({"entity": "collection", "count": len(orders), "items": orders})
        return ApiResponse(body=body, about="payment", ref=receipt, order_ref=receipt, summary=f"{len(orders)} orders")


STATUSES: Final = {
    PaymentState.CREATED: {"status": "created", "captured": False},
    PaymentState.PENDING: {"status": "created", "captured": False},
    PaymentState.AUTHORIZED: {"status": "authorized", "captured": False},
    PaymentState.FAILED: DECLINE,
    PaymentState.CANCELLED: OUTCOMES[LET_GO],
    PaymentState.SUCCEEDED: {"status": "captured", "captured": True},
}


def _payment_of(record: PaymentRecord) -> Json:
    story, outcome = record.story, dict(STATUSES[record.state])
    amount = record.captured or story.amount
    if record.refunded:
        all_of_it = record.refunded == amount
        outcome["amount_refunded"] = record.refunded
        outcome["refund_status"] = "full" if all_of_it else "partial"
        outcome["status"] = "refunded" if all_of_it else "captured"
    created = {"created_at": int(story.started_at.timestamp())}
    return razorpay_payment(story.payment_ref, amount, story.currency, story.order_ref, **created, **outcome)


REFUND_STATUSES: Final = {
    RefundState.PENDING: "pending",
    RefundState.SUCCEEDED: "processed",
    RefundState.FAILED: "failed",
}


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = {"status": REFUND_STATUSES[refund.state], "created_at": int(refund.asked_at.timestamp())}
    return razorpay_refund(refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency, **content)


def _found(about: str, entity: Json, record: PaymentRecord) -> ApiResponse:
    order_ref = record.story.order_ref
    return ApiResponse(body=_json(entity), about=about, ref=entity["id"], order_ref=order_ref, summary=entity["status"])


def _error(status: int, code: str, description: str) -> ApiResponse:
    error = {"code": code, "description": description, "source": "NA", "step": "NA", "reason": "NA", "metadata": {}}
    return ApiResponse(status=status, body=_json({"error": error}), about="nothing", summary=description)


def _json(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=30,
        events=(Event("payment.authorized"), Event("payment.captured", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="one payment told by three words",
        weight=12,
        events=(
            Event("payment.authorized"),
            Event("payment.captured", after_s=AT_ONCE_S),
            Event("order.paid", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, and authorized after all",
        weight=8,
        events=(Event("payment.failed"), Event("payment.authorized"), Event("payment.captured", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, events=(Event("payment.failed"),), status=Status.FAILED),
    Template(
        name="authorized, and not captured", weight=5, events=(Event("payment.authorized"),), status=Status.PROCESSING
    ),
    Template(
        name="never captured, and let go",
        weight=4,
        events=(Event("payment.authorized"), Event(LET_GO)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("payment.captured"),
            Event("refund.created", 4, "1"),
            Event("refund.processed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event("payment.captured"), Event("refund.processed", 3, "1"), Event("refund.processed", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("payment.captured"), Event("refund.created", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("payment.captured"),
            Event("refund.created", ALL, "1"),
            Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("payment.captured"), Event("payment.dispute.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payment.captured", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("payment.captured"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment.captured"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_signer(account: str) -> RazorpaySigner:
    return RazorpaySigner(
        account=account,
        secret=secrets.token_hex(20),
        key_id=f"rzp_test_{secrets.token_hex(7)}",
        key_secret=secrets.token_urlsafe(18),
    )


def _impostor(signer: Signer) -> RazorpaySigner:
    return msgspec.structs.replace(cast("RazorpaySigner", signer), secret=secrets.token_hex(20))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("RazorpaySigner", signer)
    return {
        "webhook_secrets": [Secret(signer.secret)],
        "key_id": signer.key_id,
        "key_secret": Secret(signer.key_secret),
    }


SIMULATOR: Final = Simulator(
    gateway="razorpay",
    event_types={
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
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("INR", "USD", "EUR", "JPY"),
    payment_prefix="pay_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: RazorpayApi(cast("RazorpaySigner", signer), ledger),
)
