"""Square: HMAC over our own URL and the body; one event type for every outcome, told apart by the object's status.

Sources: the package `squareup` (`utils/webhooks_helper.py`) for the signature, its types for statuses and error codes;
developer.squareup.com, "Square Webhooks" and the pages of the events.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast
from urllib.parse import quote

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets
from tillkeeper.gateways.base import (
    AccessDenied,
    Answer,
    BadPayload,
    Call,
    CannotQuery,
    ClaimedReferences,
    Gateway,
    Query,
    Queryable,
    Request,
    Response,
    Unavailable,
    Verified,
)
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.unknown_words import known_or_none

SIGNATURE_HEADER: Final = "x-square-hmacsha256-signature"
API_VERSION: Final = "2026-09-16"  # pinned, for an application's own default decides what an object looks like

PAYMENT_STATUSES: Final = {
    "PENDING": Kind.PAYMENT_PENDING,
    "APPROVED": Kind.PAYMENT_AUTHORIZED,  # not captured yet
    "COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "CANCELED": Kind.PAYMENT_CANCELLED,
    "FAILED": Kind.PAYMENT_FAILED,
}

NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})

REFUND_STATUSES: Final = {
    "PENDING": Kind.REFUND_PENDING,
    "COMPLETED": Kind.REFUND_SUCCEEDED,
    "REJECTED": Kind.REFUND_FAILED,
    "FAILED": Kind.REFUND_FAILED,
}

DISPUTE_STATES: Final = {
    "INQUIRY_EVIDENCE_REQUIRED": Kind.DISPUTE_OPENED,
    "INQUIRY_PROCESSING": Kind.DISPUTE_OPENED,
    "INQUIRY_CLOSED": Kind.DISPUTE_WON,  # a query that ended without a chargeback
    "EVIDENCE_REQUIRED": Kind.DISPUTE_OPENED,
    "PROCESSING": Kind.DISPUTE_OPENED,
    "WON": Kind.DISPUTE_WON,
    "LOST": Kind.DISPUTE_LOST,
    "ACCEPTED": Kind.DISPUTE_LOST,  # the merchant gave in
}

FAILURES: Final = {
    "INSUFFICIENT_FUNDS": FailureClass.INSUFFICIENT_FUNDS,
    "GIFT_CARD_AVAILABLE_AMOUNT": FailureClass.INSUFFICIENT_FUNDS,
    "TRANSACTION_LIMIT": FailureClass.LIMIT_EXCEEDED,
    "PAYMENT_LIMIT_EXCEEDED": FailureClass.LIMIT_EXCEEDED,
    "AMOUNT_TOO_HIGH": FailureClass.LIMIT_EXCEEDED,
    "CARD_EXPIRED": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_EXPIRATION": FailureClass.CARD_EXPIRED_OR_INVALID,
    "EXPIRATION_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "BAD_EXPIRATION": FailureClass.CARD_EXPIRED_OR_INVALID,
    "CVV_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "VERIFY_CVV_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_CARD": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_CARD_DATA": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_ACCOUNT": FailureClass.CARD_EXPIRED_OR_INVALID,
    "PAN_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "CARD_DECLINED_VERIFICATION_REQUIRED": FailureClass.BANK_VERIFICATION_FAILED,
    "VERIFY_AVS_FAILURE": FailureClass.BANK_VERIFICATION_FAILED,
    "ADDRESS_VERIFICATION_FAILURE": FailureClass.BANK_VERIFICATION_FAILED,
    "INVALID_PIN": FailureClass.BANK_VERIFICATION_FAILED,
    "ALLOWABLE_PIN_TRIES_EXCEEDED": FailureClass.BANK_VERIFICATION_FAILED,
    "ACCOUNT_UNUSABLE": FailureClass.ACCOUNT_FROZEN,
    "CARD_NOT_SUPPORTED": FailureClass.METHOD_UNAVAILABLE,
    "UNSUPPORTED_CARD_BRAND": FailureClass.METHOD_UNAVAILABLE,
    "BUYER_REFUSED_PAYMENT": FailureClass.USER_CANCELLED,
    "DELAYED_TRANSACTION_CANCELED": FailureClass.USER_CANCELLED,
    "DELAYED_TRANSACTION_EXPIRED": FailureClass.EXPIRED_UNPAID,
    "CHECKOUT_EXPIRED": FailureClass.EXPIRED_UNPAID,
    "TEMPORARY_ERROR": FailureClass.GATEWAY_FAULT,
    "GATEWAY_TIMEOUT": FailureClass.NETWORK_TIMEOUT,
    "CARD_DECLINED": FailureClass.UNKNOWN,
    "CARD_DECLINED_CALL_ISSUER": FailureClass.UNKNOWN,
    "GENERIC_DECLINE": FailureClass.UNKNOWN,
    "VOICE_FAILURE": FailureClass.UNKNOWN,
}

DETAILS_WITH_ERRORS: Final = ("card_details", "bank_account_details")

OK: Final = 200
NOT_FOUND: Final = 404
TOO_MANY: Final = 429
BROKEN: Final = 500
DENIED_STATUSES: Final = frozenset({401, 403})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)


class SquareSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "square"`."""

    gateway: Literal["square"]
    signature_keys: Secrets = Field(
        description="The webhook subscription's signature key.  A new one takes effect at once, so name the old one "
        "only until its last repetitions are through."
    )
    notification_url: str = Field(
        pattern=r"^https?://[!-~]+$",
        description="The URL that the subscription is registered with, letter for letter: it is part of what Square "
        "signs.",
    )
    merchant_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The merchant's id, where several connected their accounts to the application: events of others "
        "change nothing.",
    )
    access_token: OptionalSecret = Field(
        default=None, description="The access token with which Square is asked.  Without it nothing can be asked."
    )
    api_base: ApiBase = "https://connect.squareup.com"


ABOUT: Final = About(
    title="Square",
    verifies="HMAC-SHA256 over the registered URL and the body; several keys at once; no time is signed",
    dedupes_by="`event_id`",
    acknowledges="200 without a body",
    queries="payments and refunds by their ids",
    refunds_seen="what went back in all, and each refund",
    checked="the package `squareup` verifies and asks",
    sources=(
        "the package `squareup`, `utils/webhooks_helper.py` and its types",
        'developer.squareup.com, "Square Webhooks" and "Troubleshoot Webhooks" (repeated for 24 or 72 h: they differ)',
    ),
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one object says, before it is given its event's id and time."""

    kind: Kind
    payment_ref: str | None
    order_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    money: object  # {"amount": 1000, "currency": "USD"}
    tip: object = None  # besides `money`, in the same shape
    is_total: bool = False
    about: str = ""  # what else than its state an object says, behind the event's id
    failure: FailureClass | None = None
    failure_code: str | None = None
    method: str | None = None


class Square(Gateway):
    """One webhook subscription of one application."""

    name: ClassVar[str] = "square"
    settings: ClassVar[type[AccountModel]] = SquareSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    own_url: ClassVar[str | None] = "notification_url"
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {SIGNATURE_HEADER, "content-type", "square-environment", "square-retry-number", "square-retry-reason"}
    )

    def __init__(self, account: str, settings: SquareSettings) -> None:
        self.account = account
        self._keys = HmacKeys("signature_keys", settings.signature_keys, encoding="base64")
        self._url = settings.notification_url.encode()
        self._merchant_id = settings.merchant_id
        self._access_token = settings.access_token
        self._api_base = settings.api_base

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """The URL is the registered one, for behind a proxy the receiver sees another."""
        key = self._keys.label_in(request, SIGNATURE_HEADER, self._url + request.body)
        return Verified(key=key, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """One for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """What the object in the event says of itself; none for types that TYPES does not know."""
        event = strictjson.loads(cast("bytes", verified.content))
        name = TYPES.get(text(event, "type"))
        if name is None or self._merchant_id not in {None, text_or_none(event, "merchant_id")}:
            return ()
        subject = at(event, ["data", "object", name])
        when = moment_from_rfc3339(text(subject, "updated_at"))  # one type for every outcome: this tells which is newer
        event_id = text(event, "event_id")
        told = ((said, event) for said in READERS[name](subject) for event in self._events(said, when))
        return tuple(_sound(msgspec.structs.replace(it, event_id=f"{event_id}{said.about}")) for said, it in told)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment of an event's object, and the merchant's reference in it."""
        try:
            subject = at(strictjson.loads_unsigned(request.body), ["data", "object"])
            payment_ref = reference_or_none(at(subject, ["payment", "id"]) or at(subject, ["refund", "payment_id"]))
            order_ref = reference_or_none(at(subject, ["payment", "reference_id"]))
        except BadPayload:
            return None
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """One object by its id."""
        ref = query.refund_ref if query.about == "refund" else query.payment_ref
        if ref is None:
            raise CannotQuery("Square finds a payment or refund by its own id alone")
        if not _ID.fullmatch(ref):
            raise CannotQuery("the reference is not one of Square's")
        if self._access_token is None:
            raise CannotQuery("access_token is not set")
        headers = {"Authorization": f"Bearer {self._access_token}", "Square-Version": API_VERSION}
        return Call(method="GET", url=f"{self._api_base}/v2/{query.about}s/{quote(ref, safe='')}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the object says of itself."""
        content = _content_of(response)
        if content is None:
            return Answer(found=False)
        subject = at(content, [query.about])
        if text(subject, "id") != (query.refund_ref if query.about == "refund" else query.payment_ref):
            raise BadPayload("the answer is about another object than the question")
        written = text_or_none(subject, "updated_at")
        when = answered_at(response, now) if written is None else moment_from_rfc3339(written)
        made = text_or_none(subject, "created_at") if query.about == "refund" else None
        began_at = when if made is None else moment_from_rfc3339(made)  # it failed when last updated
        told = (
            event
            for said in READERS[query.about](subject)
            for event in self._events(said, when if said.kind is Kind.REFUND_FAILED else began_at)
        )
        events = tuple(queried(msgspec.structs.replace(it, order_ref=it.order_ref or query.order_ref)) for it in told)
        alone = query.about == "refund" and query.payment_ref is None
        also = (Query(about="payment", payment_ref=it.payment_ref) for it in events if alone and it.payment_ref)
        return Answer(found=True, events=events, also=tuple(also))

    def _events(self, said: Said, when: datetime) -> Iterator[PaymentEvent]:
        """One, but none where the money is of a currency that nobody knows."""
        currency = text(said.money, "currency").upper()
        if not units.is_currency(currency):
            return
        minor = units.from_minor(at(said.money, ["amount"]), currency)
        tip = at(said.tip, ["amount"])
        yield PaymentEvent(
            event_id="",
            kind=said.kind,
            account=self.account,
            occurred_at=when,
            order_ref=said.order_ref,
            payment_ref=said.payment_ref,
            refund_ref=said.refund_ref,
            dispute_ref=said.dispute_ref,
            amount=None if said.is_total else minor,
            total=minor if said.is_total else None,
            on_top=units.from_minor(tip, currency) if tip else None,
            currency=currency,
            failure=said.failure,
            failure_code=said.failure_code,
            method=said.method,
        )


def _sound(event: PaymentEvent) -> PaymentEvent:
    if problem := problem_with(event):
        raise BadPayload(problem)
    return event


def _payment(payment: object) -> Iterator[Said]:
    """Its state; and what it gave back so far, which is told along with each state once there is something."""
    kind = known_or_none(PAYMENT_STATUSES, text(payment, "status"), "payment.status")
    if kind is None:
        return
    failure, code = _why(kind, payment)
    ref = text(payment, "id")
    order_ref = text_or_none(payment, "reference_id") or text_or_none(payment, "order_id")
    yield Said(
        kind=kind,
        payment_ref=ref,
        order_ref=order_ref,
        money=at(payment, ["amount_money"]),
        tip=at(payment, ["tip_money"]) if kind is Kind.PAYMENT_SUCCEEDED else None,
        failure=failure,
        failure_code=code,
        method=text_or_none(payment, "source_type"),
    )
    if kind in NOT_PAID and _was_captured(payment):
        money = at(payment, ["amount_money"])
        yield Said(kind=Kind.PAYMENT_REVERSED, payment_ref=ref, order_ref=order_ref, money=money, about=":reversed")
    refunded = at(payment, ["refunded_money"])
    if kind is Kind.PAYMENT_SUCCEEDED and at(refunded, ["amount"]) not in (None, 0):
        yield Said(
            kind=Kind.REFUND_SUCCEEDED,
            payment_ref=ref,
            order_ref=order_ref,
            money=refunded,
            is_total=True,
            about=":refunded",
        )


def _was_captured(payment: object) -> bool:
    """Whether a payment that is none had been one.  Odd details tell nothing."""
    card = at(payment, ["card_details"])
    timeline = card.get("card_payment_timeline") if isinstance(card, dict) else None
    return isinstance(timeline, dict) and bool(timeline.get("captured_at"))


def _why(kind: Kind, payment: object) -> tuple[FailureClass | None, str | None]:
    if kind not in NOT_PAID:
        return None, None
    codes = [code for name in DETAILS_WITH_ERRORS for code in _error_codes(at(payment, [name]))]
    known = next((code for code in codes if code in FAILURES), None)
    if known is not None:
        return FAILURES[known], known
    otherwise = FailureClass.USER_CANCELLED if kind is Kind.PAYMENT_CANCELLED else FailureClass.UNKNOWN
    return otherwise, codes[0] if codes else None


def _error_codes(holder: object) -> list[str]:
    """The codes in a list of errors.  No money hangs on them: odd ones are passed over."""
    errors = holder.get("errors") if isinstance(holder, dict) else None
    codes = [it.get("code") for it in errors if isinstance(it, dict)] if isinstance(errors, list) else []
    return [code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)]


def _refund(refund: object) -> Iterator[Said]:
    """Its order_id is that of the return, not of what was bought: it is found by its payment."""
    status = text(refund, "status")
    kind = known_or_none(REFUND_STATUSES, status, "refund.status")
    if kind is None:
        return
    failed = kind is Kind.REFUND_FAILED
    yield Said(
        kind=kind,
        payment_ref=text_or_none(refund, "payment_id"),
        refund_ref=text(refund, "id"),
        money=at(refund, ["amount_money"]),
        failure=FailureClass.UNKNOWN if failed else None,
        failure_code=status if failed else None,
    )


def _dispute(dispute: object) -> Iterator[Said]:
    """Older versions call its id dispute_id."""
    kind = known_or_none(DISPUTE_STATES, text(dispute, "state"), "dispute.state")
    if kind is None:
        return
    yield Said(
        kind=kind,
        payment_ref=text_or_none(dispute, "disputed_payment", "payment_id"),
        dispute_ref=text_or_none(dispute, "id") or text(dispute, "dispute_id"),
        money=at(dispute, ["amount_money"]),
    )


READERS: Final[Mapping[str, Callable[[object], Iterator[Said]]]] = {
    "payment": _payment,
    "refund": _refund,
    "dispute": _dispute,
}

# Every type that changes what we know, and the name of its object; all others are answered with success.
TYPES: Final[Mapping[str, str]] = {
    "payment.created": "payment",
    "payment.updated": "payment",
    "refund.created": "refund",
    "refund.updated": "refund",
    "dispute.created": "dispute",
    "dispute.state.updated": "dispute",
    "dispute.state.changed": "dispute",  # its name in versions before 2021
}


def _content_of(response: Response) -> object:
    """What the response holds, or None where Square knows of no such thing."""
    if response.status == OK:
        content = strictjson.loads(response.body)
        if content is None:
            raise BadPayload("the answer is null")
        return content
    try:
        codes = _error_codes(strictjson.loads(response.body))
    except BadPayload:
        codes = []
    if response.status == NOT_FOUND and "NOT_FOUND" in codes:
        return None
    told = f"status {response.status}, codes {', '.join(codes) or 'none'}"
    if response.status == TOO_MANY or response.status >= BROKEN:
        raise Unavailable(told)
    if response.status in DENIED_STATUSES:
        raise AccessDenied(told)
    raise BadPayload(told)
