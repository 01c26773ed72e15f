"""A simulated Paystack: charges that succeed or fail, refunds and disputes, and an API to verify with."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

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
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=40, events=(Event("charge.success"),), status=Status.PAID, paid=ALL),
    Template(
        name="declined, then paid",
        weight=10,
        events=(Event("charge.failed"), Event("charge.success", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, events=(Event("charge.failed"),), status=Status.FAILED),
    Template(
        name="paid, and paid out",
        weight=3,
        events=(Event("charge.success"), Event("transfer.success")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("charge.success"),
            Event("refund.pending", 4, "1"),
            Event("refund.processing", 4, "1", after_s=AT_ONCE_S),
            Event("refund.processed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(
            Event("charge.success"),
            Event("refund.pending", 3, "1"),
            Event("refund.processed", 3, "1"),
            Event("refund.processed", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("charge.success"), Event("refund.pending", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("charge.success"),
            Event("refund.pending", ALL, "1"),
            Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("charge.success"), Event("charge.dispute.create")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed without success",
        weight=2,
        events=(Event("charge.success"), Event("charge.dispute.create"), Event("charge.dispute.resolve")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, events=(Event("charge.success", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("charge.success"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("charge.success"),),
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


def number_of(*event_types: str) -> int:
    """Paystack's own number for something, the same for the same words."""
    return int.from_bytes(blake2b(" ".join(event_types).encode(), digest_size=4).digest())


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


class PaystackSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Paystack's, with the integration's secret key."""

    gateway: ClassVar[str] = "paystack"
    pays: ClassVar[str] = "charge.success"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret_key: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time."""
        return paystack_signed(self.secret_key, paystack_body(event.event_type, _data(story, event)))


def _data(story: Story, event: StoryEvent) -> Json:
    content = story.payment_ref, event.amount, story.currency
    order = {"metadata": {"order_id": story.order_ref}}
    kind, _, outcome = event.event_type.rpartition(".")
    match kind:
        case "refund":
            # The number is not told, and the reference is the bank's, which has none yet while it is pending.
            reference = None if outcome == "pending" else f"{number_of('bank', event.refund_ref)}"
            return paystack_refund(None, *content, status=outcome, refund_reference=reference)
        case "charge.dispute":
            transaction = paystack_transaction(*content, event.at, **order)
            end = {"status": "resolved", "resolution": "merchant-accepted", "resolvedAt": written(event.at)}
            return paystack_dispute(
                *content, event.at, transaction=transaction, **(end if outcome == "resolve" else {})
            )
        case "transfer":
            return {"id": number_of("transfer", story.payment_ref), "amount": event.amount, "status": "success"}
        case _:
            return paystack_transaction(*content, event.at, **order, **(DECLINE if outcome == "failed" else {}))


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Paystack gives events no id."""
    kind = event.event_type.rpartition(".")[0]
    return (
        f"{event.event_type}:{number_of('dispute' if kind == 'charge.dispute' else 'transaction', story.payment_ref)}"
    )


class PaystackApi:
    """One integration's transactions by reference, and its refunds by number or by their transaction's reference."""

    def __init__(self, signer: PaystackSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.secret_key}":
            return _error(401, "invalid_Key", "Invalid key")
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "transaction", "verify", ref]:
                record = self._ledger.payment(self.account, ref, as_of)
                # A shop may give a transaction its order's reference: here it is found by both.
                record = record or self._ledger.payment_of_order(self.account, ref, as_of)
                if record is not None:
                    return _found("payment", "Verification successful", _transaction_of(record), record)
                return _error(400, "transaction_not_found", "Transaction reference not found.", ref=ref)
            case ["", "refund"]:
                return self._refunds(request.first("transaction") or "", as_of)
            case ["", "refund", ref]:
                return self._refund(ref, as_of)
        return _error(404, "unknown_endpoint", "The endpoint does not exist")

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_refund(self.account, ref, as_of)
        refund = None if record is None else record.refund(ref)
        if record is not None and refund is not None:
            return _found("refund", "Refund retrieved", _refund_of(record, refund), record)
        return _error(404, "not_found", "Refund not found", ref=ref)

    def _refunds(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment(self.account, ref, as_of)
        listed = [] if record is None else [_refund_of(record, refund) for refund in record.refunds]
        body = _json({"status": True, "message": "Refunds retrieved", "data": listed})
        order_ref = "" if record is None else record.story.order_ref
        return ApiResponse(body=body, about="refund", ref=ref, order_ref=order_ref, summary=f"{len(listed)} found")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Paystack's words for trouble of its own."""
        return _error(status, "api_error", "An error occurred")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json; charset=utf-8", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)


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


def _transaction_of(record: PaymentRecord) -> Json:
    amount = record.captured or record.story.amount
    outcome = dict(TRANSACTION_STATUSES[record.state])
    if record.refunded == amount:
        outcome["status"] = "reversed"
    at = record.paid_at or record.at
    order = {"order_id": record.story.order_ref}
    return paystack_transaction(record.story.payment_ref, amount, record.story.currency, at, metadata=order, **outcome)


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = {"status": REFUND_STATUSES[refund.state], "amount": refund.amount}
    content["transaction"] = number_of("transaction", record.story.payment_ref)
    return paystack_refund(refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency, **content)


def _found(about: str, message: str, data: Json, record: PaymentRecord) -> ApiResponse:
    body = _json({"status": True, "message": message, "data": data})
    return ApiResponse(
        body=body, about=about, ref=str(data["id"]), order_ref=record.story.order_ref, summary=data["status"]
    )


def _error(status: int, code: str, message: str, *, ref: str = "") -> ApiResponse:
    content = {"status": False, "message": message, "meta": {"nextStep": ""}, "type": "validation_error", "code": code}
    return ApiResponse(status=status, body=_json(content), about="nothing", ref=ref, summary=code)


def _json(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _new_signer(account: str) -> PaystackSigner:
    return PaystackSigner(account=account, secret_key=f"sk_test_{secrets.token_hex(20)}")


def _impostor(signer: Signer) -> PaystackSigner:
    return _new_signer(signer.account)


def _settings(signer: Signer) -> Mapping[str, Setting]:
    return {"secret_keys": [Secret(cast("PaystackSigner", signer).secret_key)]}


SIMULATOR: Final = Simulator(
    gateway="paystack",
    event_types=EVENT_TYPES,
    ignored=frozenset({"transfer.success"}),
    fetched=frozenset(event_type for event_type in EVENT_TYPES if event_type.startswith("refund.")),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("NGN", "GHS", "ZAR", "KES", "USD"),
    payment_prefix="ref",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: PaystackApi(cast("PaystackSigner", signer), ledger),
)
