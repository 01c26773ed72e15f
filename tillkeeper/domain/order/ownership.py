"""Decides which order a payment belongs to when its events name more than one, from all of its events.

A payment belongs to the order that a person bound it to, else to the one that the merchant claims it for, else to the
order that its first success names, else to the order that its latest event names, rather to one that is registered.  A
refund or a dispute belongs where its payment does.  An event that names another registered order than its object's
contradicts: it does not count, and adds no facts.  A reference that is not registered (a cart's, before it became an
order) contradicts nothing, and nothing contradicts a person.

    events of a payment, refund or dispute, in any order ──> place ──> where each belongs, and what contradicts
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.order.facts import DISPUTE_STATUSES, PAYMENT_STATUSES, REFUND_STATUSES, ObjectKey

EventKey = tuple[str, str]  # (account, event id)
RANKS: Final[Mapping[Kind, int]] = {
    kind: rank for steps in (PAYMENT_STATUSES, REFUND_STATUSES, DISPUTE_STATUSES) for kind, (_, rank) in steps.items()
}


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event belongs.  Without an order it waits for one."""

    order_ref: str | None
    contradicts: bool = False


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where all events belong; `conflicts` are the registered orders that events of an object name, where they are
    several, and `names` are all orders that events of a payment name."""

    events: Mapping[EventKey, Placed]
    conflicts: Mapping[str, tuple[str, ...]]
    names: Mapping[ObjectKey, frozenset[str]]


def place(
    events: Iterable[PaymentEvent],
    *,
    registered: Collection[str],
    claims: Mapping[ObjectKey, str],
    bound: Collection[ObjectKey] = (),
) -> Placement:
    """Returns the order of each event.  `events` are all that is known of the objects that they name.

    Of the `claims`, those of `bound` payments are people's, who knew what the events name: no event contradicts them.
    """
    known = {(event.account, event.event_id): event for event in events}
    told = _by_payment(known.values())
    owners = {
        key: claims.get(key) or _owner_of(of_payment, known.values(), registered) for key, of_payment in told.items()
    }
    homes = {
        key: owners[_payment_of(event)] if event.payment_ref is not None else event.order_ref
        for key, event in known.items()
    }
    contradicting = {
        key
        for key, event in known.items()
        if event.order_ref != homes[key] and {event.order_ref, homes[key]} <= set(registered)
        if event.payment_ref is None or _payment_of(event) not in bound
    }
    conflicts = _place_returns(known, homes, contradicting, registered)
    names = {
        key: frozenset(name for name in (claims.get(key), *(event.order_ref for event in of_payment)) if name)
        for key, of_payment in told.items()
    }
    for (account, payment_ref), named in names.items():
        if len(several := sorted(named & set(registered))) > 1:
            conflicts[f"payment:{account}/{payment_ref}"] = tuple(several)
    return Placement(
        events={
            key: Placed(order_ref=home if home in registered else None, contradicts=key in contradicting)
            for key, home in homes.items()
        },
        conflicts=conflicts,
        names={key: named for key, named in names.items() if len(named) > 1},
    )


def _place_returns(
    known: Mapping[EventKey, PaymentEvent],
    homes: dict[EventKey, str | None],
    contradicting: set[EventKey],
    registered: Collection[str],
) -> dict[str, tuple[str, ...]]:
    """Gives the events of each refund and dispute one home, and adds what contradicts it; returns the conflicts."""
    conflicts: dict[str, tuple[str, ...]] = {}
    for subject, keys in _returns(known, contradicting):
        votes = [(_weight(known[key], home, registered), home) for key in keys if (home := homes[key]) is not None]
        owner = max(votes)[1] if votes else None
        several = sorted({home for _, home in votes} & set(registered))
        if len(several) > 1:
            conflicts[subject] = tuple(several)
            contradicting |= {key for key in keys if homes[key] in several and homes[key] != owner}
        for key in keys:
            if homes[key] is None or key in contradicting:
                homes[key] = owner
    return conflicts


def _payment_of(event: PaymentEvent) -> ObjectKey:
    assert event.payment_ref is not None
    return event.account, event.payment_ref


def _by_payment(events: Iterable[PaymentEvent]) -> dict[ObjectKey, list[PaymentEvent]]:
    found = defaultdict[ObjectKey, list[PaymentEvent]](list)
    for event in events:
        if event.payment_ref is not None:
            found[_payment_of(event)].append(event)
    return found


def _owner_of(
    told: Collection[PaymentEvent], everything: Collection[PaymentEvent], registered: Collection[str]
) -> str | None:
    """Returns the order that a payment's events say it is of."""
    naming = [event for event in told if event.order_ref is not None]
    succeeded = [(event.occurred_at, event.order_ref or "") for event in naming if event.kind is Kind.PAYMENT_SUCCEEDED]
    if succeeded:
        return min(succeeded)[1]
    if not naming:  # events of the payment's refunds and disputes may name the order
        returned = {ref for event in told for ref in (event.refund_ref, event.dispute_ref) if ref is not None}
        account = next(iter(told)).account
        naming = [
            event
            for event in everything
            if event.account == account and event.order_ref and {event.refund_ref, event.dispute_ref} & returned
        ]
    weighed = ((_weight(event, event.order_ref or "", registered), event.order_ref) for event in naming)
    return max(weighed, default=(None, None))[1]


def _weight(event: PaymentEvent, name: str, registered: Collection[str]) -> tuple[object, ...]:
    """Returns how much an event counts in the question whose its object is: the greatest decides."""
    of_payment = event.kind.is_payment or event.payment_ref is not None
    return name in registered, event.kind.is_payment, of_payment, event.known_at, RANKS.get(event.kind, 0), name


def _returns(
    known: Mapping[EventKey, PaymentEvent], contradicting: set[EventKey]
) -> Iterator[tuple[str, list[EventKey]]]:
    """Yields each refund and dispute with its events that contradict nothing so far."""
    found = defaultdict[str, list[EventKey]](list)
    for key, event in known.items():
        if event.refund_ref is not None and key not in contradicting:
            found[f"refund:{event.account}/{event.refund_ref}"].append(key)
        if event.dispute_ref is not None and key not in contradicting:
            found[f"dispute:{event.account}/{event.dispute_ref}"].append(key)
    yield from sorted(found.items())
