"""Reads the ledger (domain/books/ledger.py) out of the events that are recorded.

It reads a page of orders at a time, each in a snapshot of its own, so that no snapshot is held for long.  What is
recorded until a moment in the past does not change but for events that wait: once their order is known, they count from
then on, and are read with the time since when they had waited.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from tillkeeper.domain.books.ledger import BookedEvent, Transaction, transactions
from tillkeeper.domain.order.registration import Order
from tillkeeper.store.deliveries.inbox import event_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.rows import order_in

ORDERS_AT_ONCE: Final = 1000

# With what waited before, which counts at its order since.
ORDERS_OF_PERIOD = """
SELECT DISTINCT x.order_id FROM inbox x WHERE x.recorded_at >= $1 AND x.recorded_at < $2 AND x.order_id IS NOT NULL
UNION
SELECT x.order_id FROM deliveries d JOIN inbox x ON x.run = d.run AND x.number = d.number AND x.account = d.account
WHERE d.received_at >= $1 AND d.received_at < $2 AND x.recorded_at >= $2 AND x.order_id IS NOT NULL
ORDER BY 1
"""
ORDERS = "SELECT id, order_ref, amount_minor, currency, accounts FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id"
ORDER_BY_REF = "SELECT id FROM orders WHERE order_ref = $1"
EVENTS = """
SELECT x.*, d.received_at FROM inbox x LEFT JOIN deliveries d ON d.run = x.run AND d.number = x.number
WHERE x.order_id = ANY($1::bigint[]) AND (x.recorded_at < $2 OR d.received_at < $2)
ORDER BY x.order_id, x.recorded_at, x.seq
"""
# By what they name: each may be an order's of its own.
WAITING = """
SELECT x.*, coalesce(x.payment_ref, x.refund_ref, x.dispute_ref) AS names
FROM inbox x WHERE x.outcome = 'waiting' AND x.recorded_at < $1
ORDER BY x.account, names, x.recorded_at, x.seq
"""


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """The days of a ledger, from `first` to `last`, in a zone."""

    first: date
    last: date
    zone: str

    @property
    def begins(self) -> datetime:
        """Returns the first moment."""
        return _midnight(self.first, self.zone)

    @property
    def ends(self) -> datetime:
        """Returns the first moment after."""
        return _midnight(self.last + timedelta(days=1), self.zone)

    def day_of(self, at: datetime) -> date:
        """Returns the day of a moment."""
        return at.astimezone(ZoneInfo(self.zone)).date()


def _midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))


async def is_registered(pool: asyncpg.Pool, order_ref: str) -> bool:
    """Returns True if there is an order of this reference."""
    async with pool.acquire() as conn:
        return await conn.fetchval(ORDER_BY_REF, order_ref) is not None


async def read_journal(
    pool: asyncpg.Pool, period: Period, *, order_ref: str | None = None
) -> AsyncIterator[Transaction]:
    """Yields the transactions of a period, order by order, and then those of money that waits.

    An event is said to have waited where it was recorded on a later day than it came.
    """
    async for order, rows in _orders_with_events(pool, period, order_ref):
        for transaction in transactions(order, [_booked(row, period) for row in rows]):
            if period.begins <= transaction.booked_at < period.ends:
                yield transaction
    if order_ref is None:
        async for transaction in _waiting(pool, period):
            yield transaction


async def _orders_with_events(
    pool: asyncpg.Pool, period: Period, order_ref: str | None
) -> AsyncIterator[tuple[Order, list[Any]]]:
    async with pool.acquire() as conn:
        if order_ref is not None:
            found = await conn.fetchval(ORDER_BY_REF, order_ref)
            ids = [] if found is None else [found]
        else:
            ids = [row["order_id"] for row in await conn.fetch(ORDERS_OF_PERIOD, period.begins, period.ends)]
    for start in range(0, len(ids), ORDERS_AT_ONCE):
        async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            page = await conn.fetch(ORDERS, ids[start : start + ORDERS_AT_ONCE])
            events = await _events(conn, page, period.ends)
        for row in page:
            yield order_in(row), events.get(row["id"], [])


async def _events(conn: Conn, page: Sequence[Any], until: datetime) -> dict[int, list[Any]]:
    rows = await conn.fetch(EVENTS, [row["id"] for row in page], until)
    return {order_id: list(rows) for order_id, rows in groupby(rows, key=lambda row: row["order_id"])}


def _booked(row: Any, period: Period) -> BookedEvent:
    received_at, recorded_at = row["received_at"], row["recorded_at"]
    waited = received_at is not None and period.day_of(received_at) < period.day_of(recorded_at)
    return BookedEvent(event=event_of(row), recorded_at=recorded_at, waited_since=received_at if waited else None)


async def _waiting(pool: asyncpg.Pool, period: Period) -> AsyncIterator[Transaction]:
    async with pool.acquire() as conn:
        rows = await conn.fetch(WAITING, period.ends)
    for group in by_name(rows):
        events = [BookedEvent(event=event_of(row), recorded_at=row["recorded_at"]) for row in group]
        for transaction in transactions(None, events):
            if transaction.booked_at >= period.begins:
                yield transaction


def by_name(rows: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """Yields the rows of waiting events by what they name."""
    for _, group in groupby(rows, key=lambda row: (row["account"], row["names"])):
        yield group
