"""Builds queries to PayPal's API and reads its objects' states.  TLS vouches; nothing is signed.

Sources: PayPal's references of Orders v2, Payments v2 and Payments v1.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.http_status import (
    NOT_FOUND,
    OK_OR_NOT_FOUND,
    TOO_MANY_REQUESTS,
    check_status,
    status_error,
)
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.paypal import objects
from tillkeeper.gateways.paypal.codes import AUTHORIZATIONS, CAPTURES, ORDERS, ORDERS_UNPAID
from tillkeeper.gateways.paypal.objects import AUTHORIZATION, DISPUTE, ORDER, SALE

RETRY_STATUSES: Final = frozenset({408, TOO_MANY_REQUESTS})
NOT_FOUND_NAMES: Final = frozenset({"RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"})
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,32}", re.ASCII)
_DISPUTE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # such as PP-D-4012

# By the prefixes of references; none is a capture, and a refund of one.
PAYMENT_PATHS: Final[Mapping[str, str]] = {
    ORDER: "/v2/checkout/orders/",
    AUTHORIZATION: "/v2/payments/authorizations/",
    SALE: "/v1/payments/sale/",
    DISPUTE: "/v1/customer/disputes/",
    "": "/v2/payments/captures/",
}
REFUND_PATHS: Final[Mapping[str, str]] = {SALE: "/v1/payments/refund/", "": "/v2/payments/refunds/"}
CAPTURED: Final = frozenset({"CAPTURED", "PARTIALLY_CAPTURED"})
CAME_TO_NOTHING: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})


def path_of(query: Query) -> str:
    """Returns where the object is that the query is about.  Raises CannotQuery."""
    prefix, own_id = _split(query)
    return f"{_paths(query)[prefix]}{own_id}"


def _paths(query: Query) -> Mapping[str, str]:
    return REFUND_PATHS if query.about == "refund" else PAYMENT_PATHS


def _split(query: Query) -> tuple[str, str]:
    """Returns the prefix that tells what a reference names, and PayPal's own id."""
    ref = (query.refund_ref if query.about == "refund" else query.payment_ref) or ""
    prefix = next(prefix for prefix in _paths(query) if ref.startswith(prefix))  # the last is empty
    own_id = ref.removeprefix(prefix)
    if not (_DISPUTE_ID if prefix == DISPUTE else _ID).fullmatch(own_id):
        raise CannotQuery("the reference is missing, or not one of PayPal's")
    return prefix, own_id


def content_of(response: Response) -> object:
    """Returns what the response holds; None where PayPal knows of no such thing."""
    check_status(response, accepted=OK_OR_NOT_FOUND, retry=RETRY_STATUSES)
    content = strictjson.loads(response.body)
    if response.status == NOT_FOUND:
        if text_or_none(content, "name") in NOT_FOUND_NAMES:
            return None
        raise status_error(response)
    if not isinstance(content, dict):
        raise BadPayload("the answer is no object")
    return content


def facts_of(query: Query, content: object, is_ours: Callable[[object], bool]) -> Iterator[Fact]:
    """Yields what the object says that was asked about; of an order, what its units say that are ours."""
    prefix, own_id = _split(query)
    if text(content, "dispute_id" if prefix == DISPUTE else "id") != own_id:
        raise BadPayload("the answer is about another object than the query")
    if query.about == "refund":
        return _refund_facts(query, content)
    if prefix == ORDER:
        return _order_facts(content, is_ours)
    if prefix == DISPUTE:
        return iter((objects.dispute_fact(content),))
    if prefix == AUTHORIZATION:
        return _authorization_facts(content)
    return _capture_facts(content, prefix)


def further_queries(query: Query, content: object) -> tuple[Query, ...]:
    """Returns what an answer says to ask besides: the payment of a refund that was not known, and what was captured of
    what."""
    ref = _refunds_payment(query, content) if query.about == "refund" else _other_half(query, content)
    if ref is None or ref == query.payment_ref:
        return ()
    further = Query(about="payment", order_ref=query.order_ref, payment_ref=ref)
    try:
        path_of(further)
    except CannotQuery:
        return ()
    return (further,)


def _refunds_payment(query: Query, content: object) -> str | None:
    fact = _refund_fact(query, content)
    return None if fact is None or query.payment_ref is not None else fact.payment_ref


def _other_half(query: Query, content: object) -> str | None:
    """An authorization that was captured knows of its order, whose answer lists captures; a capture knows of both."""
    ref = query.payment_ref or ""
    if ref.startswith((ORDER, SALE, DISPUTE)):
        return None
    if ref.startswith(AUTHORIZATION):
        return objects.related_order(content) if text(content, "status") in CAPTURED else None
    return None if objects.is_final_capture(content) else objects.related_authorization(content)


def _refund_fact(query: Query, content: object) -> Fact | None:
    is_of_first_api = _split(query)[0] == SALE
    return objects.sale_refund_fact(content) if is_of_first_api else objects.refund_fact(content)


def _refund_facts(query: Query, content: object) -> Iterator[Fact]:
    fact = _refund_fact(query, content)
    if fact is None:
        return
    payment_ref = fact.payment_ref or query.payment_ref
    if payment_ref is None:
        raise BadPayload("the refund names no capture or sale")
    yield msgspec.structs.replace(fact, payment_ref=payment_ref)


def _capture_facts(content: object, prefix: str = "") -> Iterator[Fact]:
    """Yields what a capture or a sale brought in.  Its refunds say what it gave back, unless that is all of it."""
    status = text(content, "state").upper() if prefix == SALE else text(content, "status")
    if status not in CAPTURES:
        unknown_word("status of a capture", status)
        return
    kind = CAPTURES[status]
    fact = objects.payment_fact(content, kind, prefix)
    if kind is Kind.PAYMENT_SUCCEEDED:
        fact = _since_creation(fact, content)
    yield from objects.with_attempt(fact, content, undoes=kind is Kind.PAYMENT_FAILED)
    if status == "REFUNDED":
        yield msgspec.structs.replace(fact, kind=Kind.REFUND_SUCCEEDED, amount=None, total=fact.amount)


def _since_creation(fact: Fact, content: object) -> Fact:
    """Money came in when its capture was made: what changed the capture since may have taken it back."""
    created = text_or_none(content, "create_time")
    return fact if created is None else msgspec.structs.replace(fact, occurred_at=moment_from_rfc3339(created))


def _authorization_facts(content: object) -> Iterator[Fact]:
    status = text(content, "status")
    if status not in AUTHORIZATIONS:
        unknown_word("status of an authorization", status)
        return
    kind, failure = AUTHORIZATIONS[status]
    fact = objects.payment_fact(content, kind, AUTHORIZATION, failure)
    if kind is Kind.PAYMENT_SUCCEEDED:
        fact = msgspec.structs.replace(fact, amount=0)
    yield from objects.with_attempt(fact, content)


def _order_facts(content: object, is_ours: Callable[[object], bool]) -> Iterator[Fact]:
    """Where it was paid, its captures, authorizations and refunds tell; where nothing came of all, nor did of it."""
    status, ref = text(content, "status"), f"{ORDER}{text(content, 'id')}"
    units = [unit for unit in objects.purchase_units(content) if is_ours(unit)]
    parts = [fact for unit in units for fact in _unit_facts(unit) if fact.payment_ref != ref]
    standing = [fact for fact in parts if fact.kind in objects.STANDS]
    if standing:
        yield objects.finished(standing[-1], ref)
    elif status in ORDERS:
        yield objects.order_fact(content, *ORDERS[status])
    elif status not in {"COMPLETED", *ORDERS_UNPAID}:
        unknown_word("status of an order", status)
    yield from parts
    if status == "COMPLETED":
        yield from _ended(content, parts)


def _ended(content: object, parts: Sequence[Fact]) -> Iterator[Fact]:
    """Yields the order's own end, where all of its captures and authorizations came to nothing."""
    ends = [fact for fact in parts if fact.kind is not Kind.PAYMENT_REVERSED]
    if not ends or any(fact.kind not in CAME_TO_NOTHING for fact in ends):
        return
    last = ends[-1]
    order = objects.order_fact(content, last.kind, last.failure)
    since = max(filter(None, (order.occurred_at, last.occurred_at)), default=None)  # not before its approval
    yield msgspec.structs.replace(order, occurred_at=since, failure_code=last.failure_code)


def _unit_facts(unit: object) -> Iterator[Fact]:
    order_ref = objects.order_ref_of(unit)
    facts = [fact for capture in _list(unit, "captures") for fact in _capture_facts(capture)]
    facts += [fact for authorization in _list(unit, "authorizations") for fact in _authorization_facts(authorization)]
    facts += [fact for refund in _list(unit, "refunds") for fact in objects.refund_facts(refund)]
    for fact in facts:
        yield msgspec.structs.replace(fact, order_ref=fact.order_ref or order_ref)


def _list(unit: object, name: str) -> list[object]:
    found = at(unit, ["payments", name])
    if found is not None and not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found or []
