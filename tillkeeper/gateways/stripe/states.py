"""Reads the present state of a Stripe object in a response: the outcome of an intent, its refunds.

Sources: Stripe's API reference (objects) and its page "How PaymentIntents work" for the states.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.stripe.api import listed
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
    Facts,
    Stated,
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


def facts_of(subject: object, reported_at: datetime | None) -> Iterator[Stated]:
    """Yields what one object says of its payment and its refunds at that time."""
    read = READERS.get(text(subject, "object"))
    if read is None:
        raise BadPayload("the object is of no sort that is known")
    yield from read(subject, reported_at)


def _moment(subject: object, name: str) -> datetime | None:
    return None if at(subject, [name]) is None else moment_from_unix(integer(subject, name))


def _dated(fact: Fact, subject: object, occurred_at: datetime | None) -> Stated:
    return Stated(replace(fact, occurred_at=occurred_at), subject)


# Sessions.


def _session(session: object, reported_at: datetime | None) -> Iterator[Stated]:
    """Reads a session by its payment intent where it has one; only the session knows the discount."""
    intent = at(session, ["payment_intent"])
    if isinstance(intent, dict):
        discount = discount_of(session)
        for stated in _intent(intent, reported_at):
            is_paid = stated.fact.kind is Kind.PAYMENT_SUCCEEDED
            yield Stated(replace(stated.fact, discount=discount), stated.subject) if is_paid else stated
        return
    status = text_or_none(session, "status")
    if status not in SESSION_OUTCOMES:
        unknown_word("session.status", status)
        return
    for fact in SESSION_OUTCOMES[status](session):
        yield Stated(fact, session)


def _nothing(_subject: object) -> Facts:
    return []


SESSION_OUTCOMES: Final[Mapping[str | None, Callable[[object], Facts]]] = {
    "open": _nothing,
    "complete": session_completed,
    "expired": session_fact(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
}


# Intents.


def _intent(intent: object, reported_at: datetime | None) -> Iterator[Stated]:  # noqa: ARG001 - as every reader
    status = text(intent, "status")
    if status not in INTENT_STATES:
        unknown_word("payment_intent.status", status)
        return
    charge = at(intent, ["latest_charge"])
    charge = charge if isinstance(charge, dict) else None
    for fact in INTENT_STATES[status](intent):
        yield _dated(fact, intent, _since(fact, intent, charge))
    if charge is not None:
        for fact in charge_reversed(charge) if text_or_none(charge, "status") == "failed" else ():
            yield Stated(fact, charge)
        yield from _given_back(charge)


def _since(fact: Fact, intent: object, charge: object) -> datetime | None:
    if fact.kind is Kind.PAYMENT_SUCCEEDED:
        return _moment(charge, "created")
    return _moment(intent, "canceled_at") if fact.kind is Kind.PAYMENT_CANCELLED else None


def _failed(intent: object) -> Facts:
    """Reads an intent that asks for a method: it does so at first, and again after an attempt failed."""
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


def _charge(charge: object, reported_at: datetime | None) -> Iterator[Stated]:
    """Reads a charge by its payment intent where it has one, for a charge does not tell that it was released."""
    intent = at(charge, ["payment_intent"])
    if isinstance(intent, dict):
        whole = {**charge, "payment_intent": text(intent, "id")} if isinstance(charge, dict) else charge
        yield from _intent({**intent, "latest_charge": whole}, reported_at)
        return
    status = text(charge, "status")
    if status not in CHARGE_STATES:
        unknown_word("charge.status", status)
        return
    for fact in CHARGE_STATES[status](charge, reported_at):
        yield _dated(fact, charge, _moment(charge, "created") if fact.kind is Kind.PAYMENT_SUCCEEDED else None)
    yield from _given_back(charge)


def _charge_succeeded(charge: object, reported_at: datetime | None) -> Facts:
    """Reads a charge that succeeded; a released or expired authorization is none any more."""
    if is_captured(charge):
        return charge_succeeded(charge)
    until = _moment(at(charge, ["payment_method_details", "card"]), "capture_before")
    over = at(charge, ["refunded"]) is True or (until is not None and reported_at is not None and until < reported_at)
    return charge_expired(charge) if over else charge_succeeded(charge)


CHARGE_STATES: Final[Mapping[str, Callable[[object, datetime | None], Facts]]] = {
    "succeeded": _charge_succeeded,
    "pending": lambda charge, _: [charge_fact(Kind.PAYMENT_PENDING)(charge)],
    "failed": lambda charge, _: charge_failed(charge),
}


def _given_back(charge: object) -> Iterator[Stated]:
    """Yields a dispute where the charge has one, the running total, and each refund that the charge lists.

    Where released money counts as refunded it is among the refunds, and nothing tells which it is.
    """
    dispute = at(charge, ["dispute"])
    if isinstance(dispute, dict):
        for fact in dispute_facts(dispute):
            yield Stated(fact, dispute)
    for fact in charge_refunded(charge, releases=False):
        yield Stated(fact, charge)
    yield from _listed_refunds(charge)


def _listed_refunds(charge: object) -> Iterator[Stated]:
    refunds = at(charge, ["refunds"]) if is_captured(charge) else None
    if refunds is None:
        return
    let_go = released(charge) if counts_releases(charge, releases=False) else 0
    for refund in listed(refunds):
        for fact in refund_facts(refund, may_be_release=0 < let_go == at(refund, ["amount"])):
            yield _dated(fact, refund, _began(fact, refund))


# Refunds and disputes.


def _began(fact: Fact, refund: object) -> datetime | None:
    """Returns when a refund was made; None for a failed one, for when it failed is not known.

    A refund that replaces a failed one begins after that.
    """
    return None if fact.kind is Kind.REFUND_FAILED else _moment(refund, "created")


def _refund(refund: object, reported_at: datetime | None) -> Iterator[Stated]:  # noqa: ARG001 - as every reader
    for fact in refund_facts(refund):
        yield _dated(fact, refund, _began(fact, refund))


def _dispute(dispute: object, reported_at: datetime | None) -> Iterator[Stated]:  # noqa: ARG001 - as every reader
    for fact in dispute_facts(dispute):
        yield Stated(fact, dispute)


READERS: Final[Mapping[str, Callable[[object, datetime | None], Iterator[Stated]]]] = {
    "payment_intent": _intent,
    "charge": _charge,
    "checkout.session": _session,
    "refund": _refund,
    "dispute": _dispute,
}
