"""Square as the sandbox plays it: events about payments, refunds and disputes, signed over the registered URL.

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

from sandbox.apis.base import Put, Sealed, Told
from sandbox.apis.stripe import http_date
from sandbox.plays.base import Kept, Play, Setting
from sandbox.signing import Json, Signed
from sandbox.story import Happening, Story, bare
from sandbox.templates import ALL, AT_ONCE_S, Say, Template
from sandbox.truth.books import Known, KnownRefund, PaymentState, RefundState
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice
from tillkeeper.domain.order.status import Status

DECLINED: Final = "payment FAILED"


class SquareVoice(msgspec.Struct, frozen=True, kw_only=True):
    """Square's, with a subscription's signature key."""

    gateway: ClassVar[str] = "square"
    pays: ClassVar[str] = "payment COMPLETED"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    signature_key: str
    notification_url: str
    access_token: str

    def query(self, story: Story, happening: Happening) -> str:  # noqa: ARG002
        """None."""
        return ""

    def say(self, story: Story, happening: Happening, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """The same event each time; only the headers count repetitions."""
        headers, body = square_signed(self.signature_key, self.notification_url, _body(story, happening))
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


def _body(story: Story, happening: Happening) -> bytes:
    name, _, status = happening.word.partition(" ")
    match name:
        case "payment":
            amount = happening.amount if status == "COMPLETED" else story.amount
            more = {"card_details": DECLINE} if happening.word == DECLINED else {}
            payment = square_payment(
                story.payment_ref, amount, story.currency, story.order_ref, happening.at, status=status, **more
            )
            return square_body("payment.updated", name, payment, event_id=happening.event_id, at=happening.at)
        case "refund":
            refund = square_refund(
                happening.refund_ref,
                story.payment_ref,
                happening.amount,
                story.currency,
                status=status,
                at=happening.at,
            )
            return square_body(
                "refund.created" if status == "PENDING" else "refund.updated",
                name,
                refund,
                event_id=happening.event_id,
                at=happening.at,
            )
        case _:
            ref = f"dispute{bare(story.order_ref)}"
            dispute = square_dispute(
                ref, story.payment_ref, happening.amount, story.currency, state=status, at=happening.at
            )
            return square_body("dispute.created", name, dispute, event_id=happening.event_id, at=happening.at)


class SquareApi:
    """One account's payments and refunds, by their ids."""

    def __init__(self, voice: SquareVoice, ledger: Ledger) -> None:
        self._voice = voice
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._voice.account

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:  # noqa: ARG002
        """One query."""
        if put.headers.get("authorization") != f"Bearer {self._voice.access_token}":
            return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED")
        match put.path.split("/"):
            case ["", "v2", "payments", ref] if put.method == "GET":
                books = self._ledger.payment(self.account, ref, knows_at)
                if books is not None and books.word:
                    return _found("payment", _payment_of(books), books)
            case ["", "v2", "refunds", ref] if put.method == "GET":
                books = self._ledger.payment_of_refund(self.account, ref, knows_at)
                refund = None if books is None else books.refund(ref)
                if books is not None and refund is not None:
                    return _found("refund", _refund_of(books, refund), books)
        return _error(404, "INVALID_REQUEST_ERROR", "NOT_FOUND")

    def broken(self, status: int, put: Put) -> Told:  # noqa: ARG002
        """Square's words for trouble of its own."""
        return _error(status, "API_ERROR", "RATE_LIMITED" if status == 429 else "INTERNAL_SERVER_ERROR")  # noqa: PLR2004

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **told.headers}
        body = told.body[: len(told.body) // 2] if forged else told.body
        return Sealed(status=told.status, headers=headers, body=body)


STATUSES: Final = {
    PaymentState.CREATED: "PENDING",
    PaymentState.PENDING: "PENDING",
    PaymentState.AUTHORIZED: "APPROVED",
    PaymentState.FAILED: "FAILED",
    PaymentState.CANCELLED: "CANCELED",
    PaymentState.SUCCEEDED: "COMPLETED",
}


def _payment_of(books: Known) -> Json:
    story = books.story
    more: Json = {"status": STATUSES[books.state]}
    if books.word == DECLINED:
        more["card_details"] = DECLINE
    if books.refunds:
        more["refunded_money"] = {"amount": books.refunded, "currency": story.currency}
        more["refund_ids"] = [it.refund_ref for it in books.refunds]
        more["updated_at"] = _rfc3339(max(it.at for it in books.refunds))
    amount = books.captured or story.amount
    return square_payment(story.payment_ref, amount, story.currency, story.order_ref, books.at, **more)


def _refund_of(books: Known, refund: KnownRefund) -> Json:
    story, status = books.story, refund.word.partition(" ")[2]
    return square_refund(
        refund.refund_ref, story.payment_ref, refund.amount, story.currency, status=status, at=refund.at
    )


def _found(name: str, subject: Json, books: Known) -> Told:
    body = json.dumps({name: subject}, separators=(",", ":")).encode()
    return Told(body=body, about=name, ref=subject["id"], order_ref=books.story.order_ref, said=subject["status"])


def _error(status: int, category: str, code: str) -> Told:
    body = json.dumps({"errors": [{"category": category, "code": code, "detail": "Said by the sandbox."}]}).encode()
    return Told(status=status, body=body, about="nothing", said=code)


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


TEMPLATES: Final = (
    Template(name="paid", weight=35, says=(Say("payment COMPLETED"),), status=Status.PAID, paid=ALL),
    Template(
        name="authorized, then captured",
        weight=15,
        says=(Say("payment APPROVED"), Say("payment COMPLETED", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="by bank, which takes its time",
        weight=6,
        says=(Say("payment PENDING"), Say("payment COMPLETED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=5, says=(Say("payment PENDING"),), status=Status.PROCESSING),
    Template(name="authorized, and not captured", weight=3, says=(Say("payment APPROVED"),), status=Status.PROCESSING),
    Template(name="declined", weight=8, says=(Say("payment FAILED"),), status=Status.FAILED),
    Template(
        name="authorized, then let go",
        weight=4,
        says=(Say("payment APPROVED"), Say("payment CANCELED", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=6,
        says=(
            Say("payment COMPLETED"),
            Say("refund PENDING", 4, "1"),
            Say("refund COMPLETED", 4, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        says=(Say("payment COMPLETED"), Say("refund COMPLETED", 3, "1"), Say("refund COMPLETED", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        says=(Say("payment COMPLETED"), Say("refund PENDING", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that is rejected",
        weight=3,
        says=(
            Say("payment COMPLETED"),
            Say("refund PENDING", ALL, "1"),
            Say("refund REJECTED", ALL, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=2,
        says=(
            Say("payment COMPLETED"),
            Say("refund COMPLETED", 3, "1"),
            Say("refund FAILED", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed",
        weight=2,
        says=(Say("payment COMPLETED"), Say("dispute EVIDENCE_REQUIRED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=2,
        says=(Say("payment COMPLETED", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid in another currency",
        weight=2,
        says=(Say("payment COMPLETED"),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        says=(Say("payment COMPLETED"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_voice(account: str) -> SquareVoice:
    return SquareVoice(
        account=account,
        signature_key=secrets.token_urlsafe(16),
        notification_url=f"https://till.example/webhooks/{account}",
        access_token=f"EAAA{secrets.token_urlsafe(40)}",
    )


def _impostor(voice: Voice) -> SquareVoice:
    return msgspec.structs.replace(cast("SquareVoice", voice), signature_key=secrets.token_urlsafe(16))


def _settings(voice: Voice) -> Mapping[str, Setting]:
    voice = cast("SquareVoice", voice)
    return {
        "signature_keys": [Kept(voice.signature_key)],
        "notification_url": voice.notification_url,
        "access_token": Kept(voice.access_token),
    }


PLAY: Final = Play(
    gateway="square",
    words={
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
    new_voice=_new_voice,
    impostor=_impostor,
    settings=_settings,
    api=lambda voice, ledger: SquareApi(cast("SquareVoice", voice), ledger),
)
