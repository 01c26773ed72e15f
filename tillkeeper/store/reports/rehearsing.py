"""Reads kept deliveries and orders' events, for a rehearsal: in short snapshots, and without a lock."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey, EventKey
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.facts import ObjectKey, OrderFacts
from tillkeeper.domain.order.registration import ClaimedPayment, Order
from tillkeeper.domain.order.status import Summary
from tillkeeper.store.deliveries.inbox import event_of
from tillkeeper.store.orders.loading import facts_of
from tillkeeper.store.rows import order_in, summary_in

AT_ONCE: Final = 500
WINDOW: Final = timedelta(hours=1)  # of deliveries that are read in one snapshot

# Content that 0.1.0 stored stands in deliveries.
DELIVERIES = """
SELECT d.run, d.number, d.account, d.received_at, d.events, coalesce(b.headers, d.headers) AS headers,
       coalesce(b.query, d.query) AS query, coalesce(b.body, d.body) AS body
FROM deliveries d
LEFT JOIN delivery_bodies b ON b.received_at = d.received_at AND b.run = d.run AND b.number = d.number
WHERE d.received_at >= $1 AND d.received_at < $2 AND ($3::text IS NULL OR d.account = $3)
  AND (b.received_at IS NULL OR b.received_at >= $1 AND b.received_at < $2)
"""
COUNT = "SELECT count(*) FROM deliveries WHERE received_at >= $1 AND ($2::text IS NULL OR account = $2)"
KNOWN = """
SELECT i.* FROM unnest($1::text[], $2::text[]) AS w (account, event_id)
JOIN inbox i ON i.account = w.account AND i.event_id = w.event_id
"""
PARKED = """
SELECT k.account, k.event_id FROM parked k JOIN unnest($1::uuid[], $2::bigint[]) AS w (run, number) USING (run, number)
WHERE k.readable
"""
OF_DELIVERIES = """
SELECT i.* FROM inbox i JOIN unnest($1::uuid[], $2::bigint[]) AS w (run, number) USING (run, number)
WHERE i.recorded_at >= $3
"""
ORDERS_BY_NAME = """
SELECT w.place, coalesce(p.order_id, r.order_id, d.order_id, o.id) AS order_id
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS w (place, account, order_ref, payment_ref, refund_ref, dispute_ref)
LEFT JOIN payments p ON p.account = w.account AND p.payment_ref = w.payment_ref
LEFT JOIN refunds r ON r.account = w.account AND r.refund_ref = w.refund_ref
LEFT JOIN disputes d ON d.account = w.account AND d.dispute_ref = w.dispute_ref
LEFT JOIN orders o ON o.order_ref = w.order_ref
"""
TOUCHED = "SELECT DISTINCT order_id FROM inbox WHERE recorded_at >= $1 AND order_id IS NOT NULL ORDER BY order_id"
ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, status, captured_minor, refunding_minor, refunded_minor,
       discount_minor, terms -> 'payments' AS payments
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id
"""
EVENTS = "SELECT * FROM inbox WHERE order_id = ANY($1::bigint[]) ORDER BY order_id, recorded_at, seq"


class KeptDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as it came; `body` is None where retention or erasure removed it."""

    run: UUID
    number: int
    account: str
    received_at: datetime
    events: int
    headers: tuple[tuple[str, str], ...]
    query: str
    body: bytes | None


class PlacedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event, the order at which it counts, and the delivery that brought it first."""

    event: PaymentEvent
    order_id: int | None
    delivery: DeliveryKey | None


class StoredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order with all that it was made of, and what was made of it."""

    id: int
    order: Order
    claimed: tuple[ObjectKey, ...]
    summary: Summary
    facts: OrderFacts
    events: tuple[PaymentEvent, ...]


async def count_deliveries(pool: asyncpg.Pool, since: datetime, account: str | None) -> int:
    """Counts the deliveries that came since, for a progress bar."""
    async with pool.acquire() as conn:
        return int(await conn.fetchval(COUNT, since, account))


async def kept_deliveries(
    pool: asyncpg.Pool, since: datetime, until: datetime, account: str | None
) -> AsyncIterator[list[KeptDelivery]]:
    """Yields the deliveries of a span, some hundreds at a time, an hour in each snapshot."""
    while since < until:
        end = min(since + WINDOW, until)
        async with pool.acquire() as conn, conn.transaction(readonly=True):
            cursor = await conn.cursor(DELIVERIES, since, end, account)
            while rows := await cursor.fetch(AT_ONCE):
                yield [_kept(row) for row in rows]
        since = end


def _kept(row: Any) -> KeptDelivery:
    headers = msgspec.json.decode(row["headers"], type=tuple[tuple[str, str], ...])
    return KeptDelivery(**{**row, "headers": headers})


async def known_events(pool: asyncpg.Pool, keys: Collection[EventKey]) -> dict[EventKey, PlacedEvent]:
    """Reads what is stored under these ids."""
    async with pool.acquire() as conn:
        return _by_key(await conn.fetch(KNOWN, [account for account, _ in keys], [event_id for _, event_id in keys]))


async def events_of(pool: asyncpg.Pool, deliveries: Sequence[KeptDelivery]) -> dict[DeliveryKey, list[PlacedEvent]]:
    """Reads the events that were recorded of these deliveries."""
    if not deliveries:
        return {}
    runs, numbers = [each.run for each in deliveries], [each.number for each in deliveries]
    since = min(each.received_at for each in deliveries) - WINDOW  # clocks may differ
    found: dict[DeliveryKey, list[PlacedEvent]] = {}
    async with pool.acquire() as conn:
        for row in await conn.fetch(OF_DELIVERIES, runs, numbers, since):
            found.setdefault((row["run"], row["number"]), []).append(_known(row))
    return found


def _by_key(rows: Iterable[Any]) -> dict[EventKey, PlacedEvent]:
    return {(row["account"], row["event_id"]): _known(row) for row in rows}


def _known(row: Any) -> PlacedEvent:
    delivery = (row["run"], row["number"]) if row["run"] is not None else None
    return PlacedEvent(event=event_of(row), order_id=row["order_id"], delivery=delivery)


async def parked_of(pool: asyncpg.Pool, deliveries: Sequence[KeptDelivery]) -> set[EventKey]:
    """Returns the events of these deliveries that were parked, and so are recorded nowhere else."""
    async with pool.acquire() as conn:
        rows = await conn.fetch(PARKED, [each.run for each in deliveries], [each.number for each in deliveries])
    return {(row["account"], row["event_id"]) for row in rows}


async def orders_named(pool: asyncpg.Pool, events: Sequence[PaymentEvent]) -> list[int | None]:
    """Returns for each event the order that it would count at, by what it names."""
    columns = [
        [getattr(event, name) for event in events]
        for name in ("account", "order_ref", "payment_ref", "refund_ref", "dispute_ref")
    ]
    async with pool.acquire() as conn:
        rows = await conn.fetch(ORDERS_BY_NAME, list(range(len(events))), *columns)
    found = {row["place"]: row["order_id"] for row in rows}
    return [found.get(place) for place in range(len(events))]


async def orders_touched(pool: asyncpg.Pool, since: datetime) -> list[int]:
    """Returns the orders of which events were recorded since."""
    async with pool.acquire() as conn:
        return [row["order_id"] for row in await conn.fetch(TOUCHED, since)]


async def read_orders(pool: asyncpg.Pool, ids: Sequence[int]) -> list[StoredOrder]:
    """Reads orders with their events, as of one moment."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        rows = await conn.fetch(ORDERS, ids)
        facts = await facts_of(conn, ids)
        events = await conn.fetch(EVENTS, ids)
    by_order = {order_id: [*group] for order_id, group in groupby(events, key=lambda row: row["order_id"])}
    return [_stored(row, facts[row["id"]], by_order.get(row["id"], [])) for row in rows]


def _stored(row: Any, facts: OrderFacts, events: Sequence[Any]) -> StoredOrder:
    claims = msgspec.json.decode(row["payments"] or "[]", type=list[ClaimedPayment])
    return StoredOrder(
        id=row["id"],
        order=order_in(row),
        claimed=tuple((claim.account, claim.payment_ref) for claim in claims),
        summary=summary_in(row),
        facts=facts,
        events=tuple(map(event_of, events)),
    )
