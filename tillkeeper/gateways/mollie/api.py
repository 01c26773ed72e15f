"""Builds queries to Mollie's API for payments, links, orders and refunds, and reads the responses.  TLS vouches."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, OK_OR_NOT_FOUND, check_status
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.mollie.ids import LINK, ORDER, PAYMENT, REFUND
from tillkeeper.gateways.mollie.objects import (
    Profile,
    embedded,
    gave_back,
    payment_facts,
    refund_facts,
    return_facts,
)

LISTED_MAX: Final = 250  # payments of one link; the most that Mollie lists at once


class ReadResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a response says, and what it has us ask besides."""

    is_known: bool = True
    facts: tuple[Fact, ...] = ()
    also: tuple[Query, ...] = ()


def path_of(query: Query) -> str:
    """Returns path and query string, behind the version, of what answers the query.  Raises CannotQuery."""
    ref = query.payment_ref or ""
    if query.about == "refund":
        if not PAYMENT.fullmatch(ref) or not REFUND.fullmatch(query.refund_ref or ""):
            raise CannotQuery("a refund is asked for by its own reference and its payment's")
        return f"payments/{_quoted(ref)}/refunds/{_quoted(query.refund_ref or '')}"
    if LINK.fullmatch(ref):
        return f"payment-links/{_quoted(ref)}/payments?limit={LISTED_MAX}"
    if ORDER.fullmatch(ref):
        return f"orders/{_quoted(ref)}?embed=payments"
    if not PAYMENT.fullmatch(ref):
        raise CannotQuery("a reference is missing, or not one of Mollie's")
    return f"payments/{_quoted(ref)}?embed=refunds%2Cchargebacks"


def _quoted(ref: str) -> str:
    return quote(ref, safe="")


def content_of(response: Response) -> Mapping[str, object] | None:
    """Returns what the response holds; None where Mollie knows of no such thing."""
    check_status(response, accepted=OK_OR_NOT_FOUND)
    content = strictjson.object_in(response.body)
    if response.status == OK:
        return content
    if content.get("status") != NOT_FOUND:  # Mollie's errors repeat it
        raise BadPayload("status 404, and not in Mollie's words")
    return None


def read(query: Query, content: object, profile: Profile, reported_at: datetime) -> ReadResponse:
    """Returns what the response says of the payments or the refund.  Raises BadPayload."""
    if query.about == "refund":
        return _refund(query, content, profile, reported_at)
    if ORDER.fullmatch(query.payment_ref or ""):
        return _order(query, content, profile, reported_at)
    payments = _payments_in(query, content)
    facts = _facts_of(payments, query, profile, reported_at)
    return ReadResponse(is_known=bool(payments), facts=facts)


def _refund(query: Query, content: object, profile: Profile, reported_at: datetime) -> ReadResponse:
    if text(content, "id") != query.refund_ref or text(content, "paymentId") != query.payment_ref:
        raise BadPayload("the answer is about another refund than the query")
    facts = refund_facts(content, text(content, "paymentId"), profile, reported_at)
    return ReadResponse(facts=tuple(_of_order(fact, query.order_ref) for fact in facts))


def _order(query: Query, order: object, profile: Profile, reported_at: datetime) -> ReadResponse:
    """Returns the order's payments, each asked about for what went back of it.

    They name the order as their order's page does.
    """
    if text(order, "id") != query.payment_ref:
        raise BadPayload("the answer is about another order than the query")
    order_ref = profile.order_ref_of(order) or text_or_none(order, "orderNumber") or query.order_ref
    query = msgspec.structs.replace(query, order_ref=order_ref)
    payments = embedded(order, "payments") or []
    also = (
        msgspec.structs.replace(query, payment_ref=text(payment, "id")) for payment in payments if gave_back(payment)
    )
    return ReadResponse(facts=_facts_of(payments, query, profile, reported_at), also=tuple(also))


def _payments_in(query: Query, content: object) -> list[object]:
    if LINK.fullmatch(query.payment_ref or ""):
        payments = embedded(content, "payments")
        if payments is None:
            raise BadPayload("the answer lists no payments")
        return payments
    if text(content, "id") != query.payment_ref:
        raise BadPayload("the answer is about another payment than the query")
    return [content]


def _facts_of(payments: list[object], query: Query, profile: Profile, reported_at: datetime) -> tuple[Fact, ...]:
    return tuple(
        _of_order(fact, query.order_ref)
        for payment in payments
        for facts_of in (payment_facts, return_facts)
        for fact in facts_of(payment, profile, reported_at)
    )


def _of_order(fact: Fact, order_ref: str | None) -> Fact:
    """Returns the fact with that order where it names none itself."""
    return fact if fact.order_ref is not None else msgspec.structs.replace(fact, order_ref=order_ref)
