"""Reads raw deliveries: headers, query and body as they came.

They stand in the week of the delivery's arrival; those that 0.1.0 stored, in `deliveries`.  Retention and erasure
leave nothing of them: then the body is null.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import unproven
from tillkeeper.store.postgres.pool import Conn

PREFETCH_ROWS: Final = 200  # bodies of 2 KB: less than a megabyte at a time
BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)
Headers = tuple[tuple[str, str], ...]


class RawDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A raw delivery, or a refused one, of which no row says whose it is."""

    key: DeliveryKey | None = None
    refused: int | None = None
    held: DeliveryKey | None = None  # of a paused account, and not applied
    account: str
    received_at: datetime
    headers: Headers
    query: str
    body: bytes
    texts: tuple[str, ...] = ()  # what the diagnosis of a refused one quotes
    references: tuple[str, ...] = ()  # of a held one's events


# OFFSET 0 makes the body a lookup for each delivery in its own week: a join could read all weeks whole.
RAW = """
SELECT coalesce(b.headers, d.headers) AS headers, coalesce(b.query, d.query) AS query,
       CASE WHEN $3 THEN coalesce(b.body, d.body) END AS body, octet_length(coalesce(b.body, d.body)) AS body_bytes
FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS w (run, number, i)
JOIN deliveries d ON d.run = w.run AND d.number = w.number
LEFT JOIN LATERAL (
    SELECT headers, query, body FROM delivery_bodies
    WHERE received_at = d.received_at AND run = d.run AND number = d.number OFFSET 0
) b ON true
ORDER BY w.i
"""


async def add_raw(conn: Conn, deliveries: Sequence[dict[str, Any]]) -> None:
    """Adds to each delivery its headers, query and body as they came."""
    for delivery, row in zip(deliveries, await _looked_up(conn, deliveries, with_bodies=True), strict=True):
        delivery |= {"headers": headers_in(row["headers"]), "query": row["query"], "body": row["body"]}


async def add_body_bytes(conn: Conn, deliveries: Sequence[dict[str, Any]]) -> None:
    """Adds to each delivery the length of its body, without reading bodies."""
    for delivery, row in zip(deliveries, await _looked_up(conn, deliveries, with_bodies=False), strict=True):
        delivery["body_bytes"] = row["body_bytes"]


async def _looked_up(
    conn: Conn, deliveries: Sequence[dict[str, Any]], *, with_bodies: bool
) -> Sequence[asyncpg.Record]:
    runs, numbers = ([delivery[name] for delivery in deliveries] for name in ("run", "number"))
    return await conn.fetch(RAW, runs, numbers, with_bodies)


# Many at a time, so that the weeks are joined whole.  With accounts: of these, what brought nothing new, for no event
# leads from it to an order, and of a redelivery no row says of what it is one.
RAW_SINCE = """
SELECT d.run, d.number, d.account, d.received_at, coalesce(b.headers, d.headers) AS headers,
       coalesce(b.query, d.query) AS query, coalesce(b.body, d.body) AS body
FROM deliveries d LEFT JOIN delivery_bodies b
     ON b.received_at = d.received_at AND b.run = d.run AND b.number = d.number AND b.received_at >= $1
WHERE d.received_at >= $1 AND coalesce(b.body, d.body) IS NOT NULL
  AND ($2::text[] IS NULL OR d.account = ANY($2) AND (d.events = 0 OR d.duplicates > 0))
"""


async def unlinked(
    conn: Conn, *, accounts: Collection[str], since: datetime, within_s: float
) -> AsyncIterator[RawDelivery]:
    """Yields the raw deliveries at these accounts whose order no row tells; in a transaction of the caller's."""
    async for row in conn.cursor(RAW_SINCE, since, sorted(accounts), prefetch=PREFETCH_ROWS, timeout=within_s):
        yield _raw(row)


async def all_raw(conn: Conn, *, within_s: float) -> AsyncIterator[RawDelivery]:
    """Yields every raw delivery; in a transaction of the caller's."""
    async for row in conn.cursor(RAW_SINCE, BEFORE_ALL, None, prefetch=PREFETCH_ROWS, timeout=within_s):
        yield _raw(row)


REFUSED = "SELECT id, account, received_at, headers, query, body, reason, detail FROM refused ORDER BY id"


async def all_refused(conn: Conn) -> list[RawDelivery]:
    """Reads the refused deliveries, of whichever account: a stranger chooses where to post.  They are few."""
    return [
        RawDelivery(
            refused=row["id"],
            account=row["account"],
            received_at=row["received_at"],
            headers=headers_in(row["headers"]),
            query=row["query"],
            body=row["body"] or b"",
            texts=(row["reason"], row["detail"]),
        )
        for row in await conn.fetch(REFUSED)
    ]


HELD = "SELECT body FROM held_deliveries WHERE account = ANY($1::text[])"


async def held_at(conn: Conn, accounts: Collection[str], *, within_s: float) -> AsyncIterator[RawDelivery]:
    """Yields the deliveries that the guard holds of these accounts; in a transaction of the caller's."""
    async for row in conn.cursor(HELD, sorted(accounts), prefetch=PREFETCH_ROWS, timeout=within_s):
        for delivery in unproven(row["body"]).deliveries:
            named = [(e.order_ref, e.payment_ref, e.refund_ref, e.dispute_ref) for e in delivery.events]
            yield RawDelivery(
                held=(delivery.run, delivery.number),
                account=delivery.account,
                received_at=delivery.received_at,
                headers=delivery.headers,
                query=delivery.query,
                body=delivery.body,
                references=tuple(ref for refs in named for ref in refs if ref is not None),
            )


def _raw(row: asyncpg.Record) -> RawDelivery:
    return RawDelivery(
        key=(row["run"], row["number"]),
        account=row["account"],
        received_at=row["received_at"],
        headers=headers_in(row["headers"]),
        query=row["query"],
        body=row["body"],
    )


def headers_in(column: str) -> Headers:
    """Reads a column of headers, which keeps their order and repetitions."""
    return msgspec.json.decode(column, type=Headers)
