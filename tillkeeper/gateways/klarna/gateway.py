"""Klarna Checkout and Payments: pushes that prove nothing, and an order that says all.

A push is a POST with an empty body, and the order's id in the query of our own push URL (`?klarna_order_id=...`); a
notification about fraud is JSON that nobody signed.  Both are hints to fetch the order.  Authorised is not paid:
Klarna pays what is captured, so each capture is a success of its own, and an order without one is on its way.
Once what the order said is committed, its receipt is acknowledged, or Klarna pushes again for two days.

Checked against documents only, for no official package takes its pushes.

A capture absorbs what comes later: fraud that Klarna finds after one is a dispute of its own, `ORDER-ID:fraud`.

Klarna Network's webhooks are not taken: how their signature is written (hexadecimal or base64) is not documented well
enough to ship a check that has seen no delivery of theirs.

Sources: Klarna's documentation, "Confirm purchase", "View and change orders", and the reference of its Order Management
API; `Order`, `Capture` and `Refund` of klarna-order-management-api-php.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import form, strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, NOT_FOUND, OK, check_status
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, Query, Request, Response, Verified

ORDER_ID_FIELD: Final = "klarna_order_id"
UNSIGNED: Final = "unsigned"
QUERY_CHARS_MAX: Final = 2048  # a push URL has about 100
NO_ORDER_CODES: Final = frozenset({"NO_SUCH_ORDER", "NOT_FOUND", "INVALID_ORDER_ID"})  # the last: of another shape
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", re.ASCII)

# Orders of which nothing was captured.  CLOSED is what is left when an authorization was released.
NOT_CAPTURED: Final[Mapping[str, tuple[Kind, FailureClass | None]]] = {
    "AUTHORIZED": (Kind.PAYMENT_AUTHORIZED, None),
    "CANCELLED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "EXPIRED": (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "CLOSED": (Kind.PAYMENT_CANCELLED, FailureClass.UNKNOWN),
}
STATUSES: Final = frozenset({*NOT_CAPTURED, "PART_CAPTURED", "CAPTURED"})

# What Klarna thinks of an authorised order.
FRAUD_STATUSES: Final[Mapping[str, tuple[Kind, FailureClass | None]]] = {
    "ACCEPTED": (Kind.PAYMENT_AUTHORIZED, None),
    "PENDING": (Kind.PAYMENT_PENDING, None),
    "REJECTED": (Kind.PAYMENT_FAILED, FailureClass.SUSPECTED_FRAUD),
    "STOPPED": (Kind.PAYMENT_FAILED, FailureClass.SUSPECTED_FRAUD),
}


class KlarnaSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "klarna"`."""

    gateway: Literal["klarna"]
    username: Annotated[str, Field(pattern=r"^[!-9;-~]{1,255}$")] = Field(
        description="The API credential's user name (Merchant portal > Settings > Klarna API credentials)."
    )
    password: OneSecret = Field(description="The API credential's password, with which orders are fetched.")
    api_base: ApiBase = "https://api.klarna.com"


ABOUT: Final = About(
    title="Klarna",
    verifies="nothing is signed; the order that a push or a notification names is fetched",
    uncovered="all of it: a delivery is only believed to name an order, and what Klarna then answers is what counts",
    dedupes_by="what the answer says",
    acknowledges="200 without a body; then the order is acknowledged at Klarna's API",
    queries="orders by their ids, with captures, what is still held, and refunds, also those made in Klarna's portal",
    refunds_seen="each refund, and what went back in all",
    checked="documents only",
    sources=(
        "Klarna's documentation of Checkout and Order Management",
        "klarna-order-management-api-php, its pages on models",
    ),
)


class Klarna(Gateway):
    """One merchant of Klarna's, in one region."""

    name: ClassVar[str] = "klarna"
    settings: ClassVar[type[AccountModel]] = KlarnaSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment"})
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", "user-agent"})

    def __init__(self, account: str, settings: KlarnaSettings) -> None:
        self.account = account
        self._api_base = settings.api_base
        credentials = b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Accept": "application/json"}

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - nothing tells a time
        """There is nothing to verify: only the order's id is taken, from the query or from a notification."""
        pushed = _pushed(request.query)
        return Verified(key=UNSIGNED, content=_notified(request.body) if pushed is None else pushed, proven=False)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:  # noqa: ARG002 - it proves nothing
        """Nothing: what Klarna answers is what counts."""
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The order."""
        return (Query(about="payment", payment_ref=str(verified.content)),)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """An order by Klarna's own id."""
        ref = query.payment_ref
        if query.about == "refund" or ref is None or not _ORDER_ID.fullmatch(ref):
            raise CannotQuery("Klarna is asked about orders, by its own ids")
        return Call(method="GET", url=self._url(ref), headers=self._headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the order says, and the acknowledgement that it was heard."""
        order = _content_of(response)
        if order is None:
            return Answer(found=False)
        ref = text(order, "order_id")
        if ref != query.payment_ref:
            raise BadPayload("the answer is about another order than the question")
        events = tuple(queried(event) for event in self._said_by(order, query, answered_at(response, now)))
        received = Call(method="POST", url=f"{self._url(ref)}/acknowledge", headers=self._headers)
        return Answer(found=True, events=events, then=(received,))

    def _url(self, ref: str) -> str:
        return f"{self._api_base}/ordermanagement/v1/orders/{ref}"  # its alphabet needs no escapes

    def _said_by(self, order: object, query: Query, told_at: datetime) -> Iterator[PaymentEvent]:
        status, fraud, currency = text(order, "status"), text(order, "fraud_status"), text(order, "purchase_currency")
        if status not in STATUSES:
            unknown_word("status of an order", status)
        if fraud not in FRAUD_STATUSES:
            unknown_word("fraud_status of an order", fraud)
        if not units.is_currency(currency, "purchase_currency"):
            return
        base = PaymentEvent(
            event_id="query",
            kind=Kind.PAYMENT_AUTHORIZED,
            account=self.account,
            occurred_at=told_at,
            order_ref=text_or_none(order, "merchant_reference1") or query.order_ref,
            payment_ref=text(order, "order_id"),
            amount=_amount(order, "order_amount", currency),
            currency=currency,
            method=text_or_none(order, "initial_payment_method", "type"),
        )
        captures = _listed(order, "captures")
        captured = _amount(order, "captured_amount", currency)
        if sum(_amount(capture, "captured_amount", currency) for capture in captures) != captured:
            raise BadPayload("the captures do not come to captured_amount")
        if not captured:
            yield from _standing_of(order, base, status, fraud)
            return
        for capture in captures:
            yield _sound(
                base,
                kind=Kind.PAYMENT_SUCCEEDED,
                capture_ref=text(capture, "capture_id"),
                amount=_amount(capture, "captured_amount", currency),
                occurred_at=moment_from_rfc3339(text(capture, "captured_at")),
            )
        yield from _rest_of(order, base, status, captured)
        yield from _given_back(order, msgspec.structs.replace(base, method=None))
        if FRAUD_STATUSES.get(fraud, (None, None))[0] is Kind.PAYMENT_FAILED:
            yield _sound(base, kind=Kind.DISPUTE_OPENED, dispute_ref=f"{base.payment_ref}:fraud", method=None)


def _standing_of(order: object, base: PaymentEvent, status: str, fraud: str) -> Iterator[PaymentEvent]:
    """Where an order stands of which nothing was captured; nothing where a word that decides is unknown."""
    said = NOT_CAPTURED.get(status) or (NOT_CAPTURED["AUTHORIZED"] if status in STATUSES else None)
    if said is not None and said[0] is Kind.PAYMENT_AUTHORIZED:
        said = FRAUD_STATUSES.get(fraud)
    if said is None:
        return
    kind, failure = said
    goes_on = kind in (Kind.PAYMENT_PENDING, Kind.PAYMENT_AUTHORIZED)  # of one instant, the higher rank stands
    since = moment_from_rfc3339(text(order, "created_at")) if goes_on else base.occurred_at
    yield _sound(base, kind=kind, failure=failure, occurred_at=since)


def _rest_of(order: object, base: PaymentEvent, status: str, captured: int) -> Iterator[PaymentEvent]:
    """What was authorized and not captured: still held, or let go, which nobody else tells."""
    if captured >= (base.amount or 0):
        return
    told = at(order, ["remaining_authorized_amount"])
    left = 0 if told is None else units.from_minor(told, text(order, "purchase_currency"))
    if status == "PART_CAPTURED" and (left or told is None):
        yield _sound(base, amount=base.amount if told is None else captured + left)
    elif status in STATUSES:
        yield _sound(base, kind=Kind.PAYMENT_CANCELLED, failure=NOT_CAPTURED.get(status, (None, None))[1])


def _given_back(order: object, base: PaymentEvent) -> Iterator[PaymentEvent]:
    """Each refund that has a name, and what all of them come to; Klarna refunds at once or not at all."""
    currency = text(order, "purchase_currency")
    refunds = _listed(order, "refunds")
    times = [moment_from_rfc3339(text(refund, "refunded_at")) for refund in refunds]
    for refund, refunded_at in zip(refunds, times, strict=True):
        if (refund_ref := text_or_none(refund, "refund_id")) is not None:
            amount = _amount(refund, "refunded_amount", currency)
            yield _sound(
                base, kind=Kind.REFUND_SUCCEEDED, refund_ref=refund_ref, amount=amount, occurred_at=refunded_at
            )
    if total := _amount(order, "refunded_amount", currency):
        last = max(times, default=base.occurred_at)
        yield _sound(base, kind=Kind.REFUND_SUCCEEDED, amount=None, total=total, occurred_at=last)


def _sound(base: PaymentEvent, **changes: object) -> PaymentEvent:
    event = msgspec.structs.replace(base, **changes)
    if problem := problem_with(event):
        raise BadPayload(problem)
    return event


def _pushed(query: str) -> str | None:
    """The order's id in the query of our push URL; None where it names none."""
    if not query:
        return None
    if not query.isascii() or len(query) > QUERY_CHARS_MAX:
        raise BadPayload("the query is not ASCII or too long")
    ref = form.decode(query.encode()).fields.get(ORDER_ID_FIELD)
    return None if ref is None else _order_id(ref)


def _notified(body: bytes) -> str:
    return _order_id(text(strictjson.loads_unsigned(body), "order_id"))


def _order_id(ref: str) -> str:
    if not _ORDER_ID.fullmatch(ref):
        raise BadPayload("the order's id is not one of Klarna's")
    return ref


def _listed(order: object, name: str) -> list[object]:
    listed = at(order, [name])
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise BadPayload(f"{name} is no list")
    return listed


def _amount(subject: object, name: str, currency: str) -> int:
    return units.from_minor(integer(subject, name), currency)


def _content_of(response: Response) -> Mapping[str, object] | None:
    """What the response holds, or None where Klarna knows of no such order."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND})
    content = strictjson.loads(response.body)
    if not isinstance(content, dict):
        raise BadPayload("the answer is no object")
    if response.status == OK:
        return content
    if content.get("error_code") not in NO_ORDER_CODES:
        raise BadPayload(f"status {response.status}, and not for want of an order")
    return None
