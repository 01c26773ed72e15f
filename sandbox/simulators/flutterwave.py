"""A simulated Flutterwave v4: charges that complete either way, refunds and chargebacks, and its API.

Deliveries of v3 are made here as well, for tests; no story is told by them.
"""

import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
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
from sandbox.story import Story, StoryEvent, bare
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.money import exponent
from tillkeeper.domain.statuses import Status

# The event, and the status in it.
EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "charge.pending": PaymentState.PENDING,
    "charge.completed": PaymentState.SUCCEEDED,
    "charge.completed (failed)": PaymentState.FAILED,
    "refund.completed (pending)": RefundState.PENDING,
    "refund.completed": RefundState.SUCCEEDED,
    "refund.completed (failed)": RefundState.FAILED,
    "chargeback.created": None,
    "transfer.completed": None,  # money that the merchant pays out: no order's
}
DECLINE: Final[Json] = {"status": "failed", "processor_response": {"type": "insufficient_funds", "code": "51"}}

TEMPLATES: Final = (
    Template(name="paid", weight=34, events=(Event("charge.completed"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid by transfer",
        weight=10,
        events=(Event("charge.pending"), Event("charge.completed", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, then paid",
        weight=8,
        events=(Event("charge.completed (failed)"), Event("charge.completed", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, events=(Event("charge.completed (failed)"),), status=Status.FAILED),
    Template(name="on its way", weight=4, events=(Event("charge.pending"),), status=Status.PROCESSING),
    Template(
        name="paid, and paid out",
        weight=3,
        events=(Event("charge.completed"), Event("transfer.completed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(
            Event("charge.completed"),
            Event("refund.completed (pending)", 4, "1"),
            Event("refund.completed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event("charge.completed"), Event("refund.completed", 3, "1"), Event("refund.completed", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("charge.completed"), Event("refund.completed (pending)", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(
            Event("charge.completed"),
            Event("refund.completed (pending)", ALL, "1"),
            Event("refund.completed (failed)", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back",
        weight=2,
        events=(Event("charge.completed"), Event("chargeback.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, events=(Event("charge.completed", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event("charge.completed"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("charge.completed"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def flutterwave_signed(secret_hash: str, body: bytes) -> Signed:
    """Any body with v4's headers."""
    signature = b64encode(hmac.digest(secret_hash.encode(), body, "sha256")).decode()
    return {"Content-Type": "application/json", "Flutterwave-Signature": signature}, body


def flutterwave_v3(secret_hash: str, event: str, data: Json) -> Signed:
    """A delivery of v3: the secret itself stands in a header."""
    body = _json({"event": event, "data": data, "event.type": "CARD_TRANSACTION"})
    return {"Content-Type": "application/json", "Verif-Hash": secret_hash}, body


def flutterwave_body(event: str, at: datetime, data: Json, /, **more: Any) -> bytes:
    """v4's event around an object."""
    content = {"id": "wbk_5QkPzUuaPFtcDmCGbOj1", "timestamp": int(at.timestamp() * 1000), "type": event, "data": data}
    return _json(content | more)


def major(amount: int, currency: str) -> Decimal:
    """Minor units as the JSON number that is sent."""
    return Decimal(amount).scaleb(-exponent(currency))


def written(at: datetime) -> str:
    """As Flutterwave writes a time."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def flutterwave_charge(charge_ref: str, amount: int, currency: str, reference: str, /, **more: Any) -> Json:
    """v4's charge that succeeded, unless `more` says otherwise."""
    return {
        "id": charge_ref,
        "amount": major(amount, currency),
        "currency": currency,
        "reference": reference,
        "status": "succeeded",
        "customer": {"id": "cus_X0yJv3ZMpL", "email": "payer@shop.example"},
        "payment_method": {"type": "card", "id": "pmd_wlVhaYmkl2"},
        "processor_response": {"type": "approved", "code": "00"},
        "redirect_url": None,
        "meta": {},
        "created_datetime": "2026-10-05T11:58:00.000Z",
    } | more


def flutterwave_refund(refund_ref: str, charge_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """v4's refund that succeeded, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "charge_id": charge_ref,
        "amount_refunded": major(amount, currency),
        "currency": currency,
        "status": "succeeded",
        "reason": "requested_by_customer",
        "created_datetime": "2026-10-05T11:59:00.000Z",
    } | more


class FlutterwaveSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Flutterwave's, of v4, with a secret hash."""

    gateway: ClassVar[str] = "flutterwave"
    pays: ClassVar[str] = "charge.completed"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret_hash: str
    secret_key: str

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time."""
        name, data = event.event_type.partition(" ")[0], _data(story, event)
        body = flutterwave_body(name, event.at, data, id=event.event_id)
        return flutterwave_signed(self.secret_hash, body)


def _data(story: Story, event: StoryEvent) -> Json:
    name, _, outcome = event.event_type.partition(" ")
    status = {"status": outcome.strip("()")} if outcome else {}
    charge, amount, currency = story.payment_ref, event.amount, story.currency
    match name.partition(".")[0]:
        case "charge":
            more = DECLINE if outcome else {"status": "pending"} if name == "charge.pending" else {}
            more = {"created_datetime": written(story.started_at), **more}
            return flutterwave_charge(charge, amount, currency, story.order_ref, **more)
        case "refund":
            return flutterwave_refund(event.refund_ref, charge, amount, currency, **status)
        case "chargeback":
            more = {"status": "initiated", "amount": major(amount, currency)}
            return flutterwave_refund(f"chb_{bare(story.order_ref)}", charge, amount, currency, **more)
        case _:
            return {"id": f"trf_{bare(story.order_ref)}", "status": "successful"}


class FlutterwaveApi:
    """One account's charges, by id and by reference, and its refunds."""

    def __init__(self, signer: FlutterwaveSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query."""
        if request.headers.get("authorization") != f"Bearer {self._signer.secret_key}":
            return _error(401, "UNAUTHORIZED", "Authorization failed")
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "charges"]:
                return self._by_reference(request.first("reference") or "", as_of)
            case ["", "charges", ref]:
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and record.event_type:
                    return _found("payment", _charge_of(record), record)
            case ["", "refunds", ref]:
                record = self._ledger.payment_of_refund(self.account, ref, as_of)
                refund = None if record is None else record.refund(ref)
                if record is not None and refund is not None:
                    return _found("refund", _refund_of(record, refund), record)
        return _error(404, "RESOURCE_NOT_FOUND", "The resource does not exist")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """Flutterwave's words for trouble of its own."""
        return _error(status, "INTERNAL_SERVER_ERROR", "An unexpected error occurred")

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)

    def _by_reference(self, reference: str, as_of: datetime) -> ApiResponse:
        record = self._ledger.payment_of_order(self.account, reference, as_of)
        found = [] if record is None or not record.event_type else [_charge_of(record)]
        body = _json({"status": "success", "message": "Charges fetched", "data": found})
        return ApiResponse(
            body=body, about="payment", ref=reference, order_ref=reference, summary=f"{len(found)} charges"
        )


CHARGES: Final[Mapping[PaymentState, Json]] = {
    PaymentState.PENDING: {"status": "pending"},
    PaymentState.FAILED: DECLINE,
    PaymentState.SUCCEEDED: {},
}
REFUND_STATUSES: Final[Mapping[RefundState, str]] = {
    RefundState.PENDING: "pending",
    RefundState.SUCCEEDED: "succeeded",
    RefundState.FAILED: "failed",
}


def _charge_of(record: PaymentRecord) -> Json:
    story = record.story
    content = story.payment_ref, record.captured or story.amount, story.currency, story.order_ref
    return flutterwave_charge(*content, created_datetime=written(story.started_at), **CHARGES[record.state])


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency
    return flutterwave_refund(*content, status=REFUND_STATUSES[refund.state], created_datetime=written(refund.asked_at))


def _found(about: str, data: Json, record: PaymentRecord) -> ApiResponse:
    body = _json({"status": "success", "message": "Fetched", "data": data})
    return ApiResponse(body=body, about=about, ref=data["id"], order_ref=record.story.order_ref, summary=data["status"])


def _error(status: int, kind: str, message: str) -> ApiResponse:
    content = {"status": "failed", "error": {"type": kind, "code": f"10{status}", "message": message}}
    return ApiResponse(status=status, body=_json(content), about="nothing", summary=kind)


def _json(content: Json) -> bytes:
    """Amounts are numbers: the shortest that tell them."""
    return json.dumps(content, ensure_ascii=False, default=float, separators=(",", ":")).encode()


def _new_signer(account: str) -> FlutterwaveSigner:
    return FlutterwaveSigner(
        account=account,
        secret_hash=secrets.token_hex(20),
        secret_key=f"FLWSECK_TEST-{secrets.token_hex(16)}-X",
    )


def _impostor(signer: Signer) -> FlutterwaveSigner:
    return msgspec.structs.replace(cast("FlutterwaveSigner", signer), secret_hash=secrets.token_hex(20))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("FlutterwaveSigner", signer)
    return {"secret_hashes": [Secret(signer.secret_hash)], "secret_key": Secret(signer.secret_key)}


SIMULATOR: Final = Simulator(
    gateway="flutterwave",
    event_types=EVENT_TYPES,
    ignored=frozenset({"transfer.completed"}),
    templates=TEMPLATES,
    currencies=("NGN", "KES", "GHS", "USD", "UGX", "XAF"),
    payment_prefix="chg_",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: FlutterwaveApi(cast("FlutterwaveSigner", signer), ledger),
)
