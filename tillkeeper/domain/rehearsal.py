"""Compares what this version makes of kept deliveries with what was made of them: event by event, and order by order.

An order's status, sums and reasons for cases follow from its events alone, so its outcome is rehearsed by merging them
anew.  Nothing is written.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tillkeeper.domain.batch import digest_of
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.case_reasons import reasons_in
from tillkeeper.domain.order.facts import ObjectKey, OrderFacts, PaymentFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary, summarize


class EventChange(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is read otherwise now: None before where it was not read, None after where it is not any more."""

    before: PaymentEvent | None
    after: PaymentEvent | None
    reason: str = ""  # why it is not read any more

    @property
    def fields(self) -> dict[str, tuple[object, object]]:
        """Returns by name what differs, as it was and as it is; nothing where there is but one of both."""
        if self.before is None or self.after is None:
            return {}
        pairs = {name: (getattr(self.before, name), getattr(self.after, name)) for name in MEANT}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


# What an answer was valid for, and where it came from, is no matter of how a delivery is read.
MEANT: Final = tuple(
    name for name in PaymentEvent.__struct_fields__ if name not in ("event_id", "account", "as_of", "evidence")
)


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an order comes to: its status and sums, and what about it opens a case."""

    summary: Summary
    cases: frozenset[str]


class OrderDifference(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose outcome would differ, and the events that are the cause; none where decisions differ."""

    order_ref: str
    before: OrderOutcome
    after: OrderOutcome
    changes: tuple[EventChange, ...]


def changes_in(read: Sequence[PaymentEvent], stored: Sequence[PaymentEvent], reason: str) -> list[EventChange]:
    """Returns what is read otherwise in one delivery: `stored` are the events that were recorded of it.

    `reason` says why it cannot be read any more, where it cannot.
    """
    known = {each.event_id: each for each in stored}
    changes, met = [], set[str]()
    for event in read:
        name = next((name for name in names_of(event) if name in known), None)
        before = known.get(name) if name else None
        if name is not None:
            met.add(name)
        if before is None or not means_the_same(before, event):
            changes.append(EventChange(before=before, after=event))
    gone = [each for each in stored if each.event_id not in met]
    return changes + [EventChange(before=each, after=None, reason=reason) for each in gone]


def names_of(event: PaymentEvent) -> tuple[str, str]:
    """Returns the ids under which an event may be stored: one of its own, where its id was another's, or its id."""
    return f"{event.event_id}~{digest_of(event).hex()[:16]}", event.event_id


def means_the_same(one: PaymentEvent, other: PaymentEvent) -> bool:
    """Says whether two events of one id are read alike."""
    return all(getattr(one, name) == getattr(other, name) for name in MEANT)


def outcome_of(order: Order, facts: OrderFacts, stored: Summary | None = None) -> OrderOutcome:
    """Returns what facts come to; `stored` are status and sums that were stored of them."""
    summary = stored or summarize(order, facts)
    return OrderOutcome(
        summary=summary, cases=frozenset(f"{each.kind} {each.subject}" for each in reasons_in(order, facts))
    )


def rehearsed(
    order: Order, claimed: Iterable[ObjectKey], events: Iterable[PaymentEvent], changes: Sequence[EventChange]
) -> OrderOutcome:
    """Returns what an order would come to, where some of its events are read otherwise."""
    replaced = {(each.before.account, each.before.event_id): each.after for each in changes if each.before is not None}
    facts = OrderFacts(payments={key: PaymentFacts() for key in claimed})
    for event in events:
        known = replaced.get((event.account, event.event_id), event)
        if known is not None:
            facts = apply(facts, known)
    for change in changes:
        if change.before is None and change.after is not None:
            facts = apply(facts, change.after)
    return outcome_of(order, facts)
