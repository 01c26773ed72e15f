"""A simulated Mollie: classic calls that name a payment and nothing else, and an API to ask.

Next-gen events are made here as well, for tests; no story is told by them, for Mollie has hardly any for payments yet.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.money import exponent
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "paid": PaymentState.SUCCEEDED,
    "failed": PaymentState.FAILED,
    "canceled": PaymentState.CANCELLED,
    "expired": PaymentState.CANCELLED,
    "refund queued": RefundState.PENDING,
    "refund paid": RefundState.SUCCEEDED,
    "refund failed": RefundState.FAILED,
    "charged back": None,
    "chargeback reversed": None,
}
# Where a payment tells since when it has a status.
SINCE: Final[Mapping[str, str]] = {
    "authorized": "authorizedAt",
    "paid": "paidAt",
    "failed": "failedAt",
    "canceled": "canceledAt",
    "expired": "expiredAt",
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "queued",
    RefundState.SUCCEEDED: "refunded",
    RefundState.FAILED: "failed",
}

TEMPLATES: Final = (
    Template(name="paid", weight=36, events=(Event("paid"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid by transfer",
        weight=8,
        events=(Event("pending"), Event("paid", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        events=(Event("authorized"), Event("paid")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="only authorized", weight=3, events=(Event("authorized"),), status=Status.PROCESSING),
    Template(name="on its way", weight=4, events=(Event("pending"),), status=Status.PROCESSING),
    Template(name="declined", weight=6, events=(Event("failed"),), status=Status.FAILED),
    Template(name="called off", weight=5, events=(Event("canceled"),), status=Status.FAILED),
    Template(name="never paid", weight=5, events=(Event("pending"), Event("expired")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event("paid"), Event("refund queued", 4, "1"), Event("refund paid", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(
            Event("paid"),
            Event("refund queued", 3, "1"),
            Event("refund paid", 3, "1"),
            Event("refund paid", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("paid"), Event("refund queued", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(Event("paid"), Event("refund queued", ALL, "1"), Event("refund failed", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back", weight=3, events=(Event("paid"), Event("charged back")), status=Status.PAID, paid=ALL
    ),
    Template(
        name="a chargeback that was reversed",
        weight=2,
        events=(Event("paid"), Event("charged back"), Event("chargeback reversed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, events=(Event("paid", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("paid"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def mollie_called(ref: str) -> Signed:
    """A classic call: the id, and nothing that proves anything."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Mollie HTTP client/1.0"}
    return headers, f"id={ref}".encode()


def mollie_signed(secret: str, body: bytes, *, prefix: str = "sha256=") -> Signed:
    """Any body with the headers of a next-gen event."""
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Mollie HTTP client/1.0",
        "X-Mollie-Signature": f"{prefix}{signature}",
    }, body


def mollie_event(now: datetime, event_type: str, entity: Json | None, /, **more: Any) -> bytes:
    """A next-gen event about an entity, or one that only names it by `entityId`."""
    event = {
        "resource": "event",
        "id": "event_GvJ8WHrp5isUdRub9CJyH",
        "type": event_type,
        "entityId": "" if entity is None else entity["id"],
        "createdAt": written(now),
    }
    return json.dumps(event | ({} if entity is None else {"_embedded": {"entity": entity}}) | more).encode()


def money(amount: int, currency: str) -> Json:
    """An amount as Mollie writes it."""
    return {"value": f"{Decimal(amount).scaleb(-exponent(currency))}", "currency": currency}


def mollie_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """A payment that was paid, unless `more` says otherwise."""
    return {
        "resource": "payment",
        "id": payment_ref,
        "mode": "test",
        "createdAt": "2026-10-05T11:50:00+00:00",
        "amount": money(amount, currency),
        "description": "Order at the till",
        "method": "ideal",
        "metadata": None if order_ref is None else {"order_id": order_ref},
        "status": "paid",
        "paidAt": "2026-10-05T11:58:00+00:00",
        "amountRefunded": money(0, currency),
        "amountRemaining": money(amount, currency),
        "locale": "nl_NL",
        "countryCode": "NL",
        "profileId": "pfl_QkEhN94Ba",
        "sequenceType": "oneoff",
        "redirectUrl": "https://shop.example/thanks",
        "webhookUrl": "https://shop.example/webhooks/mollie-main",
    } | more


def mollie_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A refund that was paid, unless `more` says otherwise."""
    return {
        "resource": "refund",
        "id": refund_ref,
        "mode": "test",
        "amount": money(amount, currency),
        "status": "refunded",
        "createdAt": "2026-10-05T11:59:00+00:00",
        "description": "Order at the till",
        "metadata": None,
        "paymentId": payment_ref,
    } | more


def mollie_chargeback(ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A chargeback that stands, unless `more` says otherwise."""
    return {
        "resource": "chargeback",
        "id": ref,
        "amount": money(amount, currency),
        "settlementAmount": {"value": f"-{money(amount, currency)['value']}", "currency": currency},
        "createdAt": "2026-10-05T11:59:30+00:00",
        "reversedAt": None,
        "reason": {"code": "AC01", "description": "Account identifier incorrect"},
        "paymentId": payment_ref,
    } | more


def written(at: datetime) -> str:
    """A time as Mollie writes it."""
    return at.astimezone(UTC).replace(microsecond=0).isoformat()


class MollieSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Mollie's, by classic calls."""

    gateway: ClassVar[str] = "mollie"
    pays: ClassVar[str] = "paid"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    api_key: str  # who shows it may ask

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same call for whatever happened."""
        return mollie_called(story.payment_ref)


class MollieApi:
    """One profile's: payments and refunds."""

    def __init__(self, signer: MollieSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002 - its books are at once
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.api_key}":
            return _error(401, "Unauthorized Request", "Missing authentication, or failed to authenticate")
        match request.path.split("/")[1:]:
            case ["v2", "payments", ref]:
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None:
                    payment = payment_of(record, as_of, (request.first("embed") or "").split(","))
                    return _found(payment, "payment", ref, record.story)
            case ["v2", "payments", ref, "refunds", refund_ref]:
                record = self._ledger.payment_of_refund(self.account, refund_ref, as_of)
                refund = None if record is None else record.refund(refund_ref)
                if record is not None and refund is not None and record.story.payment_ref == ref:
                    return _found(refund_of(record.story, refund), "refund", refund_ref, record.story)
        return _error(404, "Not Found", "No payment exists with that token.")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Mollie's words for trouble of its own."""
        return _error(status, "Trouble", "The service is not available at the moment.")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {
            "Content-Type": "application/hal+json",
            "Date": format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True),
            **content.headers,
        }
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)


def payment_of(record: PaymentRecord, as_of: datetime, embed: list[str]) -> Json:
    """The payment as it stands, with what is asked for along with it."""
    story = record.story
    status = record.event_type if EVENT_TYPES.get(record.event_type) is not None else "open"
    content: dict[str, Any] = {
        "status": status,
        "createdAt": written(story.started_at),
        "paidAt": None,
        "amountRefunded": money(record.going_back, story.currency),
        "_embedded": {},
    }
    if status in SINCE:
        content[SINCE[status]] = written(record.paid_at or record.at)
    if status == "failed":
        content["details"] = {"failureReason": "insufficient_funds"}
    if "refunds" in embed:
        content["_embedded"]["refunds"] = [refund_of(story, it) for it in record.refunds]
    happened = {it.event_type: it for it in story.events if it.at <= as_of}
    chargebacks = [_chargeback_of(story, happened)] if "charged back" in happened else []
    if chargebacks:
        content["amountChargedBack"] = chargebacks[0]["amount"]
    if "chargebacks" in embed:
        content["_embedded"]["chargebacks"] = chargebacks
    return mollie_payment(
        story.payment_ref, record.captured or story.amount, story.currency, story.order_ref, **content
    )


def _chargeback_of(story: Story, happened: Mapping[str, StoryEvent]) -> Json:
    made, won = happened["charged back"], happened.get("chargeback reversed")
    times = {"createdAt": written(made.at), "reversedAt": None if won is None else written(won.at)}
    return mollie_chargeback(f"chb_{bare(story.order_ref)}", story.payment_ref, made.amount, story.currency, **times)


def refund_of(story: Story, refund: RefundRecord) -> Json:
    """A refund."""
    more = {"status": REFUND_STATUSES[refund.state], "createdAt": written(refund.asked_at)}
    return mollie_refund(refund.refund_ref, story.payment_ref, refund.amount, story.currency, **more)


def _found(content: Json, about: str, ref: str, story: Story) -> ApiResponse:
    body = json.dumps(content).encode()
    return ApiResponse(body=body, about=about, ref=ref, order_ref=story.order_ref, summary=content["status"])


def _error(status: int, title: str, detail: str) -> ApiResponse:
    body = json.dumps({"status": status, "title": title, "detail": detail}).encode()
    return ApiResponse(status=status, body=body, about="nothing", summary=title)


def _settings(signer: Signer) -> Mapping[str, Setting]:
    return {"api_key": Secret(cast("MollieSigner", signer).api_key)}


SIMULATOR: Final = Simulator(
    gateway="mollie",
    event_types=cast("Mapping[str, PaymentState | RefundState]", EVENT_TYPES),
    fetched=frozenset(EVENT_TYPES),
    templates=TEMPLATES,
    currencies=("EUR", "USD", "GBP", "JPY"),
    payment_prefix="tr_",
    new_signer=lambda account: MollieSigner(account=account, api_key=f"test_{secrets.token_hex(16)}"),
    impostor=None,
    settings=_settings,
    api=lambda signer, ledger: MollieApi(cast("MollieSigner", signer), ledger),
)
