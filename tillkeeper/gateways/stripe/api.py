"""Builds queries to Stripe's API and reads the responses: where each object is found, what a response holds, and the
list of events.

TLS vouches for a response, so nothing in it is signed.  Source: Stripe's API reference ("Errors", "Search", "List all
events").
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.http_status import NOT_FOUND, OK, TOO_MANY_REQUESTS, status_error
from tillkeeper.gateways.messages import Query, Response

# Pinned, for an account's own default decides what an object looks like.  Released authorizations are no refunds in it.
API_VERSION: Final = "2025-09-30.clover"
PAGE_EVENTS: Final = 100  # the most that Stripe gives
SEARCHED_MAX: Final = 100  # attempts to pay one order; more are no payer's
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)
_CODE: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)


class ObjectPath(msgspec.Struct, frozen=True):
    """One sort of object: its path, and what else Stripe is to put into it."""

    object: str
    path: str
    expand: tuple[str, ...] = ()


INTENTS: Final = ObjectPath("payment_intent", "/v1/payment_intents", ("latest_charge", "latest_charge.refunds"))
CHARGES: Final = ObjectPath("charge", "/v1/charges", ("refunds", "payment_intent"))
DISPUTES: Final = ObjectPath("dispute", "/v1/disputes")
EVENTS: Final = ObjectPath("v2.core.event", "/v2/core/events")
REFUNDS: Final = ObjectPath("refund", "/v1/refunds")
SESSIONS: Final = ObjectPath(
    "checkout.session",
    "/v1/checkout/sessions",
    ("payment_intent", "payment_intent.latest_charge", "payment_intent.latest_charge.refunds"),
)

PAYMENTS: Final[Mapping[str, ObjectPath]] = {
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


def path_of(query: Query, search_field: str | None) -> str:
    """Returns the path and query string of the call for a query.  Raises CannotQuery.

    `search_field` is the metadata key that holds order references.
    """
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


def _one(place: ObjectPath, ref: str | None) -> str:
    if ref is None or not _ID.fullmatch(ref):
        raise CannotQuery("a reference is missing, or not one of Stripe's")
    expand = urlencode([("expand[]", name) for name in place.expand])
    return f"{place.path}/{quote(ref, safe='')}" + (f"?{expand}" if expand else "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def path_of_events(since: datetime, until: datetime, after: str | None) -> str:
    """Returns the path and query string of a page of events, newest first."""
    query: list[tuple[str, object]] = [
        ("limit", PAGE_EVENTS),
        ("created[gte]", int(since.timestamp())),
        ("created[lte]", int(until.timestamp())),
        *(("types[]", name) for name in LISTED_TYPES),
    ]
    return f"/v1/events?{urlencode(query + ([('starting_after', after)] if after else []))}"


def content_of(response: Response) -> Mapping[str, object] | None:
    """Returns the object in a response; None where Stripe knows of no such thing."""
    if response.status == OK:
        return strictjson.object_in(response.body)
    code = _error_code(response.body)
    if response.status == NOT_FOUND and code == "resource_missing":
        return None
    raise status_error(response, f", code {code}", retry=RETRY_STATUSES, is_retry=code in RETRY_CODES)


def _error_code(body: bytes) -> str | None:
    """Returns the error's code alone, for its message may repeat the query."""
    try:
        code = text_or_none(strictjson.loads(body), "error", "code")
    except BadPayload:
        return None
    return code if code and _CODE.fullmatch(code) else None


def found_in(query: Query, content: object) -> list[object]:
    """Returns the objects in a response that the query is about."""
    ref = query.refund_ref if query.about == "refund" else query.payment_ref
    if ref is None:
        return listed(content)
    if ref.startswith(SESSION_OF):
        return [session for session in listed(content) if _intent_of(session) == ref.removeprefix(SESSION_OF)]
    if text(content, "id") != ref:
        raise BadPayload("the response is about another object than the query")
    return [content]


def _intent_of(session: object) -> str | None:
    intent = at(session, ["payment_intent"])
    return text_or_none(intent, "id") if isinstance(intent, dict) else text_or_none(session, "payment_intent")


def listed(content: object) -> list[object]:
    """Returns the items of one of Stripe's lists."""
    data = at(content, ["data"])
    if not isinstance(data, list):
        raise BadPayload("data is no list")
    return data
