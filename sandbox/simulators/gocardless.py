"""A simulated GoCardless: bank debits that take their time, events without amounts, and an API to ask."""

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

API_VERSION: Final = "2015-07-06"

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "payments.created": PaymentState.PENDING,
    "payments.submitted": PaymentState.PENDING,
    "payments.confirmed": PaymentState.SUCCEEDED,
    "payments.paid_out": PaymentState.SUCCEEDED,
    "payments.failed": PaymentState.FAILED,
    "payments.failed, to be retried": PaymentState.PENDING,
    "payments.failed late": PaymentState.REVERSED,
    "payments.failed late, to be retried": PaymentState.REVERSED,
    "payments.late_failure_settled": None,
    "payments.cancelled": PaymentState.CANCELLED,
    "payments.charged_back": None,
    "payments.chargeback_cancelled": None,
    "refunds.created": RefundState.PENDING,
    "refunds.paid": RefundState.SUCCEEDED,
    "refunds.failed": RefundState.FAILED,
    "mandates.active": None,
}
# The action and the status of the payment after it; None where the status stays.
ACTIONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "payments.created": ("created", "pending_submission"),
    "payments.submitted": ("submitted", "submitted"),
    "payments.confirmed": ("confirmed", "confirmed"),
    "payments.paid_out": ("paid_out", "paid_out"),
    "payments.failed": ("failed", "failed"),
    "payments.failed, to be retried": ("failed", "failed"),
    "payments.failed late": ("failed", "failed"),
    "payments.failed late, to be retried": ("failed", "failed"),
    "payments.late_failure_settled": ("late_failure_settled", None),
    "payments.cancelled": ("cancelled", "cancelled"),
    "payments.charged_back": ("charged_back", "charged_back"),
    "payments.chargeback_cancelled": ("chargeback_cancelled", "paid_out"),
}
CAUSES: Final[Mapping[str, str]] = {
    "payments.created": "payment_created",
    "payments.submitted": "payment_submitted",
    "payments.confirmed": "payment_confirmed",
    "payments.paid_out": "payment_paid_out",
    "payments.failed": "bank_account_closed",
    "payments.failed, to be retried": "insufficient_funds",
    "payments.failed late": "insufficient_funds",
    "payments.failed late, to be retried": "insufficient_funds",
    "payments.late_failure_settled": "late_failure_settled",
    "payments.cancelled": "payment_cancelled",
    "payments.charged_back": "authorisation_disputed",
    "payments.chargeback_cancelled": "payment_confirmed",
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "created",
    RefundState.SUCCEEDED: "paid",
    RefundState.FAILED: "failed",
}

_PAID: Final = (Event("payments.created"), Event("payments.submitted"), Event("payments.confirmed", after_s=AT_ONCE_S))

TEMPLATES: Final = (
    Template(name="paid", weight=30, events=_PAID, status=Status.PAID, paid=ALL),
    Template(
        name="paid, and paid out",
        weight=10,
        events=(Event("mandates.active"), *_PAID, Event("payments.paid_out")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="failed, collected again, and paid",
        weight=8,
        events=(
            Event("payments.created"),
            Event("payments.failed, to be retried"),
            Event("payments.submitted"),
            Event("payments.confirmed"),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="failed, to be collected again",
        weight=4,
        events=(Event("payments.submitted"), Event("payments.failed, to be retried")),
        status=Status.PROCESSING,
    ),
    Template(
        name="on its way",
        weight=5,
        events=(Event("payments.created"), Event("payments.submitted")),
        status=Status.PROCESSING,
    ),
    Template(
        name="failed",
        weight=8,
        events=(Event("payments.submitted"), Event("payments.failed", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="cancelled",
        weight=4,
        events=(Event("payments.created"), Event("payments.cancelled")),
        status=Status.FAILED,
    ),
    Template(
        name="failed late",
        weight=3,
        events=(*_PAID, Event("payments.failed late"), Event("payments.late_failure_settled")),
        status=Status.FAILED,
    ),
    Template(
        name="failed late, to be collected again",
        weight=2,
        events=(*_PAID, Event("payments.failed late, to be retried")),
        status=Status.PROCESSING,
    ),
    Template(
        name="failed late, collected again, and paid",
        weight=2,
        events=(
            *_PAID,
            Event("payments.failed late, to be retried"),
            Event("payments.submitted"),
            Event("payments.confirmed"),
            Event("payments.late_failure_settled"),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back",
        weight=3,
        events=(*_PAID, Event("payments.charged_back")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a chargeback that was cancelled",
        weight=2,
        events=(*_PAID, Event("payments.charged_back"), Event("payments.chargeback_cancelled")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(*_PAID, Event("refunds.created", 4, "1"), Event("refunds.paid", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(
            Event("payments.confirmed"),
            Event("refunds.created", 3, "1"),
            Event("refunds.paid", 3, "1", after_s=AT_ONCE_S),
            Event("refunds.created", 7, "2"),
            Event("refunds.paid", 7, "2"),
        ),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(*_PAID, Event("refunds.created", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(*_PAID, Event("refunds.created", ALL, "1"), Event("refunds.failed", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        events=(Event("payments.confirmed", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payments.confirmed"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def gocardless_signed(secret: str, body: bytes) -> Signed:
    """Any body with GoCardless's headers."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "gocardless-webhook-service/1.1",
        "Origin": "https://api.gocardless.com",
        "Webhook-Signature": hmac.digest(secret.encode(), body, "sha256").hex(),
    }, body


def gocardless_body(*events: Json) -> bytes:
    """A delivery of events, one or many."""
    return json.dumps({"events": events, "meta": {"webhook_id": "WB0000TILL"}}).encode()


def gocardless_event(event_id: str, at: datetime, resource: str, action: str, /, **more: Any) -> Json:
    """One event; `more` are its fields, such as `links` or `details`."""
    return {
        "id": event_id,
        "created_at": written(at),
        "resource_type": resource,
        "action": action,
        "links": {},
        "details": {"origin": "gocardless", "cause": f"{resource[:-1]}_{action}", "description": "As it says."},
        "metadata": {},
    } | more


def gocardless_payment(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """A payment that was collected, unless `more` says otherwise."""
    return {
        "id": payment_ref,
        "created_at": "2026-09-28T09:00:00.000Z",
        "charge_date": "2026-10-02",
        "amount": amount,
        "description": None,
        "currency": currency,
        "status": "confirmed",
        "amount_refunded": 0,
        "reference": None,
        "metadata": {} if order_ref is None else {"order_id": order_ref},
        "fx": {"fx_currency": currency, "fx_amount": None, "exchange_rate": None, "estimated_exchange_rate": None},
        "links": {"mandate": "MD000TILL", "creditor": "CR000TILL"},
        "retry_if_possible": False,
        "scheme": "sepa_core",
    } | more


def gocardless_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A refund that was paid, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "created_at": "2026-10-03T09:00:00.000Z",
        "amount": amount,
        "currency": currency,
        "status": "paid",
        "reference": None,
        "metadata": {},
        "links": {"payment": payment_ref, "mandate": "MD000TILL"},
    } | more


def written(at: datetime) -> str:
    """A time as GoCardless writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def refund_id(refund_ref: str) -> str:
    """A refund's reference in the shape of GoCardless's own; `refund_ref_of` undoes it."""
    return f"RF{refund_ref.removeprefix('re_')}"


def refund_ref_of(refund_id: str) -> str:
    """The story's reference of a refund."""
    return f"re_{refund_id.removeprefix('RF')}"


class GoCardlessSigner(msgspec.Struct, frozen=True, kw_only=True):
    """GoCardless's, with an endpoint's secret."""

    gateway: ClassVar[str] = "gocardless"
    pays: ClassVar[str] = "payments.confirmed"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"links": {"payment": "'

    account: str
    secret: str
    access_token: str  # who shows it may ask

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same delivery each time."""
        return gocardless_signed(self.secret, gocardless_body(event_of(story, event)))


def event_of(story: Story, event: StoryEvent) -> Json:
    """The event, as deliveries and as the list of events show it."""
    resource, _, action = event.event_type.partition(".")
    if resource == "mandates":
        links = {"mandate": "MD000TILL"}
        return gocardless_event(event.event_id, event.at, resource, action, links=links)
    if resource == "refunds":
        links = {"refund": refund_id(event.refund_ref)}
        return gocardless_event(event.event_id, event.at, resource, action, links=links)
    details = {
        "origin": "bank" if "failed" in event.event_type else "gocardless",
        "cause": CAUSES[event.event_type],
        "description": "As it says.",
        "scheme": "sepa_core",
        "will_attempt_retry": event.event_type.endswith("to be retried"),
    }
    content = {"links": {"payment": story.payment_ref}, "details": details}
    action = ACTIONS[event.event_type][0]
    metadata = {"resource_metadata": {"order_id": story.order_ref}}
    return gocardless_event(event.event_id, event.at, resource, action, **content, **metadata)


class GoCardlessApi:
    """One account's: a payment's events with the payment, and refunds."""

    def __init__(self, signer: GoCardlessSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002 - its books are at once
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.access_token}":
            return _error(401, "invalid_api_usage", "access_token_not_found")
        if request.headers.get("gocardless-version") != API_VERSION:
            return _error(400, "invalid_api_usage", "missing_version_header")
        match request.path.split("/")[1:]:
            case ["events"] if request.first("resource_type") == "payments" and request.first("include") == "payment":
                return self._events(request.first("payment") or "", as_of)
            case ["refunds", ref]:
                return self._refund(ref, as_of)
            case _:
                return _error(404, "invalid_api_usage", "resource_not_found")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """GoCardless's words for trouble of its own."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return _error(status, "invalid_api_usage", "rate_limit_exceeded")
        return _error(status, "gocardless", "internal_server_error")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {
            "Content-Type": "application/json",
            "Date": format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True),
            **content.headers,
        }
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)

    def _events(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment(self.account, ref, as_of)
        happened = [] if record is None else [it for it in record.story.events if it.at <= as_of]
        ours = [it for it in happened if it.event_type in ACTIONS]
        page: Json = {"events": [], "meta": {"cursors": {"before": None, "after": None}, "limit": 500}}
        if record is not None and ours:
            page["events"] = [event_of(record.story, it) for it in reversed(ours)]
            page["linked"] = {"payments": [payment_of(record, ours)]}
        order_ref = "" if record is None else record.story.order_ref
        return ApiResponse(
            body=_json(page), about="payment", ref=ref, order_ref=order_ref, summary=f"{len(ours)} events"
        )

    def _refund(self, ref: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_refund(self.account, refund_ref_of(ref), as_of)
        refund = None if record is None else record.refund(refund_ref_of(ref))
        if record is None or refund is None:
            return _error(404, "invalid_api_usage", "resource_not_found", about="refund", ref=ref)
        content = refund_of(record.story, refund)
        order_ref = record.story.order_ref
        return ApiResponse(
            body=_json({"refunds": content}), about="refund", ref=ref, order_ref=order_ref, summary=content["status"]
        )


def payment_of(record: PaymentRecord, happened: Sequence[StoryEvent]) -> Json:
    """The payment after all that happened to it."""
    story = record.story
    status = next(status for it in reversed(happened) if (status := ACTIONS[it.event_type][1]) is not None)
    more = {"status": status, "created_at": written(story.started_at), "amount_refunded": record.going_back}
    return gocardless_payment(
        story.payment_ref, record.captured or story.amount, story.currency, story.order_ref, **more
    )


def refund_of(story: Story, refund: RefundRecord) -> Json:
    """A refund."""
    more = {"status": REFUND_STATUSES[refund.state], "created_at": written(refund.asked_at)}
    return gocardless_refund(refund_id(refund.refund_ref), story.payment_ref, refund.amount, story.currency, **more)


def _error(status: int, error_type: str, reason: str, *, about: str = "nothing", ref: str = "") -> ApiResponse:
    error = {"message": reason, "type": error_type, "code": status, "errors": [{"reason": reason, "message": reason}]}
    return ApiResponse(status=status, body=_json({"error": error}), about=about, ref=ref, summary=reason)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _new_signer(account: str) -> Signer:
    return GoCardlessSigner(
        account=account, secret=secrets.token_hex(20), access_token=f"sandbox_{secrets.token_hex(20)}"
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("GoCardlessSigner", signer), secret=secrets.token_hex(20))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    own = cast("GoCardlessSigner", signer)
    return {"webhook_secrets": [Secret(own.secret)], "access_token": Secret(own.access_token)}


SIMULATOR: Final = Simulator(
    gateway="gocardless",
    event_types=cast("Mapping[str, PaymentState | RefundState]", EVENT_TYPES),
    ignored=frozenset({"mandates.active"}),
    fetched=frozenset(
        {
            "payments.confirmed",
            "payments.paid_out",
            "payments.failed",
            "payments.failed, to be retried",
            "payments.failed late",
            "payments.failed late, to be retried",
            "payments.late_failure_settled",
            "refunds.created",
            "refunds.paid",
            "refunds.failed",
        }
    ),
    templates=TEMPLATES,
    currencies=("EUR", "GBP", "USD", "SEK"),
    payment_prefix="PM",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: GoCardlessApi(cast("GoCardlessSigner", signer), ledger),
)
