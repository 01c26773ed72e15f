"""Verifies and reads Mollie's deliveries: classic calls are forms that name an id, next-gen events are JSON.

A next-gen event carries its entity only where the subscription says so, or is the entity itself: a payment or a refund
in an event is believed, and anything else that leads to payments is asked for.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import form, strictjson
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.messages import ClaimedReferences
from tillkeeper.gateways.mollie.ids import LINK, ORDER, PAYMENT, PAYMENT_PATH
from tillkeeper.gateways.mollie.objects import Profile, gave_back, payment_facts, refund_facts

OF_A_PAYMENT: Final = ("refund", "chargeback", "capture")  # entities that name theirs
NAMED_BY_PAYMENTS: Final = ("re_", "chb_", "cpt_")
# Ids of what concerns no single payment, by Mollie's pages "Common data types" and "Webhook events".
IGNORED: Final = IgnoredTypes(
    field="prefix of an id",
    names=frozenset({"baltr", "cst", "hook", "inv", "invoice", "mdt", "org", "pfl", "stl", "sub"}),
)


def is_event(body: bytes) -> bool:
    """Returns whether the body is a next-gen event, which is JSON; classic calls are forms."""
    return body.lstrip().startswith(b"{")


def events_in(body: bytes, account: str, profile: Profile) -> tuple[PaymentEvent, ...]:
    """Returns the events of a next-gen event, if it carries a payment or a refund.  Raises BadPayload."""
    if not is_event(body):
        return ()
    event = strictjson.loads(body)
    entity, reported_at = _entity_of(event), _reported_at(event)
    if entity is None or reported_at is None:
        return ()
    facts = [msgspec.structs.replace(fact, as_of=reported_at) for fact in _facts_in(entity, profile, reported_at)]
    for index, fact in enumerate(facts[1:], 1):
        facts[index] = msgspec.structs.replace(fact, part=str(fact.kind))
    event_id = text(event, "id")
    return tuple(webhook_event(fact, account=account, event_id=event_id, reported_at=reported_at) for fact in facts)


def _facts_in(entity: object, profile: Profile, reported_at: datetime) -> Iterable[Fact]:
    match at(entity, ["resource"]):
        case "payment":
            return payment_facts(entity, profile, reported_at)
        case "refund":
            return refund_facts(entity, text(entity, "paymentId"), profile, reported_at)
        case _:
            return ()


def queried_ref(body: bytes) -> str | None:
    """Returns the id of the payment, link or order that Mollie must be asked about; None where it need not be.

    Raises BadPayload.
    """
    ref = _ref_in_event(strictjson.loads(body)) if is_event(body) else _ref_in_call(body)
    if ref is None or any(shape.fullmatch(ref) for shape in (PAYMENT, LINK, ORDER)):
        return ref
    IGNORED.note(ref.partition("_")[0])
    return None


def claimed_references(body: bytes) -> ClaimedReferences | None:
    """Returns the payment that an unverified event names, if it names one."""
    try:
        ref = reference_or_none(at(strictjson.loads_unsigned(body), ["entityId"]))
    except BadPayload:
        return None
    return ClaimedReferences(payment_ref=ref) if ref is not None and PAYMENT.fullmatch(ref) else None


def _ref_in_call(body: bytes) -> str:
    ref = reference_or_none(form.decode(body).fields.get("id"))
    if ref is None:
        raise BadPayload("the call does not name anything by an id of Mollie's")
    return ref


def _ref_in_event(event: object) -> str | None:
    """Returns what a next-gen event has us ask about; None where it says all."""
    is_itself_entity = at(event, ["resource"]) != "event"
    entity, ref = (event, text(event, "id")) if is_itself_entity else (_entity_of(event), text(event, "entityId"))
    resource = at(entity, ["resource"])
    if not is_itself_entity and (resource == "refund" or (resource == "payment" and not gave_back(entity))):
        return None
    if resource in OF_A_PAYMENT:
        return text(entity, "paymentId")
    if entity is None and ref.startswith(NAMED_BY_PAYMENTS):
        return _linked_payment(event)
    return ref


def _entity_of(event: object) -> object:
    """Returns the entity that an event carries; None where it carries none."""
    entity = at(event, ["_embedded", "entity"])
    if entity is not None and text(entity, "id") != text(event, "entityId"):
        raise BadPayload("the event carries another entity than it names")
    return entity


def _reported_at(event: object) -> datetime | None:
    """Returns when the event was made; None where it is no event but the entity itself, which is asked for."""
    return moment_from_rfc3339(text(event, "createdAt")) if at(event, ["resource"]) == "event" else None


def _linked_payment(event: object) -> str:
    """Returns the payment of a refund, chargeback or capture that an event only names: its link leads through it."""
    found = PAYMENT_PATH.fullmatch(text_or_none(event, "_links", "entity", "href") or "")
    if found is None:
        raise BadPayload("the event does not name the payment: subscribe to the full payload")
    return found[1]
