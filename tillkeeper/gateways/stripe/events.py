"""Reads Stripe's events: snapshots by a table of their types, thin events as queries.

A thin event (`"object": "v2.core.event"`) names an object and says nothing of it, so the object is asked about.

Sources: docs.stripe.com, "Event types", changelog endive 2026-09-30 (thin events for API v1 resources) and "Handle
event-generation failures"; the package `stripe` 16.1, `v2/core/_event.py` and `events/`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, member, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.stripe.charges import (
    charge_captured,
    charge_expired,
    charge_fact,
    charge_failed,
    charge_refunded,
    charge_succeeded,
    releases_are_refunds,
)
from tillkeeper.gateways.stripe.objects import (
    Facts,
    dispute_facts,
    intent_authorized,
    intent_cancelled,
    intent_fact,
    intent_succeeded,
    refund_facts,
    session_completed,
    session_fact,
)

THIN: Final = "v2.core.event"
THIN_OF_V1: Final = "v1."  # begins the types of thin events about the objects of API v1
NEVER_MADE: Final = "v2.core.health.event_generation_failure.resolved"  # an event that Stripe could not make
IN_PERSON: Final = frozenset({"card_present", "interac_present"})
REFUND_OF_MONEY: Final = "refund"  # of a card's `destination_details`; the others are "reversal" and "pending"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An event's object as it was then, and the version that it is written in."""

    subject: object
    releases: bool  # whether that version counts what was let go of an authorization as refunded
    changed: Mapping[str, object]  # what stood before in the fields that changed, where Stripe tells


def snapshot_of(event: object, created: datetime) -> Snapshot:
    """Returns the object that a snapshot event shows."""
    data = member(event, "data")
    changed = member(data, "previous_attributes")
    return Snapshot(
        subject=member(data, "object"),
        releases=releases_are_refunds(text_or_none(event, "api_version"), created),
        changed=changed if isinstance(changed, dict) else {},
    )


Read = Callable[[Snapshot], Facts]


def _all(read: Callable[[object], Facts]) -> Read:
    return lambda snapshot: read(snapshot.subject)


def _one(read: Callable[[object], Fact]) -> Read:
    return lambda snapshot: [read(snapshot.subject)]


def _charge_updated(snapshot: Snapshot) -> Facts:
    """Reads a further capture of a part; no other change is of interest."""
    return charge_captured(snapshot.subject) if "amount_captured" in snapshot.changed else []


def _charge_refunded(snapshot: Snapshot) -> Facts:
    return charge_refunded(snapshot.subject, releases=snapshot.releases)


def may_be_release(snapshot: Snapshot) -> bool:
    """Tells whether a Refund may be a released authorization: those succeed at once, and carry no metadata."""
    refund = snapshot.subject
    destination = text_or_none(refund, "destination_details", "card", "type")
    return (
        snapshot.releases
        and text_or_none(refund, "status") == "succeeded"
        and destination != REFUND_OF_MONEY
        and "status" not in snapshot.changed
        and not member(refund, "metadata")
    )


def _refund(snapshot: Snapshot) -> Facts:
    return refund_facts(snapshot.subject, may_be_release=may_be_release(snapshot))


# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Read]] = {
    "payment_intent.succeeded": _all(intent_succeeded),
    "payment_intent.processing": _one(intent_fact(Kind.PAYMENT_PENDING)),
    "payment_intent.partially_funded": _one(intent_fact(Kind.PAYMENT_PENDING)),
    "payment_intent.amount_capturable_updated": _all(intent_authorized),
    "payment_intent.payment_failed": _one(intent_fact(Kind.PAYMENT_FAILED)),
    "payment_intent.canceled": _all(intent_cancelled),
    "checkout.session.completed": _all(session_completed),
    "checkout.session.async_payment_succeeded": _all(session_fact(Kind.PAYMENT_SUCCEEDED)),
    "checkout.session.async_payment_failed": _all(session_fact(Kind.PAYMENT_FAILED, FailureClass.UNKNOWN)),
    "checkout.session.expired": _all(session_fact(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID)),
    "charge.succeeded": _all(charge_succeeded),
    "charge.captured": _all(charge_captured),
    "charge.updated": _charge_updated,
    "charge.pending": _one(charge_fact(Kind.PAYMENT_PENDING)),
    "charge.failed": _all(charge_failed),
    "charge.expired": _all(charge_expired),
    "charge.refunded": _charge_refunded,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _all(dispute_facts),
    "charge.dispute.updated": _all(dispute_facts),
    "charge.dispute.funds_withdrawn": _all(dispute_facts),
    "charge.dispute.funds_reinstated": _all(dispute_facts),
    "charge.dispute.closed": _all(dispute_facts),
}

# What else a destination may be subscribed to: the package `stripe` 16.1 lists it, and a test goes through its list.
IGNORED: Final = IgnoredTypes(
    field="type",
    names=frozenset({"payment_intent.created", "payment_intent.requires_action"}),
    families=tuple(
        f"{name}."
        for name in (
            *("account", "application_fee", "apps", "balance", "balance_settings", "billing", "billing_portal"),
            *("capability", "cash_balance", "climate", "coupon", "credit_note", "customer"),
            *("customer_cash_balance_transaction", "entitlements", "file", "financial_connections", "identity"),
            *("invoice", "invoice_payment", "invoiceitem", "issuing_authorization", "issuing_card"),
            *("issuing_cardholder", "issuing_dispute", "issuing_personalization_design", "issuing_token"),
            *("issuing_transaction", "mandate", "payment_link", "payment_method", "payout", "person", "plan"),
            *("price", "product", "promotion_code", "quote", "radar", "reporting", "reserve", "review"),
            *("setup_intent", "sigma", "source", "subscription_schedule", "tax", "tax_rate", "terminal"),
            *("test_helpers", "three_d_secure", "topup", "transfer", "treasury"),
            *("v2.commerce", "v2.core", "v2.money_management"),
        )
    ),
)

HAVE_TIPS: Final = frozenset({"charge.succeeded", "charge.captured", "charge.updated"})
# Of these types one event may not tell all.
DOUBTFUL: Final = HAVE_TIPS | {event_type for event_type, read in TYPES.items() if read is _refund}


def is_thin(event: object) -> bool:
    """Tells whether an event only names its object."""
    return text_or_none(event, "object") == THIN


def query_about(sort: str | None, ref: str | None) -> Query | None:
    """Returns the query about an object; None where its sort does not concern payments."""
    if ref is None:
        return None
    if sort == "refund":
        return Query(about="refund", refund_ref=ref)
    if sort in {"payment_intent", "charge", "checkout.session", "dispute"}:
        return Query(about="payment", payment_ref=ref)
    return None


def thin_query(event: object) -> Query | None:
    """Returns the query that a thin event raises."""
    kind = text(event, "type")
    if kind == NEVER_MADE:
        return Query(about="payment", payment_ref=text(event, "id"))  # which object it was, the event itself tells
    if kind.startswith(THIN_OF_V1) and kind.removeprefix(THIN_OF_V1) in TYPES:
        related = member(event, "related_object")
        return query_about(text_or_none(related, "type"), text_or_none(related, "id"))
    IGNORED.note(kind.removeprefix(THIN_OF_V1))
    return None


def never_made(event: object) -> tuple[str | None, Query | None]:
    """Reads an event that Stripe could not make: its `context`, and the query to make instead."""
    impact = at(event, ["data", "impact"])
    related = member(impact, "related_object")
    query = query_about(text_or_none(related, "type"), text_or_none(related, "id"))
    return text_or_none(impact, "context"), query


def doubtful(event_type: str, snapshot: Snapshot) -> Query | None:
    """Returns the query about what an event leaves open: whether a refund was one, or how much is a tip."""
    intent = text_or_none(snapshot.subject, "payment_intent")
    if TYPES[event_type] is _refund and may_be_release(snapshot):
        charge = text_or_none(snapshot.subject, "charge")
        return query_about("payment_intent", intent) or query_about("charge", charge)
    return query_about("payment_intent", intent) if hides_a_tip(event_type, snapshot) else None


def hides_a_tip(event_type: str, snapshot: Snapshot) -> bool:
    """Tells whether a charge was made in person: only its intent knows how much of the amount is a tip."""
    if event_type not in HAVE_TIPS:
        return False
    method = text_or_none(snapshot.subject, "payment_method_details", "type")
    return method in IN_PERSON and text_or_none(snapshot.subject, "payment_intent") is not None


def created_of(event: object) -> datetime:
    """Returns when a snapshot event happened."""
    return moment_from_unix(integer(event, "created"))
