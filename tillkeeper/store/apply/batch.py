"""Applies a batch of events to orders in one transaction.

    look up deliveries, events and orders ─ lock references, look again for orders that were not found
    ─ take waiting events ─ lock the orders, sorted ─ drop known events (domain/batch.py)
    ─ decide for each order (domain/order/receiving.py) ─ write everything

Reads and locks come before the first write, so that two batches that share an order wait for each other there.  The
conflicts that remain (the same event under two orders) raise WriteConflict, and the whole transaction is repeated.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from tillkeeper.domain.ambiguous_payments import SettledPayments
from tillkeeper.domain.batch import (
    Batch,
    BatchItem,
    DeliveryKey,
    KnownEvent,
    ambiguous_in,
    find_orders,
    give_ids_of_their_own,
    hand_over,
    sort_out,
)
from tillkeeper.domain.delivery import Delivery, EnvelopeKeys
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.guard import Rules, count
from tillkeeper.domain.order.case_reasons import CaseReason, event_subject
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.references import Bindings, Reference, references_of
from tillkeeper.store.apply.ambiguous_payments import load_ambiguous, named_with, write_ambiguous
from tillkeeper.store.apply.erased import erased_deliveries
from tillkeeper.store.apply.looking_up import KnownRows, is_kept, look_up, look_up_deliveries
from tillkeeper.store.apply.recording import record
from tillkeeper.store.cases.writing import close_agreed, close_matched, open_cases
from tillkeeper.store.deliveries.inbox import (
    count_duplicate,
    insert_deliveries,
    insert_void,
    reaffirm,
    settle_waiting,
)
from tillkeeper.store.deliveries.parked import close_parked, count_siblings, supersede, take_message, take_parked
from tillkeeper.store.deliveries.references import lock, take_waiting
from tillkeeper.store.deliveries.unknown_words import note_words
from tillkeeper.store.guard.checking import counted_rows, refuse_paused
from tillkeeper.store.orders.loading import lock_orders
from tillkeeper.store.orders.writing import write_orders, write_returns
from tillkeeper.store.postgres import stages
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.stages import Stage
from tillkeeper.store.postgres.transactions import wait_for_standbys
from tillkeeper.store.queries.fetches import request_fetches, request_fetches_too


class Tally(msgspec.Struct, kw_only=True):
    """The outcomes of a batch, for metrics and logs."""

    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    duplicates: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)  # dropped queries, by account
    held: int = 0  # deliveries of accounts that the guard has paused
    paused: list[str] = msgspec.field(default_factory=list)  # accounts, with these deliveries
    redelivered: int = 0  # deliveries that a lane delivered a second time
    cases: list[str] = msgspec.field(default_factory=list)


class Loaded(msgspec.Struct, kw_only=True):
    """A batch and its locked orders, before events are applied."""

    batch: Batch
    orders: dict[int, OrderState]
    settled: SettledPayments = msgspec.field(default_factory=SettledPayments)  # payments that several orders claim
    found: list[tuple[int | None, CaseReason]] = msgspec.field(default_factory=list)  # besides those of orders


async def apply_deliveries(
    conn: Conn,
    deliveries: Sequence[Delivery],
    *,
    void: Iterable[DeliveryKey] = (),
    policy: Policy,
    guard: Rules | None = None,
    now: datetime,
) -> Tally:
    """Applies every event of the deliveries, in the caller's transaction.

    Raises WriteConflict, AccountsPaused where there are rules of the guard, and what asyncpg raises.
    """
    stages.enter(Stage.LOAD)
    bindings = Bindings()
    found = await look_up_deliveries(conn, deliveries, bindings)
    fresh = list(
        {
            (delivery.run, delivery.number): delivery
            for delivery in deliveries
            if (delivery.run, delivery.number) not in found.kept
        }.values()
    )
    if found.kept and not fresh:
        await wait_for_standbys(conn)
    items = [
        BatchItem(event=event, delivery=(delivery.run, delivery.number))
        for delivery in fresh
        for event in delivery.events
    ]
    loaded = await load(conn, items, found=found, bindings=bindings)
    stages.enter(Stage.WRITE)
    erased = await erased_deliveries(conn, fresh, items, loaded.orders)
    await insert_deliveries(conn, fresh, loaded.batch.duplicates, without_content=erased)
    tally = await write(conn, loaded, policy=policy, guard=guard, now=now)
    tally.dropped = await request_fetches(conn, fresh, now=now)
    await insert_void(conn, set(void))
    await note_words(conn, [(delivery.account, *told) for delivery in fresh for told in delivery.unknown], now=now)
    tally.redelivered = len(deliveries) - len(fresh)
    return tally


async def apply_event(conn: Conn, delivery: Delivery, event: PaymentEvent, *, policy: Policy, now: datetime) -> Tally:
    """Applies one event of a delivery that is kept already."""
    key = (delivery.run, delivery.number)
    loaded = await load(conn, [BatchItem(event=event, delivery=key)])
    if loaded.batch.duplicates:
        await count_duplicate(conn, key)
    return await write(conn, loaded, policy=policy, now=now)


async def apply_found(
    conn: Conn, events: Iterable[PaymentEvent], *, policy: Policy, guard: Rules | None = None, now: datetime
) -> Tally:
    """Applies events of queries, statements and the merchant, which no delivery brought.

    Raises AccountsPaused where there are rules of the guard.
    """
    latest: dict[tuple[str, str], PaymentEvent] = {}
    for event in events:  # two queries of one batch may bring the same event
        key = (event.account, event.event_id)
        if key not in latest or latest[key].known_at < event.known_at:
            latest[key] = event
    stages.enter(Stage.LOAD)
    loaded = await load(conn, [BatchItem(event=event) for event in latest.values()])
    return await write(conn, loaded, policy=policy, guard=guard, now=now)


async def keep_delivery(conn: Conn, delivery: Delivery) -> bool:
    """Stores a raw delivery without its events and queries.  Returns False if it was stored before.

    Raises WriteConflict.
    """
    if await is_kept(conn, delivery):
        await wait_for_standbys(conn)
        return False
    await insert_deliveries(conn, [delivery], {})
    return True


async def replay(conn: Conn, parked_id: int, *, by: str, note: str, policy: Policy, now: datetime) -> Tally:
    """Applies a parked event again, in the caller's transaction.  Raises NotOpen, Unreadable, or as applying does."""
    delivery = await take_parked(conn, parked_id)
    kept = await keep_delivery(conn, delivery)
    if kept:
        await count_siblings(conn, delivery, parked_id)
    await (request_fetches if kept else request_fetches_too)(conn, [delivery], now=now)
    loaded = await load(
        conn, [BatchItem(event=event, delivery=(delivery.run, delivery.number)) for event in delivery.events]
    )
    loaded.batch.superseded = [parked for parked in loaded.batch.superseded if parked != parked_id]
    tally = await write(conn, loaded, policy=policy, now=now)
    # As a duplicate, its event is in the inbox under another delivery: nothing of this one was applied.
    outcome: Literal["replayed", "superseded"] = "superseded" if tally.duplicates else "replayed"
    await close_parked(conn, parked_id, outcome, by=by, note=note, now=now)
    return tally


async def replay_message(
    conn: Conn, parked_id: int, keys: EnvelopeKeys, *, by: str, note: str, policy: Policy, now: datetime
) -> Tally:
    """Applies all of a parked message that was not authentic and that `keys` verify now, in the caller's transaction.

    Raises Unreadable, NotAuthentic, or as applying does.
    """
    envelope = await take_message(conn, parked_id, keys)
    void = [(envelope.run, number) for number in envelope.void]
    tally = await apply_deliveries(conn, envelope.deliveries, void=void, policy=policy, now=now)
    await close_parked(conn, parked_id, "replayed", by=by, note=note, now=now)
    return tally


async def load(
    conn: Conn,
    items: list[BatchItem],
    *,
    found: KnownRows | None = None,
    bindings: Bindings | None = None,
    appearing: Iterable[Reference] = (),
) -> Loaded:
    """Finds and locks the orders; writes nothing.

    `found` and `bindings` are what a caller looked up; `appearing` are references that it added to `bindings`.
    """
    bindings = bindings or Bindings()
    registered = [reference[1] for reference in appearing if reference[0] == "order"]
    found = found or await look_up(conn, [item.event for item in items], bindings)
    waited = await _meet(conn, items, bindings, set(appearing))
    known, reused = await _known(conn, items, found)
    everything = [*items, *waited]
    settled = SettledPayments()
    ambiguous = ambiguous_in(everything, bindings) | await named_with(conn, registered)
    if ambiguous:
        orders, settled = await load_ambiguous(conn, ambiguous, everything)
    else:
        orders = await lock_orders(conn, {item.order_id for item in everything if item.order_id is not None})
    reasons = settled.found + [(item.order_id, reason) for item, reason in reused]
    return Loaded(batch=sort_out(items, waited, known), orders=orders, settled=settled, found=reasons)


async def _meet(conn: Conn, items: list[BatchItem], bindings: Bindings, appearing: set[Reference]) -> list[BatchItem]:
    """Assigns items to orders, and returns the events that waited for references that appear with them."""
    alone = find_orders(items, bindings)
    waiting_under = {reference for item in alone for reference in references_of(item.event)}
    appearing |= bindings.new_objects
    await lock(conn, appearing=appearing, waiting=waiting_under)
    if alone:
        await look_up(conn, [item.event for item in alone], bindings)
        alone = find_orders(alone, bindings)
        appearing |= bindings.new_objects
    waited: dict[tuple[str, str], BatchItem] = {}
    seen: set[Reference] = set()
    while new := appearing - seen:
        taken = [BatchItem(event=event, waited=True) for event in await take_waiting(conn, new)]
        # Their other references may belong to another order.
        await look_up(conn, [item.event for item in taken], bindings)
        waited |= {item.key: item for item in taken}
        alone = find_orders([*alone, *taken], bindings)
        seen |= new
        appearing |= bindings.new_objects
        await lock(conn, appearing=appearing - seen)
    return list(waited.values())


async def _known(
    conn: Conn, items: list[BatchItem], found: KnownRows
) -> tuple[dict[int, KnownEvent], list[tuple[BatchItem, CaseReason]]]:
    """Says what is known of each item, after ids that stand for two events were told apart."""
    known = {position: found.events[item.key] for position, item in enumerate(items) if item.key in found.events}
    others, reused = give_ids_of_their_own(items, known)
    if others:
        again = (await look_up(conn, [items[position].event for position in others], Bindings())).events
        for position in others:
            known.pop(position, None)
            if (row := again.get(items[position].key)) is not None:
                known[position] = row
    return known, reused


async def write(conn: Conn, loaded: Loaded, *, policy: Policy, guard: Rules | None = None, now: datetime) -> Tally:
    """Writes the changes.  Raises WriteConflict if another transaction was first, or AccountsPaused."""
    batch, settled = loaded.batch, loaded.settled
    stages.enter(Stage.DECIDE)
    changes = hand_over(batch, loaded.orders, placed_facts=settled.facts, found=loaded.found, policy=policy, now=now)
    stages.enter(Stage.WRITE)
    await write_returns(conn, changes)
    await _record(conn, batch, changes, guard, now)
    await settle_waiting(conn, batch.waited, now=now)
    await write_ambiguous(conn, settled, now=now)
    await reaffirm(conn, [item.event for item in batch.repeated])
    await supersede(conn, batch.superseded, now=now)
    cases = await write_orders(conn, changes, policy=policy.cases, now=now)
    at_no_order = [found for found in loaded.found if found[0] is None]
    cases += await open_cases(conn, at_no_order, policy=policy.cases, now=now)
    matched = [item.event for item in batch.waited if item.order_id]
    matched += [moved.event for moved in settled.moved if moved.order_id]
    await close_matched(conn, [event_subject(event.account, event.event_id) for event in matched], now=now)
    await close_agreed(conn, settled.agreed, now=now)
    return Tally(
        outcomes=Counter(str(item.outcome) for item in (*batch.new, *batch.waited)),
        duplicates=batch.duplicates.total(),
        cases=cases,
    )


async def _record(conn: Conn, batch: Batch, changes: Sequence[Changes], rules: Rules | None, now: datetime) -> None:
    """Records the batch's events, unless the guard has an account paused; without rules nobody is counted."""
    if rules is None:
        await record(conn, batch.new, changes, now=now)
        return
    counted = count(changes, batch.by_order())
    accounts = {item.event.account for item in batch.new}
    standings = await record(conn, batch.new, changes, counted=counted_rows(accounts, counted), now=now)
    await refuse_paused(conn, standings, counted, rules, now=now)
