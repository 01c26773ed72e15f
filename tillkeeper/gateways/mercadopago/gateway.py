"""Mercado Pago: HMAC over the id in the query, the request's id and the time.  The body is anybody's: the payment is
fetched.

Sources: the package `mercadopago` (`webhook/validator.py`); Mercado Pago's pages "Notifications", "Get payment status",
"Chargebacks" and "Refunds and cancellations"; its API reference.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, cast
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret, Secrets
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    CannotQuery,
    Stale,
    VerificationStep,
)
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import (
    at,
    moment_from_rfc3339,
    moment_from_unix,
    reference_or_none,
    text,
    text_or_none,
    written_or_none,
)
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.http_status import (
    BAD_REQUEST,
    NOT_FOUND,
    OK,
    TOO_MANY_REQUESTS,
    check_status,
    status_error,
)
from tillkeeper.gateways.kit.units import from_major, is_currency
from tillkeeper.gateways.kit.unknown_words import known_or_none
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified

SIGNATURE_HEADER: Final = "x-signature"
REQUEST_ID_HEADER: Final = "x-request-id"
UNSIGNED: Final = "unsigned"
SIGNATURE_HEADER_CHARS_MAX: Final = 1024  # one signature and its time have 85
QUERY_FIELDS_MAX: Final = 20  # two are sent
MILLISECONDS_DIGITS: Final = 13  # seconds have ten until the year 2286
SEARCHED_MAX: Final = 100  # attempts to pay one order; more are no payer's

_TIME: Final = re.compile(r"\d{1,16}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[!-:<-~]{1,200}", re.ASCII)  # no semicolon, which parts what is signed
_WORD: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)

STATUSES: Final = {
    "pending": Kind.PAYMENT_PENDING,
    "in_process": Kind.PAYMENT_PENDING,
    "authorized": Kind.PAYMENT_AUTHORIZED,
    "approved": Kind.PAYMENT_SUCCEEDED,
    "rejected": Kind.PAYMENT_FAILED,
    "cancelled": Kind.PAYMENT_CANCELLED,
    # It was paid; what became of the money since is told besides.
    "in_mediation": Kind.PAYMENT_SUCCEEDED,
    "refunded": Kind.PAYMENT_SUCCEEDED,
    "charged_back": Kind.PAYMENT_SUCCEEDED,
}

NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})

UNTOLD: Final = ""
REFUND_STATUSES: Final = {
    UNTOLD: Kind.REFUND_SUCCEEDED,  # older refunds tell no status
    "approved": Kind.REFUND_SUCCEEDED,
    "in_process": Kind.REFUND_PENDING,
    "pending": Kind.REFUND_PENDING,
    "authorized": Kind.REFUND_PENDING,
    "rejected": Kind.REFUND_FAILED,
    "cancelled": Kind.REFUND_FAILED,
}

# A mediation that ends without a chargeback leaves its dispute open, for the payment does not tell how it ended.
DISPUTED: Final = frozenset({"in_mediation", "charged_back"})

# What a chargeback came to, by `status_detail`; it is open otherwise.
CHARGEBACKS: Final = {
    "settled": Kind.DISPUTE_LOST,
    "reimbursed": Kind.DISPUTE_WON,
}

# `status_detail`, with or without `cc_rejected_` before it.
FAILURES: Final = {
    "insufficient_amount": FailureClass.INSUFFICIENT_FUNDS,
    "insufficient_data": FailureClass.CARD_EXPIRED_OR_INVALID,
    "max_attempts": FailureClass.LIMIT_EXCEEDED,
    "cc_amount_rate_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "amount_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "bad_filled_": FailureClass.CARD_EXPIRED_OR_INVALID,  # whatever it was that was filled in badly
    "card_error": FailureClass.CARD_EXPIRED_OR_INVALID,
    "call_for_authorize": FailureClass.BANK_VERIFICATION_FAILED,
    "3ds_challenge": FailureClass.BANK_VERIFICATION_FAILED,
    "3ds_mandatory": FailureClass.BANK_VERIFICATION_FAILED,
    "card_disabled": FailureClass.ACCOUNT_FROZEN,
    "blacklist": FailureClass.SUSPECTED_FRAUD,
    "high_risk": FailureClass.SUSPECTED_FRAUD,
    "rejected_high_risk": FailureClass.SUSPECTED_FRAUD,
    "card_type_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "invalid_installments": FailureClass.METHOD_UNAVAILABLE,
    "rejected_by_bank": FailureClass.UNKNOWN,
    "duplicated_payment": FailureClass.UNKNOWN,
    "other_reason": FailureClass.UNKNOWN,
    "expired": FailureClass.EXPIRED_UNPAID,
    "by_payer": FailureClass.USER_CANCELLED,
    "by_collector": FailureClass.UNKNOWN,
}
REJECTED_PREFIX: Final = "cc_rejected_"
BAD_FILLED_PREFIX: Final = "bad_filled_"

RETRY_STATUSES: Final = frozenset({423, TOO_MANY_REQUESTS})  # 423: the payment is just being changed


class MercadoPagoSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "mercadopago"`."""

    gateway: Literal["mercadopago"]
    webhook_secrets: Secrets = Field(
        description="The application's secret signatures (Your integrations > Webhooks).  While one is renewed, name "
        "both."
    )
    access_token: OneSecret = Field(
        description="The application's access token (APP_USR-... or TEST-...), with which payments are fetched: "
        "notices tell none of them."
    )
    api_base: ApiBase = "https://api.mercadopago.com"
    tolerance_s: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="How many seconds a notice may be old, or ahead.  None asks for no time, as Mercado Pago does; "
        "whether a repetition is signed anew is not documented.",
    )
    accept_unsigned: bool = Field(
        default=False,
        description="Whether calls without a signature, as IPN and QR codes send them, have the payment fetched that "
        "they name.  Anybody can send such: what they cause is limited, but it is calls to Mercado Pago all the same.",
    )


ABOUT: Final = About(
    title="Mercado Pago",
    verifies="HMAC-SHA256, in hexadecimal, of the payment's id in the query, `x-request-id` and the time; the time may "
    "be in seconds or milliseconds, and has a limit only if `tolerance_s` is set; several secrets at once",
    uncovered="all of the body, and of the query all but `data.id`: a notice only has the payment of that id fetched.  "
    "Of IPN calls and notices of QR codes nothing is signed: they are refused, or with `accept_unsigned` have a "
    "payment fetched, too",
    dedupes_by="what the fetched payment says, for a notice says nothing",
    acknowledges="200 without a body",
    queries="payments by their id, or by `external_reference`; refunds in their payment",
    refunds_seen="each refund, and what went back in all",
    checked="the package `mercadopago` verifies",
    sources=("the package `mercadopago`, `webhook/validator.py`", "Mercado Pago's pages on notifications and payments"),
)


class MercadoPago(Gateway):
    """One application at Mercado Pago."""

    name: ClassVar[str] = "mercadopago"
    settings: ClassVar[type[AccountModel]] = MercadoPagoSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {SIGNATURE_HEADER, REQUEST_ID_HEADER, "content-type", "user-agent"}
    )

    def __init__(self, account: str, settings: MercadoPagoSettings) -> None:
        self.account = account
        self._keys = HmacKeys("webhook_secrets", settings.webhook_secrets)
        self._access_token = settings.access_token
        self._api_base = settings.api_base
        self._tolerance_s = settings.tolerance_s
        self._accepts_unsigned = settings.accept_unsigned

    def key_labels(self) -> tuple[str, ...]:
        """One for each of the secrets."""
        return self._keys.labels

    def verify(self, request: Request, now: datetime) -> Verified:
        """The content is the id that was signed, what the query calls it, and the body, which nothing signs.

        Only what has no signature at all may be taken for an unsigned call.
        """
        if self._accepts_unsigned and not request.headers.get(SIGNATURE_HEADER):
            return _unsigned(request)
        time, signatures = _signature_parts(request.header(SIGNATURE_HEADER))
        if self._tolerance_s is not None:
            _check_age(time, now, self._tolerance_s)
        query, request_id = _query(request.query), _request_id(request)
        label = self._label_of(query.get("data.id"), request_id, time, signatures)
        return Verified(key=label, content=(query.get("data.id"), query.get("type"), request.body))

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """None, for the body proves nothing."""
        self.queries_for(verified)
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The payment of the id that is signed, or that an unsigned call names, if it is one that is told of."""
        data_id, about, body = cast("tuple[str | None, str | None, bytes]", verified.content)
        if verified.proven:
            written = text(strictjson.loads_unsigned(body), "type")
            about = about or written
        if about is None:
            raise BadPayload("the query does not tell a topic")
        if about != "payment":
            return ()
        ref = reference_or_none(data_id)
        if ref is None:
            raise BadPayload("data.id of the query is missing, or no payment's")
        return (Query(about="payment", payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment in the query, of a notice or of an unsigned IPN call."""
        try:
            query = _query(request.query)
        except BadSignature:
            return None
        ref = reference_or_none(query.get("data.id") or query.get("id"))
        return (
            ClaimedReferences(payment_ref=ref) if ref and "payment" in (query.get("type"), query.get("topic")) else None
        )

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """A payment by its id or by its order's reference; a refund stands in its payment, with its currency."""
        if query.about == "refund" and (query.refund_ref is None or query.payment_ref is None):
            raise CannotQuery("a refund is only found in its payment")
        if query.payment_ref is not None:
            if reference_or_none(query.payment_ref) is None:
                raise CannotQuery("the payment's reference has characters that Mercado Pago does not use")
            path = f"/v1/payments/{quote(query.payment_ref, safe='')}"
        elif query.order_ref:
            search = {"external_reference": query.order_ref, "sort": "date_created", "criteria": "desc"}
            path = f"/v1/payments/search?{urlencode(search | {'limit': SEARCHED_MAX})}"
        else:
            raise CannotQuery("neither the payment's reference nor its order's is known")
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._access_token}"}
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the payment says of itself, its refunds and its chargeback; or what each that was found says."""
        content = _content_of(response)
        if content is None:
            return Answer(found=False)
        told_at = answered_at(response, now)
        if query.payment_ref is None:
            found = [it for it in _results(content) if _order_ref(it) == query.order_ref]
        else:
            found = [content]
            if _id(content) != query.payment_ref:
                raise BadPayload("the answer is about another payment than the question")
        events = [event for payment in found for event in self._said(query, payment, told_at)]
        if query.payment_ref is None:
            return Answer(found=bool(found), events=_as_dated(events), also=tuple(_to_ask(query, found)))
        if query.about == "refund":
            found = [it for it in _list(content, "refunds") if _id(it) == query.refund_ref]
            events = [event for event in events if event.refund_ref == query.refund_ref]
            return Answer(found=bool(found), events=tuple(events))
        return Answer(found=bool(found), events=tuple(events))

    def _label_of(self, data_id: str | None, request_id: str | None, time: str, signatures: list[str]) -> str:
        """By which key the id is signed, as it was received or, as the documents have it, in small letters."""
        try:
            return self._keys.label_of(_manifest(data_id, request_id, time), *signatures)
        except BadSignature:
            if data_id is None or data_id == data_id.lower():
                raise
        return self._keys.label_of(_manifest(data_id.lower(), request_id, time), *signatures)

    def _said(self, query: Query, payment: object, told_at: datetime) -> Iterator[PaymentEvent]:
        status, detail = text(payment, "status"), text_or_none(payment, "status_detail")
        kind = known_or_none(STATUSES, status, "payment.status")
        currency, ref = text(payment, "currency_id").upper(), _id(payment)
        if kind is None or not is_currency(currency):
            return
        failure, code = _why(kind, detail)
        updated_at = _moment(payment, "date_last_updated") or told_at
        paid = PaymentEvent(
            event_id="",
            kind=kind,
            account=self.account,
            occurred_at=(kind is Kind.PAYMENT_SUCCEEDED and _moment(payment, "date_approved")) or updated_at,
            order_ref=_order_ref(payment) or query.order_ref,
            payment_ref=ref,
            amount=from_major(at(payment, ["transaction_amount"]), currency),
            currency=currency,
            failure=failure,
            failure_code=code,
            method=reference_or_none(at(payment, ["payment_type_id"])),
        )
        yield queried(paid)
        if kind is not Kind.PAYMENT_SUCCEEDED:
            if kind in NOT_PAID and _moment(payment, "date_approved") is not None:  # it was, until it was taken back
                reversal = {"kind": Kind.PAYMENT_REVERSED, "occurred_at": updated_at}
                yield queried(msgspec.structs.replace(paid, failure=None, failure_code=None, **reversal))
            return
        beside = msgspec.structs.replace(paid, occurred_at=updated_at, method=None)
        if status in DISPUTED:
            opened = CHARGEBACKS.get(detail or "", Kind.DISPUTE_OPENED)
            yield queried(msgspec.structs.replace(beside, kind=opened, dispute_ref=f"chargeback-{ref}"))
        back = from_major(at(payment, ["transaction_amount_refunded"]) or 0, currency)
        total = back or (paid.amount if status == "refunded" else None)
        if total:
            yield queried(msgspec.structs.replace(beside, kind=Kind.REFUND_SUCCEEDED, amount=None, total=total))
        for refund in _list(payment, "refunds"):
            yield from map(queried, _refunded(beside, refund, currency))


def _as_dated(events: list[PaymentEvent]) -> tuple[PaymentEvent, ...]:
    """What a search found, as of when each thing was last changed: a search may lag behind."""
    return tuple(msgspec.structs.replace(event, as_of=event.occurred_at) for event in events)


def _to_ask(query: Query, found: list[object]) -> Iterator[Query]:
    """What is not paid yet by the search's word may be by now."""
    for payment in found:
        if STATUSES.get(text(payment, "status")) is not Kind.PAYMENT_SUCCEEDED:
            yield Query(about="payment", order_ref=query.order_ref, payment_ref=_id(payment))


def _refunded(beside: PaymentEvent, refund: object, currency: str) -> Iterator[PaymentEvent]:
    """One refund of a payment, begun when it was made; it failed when the payment was last changed, or before."""
    kind = known_or_none(REFUND_STATUSES, text_or_none(refund, "status") or UNTOLD, "refund.status")
    made_at = moment_from_rfc3339(text(refund, "date_created"))
    if kind is None:
        return
    yield msgspec.structs.replace(
        beside,
        kind=kind,
        occurred_at=beside.occurred_at if kind is Kind.REFUND_FAILED else made_at,
        amount=from_major(at(refund, ["amount"]), currency),
        refund_ref=_id(refund),
    )


def _unsigned(request: Request) -> Verified:
    """An IPN call, or a QR code's notice: all that is looked at is what its query names."""
    query = _query(request.query)
    named = query.get("data.id") or query.get("id"), query.get("type") or query.get("topic"), b""
    return Verified(key=UNSIGNED, content=named, proven=False)


def _signature_parts(header: str) -> tuple[str, list[str]]:
    """The time and the v1 signatures of `ts=1,v1=a`; other schemes are none of ours."""
    if not header.isascii() or len(header) > SIGNATURE_HEADER_CHARS_MAX:
        raise BadSignature("the signature header is not ASCII or too long", VerificationStep.HEADER)
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "ts"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise BadSignature("the signature header does not tell one time", VerificationStep.HEADER)
    return times[0], [value for name, _, value in parts if name == "v1"]


def _check_age(time: str, now: datetime, tolerance_s: int) -> None:
    seconds = int(time) // (1000 if len(time) >= MILLISECONDS_DIGITS else 1)
    try:
        signed_at = moment_from_unix(seconds)
    except BadPayload as refused:
        raise BadSignature(refused.reason, VerificationStep.HEADER) from None
    if abs(now - signed_at).total_seconds() > tolerance_s:
        raise Stale(f"the signed time is more than {tolerance_s} s from now", signed_at)


def _query(query: str) -> Mapping[str, str]:
    """The fields behind the query mark.  One that stands twice could be read as either."""
    try:
        pairs = parse_qsl(query, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise BadSignature("the query has too many fields", VerificationStep.HEADER) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadSignature("the query repeats a field", VerificationStep.HEADER)
    return fields


def _request_id(request: Request) -> str | None:
    if not request.headers.get(REQUEST_ID_HEADER):
        return None
    request_id = request.header(REQUEST_ID_HEADER)
    if not _REQUEST_ID.fullmatch(request_id):
        raise BadSignature(f"{REQUEST_ID_HEADER} has characters that are none of an id's", VerificationStep.HEADER)
    return request_id


def _manifest(data_id: str | None, request_id: str | None, time: str) -> bytes:
    """What is signed: parts that are absent are left out, and a semicolon stands behind each."""
    parts = {"id": data_id, "request-id": request_id, "ts": time}
    return "".join(f"{name}:{value};" for name, value in parts.items() if value).encode(errors="replace")


def _why(kind: Kind, detail: str | None) -> tuple[FailureClass | None, str | None]:
    if kind not in {Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED}:
        return None, None
    word = (detail or "").removeprefix(REJECTED_PREFIX)
    if word.startswith(BAD_FILLED_PREFIX):
        word = BAD_FILLED_PREFIX
    return FAILURES.get(word, FailureClass.UNKNOWN), detail


def _order_ref(payment: object) -> str | None:
    return written_or_none(at(payment, ["external_reference"]))


def _moment(payment: object, name: str) -> datetime | None:
    told = text_or_none(payment, name)
    return moment_from_rfc3339(told) if told else None


def _id(subject: object) -> str:
    """An id as text; it is a number mostly."""
    value = at(subject, ["id"])
    return str(value) if type(value) is int else text(subject, "id")


def _list(subject: object, name: str) -> list[object]:
    value = at(subject, [name])
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadPayload(f"{name} is no list")
    return value


def _results(content: object) -> list[object]:
    if at(content, ["results"]) is None:
        raise BadPayload("the search has no results, not even an empty list")
    return _list(content, "results")


def _content_of(response: Response) -> object:
    """What an answer holds; None where Mercado Pago knows of no such payment."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND}, retry=RETRY_STATUSES)
    content = strictjson.loads(response.body)
    if not isinstance(content, dict):
        raise BadPayload("the answer is no object")
    if response.status == OK:
        return content
    error = text_or_none(content, "error")
    if response.status == NOT_FOUND and error in {"not_found", "resource not found"}:
        return None
    raise status_error(response, f", error {error if error and _WORD.fullmatch(error) else None}")
