"""Flutterwave v4 as the sandbox plays it: charges that complete either way, refunds and chargebacks, and its API.

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

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.money import exponent
from tillkeeper.domain.order.status import Status

# The event, and the status in it.
WORDS: Final[dict[str, PaymentState | RefundState | None]] = {
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
    Template(name="paid", weight=34, says=(Say("charge.completed"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid by transfer",
        weight=10,
        says=(Say("charge.pending"), Say("charge.completed", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined, then paid",
        weight=8,
        says=(Say("charge.completed (failed)"), Say("charge.completed", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="declined", weight=8, says=(Say("charge.completed (failed)"),), status=Status.FAILED),
    Template(name="on its way", weight=4, says=(Say("charge.pending"),), status=Status.PROCESSING),
    Template(
        name="paid, and paid out",
        weight=3,
        says=(Say("charge.completed"), Say("transfer.completed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say("charge.completed"),
            Say("refund.completed (pending)", 4, "1"),
            Say("refund.completed", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        says=(Say("charge.completed"), Say("refund.completed", 3, "1"), Say("refund.completed", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say("charge.completed"), Say("refund.completed (pending)", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        says=(
            Say("charge.completed"),
            Say("refund.completed (pending)", ALL, "1"),
            Say("refund.completed (failed)", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back",
        weight=2,
        says=(Say("charge.completed"), Say("chargeback.created")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, says=(Say("charge.completed", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("charge.completed"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("charge.completed"),),
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
    told = {"id": "wbk_5QkPzUuaPFtcDmCGbOj1", "timestamp": int(at.timestamp() * 1000), "type": event, "data": data}
    return _json(told | more)


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


class FlutterwaveVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Flutterwave's, of v4, with a secret hash."""

    gateway: ClassVar[str] = "flutterwave"
    pays: ClassVar[str] = "charge.completed"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret_hash: str
    secret_key: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time."""
        event, data = happening.word.partition(" ")[0], _data(story, happening)
        body = flutterwave_body(event, happening.at, data, id=happening.event_id)
        return flutterwave_signed(self.secret_hash, body)


def _data(story: Story, happening: Happening) -> Json:
    event, _, outcome = happening.word.partition(" ")
    status = {"status": outcome.strip("()")} if outcome else {}
    charge, amount, currency = story.payment_ref, happening.amount, story.currency
    match event.partition(".")[0]:
        case "charge":
            more = DECLINE if outcome else {"status": "pending"} if event == "charge.pending" else {}
            more = {"created_datetime": written(story.started_at), **more}
            return flutterwave_charge(charge, amount, currency, story.order_ref, **more)
        case "refund":
            return flutterwave_refund(happening.refund_ref, charge, amount, currency, **status)
        case "chargeback":
            more = {"status": "initiated", "amount": major(amount, currency)}
            return flutterwave_refund(f"chb_{bare(story.order_ref)}", charge, amount, currency, **more)
        case _:
            return {"id": f"trf_{bare(story.order_ref)}", "status": "successful"}


class FlutterwaveApi:
    """One account's charges, by id and by reference, and its refunds."""

    def __init__(self, voice: FlutterwaveVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        if put.headers.get("authorization") != f"Bearer {self._voice.secret_key}":
            return _error(401, "UNAUTHORIZED", "Authorization failed")
        match [unquote(part) for part in put.path.split("/")]:
            case ["", "charges"]:
                return self._by_reference(put.first("reference") or "", knows_at)
            case ["", "charges", ref]:
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None and books.word:
                    return _found("payment", _charge_of(books), books)
            case ["", "refunds", ref]:
                books = self._ledger.payment_of_refund(self.account, ref, knows_at)
                refund = None if books is None else books.refund(ref)
                if books is not None and refund is not None:
                    return _found("refund", _refund_of(books, refund), books)
        return _error(404, "RESOURCE_NOT_FOUND", "The resource does not exist")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Flutterwave's words for trouble of its own."""
        return _error(status, "INTERNAL_SERVER_ERROR", "An unexpected error occurred")

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)

    def _by_reference(self, reference: str, knows_at: datetime) -> Told:
        books = self._ledger.payments_of_order(self.account, reference, knows_at)
        found = [] if books is None or not books.word else [_charge_of(books)]
        body = _json({"status": "success", "message": "Charges fetched", "data": found})
        return Told(body=body, about="payment", ref=reference, order_ref=reference, said=f"{len(found)} charges")


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


def _charge_of(books: Known) -> Json:
    story = books.story
    told = story.payment_ref, books.captured or story.amount, story.currency, story.order_ref
    return flutterwave_charge(*told, created_datetime=written(story.started_at), **CHARGES[books.state])


def _refund_of(books: Known, refund: KnownRefund) -> Json:
    told = refund.refund_ref, books.story.payment_ref, refund.amount, books.story.currency
    return flutterwave_refund(*told, status=REFUND_STATUSES[refund.state], created_datetime=written(refund.asked_at))


def _found(about: str, data: Json, books: Known) -> Told:
    body = _json({"status": "success", "message": "Fetched", "data": data})
    return Told(body=body, about=about, ref=data["id"], order_ref=books.story.order_ref, said=data["status"])


def _error(status: int, kind: str, message: str) -> Told:
    told = {"status": "failed", "error": {"type": kind, "code": f"10{status}", "message": message}}
    return Told(status=status, body=_json(told), about="nothing", said=kind)


def _json(told: Json) -> bytes:
    """Amounts are numbers: the shortest that tell them."""
    return json.dumps(told, ensure_ascii=False, default=float, separators=(",", ":")).encode()


def _new_voice(account: str) -> FlutterwaveVoice:
    return FlutterwaveVoice(
        account=account,
        secret_hash=secrets.token_hex(20),
        secret_key=f"FLWSECK_TEST-{secrets.token_hex(16)}-X",
    )


def _impostor(voice: Voice) -> FlutterwaveVoice:
    return msgspec.structs.replace(cast("FlutterwaveVoice", voice), secret_hash=secrets.token_hex(20))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    voice = cast("FlutterwaveVoice", voice)
    return {"secret_hashes": [Kept(voice.secret_hash)], "secret_key": Kept(voice.secret_key)}


PLAY: Final = Play(
    gateway="flutterwave",
    words=WORDS,
    silent=frozenset({"transfer.completed"}),
    templates=TEMPLATES,
    currencies=("NGN", "KES", "GHS", "USD", "UGX", "XAF"),
    payment_prefix="chg_",
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: FlutterwaveApi(cast("FlutterwaveVoice", voice), ledger),
)
