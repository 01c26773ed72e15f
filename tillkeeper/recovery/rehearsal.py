"""Rehearses an upgrade: reads kept deliveries with the installed version, and compares what each order would come to.

kept deliveries ─> verify as of when each came ─> parse ─> compare with the events that were recorded of it
orders touched since ─> merge their events anew, with those that are read otherwise ─> compare status, sums and cases

Nothing is written, nobody is told, and no gateway is asked.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey, EventKey
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.rehearsal import (
    EventChange,
    OrderDifference,
    changes_in,
    means_the_same,
    names_of,
    outcome_of,
    rehearsed,
)
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadSignature, Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.recovery.refused import by_name
from tillkeeper.store.reports.rehearsing import (
    KeptDelivery,
    PlacedEvent,
    StoredOrder,
    count_deliveries,
    events_of,
    kept_deliveries,
    known_events,
    orders_named,
    orders_touched,
    parked_of,
    read_orders,
)

ORDERS_AT_ONCE: Final = 500
EXAMPLES_MAX: Final = 20
CHANGES_MAX: Final = 100_000  # events that are read otherwise; more need no counting to be looked into


class Rehearsed(msgspec.Struct, kw_only=True):
    """What a rehearsal did so far.  `not_read` says why deliveries were taken as they had been read."""

    deliveries: int = 0
    read: int = 0
    not_read: Counter[str] = msgspec.field(default_factory=Counter)
    changes: int = 0  # events that are read otherwise
    unplaced: list[EventChange] = msgspec.field(default_factory=list)  # of these, the first ones that name no order
    orders: int = 0
    differ: int = 0
    is_cut: bool = False  # more events are read otherwise than were kept in mind


class _Read(msgspec.Struct, frozen=True):
    """What the installed version makes of a delivery."""

    events: tuple[PaymentEvent, ...]
    reason: str = ""  # why there are none


Tell = Callable[[str, int, int], None]  # of what, how many are done, of how many


class Rehearsal:
    """One rehearsal, of the deliveries that came from a moment on."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        gateways: Mapping[str, Gateway],
        *,
        since: datetime,
        now: datetime,
        account: str | None,
        tell: Tell,
    ) -> None:
        self.done = Rehearsed()
        self._pool = pool
        self._gateways = gateways
        self._since = since
        self._now = now
        self._account = account
        self._tell = tell
        self._changes: dict[int, list[EventChange]] = {}

    async def differences(self) -> AsyncIterator[OrderDifference]:
        """Yields the orders whose outcome would differ; `done` is whole when it ends."""
        await self._read_deliveries()
        touched = await orders_touched(self._pool, self._since)
        ids = sorted({*touched, *self._changes})
        for start in range(0, len(ids), ORDERS_AT_ONCE):
            for order in await read_orders(self._pool, ids[start : start + ORDERS_AT_ONCE]):
                self.done.orders += 1
                if (difference := self._difference(order)) is not None:
                    self.done.differ += 1
                    yield difference
            self._tell("orders", min(start + ORDERS_AT_ONCE, len(ids)), len(ids))

    def _difference(self, order: StoredOrder) -> OrderDifference | None:
        changes = self._changes.pop(order.id, [])
        before = outcome_of(order.order, order.facts, order.summary)
        after = rehearsed(order.order, order.claimed, order.events, changes)
        if before == after:
            return None
        return OrderDifference(order_ref=order.order.order_ref, before=before, after=after, changes=tuple(changes))

    # --- deliveries ---------------------------------------------------------------------------------------------------

    async def _read_deliveries(self) -> None:
        total = await count_deliveries(self._pool, self._since, self._account)
        async for some in kept_deliveries(self._pool, self._since, self._now, self._account):
            read = {key_of(each): told for each in some if (told := self._read(each)) is not None}
            await self._compare([each for each in some if key_of(each) in read], read)
            self.done.deliveries += len(some)
            self._tell("deliveries", self.done.deliveries, total)

    def _read(self, delivery: KeptDelivery) -> _Read | None:
        """Reads a delivery anew; None where it cannot be, and so counts as it was read."""
        gateway = self._gateways.get(delivery.account)
        if delivery.body is None or gateway is None:
            self.done.not_read["its body is not kept any more" if gateway else "its account is not configured"] += 1
            return None
        request = Request(by_name(delivery.headers), delivery.body, delivery.query)
        try:
            verified = gateway.verify(request, delivery.received_at)
            events = tuple(gateway.parse(verified)) if verified.proven else ()
        except BadSignature:
            self.done.not_read["no key that is configured verifies it any more"] += 1
            return None
        except Refused as error:
            self.done.read += 1
            return _Read((), f"it is refused now: {error.reason}")
        self.done.read += 1
        return _Read(events)

    async def _compare(self, some: Sequence[KeptDelivery], read: Mapping[DeliveryKey, _Read]) -> None:
        """Compares what is read with what was recorded of each; looks closer only where the two are not the same."""
        events = [event for told in read.values() for event in told.events]
        names = {(event.account, name) for event in events for name in names_of(event)}
        known = await known_events(self._pool, names)
        closer = [each for each in some if not _is_as_before(each, read[key_of(each)], known)]
        if not closer:
            return
        recorded, parked = await events_of(self._pool, closer), await parked_of(self._pool, closer)
        for delivery in closer:
            told, stored = read[key_of(delivery)], recorded.get(key_of(delivery), [])
            fresh = [event for event in told.events if not _is_elsewhere(event, delivery, known, parked)]
            changes = changes_in(fresh, [each.event for each in stored], told.reason)
            await self._note(changes, {each.event.event_id: each.order_id for each in stored})

    async def _note(self, changes: Sequence[EventChange], placed: Mapping[str, int | None]) -> None:
        """Keeps in mind at which order each change counts."""
        self.done.changes += len(changes)
        named = await orders_named(self._pool, [_either(change) for change in changes]) if changes else []
        for change, order_id in zip(changes, named, strict=True):
            at = order_id if change.before is None else placed.get(change.before.event_id) or order_id
            if self.done.changes > CHANGES_MAX:
                self.done.is_cut = True
            elif at is not None:
                self._changes.setdefault(at, []).append(change)
            elif len(self.done.unplaced) < EXAMPLES_MAX:
                self.done.unplaced.append(change)


def key_of(delivery: KeptDelivery) -> DeliveryKey:
    """Returns what names a delivery."""
    return delivery.run, delivery.number


def _either(change: EventChange) -> PaymentEvent:
    event = change.after or change.before
    assert event is not None
    return event


def _stored(event: PaymentEvent, known: Mapping[EventKey, PlacedEvent]) -> PlacedEvent | None:
    return next((known[event.account, name] for name in names_of(event) if (event.account, name) in known), None)


def _is_as_before(delivery: KeptDelivery, told: _Read, known: Mapping[EventKey, PlacedEvent]) -> bool:
    """Says whether all that a delivery told is recorded, of it or of an earlier one."""
    if len(told.events) != delivery.events:
        return False
    for event in told.events:
        stored = _stored(event, known)
        if stored is None or (stored.delivery == key_of(delivery) and not means_the_same(stored.event, event)):
            return False
    return True


def _is_elsewhere(
    event: PaymentEvent, delivery: KeptDelivery, known: Mapping[EventKey, PlacedEvent], parked: Collection[EventKey]
) -> bool:
    """Says whether an event was recorded of an earlier delivery, or was parked."""
    stored = _stored(event, known)
    if stored is None:
        return (event.account, event.event_id) in parked
    return stored.delivery != key_of(delivery)
