"""Builds queries to GoCardless's API and reads payments and refunds.  TLS vouches for responses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.gocardless.history import payment_facts
from tillkeeper.gateways.gocardless.objects import amount_at, refund_fact
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, status_error
from tillkeeper.gateways.messages import Query, Response

LISTED_MAX: Final = 500  # events of a payment; the most that GoCardless lists at once
ID: Final = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)


def path_of(query: Query) -> str:
    """Returns path and query string of what answers the query.  Raises CannotQuery."""
    if query.about == "refund":
        return f"/refunds/{quote(_checked(query.refund_ref), safe='')}"
    ref = _checked(query.payment_ref)
    filters = {"resource_type": "payments", "payment": ref, "include": "payment", "limit": LISTED_MAX}
    return f"/events?{urlencode(filters)}"


def _checked(ref: str | None) -> str:
    if ref is None or not ID.fullmatch(ref):
        raise CannotQuery("a reference is missing, or not one of GoCardless's")
    return ref


def content_of(response: Response) -> Mapping[str, object] | None:
    """Returns what the response holds; None where GoCardless knows of no such thing."""
    if response.status == OK:
        return strictjson.object_in(response.body)
    if response.status == NOT_FOUND and at(strictjson.loads(response.body), ["error", "code"]) == NOT_FOUND:
        return None
    raise status_error(response)


def events_in(content: object) -> list[object]:
    """Returns the list of a payment's events; empty where GoCardless knows of no such payment."""
    return list_at(content, "events")


def facts_of(query: Query, content: object, order_ref_path: Sequence[str], reported_at: datetime) -> Iterator[Fact]:
    """Yields what the response says of the payment or the refund; nothing where nobody can count its currency."""
    if query.about == "refund":
        yield from _refund_facts(query, content, order_ref_path, reported_at)
    elif events_in(content):
        yield from _payment_facts(query, content, order_ref_path, reported_at)


def _payment_facts(
    query: Query, content: object, order_ref_path: Sequence[str], reported_at: datetime
) -> Iterator[Fact]:
    events = events_in(content)
    if any(at(event, ["links", "payment"]) != query.payment_ref for event in events):
        raise BadPayload("the answer is about another payment than the query")
    payment = _payment_in(query, content)
    if not units.is_currency(text(payment, "currency").upper()):
        return
    order_ref = text_or_none(payment, *order_ref_path) or query.order_ref
    amount, currency = _money(payment, "amount")
    method = text_or_none(payment, "scheme")
    for fact in payment_facts(payment, events, reported_at):
        yield msgspec.structs.replace(
            fact,
            order_ref=order_ref,
            amount=amount,
            currency=currency,
            method=method if fact.kind.is_payment else None,
        )
    given_back = _money(payment, "amount_refunded")[0] if at(payment, ["amount_refunded"]) else 0
    if given_back:
        yield Fact(
            kind=Kind.REFUND_SUCCEEDED,
            payment_ref=query.payment_ref,
            order_ref=order_ref,
            total=given_back,
            currency=currency,
        )


def _payment_in(query: Query, content: object) -> object:
    payments = list_at(at(content, ["linked"]), "payments")
    if len(payments) != 1 or text(payments[0], "id") != query.payment_ref:
        raise BadPayload("the answer does not tell the payment that was asked for")
    return payments[0]


def _refund_facts(
    query: Query, content: object, order_ref_path: Sequence[str], reported_at: datetime
) -> Iterator[Fact]:
    refund = at(content, ["refunds"])
    if text(refund, "id") != query.refund_ref:
        raise BadPayload("the answer is about another refund than the query")
    if text_or_none(refund, "links", "payment") is None and text_or_none(refund, "links", "mandate") is not None:
        return  # of a mandate: money to the payer that came by no payment
    fact = refund_fact(refund, reported_at)
    if fact is None or not units.is_currency(text(refund, "currency").upper()):
        return
    amount, currency = _money(refund, "amount")
    yield msgspec.structs.replace(
        fact,
        payment_ref=text(refund, "links", "payment"),
        order_ref=text_or_none(refund, *order_ref_path) or query.order_ref,
        amount=amount,
        currency=currency,
    )


def _money(subject: object, name: str) -> tuple[int, str]:
    currency = text(subject, "currency").upper()
    return units.from_minor(amount_at(subject, name), currency), currency


def list_at(content: object, name: str) -> list[object]:
    """Returns the list under a name, which must be there."""
    found = at(content, [name])
    if not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found
