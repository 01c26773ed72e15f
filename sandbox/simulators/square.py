"""A simulated Square: events about payments, refunds and disputes, signed over the registered URL.

Its own words are statuses under few types of events; here they are told as `payment COMPLETED`.
"""

import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
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

DECLINED: Final = "payment FAILED"


class SquareSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Square's, with a subscription's signature key."""

    gateway: ClassVar[str] = "square"
    pays: ClassVar[str] = "payment COMPLETED"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    signature_key: str
    notification_url: str
    access_token: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time; only the headers count repetitions."""
        headers, body = square_signed(self.signature_key, self.notification_url, _body(story, event))
        return headers | ({"square-retry-number": str(again)} if again else {}), body


def square_signed(key: str, url: str, body: bytes) -> Signed:
    """Any body with Square's headers."""
    signature = hmac.digest(key.encode(), url.encode() + body, "sha256")
    return {
        "Content-Type": "application/json",
        "User-Agent": "Square Connect v2",
        "Square-Environment": "Production",
        "X-Square-Hmacsha256-Signature": b64encode(signature).decode(),
    }, body


def square_body(event_type: str, name: str, subject: Json, *, event_id: str, at: datetime) -> bytes:
    """The event around an object."""
    return json.dumps(
        {
            "merchant_id": "MLEFBHHSJGVHD",
            "type": event_type,
            "event_id": event_id,
            "created_at": _rfc3339(at),
            "data": {"type": name, "id": subject["id"], "object": {name: subject}},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def square_payment(payment_ref: str, amount: int, currency: str, order_ref: str, at: datetime, **more: Any) -> Json:
    """A payment by card that is completed, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "created_at": _rfc3339(at),
        "updated_at": _rfc3339(at),
        "amount_money": {"amount": amount, "currency": currency},
        "total_money": {"amount": amount, "currency": currency},
        "status": "COMPLETED",
        "delay_duration": "PT168H",
        "source_type": "CARD",
        "card_details": {"status": "CAPTURED", "entry_method": "KEYED", "card": {"card_brand": "VISA"}},
        "location_id": "VJDQQP3CG14EY",
        "order_id": f"sq0{bare(order_ref)}",
        "reference_id": order_ref,
    } | more


def square_refund(
    refund_ref: str, payment_ref: str, amount: int, currency: str, *, status: str, at: datetime, **more: Any
) -> Json:
    """A refund in a state."""
    return {
        "id": refund_ref,
        "created_at": _rfc3339(at),
        "updated_at": _rfc3339(at),
        "amount_money": {"amount": amount, "currency": currency},
        "status": status,
        "location_id": "VJDQQP3CG14EY",
        "order_id": f"return_{refund_ref}",
        "payment_id": payment_ref,
    } | more


def square_dispute(
    dispute_ref: str, payment_ref: str, amount: int, currency: str, *, state: str, at: datetime, **more: Any
) -> Json:
    """A dispute in a state."""
    return {
        "id": dispute_ref,
        "amount_money": {"amount": amount, "currency": currency},
        "card_brand": "VISA",
        "created_at": _rfc3339(at),
        "disputed_payment": {"payment_id": payment_ref},
        "reason": "NOT_RECEIVED",
        "state": state,
        "updated_at": _rfc3339(at),
        "version": 2,
    } | more


DECLINE: Final[Json] = {
    "status": "FAILED",
    "errors": [{"category": "PAYMENT_METHOD_ERROR", "code": "INSUFFICIENT_FUNDS", "detail": "Authorization error"}],
}


def _body(story: Story, event: StoryEvent) -> bytes:
    name, _, status = event.event_type.partition(" ")
    match name:
        case "payment":
            amount = event.amount if status == "COMPLETED" else story.amount
            more = {"card_details": DECLINE} if event.event_type == DECLINED else {}
            payment = square_payment(
                story.payment_ref, amount, story.currency, story.order_ref, event.at, status=status, **more
            )
            return square_body("payment.updated", name, payment, event_id=event.event_id, at=event.at)
        case "refund":
            refund = square_refund(
                event.refund_ref,
                story.payment_ref,
                event.amount,
                story.currency,
                status=status,
                at=event.at,
            )
            return square_body(
                "refund.created" if status == "PENDING" else "refund.updated",
                name,
                refund,
                event_id=event.event_id,
                at=event.at,
            )
        case _:
            ref = f"dispute{bare(story.order_ref)}"
            dispute = square_dispute(ref, story.payment_ref, event.amount, story.currency, state=status, at=event.at)
            return square_body("dispute.created", name, dispute, event_id=event.event_id, at=event.at)


class SquareApi:
    """One account's payments and refunds, by their ids."""

    def __init__(self, signer: SquareSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.access_token}":
            return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED")
        match request.path.split("/"):
            case ["", "v2", "payments", ref] if request.method == "GET":
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and record.event_type:
                    return _found("payment", _payment_of(record), record)
            case ["", "v2", "refunds", ref] if request.method == "GET":
                record = self._ledger.payment_of_refund(self.account, ref, as_of)
                refund = None if record is None else record.refund(ref)
                if record is not None and refund is not None:
                    return _found("refund", _refund_of(record, refund), record)
        return _error(404, "INVALID_REQUEST_ERROR", "NOT_FOUND")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Square's words for trouble of its own."""
        return _error(status, "API_ERROR", "RATE_LIMITED" if status == 429 else "INTERNAL_SERVER_ERROR")  # noqa: PLR2004

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)


STATUSES: Final = {
    PaymentState.CREATED: "PENDING",
    PaymentState.PENDING: "PENDING",
    PaymentState.AUTHORIZED: "APPROVED",
    PaymentState.FAILED: "FAILED",
    PaymentState.CANCELLED: "CANCELED",
    PaymentState.SUCCEEDED: "COMPLETED",
}


def _payment_of(record: PaymentRecord) -> Json:
    story = record.story
    more: Json = {"status": STATUSES[record.state]}
    if record.event_type == DECLINED:
        more["card_details"] = DECLINE
    if record.refunds:
        more["refunded_money"] = {"amount": record.refunded, "currency": story.currency}
        more["refund_ids"] = [it.refund_ref for it in record.refunds]
        more["updated_at"] = _rfc3339(max(it.at for it in record.refunds))
    amount = record.captured or story.amount
    return square_payment(story.payment_ref, amount, story.currency, story.order_ref, record.at, **more)


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    story, status = record.story, refund.event_type.partition(" ")[2]
    return square_refund(
        refund.refund_ref, story.payment_ref, refund.amount, story.currency, status=status, at=refund.at
    )


def _found(name: str, subject: Json, record: PaymentRecord) -> ApiResponse:
    body = json.dumps({name: subject}, separators=(",", ":")).encode()
    return ApiResponse(
        body=body, about=name, ref=subject["id"], order_ref=record.story.order_ref, summary=subject["status"]
    )


def _error(status: int, category: str, code: str) -> ApiResponse:
    body = json.dumps({"errors": [{"category": category, "code": code, "detail": "Said by the sandbox."}]}).encode()
    return ApiResponse(status=status, body=body, about="nothing", summary=code)


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(Event("payment COMPLETED"),), status=Status.PAID, paid=ALL),
    Template(
        name="authorized, then captured",
        weight=15,
        events=(Event("payment APPROVED"), Event("payment COMPLETED", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="by bank, which takes its time",
        weight=6,
        events=(Event("payment PENDING"), Event("payment COMPLETED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=5, events=(Event("payment PENDING"),), status=Status.PROCESSING),
    Template(
        name="authorized, and not captured", weight=3, events=(Event("payment APPROVED"),), status=Status.PROCESSING
    ),
    Template(name="declined", weight=8, events=(Event("payment FAILED"),), status=Status.FAILED),
    Template(
        name="authorized, then let go",
        weight=4,
        events=(Event("payment APPROVED"), Event("payment CANCELED", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("payment COMPLETED"),
            Event("refund PENDING", 4, "1"),
            Event("refund COMPLETED", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event("payment COMPLETED"), Event("refund COMPLETED", 3, "1"), Event("refund COMPLETED", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("payment COMPLETED"), Event("refund PENDING", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that is rejected",
        weight=3,
        events=(
            Event("payment COMPLETED"),
            Event("refund PENDING", ALL, "1"),
            Event("refund REJECTED", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        events=(
            Event("payment COMPLETED"),
            Event("refund COMPLETED", 3, "1"),
            Event("refund FAILED", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        events=(Event("payment COMPLETED"), Event("dispute EVIDENCE_REQUIRED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payment COMPLETED", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("payment COMPLETED"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment COMPLETED"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_signer(account: str) -> SquareSigner:
    return SquareSigner(
        account=account,
        signature_key=secrets.token_urlsafe(16),
        notification_url=f"https://till.example/webhooks/{account}",
        access_token=f"EAAA{secrets.token_urlsafe(40)}",
    )


def _impostor(signer: Signer) -> SquareSigner:
    return msgspec.structs.replace(cast("SquareSigner", signer), signature_key=secrets.token_urlsafe(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("SquareSigner", signer)
    return {
        "signature_keys": [Secret(signer.signature_key)],
        "notification_url": signer.notification_url,
        "access_token": Secret(signer.access_token),
    }


SIMULATOR: Final = Simulator(
    gateway="square",
    event_types={
        "payment PENDING": PaymentState.PENDING,
        "payment APPROVED": PaymentState.AUTHORIZED,
        "payment COMPLETED": PaymentState.SUCCEEDED,
        "payment CANCELED": PaymentState.CANCELLED,
        "payment FAILED": PaymentState.FAILED,
        "refund PENDING": RefundState.PENDING,
        "refund COMPLETED": RefundState.SUCCEEDED,
        "refund REJECTED": RefundState.FAILED,
        "refund FAILED": RefundState.FAILED,
        "dispute EVIDENCE_REQUIRED": None,
    },
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "CAD", "AUD", "JPY"),
    payment_prefix="sqp",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: SquareApi(cast("SquareSigner", signer), ledger),
)
