"""Asking Stripe: where each object is found, what its present state says, and the list of events.

TLS vouches for an answer, so nothing in it is signed.  Sources: Stripe's API reference (objects, "Errors", "Search",
"List all events") and its page "How PaymentIntents work" for the states.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, TOO_MANY_REQUESTS, status_error
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.stripe.charges import (
    charge_expired,
    charge_fact,
    charge_failed,
    charge_refunded,
    charge_reversed,
    charge_succeeded,
    counts_releases,
    is_captured,
    released,
)
from tillkeeper.gateways.stripe.objects import (
    Fact,
    Facts,
    discount_of,
    dispute_facts,
    intent_authorized,
    intent_cancelled,
    intent_fact,
    intent_succeeded,
    refund_facts,
    session_completed,
    session_fact,
)

# Pinned, for an account's own default decides what an object looks like.  Released authorizations are no refunds in it.
API_VERSION: Final = "2025-09-30.clover"
PAGE_EVENTS: Final = 100  # the most that Stripe gives
SEARCHED_MAX: Final = 100  # attempts to pay one order; more are no payer's
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)
_CODE: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)


class Place(msgspec.Struct, frozen=True):
    """Where objects of one sort are, and what is to be told along with them."""

    object: str
    path: str
    expand: tuple[str, ...] = ()


INTENTS: Final = Place("payment_intent", "/v1/payment_intents", ("latest_charge", "latest_charge.refunds"))
CHARGES: Final = Place("charge", "/v1/charges", ("refunds", "payment_intent"))
DISPUTES: Final = Place("dispute", "/v1/disputes")
EVENTS: Final = Place("v2.core.event", "/v2/core/events")
REFUNDS: Final = Place("refund", "/v1/refunds")
SESSIONS: Final = Place(
    "checkout.session",
    "/v1/checkout/sessions",
    ("payment_intent", "payment_intent.latest_charge", "payment_intent.latest_charge.refunds"),
)

PAYMENTS: Final[Mapping[str, Place]] = {
    "pi_": INTENTS,
    "ch_": CHARGES,
    "py_": CHARGES,
    "cs_": SESSIONS,
    "du_": DISPUTES,
    "dp_": DISPUTES,
    "evt": EVENTS,
}

# Begins the reference of a query about the session in which an intent was paid: only that tells of coupons.
SESSION_OF: Final = "session of "

# The types by which money is settled, at most twenty, for Stripe filters by no more.  Of those that a webhook may bring
# they leave out what only says that something is on its way, and what another says as well.
LISTED_TYPES: Final = (
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.amount_capturable_updated",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.succeeded",
    "charge.captured",
    "charge.failed",
    "charge.expired",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
)

# Error codes that mean the same whatever the HTTP status.
RETRY_CODES: Final = frozenset({"lock_timeout", "rate_limit"})
RETRY_STATUSES: Final = frozenset({409, 424, TOO_MANY_REQUESTS})


class Said(msgspec.Struct, frozen=True):
    """One thing that an object's state says, and since when where Stripe tells; else it is a snapshot."""

    fact: Fact
    subject: object
    at: datetime | None = None


def path_of(query: Query, search_field: str | None) -> str:
    """Path and query of what answers the query; `search_field` is the metadata key of order references."""
    if query.about == "refund":
        return _one(REFUNDS, query.refund_ref)
    if query.payment_ref is not None and query.payment_ref.startswith(SESSION_OF):
        return _session_of(query.payment_ref.removeprefix(SESSION_OF))
    if query.payment_ref is not None:
        place = PAYMENTS.get(query.payment_ref[:3])
        if place is None:
            raise CannotQuery("the payment's reference is of no sort that can be asked about")
        return _one(place, query.payment_ref)
    if search_field is None or query.order_ref is None:
        raise CannotQuery("a payment is only found by an order reference that stands in its metadata")
    search = f'metadata["{_escaped(search_field)}"]:"{_escaped(query.order_ref)}"'
    expand = [("expand[]", f"data.{name}") for name in INTENTS.expand]
    return f"{INTENTS.path}/search?{urlencode([('query', search), ('limit', SEARCHED_MAX), *expand])}"


def _session_of(intent: str) -> str:
    if not _ID.fullmatch(intent):
        raise CannotQuery("the intent's reference is not one of Stripe's")
    expand = [("expand[]", f"data.{name}") for name in SESSIONS.expand]
    return f"{SESSIONS.path}?{urlencode([('payment_intent', intent), ('limit', 1), *expand])}"


def _one(place: Place, ref: str | None) -> str:
    if ref is None or not _ID.fullmatch(ref):
        raise CannotQuery("a reference is missing, or not one of Stripe's")
    expand = urlencode([("expand[]", name) for name in place.expand])
    return f"{place.path}/{quote(ref, safe='')}" + (f"?{expand}" if expand else "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def path_of_events(since: datetime, until: datetime, after: str | None) -> str:
    """Path and query of a page of events, newest first."""
    query: list[tuple[str, object]] = [
        ("limit", PAGE_EVENTS),
        ("created[gte]", int(since.timestamp())),
        ("created[lte]", int(until.timestamp())),
        *(("types[]", name) for name in LISTED_TYPES),
    ]
    return f"/v1/events?{urlencode(query + ([('starting_after', after)] if after else []))}"


def content_of(response: Response) -> Mapping[str, object] | None:
    """What the response holds, or None where Stripe knows of no such thing."""
    if response.status == OK:
        content = strictjson.loads(response.body)
        if not isinstance(content, dict):
            raise BadPayload("the answer is no object")
        return content
    code = _error_code(response.body)
    if response.status == NOT_FOUND and code == "resource_missing":
        return None
    raise status_error(response, f", code {code}", retry=RETRY_STATUSES, is_retry=code in RETRY_CODES)


def _error_code(body: bytes) -> str | None:
    """Only the code: a message may repeat what was asked."""
    try:
        code = text_or_none(strictjson.loads(body), "error", "code")
    except BadPayload:
        return None
    return code if code and _CODE.fullmatch(code) else None


def found_in(query: Query, content: object) -> list[object]:
    """The objects of an answer that are what was asked about."""
    ref = query.refund_ref if query.about == "refund" else query.payment_ref
    if ref is None:
        return listed(content)
    if ref.startswith(SESSION_OF):
        return [it for it in listed(content) if _intent_of(it) == ref.removeprefix(SESSION_OF)]
    if text(content, "id") != ref:
        raise BadPayload("the answer is about another object than the question")
    return [content]


def _intent_of(session: object) -> str | None:
    intent = at(session, ["payment_intent"])
    return text_or_none(intent, "id") if isinstance(intent, dict) else text_or_none(session, "payment_intent")


def listed(content: object) -> list[object]:
    """What stands in one of Stripe's lists."""
    data = at(content, ["data"])
    if not isinstance(data, list):
        raise BadPayload("data is no list")
    return data


def said_by(subject: object, told_at: datetime | None) -> Iterator[Said]:
    """What one object says, at that time, of its payment and its refunds."""
    read = READERS.get(text(subject, "object"))
    if read is None:
        raise BadPayload("the object is of no sort that is known")
    yield from read(subject, told_at)


def _moment(subject: object, name: str) -> datetime | None:
    return None if at(subject, [name]) is None else moment_from_unix(integer(subject, name))


# Sessions.


def _session(session: object, told_at: datetime | None) -> Iterator[Said]:
    """Its payment intent knows better, where it has one already; but what was taken off only the session knows."""
    intent = at(session, ["payment_intent"])
    if isinstance(intent, dict):
        discount = discount_of(session)
        for said in _intent(intent, told_at):
            succeeded = said.fact.kind is Kind.PAYMENT_SUCCEEDED
            fact = msgspec.structs.replace(said.fact, discount=discount) if succeeded else said.fact
            yield Said(fact, said.subject, said.at)
        return
    status = text_or_none(session, "status")
    if status not in SESSION_OUTCOMES:
        unknown_word("session.status", status)
        return
    for fact in SESSION_OUTCOMES[status](session):
        yield Said(fact, session)


def _nothing(_subject: object) -> Facts:
    return []


SESSION_OUTCOMES: Final[Mapping[str | None, Callable[[object], Facts]]] = {
    "open": _nothing,
    "complete": session_completed,
    "expired": session_fact(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
}


# Intents.


def _intent(intent: object, told_at: datetime | None) -> Iterator[Said]:  # noqa: ARG001 - as every reader
    status = text(intent, "status")
    if status not in INTENT_STATES:
        unknown_word("payment_intent.status", status)
        return
    charge = at(intent, ["latest_charge"])
    charge = charge if isinstance(charge, dict) else None
    for fact in INTENT_STATES[status](intent):
        yield Said(fact, intent, _since(fact, intent, charge))
    if charge is not None:
        for fact in charge_reversed(charge) if text_or_none(charge, "status") == "failed" else ():
            yield Said(fact, charge)
        yield from _given_back(charge)


def _since(fact: Fact, intent: object, charge: object) -> datetime | None:
    if fact.kind is Kind.PAYMENT_SUCCEEDED:
        return _moment(charge, "created")
    return _moment(intent, "canceled_at") if fact.kind is Kind.PAYMENT_CANCELLED else None


def _failed(intent: object) -> Facts:
    """An intent goes back to asking for a method when an attempt failed, and begins by asking for one."""
    return [] if at(intent, ["last_payment_error"]) is None else [intent_fact(Kind.PAYMENT_FAILED)(intent)]


def _pending(intent: object) -> Facts:
    return [intent_fact(Kind.PAYMENT_PENDING)(intent)]


INTENT_STATES: Final[Mapping[str, Callable[[object], Facts]]] = {
    "requires_payment_method": _failed,
    "requires_confirmation": _nothing,
    "requires_action": _nothing,  # the payer is at the bank's page, or was never
    "processing": _pending,
    "requires_capture": intent_authorized,
    "canceled": intent_cancelled,
    "succeeded": intent_succeeded,
}


# Charges.


def _charge(charge: object, told_at: datetime | None) -> Iterator[Said]:
    """Its payment intent knows better where there is one: of itself a charge does not tell that it was let go."""
    intent = at(charge, ["payment_intent"])
    if isinstance(intent, dict):
        whole = {**charge, "payment_intent": text(intent, "id")} if isinstance(charge, dict) else charge
        yield from _intent({**intent, "latest_charge": whole}, told_at)
        return
    status = text(charge, "status")
    if status not in CHARGE_STATES:
        unknown_word("charge.status", status)
        return
    for fact in CHARGE_STATES[status](charge, told_at):
        yield Said(fact, charge, _moment(charge, "created") if fact.kind is Kind.PAYMENT_SUCCEEDED else None)
    yield from _given_back(charge)


def _charge_succeeded(charge: object, told_at: datetime | None) -> Facts:
    """An authorization that was let go, or that ran out, is none any more."""
    if is_captured(charge):
        return charge_succeeded(charge)
    until = _moment(at(charge, ["payment_method_details", "card"]), "capture_before")
    over = at(charge, ["refunded"]) is True or (until is not None and told_at is not None and until < told_at)
    return charge_expired(charge) if over else charge_succeeded(charge)


CHARGE_STATES: Final[Mapping[str, Callable[[object, datetime | None], Facts]]] = {
    "succeeded": _charge_succeeded,
    "pending": lambda charge, _: [charge_fact(Kind.PAYMENT_PENDING)(charge)],
    "failed": lambda charge, _: charge_failed(charge),
}


def _given_back(charge: object) -> Iterator[Said]:
    """A dispute where it is told; the running total, and each refund that is told along.

    Where what was let go counts as refunded it stands among the refunds, and which it is they do not tell.
    """
    dispute = at(charge, ["dispute"])
    if isinstance(dispute, dict):
        for fact in dispute_facts(dispute):
            yield Said(fact, dispute)
    for fact in charge_refunded(charge, releases=False):
        yield Said(fact, charge)
    refunds = at(charge, ["refunds"]) if is_captured(charge) else None
    let_go = released(charge) if refunds is not None and counts_releases(charge, releases=False) else 0
    for refund in [] if refunds is None else listed(refunds):
        for fact in refund_facts(refund, may_be_release=0 < let_go == at(refund, ["amount"])):
            yield Said(fact, refund, _began(fact, refund))


# Refunds and disputes.


def _began(fact: Fact, refund: object) -> datetime | None:
    """When it was made, for what replaced a refund that failed began after that; when it failed is not told."""
    return None if fact.kind is Kind.REFUND_FAILED else _moment(refund, "created")


def _refund(refund: object, told_at: datetime | None) -> Iterator[Said]:  # noqa: ARG001 - as every reader
    for fact in refund_facts(refund):
        yield Said(fact, refund, _began(fact, refund))


def _dispute(dispute: object, told_at: datetime | None) -> Iterator[Said]:  # noqa: ARG001 - as every reader
    for fact in dispute_facts(dispute):
        yield Said(fact, dispute)


READERS: Final[Mapping[str, Callable[[object, datetime | None], Iterator[Said]]]] = {
    "payment_intent": _intent,
    "charge": _charge,
    "checkout.session": _session,
    "refund": _refund,
    "dispute": _dispute,
}
