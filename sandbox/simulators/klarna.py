"""A simulated Klarna: pushes and notifications without proof, and orders to be fetched.

In life Klarna pushes a purchase until it is acknowledged, and no capture or refund; here whatever happens comes with a
push, as if it fell between two of them.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "purchase": PaymentState.AUTHORIZED,
    "purchase under review": PaymentState.PENDING,
    "FRAUD_RISK_ACCEPTED": PaymentState.AUTHORIZED,
    "FRAUD_RISK_REJECTED": PaymentState.FAILED,
    "FRAUD_RISK_STOPPED": None,  # after the capture, which stands
    "capture": PaymentState.SUCCEEDED,
    "cancellation": PaymentState.CANCELLED,
    "expiry": PaymentState.CANCELLED,
    "refund": RefundState.SUCCEEDED,
}
STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "purchase": ("AUTHORIZED", "ACCEPTED"),
    "purchase under review": ("AUTHORIZED", "PENDING"),
    "FRAUD_RISK_ACCEPTED": ("AUTHORIZED", "ACCEPTED"),
    "FRAUD_RISK_REJECTED": ("CANCELLED", "REJECTED"),
    "capture": ("CAPTURED", "ACCEPTED"),
    "cancellation": ("CANCELLED", "ACCEPTED"),
    "expiry": ("EXPIRED", "ACCEPTED"),
}

TEMPLATES: Final = (
    Template(
        name="captured",
        weight=36,
        events=(Event("purchase"), Event("capture", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="captured at once", weight=10, events=(Event("capture"),), status=Status.PAID, paid=ALL),
    Template(
        name="looked at, accepted, and captured",
        weight=6,
        events=(Event("purchase under review"), Event("FRAUD_RISK_ACCEPTED"), Event("capture")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="authorised is not paid", weight=8, events=(Event("purchase"),), status=Status.PROCESSING),
    Template(name="under review", weight=3, events=(Event("purchase under review"),), status=Status.PROCESSING),
    Template(
        name="rejected",
        weight=5,
        events=(Event("purchase under review"), Event("FRAUD_RISK_REJECTED")),
        status=Status.FAILED,
    ),
    Template(name="cancelled", weight=5, events=(Event("purchase"), Event("cancellation")), status=Status.FAILED),
    Template(name="expired", weight=4, events=(Event("purchase"), Event("expiry")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event("purchase"), Event("capture"), Event("refund", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(Event("capture"), Event("refund", 3, "1"), Event("refund", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="fraud that was found too late",
        weight=2,
        events=(Event("capture"), Event("FRAUD_RISK_STOPPED")),
        status=Status.PAID,  # and disputed
        paid=ALL,
    ),
    Template(
        name="captured in part",
        weight=3,
        events=(Event("purchase"), Event("capture", 8)),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("capture"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def klarna_pushed() -> Signed:
    """A push: everything it says stands in the URL."""
    return {"Content-Type": "application/json", "User-Agent": "Klarna-Push/1.0"}, b""


def klarna_notified(ref: str, event_type: str) -> Signed:
    """A notification about fraud."""
    headers = {"Content-Type": "application/json", "User-Agent": "Klarna-Push/1.0"}
    return headers, json.dumps({"order_id": ref, "event_type": event_type}).encode()


def klarna_order(ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """An order that was authorised and accepted, unless `more` says otherwise."""
    return {
        "order_id": ref,
        "status": "AUTHORIZED",
        "fraud_status": "ACCEPTED",
        "order_amount": amount,
        "original_order_amount": amount,
        "captured_amount": 0,
        "refunded_amount": 0,
        "remaining_authorized_amount": amount,
        "purchase_currency": currency,
        "purchase_country": "DE",
        "locale": "de-DE",
        "merchant_reference1": order_ref or "",
        "merchant_reference2": "",
        "klarna_reference": "20S0TILL",
        "created_at": "2026-10-05T11:50:00.680Z",
        "expires_at": "2026-11-02T00:00:00.000Z",
        "captures": [],
        "refunds": [],
        "initial_payment_method": {"type": "INVOICE", "description": "Pay later"},
    } | more


def klarna_capture(capture_id: str, amount: int, /, **more: Any) -> Json:
    """A capture."""
    return {
        "capture_id": capture_id,
        "klarna_reference": "20S0TILL-1",
        "captured_amount": amount,
        "captured_at": "2026-10-05T11:55:00.738Z",
        "description": "",
        "refunded_amount": 0,
    } | more


def klarna_refund(refund_id: str | None, amount: int, /, **more: Any) -> Json:
    """A refund."""
    return {
        "refund_id": refund_id,
        "refunded_amount": amount,
        "refunded_at": "2026-10-05T11:58:00.100Z",
        "description": "",
    } | more


def written(at: datetime) -> str:
    """A time as Klarna writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.500Z"


class KlarnaSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Klarna's, which proves nothing."""

    gateway: ClassVar[str] = "klarna"
    pays: ClassVar[str] = "capture"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = None

    account: str
    username: str
    password: str  # who shows it may ask

    def query(self, story: Story, event: StoryEvent) -> str:
        """The order, but for what is told by a notification."""
        return "" if event.event_type.startswith("FRAUD_RISK") else f"klarna_order_id={story.payment_ref}"

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same each time."""
        if event.event_type.startswith("FRAUD_RISK"):
            return klarna_notified(story.payment_ref, event.event_type)
        return klarna_pushed()


class KlarnaApi:
    """One merchant's: orders, and their acknowledgements."""

    def __init__(self, signer: KlarnaSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002 - its books are at once
        """One query."""
        credentials = b64encode(f"{self._signer.username}:{self._signer.password}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {credentials}":
            return ApiResponse(status=401, body=b"", about="nothing", summary="UNAUTHORIZED")
        match (request.method, *request.path.split("/")[1:]):
            case ("GET", "ordermanagement", "v1", "orders", ref):
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None:
                    return _found(order_of(record, as_of), record.story)
            case ("POST", "ordermanagement", "v1", "orders", ref, "acknowledge"):
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None:
                    order_ref = record.story.order_ref
                    return ApiResponse(
                        status=204, body=b"", about="payment", ref=ref, order_ref=order_ref, summary="noted"
                    )
        return _error(404, "NO_SUCH_ORDER")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Klarna's words for trouble of its own."""
        return _error(status, "TEMPORARILY_UNAVAILABLE")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {
            "Content-Type": "application/json",
            "Date": format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True),
            **content.headers,
        }
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)


def order_of(record: PaymentRecord, as_of: datetime) -> Json:
    """The order as it stands."""
    story = record.story
    status, fraud = STATUSES.get(record.event_type, ("AUTHORIZED", "PENDING"))
    if any(it.event_type == "FRAUD_RISK_STOPPED" and it.at <= as_of for it in story.events):
        fraud = "REJECTED"
    if 0 < record.captured < story.amount:
        status = "PART_CAPTURED"
    capture_id = f"{story.payment_ref}-c1"
    paid_at = written(record.paid_at or record.at)
    captures = [klarna_capture(capture_id, record.captured, captured_at=paid_at)] if record.captured else []
    refunds = [klarna_refund(it.refund_ref, it.amount, refunded_at=written(it.at)) for it in record.refunds]
    return klarna_order(
        story.payment_ref,
        story.amount,
        story.currency,
        story.order_ref,
        status=status,
        fraud_status=fraud,
        created_at=written(story.started_at),
        expires_at=written(story.started_at + timedelta(days=28)),
        captured_amount=record.captured,
        remaining_authorized_amount=story.amount - record.captured,
        refunded_amount=record.refunded,
        captures=captures,
        refunds=refunds,
    )


def _found(order: Json, story: Story) -> ApiResponse:
    return ApiResponse(
        body=json.dumps(order).encode(),
        about="payment",
        ref=story.payment_ref,
        order_ref=story.order_ref,
        summary=f"{order['status']} {order['fraud_status']}",
    )


def _error(status: int, code: str) -> ApiResponse:
    body = {"error_code": code, "error_messages": [code.lower()], "correlation_id": "6a9b1cb1-73a3-4936"}
    return ApiResponse(status=status, body=json.dumps(body).encode(), about="nothing", summary=code)


def _new_signer(account: str) -> Signer:
    username = f"K{secrets.randbelow(10**6):06d}_{bare(account)[:12]}"
    return KlarnaSigner(account=account, username=username, password=secrets.token_urlsafe(18))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    own = cast("KlarnaSigner", signer)
    return {"username": own.username, "password": Secret(own.password)}


SIMULATOR: Final = Simulator(
    gateway="klarna",
    event_types=cast("Mapping[str, PaymentState | RefundState]", EVENT_TYPES),
    fetched=frozenset(EVENT_TYPES),
    templates=TEMPLATES,
    currencies=("EUR", "SEK", "NOK", "USD"),
    payment_prefix="7849fd84-47dc-4919-a7ce-",
    new_signer=_new_signer,
    impostor=None,
    settings=_settings,
    api=lambda signer, ledger: KlarnaApi(cast("KlarnaSigner", signer), ledger),
)
