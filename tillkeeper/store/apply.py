"""Events into orders, one transaction a batch.

    find the orders ─ lock references, look again for those without ─ take up who waited ─ lock the orders, sorted
    ─ drop what is known ─ fold the events into facts (domain/facts.py) ─ write everything

Reads and locks come before the first write, so that two batches that share an order wait for each other there; what
still slips through (the same event under two orders) shows as Raced, and the whole transaction is repeated.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from tillkeeper.domain.concerns import Concern, Mismatch, mismatch_of
from tillkeeper.domain.delivery import Delivery, EnvelopeKeys
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.policy import Policy
from tillkeeper.store.acts import write_acts
from tillkeeper.store.cases import (
    SHOWN_WITHIN_A_SPELL,
    close_agreed,
    close_by_truth,
    close_matched,
    event_subject,
    open_cases,
)
from tillkeeper.store.contested import Contested, contested_in, named_with, settle_contested, write_contested
from tillkeeper.store.effects import Effects, effects_of, holding_of
from tillkeeper.store.fetches import want, want_too
from tillkeeper.store.inbox import (
    DeliveryKey,
    Item,
    Known,
    Outcome,
    count_duplicate,
    digest_of,
    insert_deliveries,
    insert_events,
    insert_void,
    known_deliveries,
    known_events,
    reaffirm,
    settle_waiting,
)
from tillkeeper.store.ledger import OpenOrder, open_orders, write_facts, write_orders
from tillkeeper.store.parked import close_parked, count_siblings, supersede, take_message, take_parked
from tillkeeper.store.pool import Conn
from tillkeeper.store.references import Bindings, Reference, bind, lock, references_of, take_waiting
from tillkeeper.store.telling import tell
from tillkeeper.store.transactions import wait_for_standbys
from tillkeeper.store.unknown_words import note_words

MISMATCHES: Final = frozenset(map(str, Mismatch))


class Tally(msgspec.Struct, kw_only=True):
    """What became of a batch, for counters and logs."""

    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    duplicates: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)  # questions, by account
    redelivered: int = 0  # deliveries that a lane handed out a second time
    cases: list[str] = msgspec.field(default_factory=list)


class Posting(msgspec.Struct, kw_only=True):
    """A batch between decision and write."""

    orders: dict[int, OpenOrder]
    new: list[tuple[Item, bytes]] = msgspec.field(default_factory=list)
    waited: list[Item] = msgspec.field(default_factory=list)
    duplicates: Counter[DeliveryKey] = msgspec.field(default_factory=Counter)
    superseded: list[int] = msgspec.field(default_factory=list)
    reaffirmed: list[PaymentEvent] = msgspec.field(default_factory=list)  # known, and said again for a later moment
    found: list[tuple[int | None, Concern]] = msgspec.field(default_factory=list)
    contested: Contested = msgspec.field(default_factory=Contested)


async def apply_deliveries(
    conn: Conn, deliveries: Sequence[Delivery], *, void: Iterable[DeliveryKey] = (), policy: Policy, now: datetime
) -> Tally:
    """Applies every event of the deliveries, in the caller's transaction.  Raises Raced, and what asyncpg raises."""
    known = await known_deliveries(conn, deliveries)
    fresh = list({(it.run, it.number): it for it in deliveries if (it.run, it.number) not in known}.values())
    if known and not fresh:
        await wait_for_standbys(conn)
    items = [Item(event=event, delivery=(it.run, it.number)) for it in fresh for event in it.events]
    posting = await decide(conn, items)
    await insert_deliveries(conn, fresh, posting.duplicates)
    tally = await write(conn, posting, policy=policy, now=now)
    tally.dropped = await want(conn, fresh, now=now)
    await insert_void(conn, set(void))
    await note_words(conn, [(it.account, *told) for it in fresh for told in it.unknown], now=now)
    tally.redelivered = len(deliveries) - len(fresh)
    return tally


async def apply_event(conn: Conn, delivery: Delivery, event: PaymentEvent, *, policy: Policy, now: datetime) -> Tally:
    """Applies one event of a delivery that is kept already."""
    key = (delivery.run, delivery.number)
    posting = await decide(conn, [Item(event=event, delivery=key)])
    if posting.duplicates:
        await count_duplicate(conn, key)
    return await write(conn, posting, policy=policy, now=now)


async def apply_found(conn: Conn, events: Iterable[PaymentEvent], *, policy: Policy, now: datetime) -> Tally:
    """Applies events that no delivery brought: what a gateway answered, a statement held, or the merchant said."""
    latest: dict[tuple[str, str], PaymentEvent] = {}
    for event in events:  # two questions of one batch may have brought the same
        key = (event.account, event.event_id)
        if key not in latest or latest[key].known_at < event.known_at:
            latest[key] = event
    posting = await decide(conn, [Item(event=event) for event in latest.values()])
    return await write(conn, posting, policy=policy, now=now)


async def keep_delivery(conn: Conn, delivery: Delivery) -> bool:
    """Keeps a raw delivery; applies no event of it and asks nothing.  False if it was kept before.  Raises Raced."""
    if await known_deliveries(conn, [delivery]):
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
    await (want if kept else want_too)(conn, [delivery], now=now)
    posting = await decide(conn, [Item(event=it, delivery=(delivery.run, delivery.number)) for it in delivery.events])
    posting.superseded = [it for it in posting.superseded if it != parked_id]
    tally = await write(conn, posting, policy=policy, now=now)
    # As a duplicate its event stands in the inbox under another delivery: nothing of this one was applied.
    outcome: Literal["replayed", "superseded"] = "superseded" if tally.duplicates else "replayed"
    await close_parked(conn, parked_id, outcome, by=by, note=note, now=now)
    return tally


async def replay_message(
    conn: Conn, parked_id: int, keys: EnvelopeKeys, *, by: str, note: str, policy: Policy, now: datetime
) -> Tally:
    """Applies a parked message that was not authentic and that `keys` open now, all of it, in the caller's transaction.

    Raises Unreadable, NotAuthentic, or as applying does.
    """
    envelope = await take_message(conn, parked_id, keys)
    void = [(envelope.run, number) for number in envelope.void]
    tally = await apply_deliveries(conn, envelope.deliveries, void=void, policy=policy, now=now)
    await close_parked(conn, parked_id, "replayed", by=by, note=note, now=now)
    return tally


async def decide(
    conn: Conn,
    items: list[Item],
    *,
    bindings: Bindings | None = None,
    appearing: Iterable[Reference] = (),
) -> Posting:
    """Finds, locks and folds; writes nothing.  `appearing` are references that the caller made known in `bindings`."""
    bindings = bindings or Bindings()
    registered = [reference[1] for reference in appearing if reference[0] == "order"]
    await bind(conn, [item.event for item in items], bindings)
    waited = await _meet(conn, items, bindings, set(appearing))
    digests = [digest_of(item.event) for item in items]
    known, reused = await _known(conn, items, digests)
    everything = [*items, *waited]
    contested = contested_in(everything, bindings) | await named_with(conn, registered)
    if contested:
        orders, settled = await settle_contested(conn, contested, everything)
        posting = Posting(orders=orders, contested=settled, found=settled.found)
    else:
        ids = {item.order_id for item in everything if item.order_id is not None}
        posting = Posting(orders=await open_orders(conn, ids))
    posting.found += [(item.order_id, concern) for item, concern in reused]
    _fold(posting, items, digests, waited, known)
    return posting


async def _meet(conn: Conn, items: list[Item], bindings: Bindings, appearing: set[Reference]) -> list[Item]:
    """Gives items their orders, and returns the events that waited for what appears with them."""
    alone = _find_orders(items, bindings)
    waiting_under = {reference for item in alone for reference in references_of(item.event)}
    appearing |= bindings.new_objects
    await lock(conn, appearing=appearing, waiting=waiting_under)
    if alone:
        await bind(conn, [item.event for item in alone], bindings)
        alone = _find_orders(alone, bindings)
        appearing |= bindings.new_objects
    waited: dict[tuple[str, str], Item] = {}
    seen: set[Reference] = set()
    while new := appearing - seen:
        taken = [Item(event=event, waited=True) for event in await take_waiting(conn, new)]
        await bind(conn, [item.event for item in taken], bindings)  # what else they name may be another order's
        waited |= {(item.event.account, item.event.event_id): item for item in taken}
        alone = _find_orders([*alone, *taken], bindings)
        seen |= new
        appearing |= bindings.new_objects
        await lock(conn, appearing=appearing - seen)
    return list(waited.values())


def _find_orders(items: list[Item], bindings: Bindings) -> list[Item]:
    """Repeats while one event's references help another; returns the items that stay without an order."""
    alone = items
    while True:
        still: list[Item] = []
        for item in alone:
            item.order_id = bindings.order_of(item.event)
            if item.order_id is None:
                still.append(item)
        if len(still) in (0, len(alone)):
            return still
        alone = still


async def _known(
    conn: Conn, items: list[Item], digests: Sequence[bytes]
) -> tuple[dict[int, Known], list[tuple[Item, Concern]]]:
    """What is known under the items' ids.  One that says something else than is known under its id gets one of its own.

    Both were signed, and which of the two came first says nothing: so both count, and a person is told of both.
    """
    known = await known_events(conn, [item.event for item in items]) if items else {}
    first: dict[tuple[str, str], bytes] = {}
    others, reused = list[int](), list[tuple[Item, Concern]]()
    for position, (item, digest) in enumerate(zip(items, digests, strict=True)):
        key, row = (item.event.account, item.event.event_id), known.get(position)
        before = first.setdefault(key, row.digest if row and row.digest else digest)
        if before != digest and item.delivery:  # ids of answers are made by us, of what they say
            reused.append((item, _reused(item)))
            item.event = msgspec.structs.replace(item.event, event_id=f"{item.event.event_id}~{digest.hex()[:16]}")
            others.append(position)
    if others:
        known = {position: row for position, row in known.items() if position not in others}
        found = await known_events(conn, [items[position].event for position in others])
        known |= {others[place]: row for place, row in found.items()}
    return known, reused


def _fold(
    posting: Posting, items: list[Item], digests: Sequence[bytes], waited: list[Item], known: dict[int, Known]
) -> None:
    for item in waited:
        _settle(posting, item)
        posting.waited.append(item)
    told = set[tuple[str, str]]()
    taken = {(item.event.account, item.event.event_id) for item in waited}
    for position, (item, digest) in enumerate(zip(items, digests, strict=True)):
        key, row = (item.event.account, item.event.event_id), known.get(position)
        if key not in told and (row is None or row.digest is None):
            told.add(key)
            _settle(posting, item)
            posting.new.append((item, digest))
            posting.superseded += [row.parked_id] if row and row.parked_id is not None else []
            continue
        if item.delivery:
            posting.duplicates[item.delivery] += 1
        elif row and row.known_at is not None and row.known_at < item.event.known_at:
            _reaffirm(posting, item)
        if row and row.waits and item.order_id is not None and not item.placed and key not in taken:
            taken.add(key)
            _settle(posting, item)
            posting.waited.append(item)


def _reaffirm(posting: Posting, item: Item) -> None:
    """An answer that says again what is known: so it stands as of this later answer."""
    posting.reaffirmed.append(item.event)
    if item.order_id is not None and not item.placed:
        posting.orders[item.order_id].learn(item.event)


def _settle(posting: Posting, item: Item) -> None:
    """The item's outcome, and its order's facts with it, unless these are settled already."""
    if item.order_id is None:
        item.outcome = Outcome.WAITING
        return
    it = posting.orders[item.order_id]
    if not item.placed:
        item.outcome = Outcome.APPLIED if it.learn(item.event) else Outcome.NO_CHANGE
        if mismatch := mismatch_of(it.order, item.event):
            item.outcome, item.reason = Outcome.MISMATCHED, mismatch
    if item.reason in MISMATCHES:
        posting.found.append((it.id, _mismatched(item, Mismatch(item.reason))))
    item.status_after = it.judge().status


def _reused(item: Item) -> Concern:
    return Concern(
        kind="event_id_reused",
        subject=event_subject(item.event.account, item.event.event_id),
        account=item.event.account,
        details={"now_says": item.event.kind, "delivery": list(map(str, item.delivery or ()))},
    )


def _mismatched(item: Item, mismatch: Mismatch) -> Concern:
    """Named as what its object's facts would open, which is one case with it.  A late word leaves no fact behind."""
    event = item.event
    name, ref = ("dispute", event.dispute_ref) if event.kind.is_dispute else ("refund", event.refund_ref)
    if event.kind.is_payment or ref is None:
        name, ref = "payment", event.payment_ref
    return Concern(
        kind=mismatch,
        subject=f"{name}:{event.account}/{ref}",
        account=event.account,
        details={} if event.currency is None else {"currencies": [event.currency]},
    )


async def write(conn: Conn, posting: Posting, *, policy: Policy, now: datetime) -> Tally:
    """Writes what was decided, and what follows from it.  Raises Raced if another transaction was first."""
    changed = [it for it in posting.orders.values() if it.changed]
    effects = effects_of(changed, policy, now=now)
    await write_facts(conn, changed)
    await insert_events(conn, posting.new, now=now)
    await settle_waiting(conn, posting.waited, now=now)
    await write_contested(conn, posting.contested, now=now)
    await reaffirm(conn, posting.reaffirmed)
    await supersede(conn, posting.superseded, now=now)
    await write_acts(conn, effects.acts)
    await tell(conn, effects.notices, now=now)
    await write_orders(conn, changed, now=now)
    cases = await _mind_cases(conn, posting, effects, policy=policy, now=now)
    matched = [it.event for it in posting.waited if it.order_id] + [
        it.event for it in posting.contested.moved if it.order_id
    ]
    await close_matched(conn, [event_subject(it.account, it.event_id) for it in matched], now=now)
    await close_agreed(conn, posting.contested.agreed, now=now)
    settled = [item for item, _ in posting.new] + posting.waited
    return Tally(
        outcomes=Counter(str(item.outcome) for item in settled),
        duplicates=posting.duplicates.total(),
        cases=cases,
    )


async def _mind_cases(conn: Conn, posting: Posting, effects: Effects, *, policy: Policy, now: datetime) -> list[str]:
    """Opens what there is reason for, and closes what has none any more; returns the kinds of those opened."""
    shown = {(it.kind, it.subject) for it in effects.holding}
    passing = [it for it in posting.found if it[1].kind in MISMATCHES and (it[1].kind, it[1].subject) not in shown]
    lasting = [it for it in posting.found if it not in passing]
    opened = await open_cases(conn, passing, again=False, policy=policy.cases, now=now)
    opened += await open_cases(conn, lasting + effects.opening, policy=policy.cases, now=now)
    of_passing = {order_id for order_id, _ in passing}
    minded = [it for it in posting.orders.values() if it.id in of_passing or (it.changed and it.has_any_cases)]
    still = effects.holding + [concern for it in minded if not it.changed for concern in holding_of(it)]
    await close_by_truth(conn, [it.id for it in minded if it.moved], still, now=now)
    within = [it.id for it in minded if not it.moved]
    await close_by_truth(conn, within, still, kinds=SHOWN_WITHIN_A_SPELL, now=now)
    return opened
