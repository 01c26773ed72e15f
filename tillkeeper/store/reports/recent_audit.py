"""Audits a part of the books: the deliveries above a number of each receiver's run, their events, and their orders.

It proves of them what audit.py proves of everything, and reads no more of the large tables than that.  What it leaves
out is what stands long and whole: older deliveries, orders that no event has touched since, and the queries that
deliveries requested, which are counted from the first one on.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.audit import EXAMPLES_MAX, FETCHED, ORDERS_AT_ONCE, Audit, misjudged_in
from tillkeeper.store.reports.listed_orders import mislisted, moving
from tillkeeper.store.reports.overdue import overdue_fetches, overdue_notices, overdue_orders, stale
from tillkeeper.store.reports.statement_sums import misadded_statements

MOVING_MAX: Final = 100_000  # orders whose money moves at once; more is a day's outage
CLOCKS_APART: Final = timedelta(hours=1)  # of receivers and workers; an event is recorded after its delivery came


class AuditRange(msgspec.Struct, frozen=True, kw_only=True):
    """What is read: of each run the numbers above one, up to the last, and what was recorded since a moment."""

    marks: Mapping[UUID, tuple[int, int]]
    recorded_since: datetime
    orders_above: int | None = None  # orders with greater ids are read, too, whether an event touched them or not

    @property
    def columns(self) -> tuple[list[UUID], list[int], list[int]]:
        """Returns runs and numbers as SQL takes them."""
        marks = self.marks.values()
        return list(self.marks.keys()), [above for above, _ in marks], [last for _, last in marks]


# OFFSET 0 has the numbers looked up in the key, run by run: a join could read the deliveries whole.
TOTALS_OF_PART = """
WITH recent AS MATERIALIZED (
    SELECT w.run, d.number, d.events, d.duplicates
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
    CROSS JOIN LATERAL (
        SELECT number, events, duplicates FROM deliveries
        WHERE run = w.run AND number BETWEEN w.above + 1 AND w.last OFFSET 0
    ) AS d
),
parking AS MATERIALIZED (
    SELECT k.readable, k.outcome, k.event_id, r.number IS NOT NULL AS is_recent,
           k.parked_at >= $4
           AND NOT EXISTS (SELECT FROM deliveries d WHERE d.run = k.run AND d.number = k.number) AS is_recent_and_alone
    FROM parked k LEFT JOIN recent r ON r.run = k.run AND r.number = k.number
    WHERE k.readable AND (r.number IS NOT NULL OR k.parked_at >= $4)
),
held AS (
    SELECT coalesce(sum(h.events), 0)::bigint AS events FROM held_deliveries h
    WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.run = h.run AND d.number = h.number)
)
SELECT (SELECT count(*) FROM recent) AS deliveries,
       (SELECT coalesce(sum(events), 0)::bigint FROM recent)
       + (SELECT count(*) FROM parking WHERE is_recent_and_alone)
       + (SELECT events FROM held) AS accepted,
       (SELECT coalesce(sum(duplicates), 0)::bigint FROM recent) AS duplicates,
       (SELECT count(*) FROM parking
        WHERE outcome IS DISTINCT FROM 'replayed'
          AND (is_recent_and_alone OR (is_recent AND event_id IS DISTINCT FROM 'to be fetched'))) AS parked,
       (SELECT events FROM held) AS held,
       (SELECT count(*) FROM parked WHERE NOT readable AND outcome IS NULL) AS unreadable,
       (SELECT count(*) FROM spool) AS spooled
"""

OUTCOMES_OF_PART = """
SELECT x.outcome, count(*)
FROM inbox x
JOIN unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
     ON x.run = w.run AND x.number BETWEEN w.above + 1 AND w.last
WHERE x.recorded_at >= $4 GROUP BY 1
"""

UNBALANCED_IN_PART = """
SELECT w.run, d.number, d.account, d.events, d.duplicates, coalesce(x.events, 0) AS settled,
       coalesce(k.events, 0) AS parked
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
CROSS JOIN LATERAL (
    SELECT number, account, events, duplicates FROM deliveries
    WHERE run = w.run AND number BETWEEN w.above + 1 AND w.last OFFSET 0
) AS d
LEFT JOIN (SELECT run, number, count(*) AS events FROM inbox
           WHERE recorded_at >= $4 AND number IS NOT NULL GROUP BY 1, 2) x
       ON x.run = w.run AND x.number = d.number
LEFT JOIN (SELECT run, number, count(*) AS events FROM parked
           WHERE outcome IS DISTINCT FROM 'replayed' AND event_id <> 'to be fetched' GROUP BY 1, 2) k
       ON k.run = w.run AND k.number = d.number
WHERE d.events <> d.duplicates + coalesce(x.events, 0) + coalesce(k.events, 0)
LIMIT $5
"""

# Lookups: for a join PostgreSQL might read all orders.
STRAY_IN_PART = """
SELECT account, event_id, order_id, run, number FROM inbox x
WHERE recorded_at >= $1
  AND ((order_id IS NOT NULL AND (SELECT o.id FROM orders o WHERE o.id = x.order_id) IS NULL)
    OR (number IS NOT NULL
        AND (SELECT d.number FROM deliveries d WHERE d.run = x.run AND d.number = x.number) IS NULL))
LIMIT $2
"""

# Numbers above the mark and below the last that came until $4, and that are stored nowhere.
MISSING_IN_PART = """
SELECT s.run, s.last AS last_number, s.last - s.above - count(DISTINCT n.number) AS missing
FROM (
    SELECT run, above, max(number) FILTER (WHERE at <= $4) AS last
    FROM (
        SELECT w.run, w.above, d.number, d.received_at AS at
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
        CROSS JOIN LATERAL (
            SELECT number, received_at FROM deliveries
            WHERE run = w.run AND number BETWEEN w.above + 1 AND w.last OFFSET 0
        ) AS d
        UNION ALL
        SELECT w.run, w.above, k.number, k.parked_at
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
        JOIN parked k ON k.run = w.run AND k.number BETWEEN w.above + 1 AND w.last
        UNION ALL
        SELECT w.run, w.above, h.number, h.received_at
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
        JOIN held_deliveries h ON h.run = w.run AND h.number BETWEEN w.above + 1 AND w.last
    ) AS recent GROUP BY run, above
) AS s
CROSS JOIN LATERAL (
    SELECT number FROM deliveries WHERE run = s.run AND number BETWEEN s.above + 1 AND s.last
    UNION ALL
    SELECT number FROM void_numbers WHERE run = s.run AND number BETWEEN s.above + 1 AND s.last
    UNION ALL
    SELECT number FROM parked WHERE run = s.run AND number BETWEEN s.above + 1 AND s.last
    UNION ALL
    SELECT number FROM held_deliveries WHERE run = s.run AND number BETWEEN s.above + 1 AND s.last
) AS n
WHERE s.last IS NOT NULL
GROUP BY s.run, s.above, s.last
HAVING s.last - s.above > count(DISTINCT n.number)
ORDER BY s.run
"""

# However old they are: there are few of them, and the index on them holds no others.
UNATTENDED = """
SELECT o.order_ref, o.status, o.phase_since AS since FROM due_orders d JOIN orders o ON o.id = d.order_id
WHERE d.status IN ('processing', 'partially_paid', 'refunding') AND d.status IN ('processing', 'refunding')
  AND d.due_at IS NULL
  AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = o.id AND c.closed_at IS NULL)
ORDER BY o.id LIMIT $1
"""


async def audit_part(conn: Conn, part: AuditRange, *, settled_until: datetime, now: datetime) -> Audit:
    """Audits a part as `audit` does everything; in a snapshot of the caller's."""
    orders, misjudged = 0, list[dict[str, Any]]()
    otherwise = await mislisted(conn, await moving(conn, limit=MOVING_MAX))
    async for page in _pages(conn, part):
        orders += len(page)
        misjudged += (await misjudged_in(conn, page))[: EXAMPLES_MAX - len(misjudged)]
        otherwise += await mislisted(conn, [row["id"] for row in page])
    recent = (*part.columns, part.recorded_since)
    missing = [dict(row) for row in await conn.fetch(MISSING_IN_PART, *part.columns, settled_until)]
    until_now = [row["missing"] for row in await conn.fetch(MISSING_IN_PART, *part.columns, now)]
    return Audit(
        **dict(await conn.fetchrow(TOTALS_OF_PART, *recent) or {}),
        outcomes={row["outcome"]: row["count"] for row in await conn.fetch(OUTCOMES_OF_PART, *recent)},
        missing=missing,
        in_flight=sum(until_now) - sum(row["missing"] for row in missing),
        unbalanced=[dict(row) for row in await conn.fetch(UNBALANCED_IN_PART, *recent, EXAMPLES_MAX)],
        orders=orders,
        fetches=dict.fromkeys(FETCHED, 0),
        unfetched=[],
        misjudged=misjudged,
        stray=[dict(row) for row in await conn.fetch(STRAY_IN_PART, part.recorded_since, EXAMPLES_MAX)],
        misadded=await misadded_statements(conn, since=part.recorded_since, limit=EXAMPLES_MAX),
        unattended=[dict(row) for row in await conn.fetch(UNATTENDED, EXAMPLES_MAX)],
        mislisted=_each_once(otherwise),
        stale=await stale(conn, limit=EXAMPLES_MAX),
        overdue_notices=await overdue_notices(conn, now),
        overdue_orders=await overdue_orders(conn, now),
        overdue_fetches=await overdue_fetches(conn, now),
    )


def _each_once(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({order["order_ref"]: order for order in orders}.values())[:EXAMPLES_MAX]


ORDERS_OF_PART = """
SELECT order_id FROM inbox WHERE recorded_at >= $1 AND order_id IS NOT NULL
UNION
SELECT id FROM orders WHERE id > $2
ORDER BY 1
"""
ORDERS_OF_IDS = """
SELECT id, order_ref, amount_minor, currency, accounts, status, captured_minor, refunding_minor, refunded_minor,
       discount_minor
FROM orders WHERE id = ANY($1::bigint[])
"""


async def _pages(conn: Conn, part: AuditRange) -> AsyncIterator[list[asyncpg.Record]]:
    """Yields the orders of a part, a page at a time."""
    ids = [row["order_id"] for row in await conn.fetch(ORDERS_OF_PART, part.recorded_since, part.orders_above)]
    for first in range(0, len(ids), ORDERS_AT_ONCE):
        yield await conn.fetch(ORDERS_OF_IDS, ids[first : first + ORDERS_AT_ONCE])


MARKS_SINCE = """
SELECT run, min(number) - 1 AS above, max(number) AS last
FROM (
    SELECT run, number FROM deliveries WHERE received_at >= $1
    UNION ALL
    SELECT run, number FROM parked WHERE number IS NOT NULL AND parked_at >= $1
    UNION ALL
    SELECT run, number FROM held_deliveries WHERE received_at >= $1
) AS recent GROUP BY run
"""


async def audit_since(pool: asyncpg.Pool, since: datetime, *, settled_until: datetime, now: datetime) -> Audit:
    """Audits what came since then, from one snapshot of the database."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        marks = {row["run"]: (row["above"], row["last"]) for row in await conn.fetch(MARKS_SINCE, since)}
        part = AuditRange(marks=marks, recorded_since=since - CLOCKS_APART)
        books = await audit_part(conn, part, settled_until=settled_until, now=now)
    return msgspec.structs.replace(books, since=since)
