"""A simulated Checkout.com: payments with captures and refunds that are actions of their own."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

CAPTURED: Final = "payment_captured"


class CheckoutSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Checkout.com's, with a webhook's signature key."""

    gateway: ClassVar[str] = "checkout"
    pays: ClassVar[str] = CAPTURED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    signature_key: str
    secret_key: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time."""
        return checkout_signed(self.signature_key, _body(story, event))


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


def _capture_ref(event: StoryEvent) -> str:
    return f"act_{event.event_id.removeprefix('evt_')}"


def _body(story: Story, event: StoryEvent) -> bytes:
    event_type, content = event.event_type, (story.payment_ref, event.amount, story.currency)
    if event_type.startswith("dispute_"):
        data = checkout_dispute(f"dsp_{bare(story.order_ref)}", *content, order_ref=story.order_ref)
    else:
        action_id = event.refund_ref if "refund" in event_type else _capture_ref(event)
        more = DECLINE if event_type.endswith("declined") else {}
        data = checkout_action(action_id, *content, order_ref=story.order_ref, at=event.at, **more)
    return checkout_body(event_type, data, event_id=event.event_id, at=event.at)


class CheckoutApi:
    """One account's payments, by id or reference, and their actions."""

    def __init__(self, signer: CheckoutSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.secret_key}":
            return ApiResponse(status=401, body=b"", about="nothing", summary="unauthorized")
        match request.path.split("/"):
            case ["", "payments"] if request.method == "GET":
                return self._list(request.first("reference") or "", as_of)
            case ["", "payments", ref] if request.method == "GET":
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and record.event_type:
                    payment = _payment_of(record, as_of)
                    return _found(payment, record, about="payment", summary=payment["status"])
            case ["", "payments", ref, "actions"] if request.method == "GET":
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and record.event_type:
                    actions = _actions_of(record, as_of)
                    return _found(actions, record, about="refund", summary=f"{len(actions)} actions")
        return ApiResponse(status=404, body=b"", about="nothing", summary="not found")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Checkout.com says nothing then."""
        return ApiResponse(status=status, body=b"", about="nothing", summary="broken")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)

    def _list(self, reference: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(self.account, reference, as_of)
        found = [] if record is None or not record.event_type else [_payment_of(record, as_of)]
        listed = {"limit": 100, "skip": 0, "total_count": len(found), "data": found}
        summary = f"{len(found)} payments"
        return ApiResponse(body=_json(listed), about="payment", ref=reference, order_ref=reference, summary=summary)


STATUSES: Final = {
    PaymentState.CREATED: "Pending",
    PaymentState.PENDING: "Pending",
    PaymentState.AUTHORIZED: "Authorized",
    PaymentState.FAILED: "Declined",
    PaymentState.CANCELLED: "Voided",
    PaymentState.SUCCEEDED: "Captured",
}
APPROVED: Final = {RefundState.PENDING: None, RefundState.SUCCEEDED: True, RefundState.FAILED: False}


def _captures(record: PaymentRecord, as_of: datetime) -> list[StoryEvent]:
    """Each of them, for the books know their sum alone."""
    return [it for it in record.story.events if it.event_type == CAPTURED and it.at <= as_of]


def _actions_of(record: PaymentRecord, as_of: datetime) -> list[Json]:
    """All that happened to a payment, newest first."""
    captures = [
        _action(_capture_ref(it), "Capture", it.amount, it.at, approved=True) for it in _captures(record, as_of)
    ]
    refunds = [_action(it.refund_ref, "Refund", it.amount, it.at, approved=APPROVED[it.state]) for it in record.refunds]
    return [*reversed(refunds), *reversed(captures)]


def _action(action_id: str, action_type: str, amount: int, at: datetime, *, approved: bool | None) -> Json:
    outcome = {"response_code": "10000", "response_summary": "Approved"} if approved else {}
    content = {"id": action_id, "type": action_type, "processed_on": _rfc3339(at), "amount": amount}
    return content | {"approved": approved} | (DECLINE if approved is False else outcome)


def _payment_of(record: PaymentRecord, as_of: datetime) -> Json:
    story, summary = record.story, list[Json]()
    for it in _actions_of(record, as_of):
        summary.append({name: it[name] for name in ("id", "type", "response_code", "response_summary") if name in it})
    if record.state is PaymentState.FAILED:
        summary.append({"id": f"act_{bare(story.order_ref)}", "type": "Authorization", **DECLINE})
    captured = sum(it.amount for it in _captures(record, as_of))
    balances = {"total_authorized": story.amount, "total_captured": captured, "total_refunded": record.refunded}
    status = STATUSES[record.state]
    if record.refunded:
        status = "Refunded" if record.refunded == captured else "Partially Refunded"
    elif 0 < captured < story.amount:
        status = "Partially Captured"
    content = (story.payment_ref, story.amount, story.currency, story.order_ref)
    return checkout_payment(*content, actions=summary, status=status, balances=balances)


def _found(content: Json | list[Json], record: PaymentRecord, *, about: str, summary: str) -> ApiResponse:
    story = record.story
    return ApiResponse(
        body=_json(content), about=about, ref=story.payment_ref, order_ref=story.order_ref, summary=summary
    )


def _json(content: Json | list[Json]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.4695512Z")


TEMPLATES: Final = (
    Template(
        name="paid",
        weight=35,
        events=(Event("payment_approved"), Event(CAPTURED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="captured in part",
        weight=4,
        events=(Event("payment_approved"), Event(CAPTURED, 6)),
        status=Status.PARTIALLY_PAID,
        paid=6,
    ),
    Template(
        name="by bank, which takes its time",
        weight=6,
        events=(Event("payment_pending"), Event("payment_approved"), Event(CAPTURED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=4, events=(Event("payment_pending"),), status=Status.PROCESSING),
    Template(name="authorized, not captured", weight=4, events=(Event("payment_approved"),), status=Status.PROCESSING),
    Template(name="declined", weight=8, events=(Event("payment_declined"),), status=Status.FAILED),
    Template(
        name="authorized, then let go",
        weight=4,
        events=(Event("payment_approved"), Event("payment_voided")),
        status=Status.FAILED,
    ),
    Template(
        name="never finished",
        weight=3,
        events=(Event("payment_pending"), Event("payment_expired")),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event(CAPTURED),
            Event("payment_refund_pending", 4, "1"),
            Event("payment_refunded", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event(CAPTURED), Event("payment_refunded", 3, "1"), Event("payment_refunded", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event(CAPTURED), Event("payment_refund_pending", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that is declined",
        weight=3,
        events=(
            Event(CAPTURED),
            Event("payment_refund_pending", ALL, "1"),
            Event("payment_refund_declined", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed", weight=2, events=(Event(CAPTURED), Event("dispute_received")), status=Status.PAID, paid=ALL
    ),
    Template(name="paid too little", weight=2, events=(Event(CAPTURED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event(CAPTURED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(CAPTURED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_signer(account: str) -> CheckoutSigner:
    return CheckoutSigner(
        account=account, signature_key=secrets.token_hex(16), secret_key=f"sk_sbox_{secrets.token_hex(14)}"
    )


def _impostor(signer: Signer) -> CheckoutSigner:
    return msgspec.structs.replace(cast("CheckoutSigner", signer), signature_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("CheckoutSigner", signer)
    return {"signature_keys": [Secret(signer.signature_key)], "secret_key": Secret(signer.secret_key)}


SIMULATOR: Final = Simulator(
    gateway="checkout",
    event_types={
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
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: CheckoutApi(cast("CheckoutSigner", signer), ledger),
)
