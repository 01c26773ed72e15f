"""Blanks raw deliveries: their bodies, headers and queries.  What dedupe and audit count stays."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.store.postgres.pool import Conn

PREFETCH_ROWS: Final = 200  # bodies of 2 KB: less than a megabyte at a time

DELIVERIES_OF = "SELECT DISTINCT run, number FROM inbox WHERE order_id = $1 AND number IS NOT NULL"


async def deliveries_of(conn: Conn, order_id: int) -> set[DeliveryKey]:
    """Returns the deliveries that brought the order's events."""
    return {(row["run"], row["number"]) for row in await conn.fetch(DELIVERIES_OF, order_id)}


RECEIVED_AT = """
SELECT DISTINCT received_at
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number) JOIN deliveries USING (run, number)
"""
# By their times, which find the weeks in which they stand, and the places there.
DELETE_BODIES = """
DELETE FROM delivery_bodies
WHERE received_at = ANY($3::timestamptz[]) AND (run, number) IN (SELECT * FROM unnest($1::uuid[], $2::bigint[]))
RETURNING run, number
"""

# Likewise what 0.1.0 stored.
BLANK = """
UPDATE deliveries AS d SET body = NULL, headers = '[]', query = ''
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number)
WHERE d.run = w.run AND d.number = w.number AND (d.body IS NOT NULL OR d.headers <> '[]' OR d.query <> '')
RETURNING d.run, d.number
"""

# A delivery may bring events of several orders.
SHARED_WITH = """
SELECT DISTINCT o.order_ref
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number)
JOIN inbox x ON x.run = w.run AND x.number = w.number
JOIN orders o ON o.id = x.order_id
WHERE x.order_id <> $3
ORDER BY o.order_ref
"""


async def blank_deliveries(conn: Conn, keys: Collection[DeliveryKey], order_id: int) -> tuple[int, tuple[str, ...]]:
    """Blanks the deliveries that still hold anything; returns their number, and other orders with events in them."""
    if not keys:
        return 0, ()
    received = [row["received_at"] for row in await conn.fetch(RECEIVED_AT, *_columns(keys))]
    rows = await conn.fetch(DELETE_BODIES, *_columns(keys), received)
    rows += await conn.fetch(BLANK, *_columns(keys))
    blanked = {(row["run"], row["number"]) for row in rows}
    shared = await conn.fetch(SHARED_WITH, *_columns(blanked), order_id)
    return len(blanked), tuple(row["order_ref"] for row in shared)


def _columns(keys: Collection[DeliveryKey]) -> tuple[list[object], list[int]]:
    ordered = sorted(keys)
    return [run for run, _ in ordered], [number for _, number in ordered]


class RawDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A raw delivery, or a refused one, of which no row says whose it is."""

    key: DeliveryKey | None = None
    refused: int | None = None
    account: str
    received_at: datetime
    headers: tuple[tuple[str, str], ...]
    query: str
    body: bytes
    texts: tuple[str, ...] = ()  # what the diagnosis of a refused one quotes


# Those that brought nothing new: no event leads from them to an order.  Of a redelivery no row says of what it is one.
UNLINKED = """
SELECT d.run, d.number, d.account, d.received_at, coalesce(b.headers, d.headers) AS headers,
       coalesce(b.query, d.query) AS query, coalesce(b.body, d.body) AS body
FROM deliveries d LEFT JOIN delivery_bodies b
     ON b.received_at = d.received_at AND b.run = d.run AND b.number = d.number AND b.received_at >= $1
WHERE d.received_at >= $1 AND d.account = ANY($2::text[]) AND (d.events = 0 OR d.duplicates > 0)
  AND coalesce(b.body, d.body) IS NOT NULL
"""
ALL_RAW = """
SELECT d.run, d.number, d.account, d.received_at, coalesce(b.headers, d.headers) AS headers,
       coalesce(b.query, d.query) AS query, coalesce(b.body, d.body) AS body
FROM deliveries d LEFT JOIN delivery_bodies b
     ON b.received_at = d.received_at AND b.run = d.run AND b.number = d.number
WHERE coalesce(b.body, d.body) IS NOT NULL
"""


async def unlinked(
    conn: Conn, *, accounts: Collection[str], since: datetime, within_s: float
) -> AsyncIterator[RawDelivery]:
    """Yields the raw deliveries at these accounts whose order no row tells; in a transaction of the caller's."""
    async for row in conn.cursor(UNLINKED, since, sorted(accounts), prefetch=PREFETCH_ROWS, timeout=within_s):
        yield _raw(row)


async def all_raw(conn: Conn, *, within_s: float) -> AsyncIterator[RawDelivery]:
    """Yields every raw delivery; in a transaction of the caller's."""
    async for row in conn.cursor(ALL_RAW, prefetch=PREFETCH_ROWS, timeout=within_s):
        yield _raw(row)


REFUSED = "SELECT id, account, received_at, headers, query, body, reason, detail FROM refused ORDER BY id"


async def all_refused(conn: Conn) -> list[RawDelivery]:
    """Reads the refused deliveries, of whichever account: a stranger chooses where to post.  They are few."""
    return [
        RawDelivery(
            refused=row["id"],
            account=row["account"],
            received_at=row["received_at"],
            headers=_headers(row["headers"]),
            query=row["query"],
            body=row["body"] or b"",
            texts=(row["reason"], row["detail"]),
        )
        for row in await conn.fetch(REFUSED)
    ]


def _raw(row: asyncpg.Record) -> RawDelivery:
    return RawDelivery(
        key=(row["run"], row["number"]),
        account=row["account"],
        received_at=row["received_at"],
        headers=_headers(row["headers"]),
        query=row["query"],
        body=row["body"],
    )


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    return msgspec.json.decode(text, type=tuple[tuple[str, str], ...])


ORDERS_OF = """
SELECT DISTINCT o.order_ref FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number)
JOIN inbox x ON x.run = w.run AND x.number = w.number JOIN orders o ON o.id = x.order_id
"""


async def orders_of_deliveries(conn: Conn, keys: Collection[DeliveryKey]) -> set[str]:
    """Returns the orders whose events these deliveries brought."""
    return {row["order_ref"] for row in await conn.fetch(ORDERS_OF, *_columns(keys))}
