"""Audits what came since a moment: those deliveries, their events, and the orders that these concern.

It proves of them what audit.py proves of everything, and reads no more of the large tables than that.  What it leaves
out is what stands long and whole: older deliveries and orders that no event has touched since, and the queries that
deliveries requested, which are counted from the first one on.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.audit import EXAMPLES_MAX, FETCHED, ORDERS_AT_ONCE, Audit, misjudged_in
from tillkeeper.store.reports.overdue import overdue_fetches, overdue_notices, overdue_orders, stale

CLOCKS_APART: Final = timedelta(hours=1)  # of receivers and workers; an event is recorded after its delivery came

TOTALS_SINCE = """
WITH recent AS MATERIALIZED (SELECT run, number, events, duplicates FROM deliveries WHERE received_at >= $1),
parking AS MATERIALIZED (
    SELECT k.readable, k.outcome, k.event_id, r.number IS NOT NULL AS is_recent,
           k.parked_at >= $1
           AND NOT EXISTS (SELECT FROM deliveries d WHERE d.run = k.run AND d.number = k.number) AS is_recent_and_alone
    FROM parked k LEFT JOIN recent r ON r.run = k.run AND r.number = k.number
    WHERE k.readable AND (r.number IS NOT NULL OR k.parked_at >= $1)
)
SELECT (SELECT count(*) FROM recent) AS deliveries,
       (SELECT coalesce(sum(events), 0)::bigint FROM recent)
       + (SELECT count(*) FROM parking WHERE is_recent_and_alone) AS accepted,
       (SELECT coalesce(sum(duplicates), 0)::bigint FROM recent) AS duplicates,
       (SELECT count(*) FROM parking
        WHERE outcome IS DISTINCT FROM 'replayed'
          AND (is_recent_and_alone OR (is_recent AND event_id IS DISTINCT FROM 'to be fetched'))) AS parked,
       (SELECT count(*) FROM parked WHERE NOT readable AND outcome IS NULL) AS unreadable,
       (SELECT count(*) FROM spool) AS spooled
"""

OUTCOMES_SINCE = """
SELECT x.outcome, count(*) FROM inbox x JOIN deliveries d ON d.run = x.run AND d.number = x.number
WHERE x.recorded_at >= $2 AND d.received_at >= $1 GROUP BY 1
"""

UNBALANCED_SINCE = """
SELECT d.run, d.number, d.account, d.events, d.duplicates, coalesce(x.events, 0) AS settled,
       coalesce(k.events, 0) AS parked
FROM deliveries d
LEFT JOIN (SELECT run, number, count(*) AS events FROM inbox
           WHERE recorded_at >= $2 AND number IS NOT NULL GROUP BY 1, 2) x
       ON x.run = d.run AND x.number = d.number
LEFT JOIN (SELECT run, number, count(*) AS events FROM parked
           WHERE outcome IS DISTINCT FROM 'replayed' AND event_id <> 'to be fetched' GROUP BY 1, 2) k
       ON k.run = d.run AND k.number = d.number
WHERE d.received_at >= $1 AND d.events <> d.duplicates + coalesce(x.events, 0) + coalesce(k.events, 0)
LIMIT $3
"""

# Lookups: for a join PostgreSQL might read all orders.
STRAY_SINCE = """
SELECT account, event_id, order_id, run, number FROM inbox x
WHERE recorded_at >= $1
  AND ((order_id IS NOT NULL AND (SELECT o.id FROM orders o WHERE o.id = x.order_id) IS NULL)
    OR (number IS NOT NULL
        AND (SELECT d.number FROM deliveries d WHERE d.run = x.run AND d.number = x.number) IS NULL))
LIMIT $2
"""

# Numbers between the first and the last that a run's deliveries of that time have, and that are stored nowhere.
MISSING_SINCE = """
SELECT s.run, s.last AS last_number, s.last - s.first + 1 - count(DISTINCT n.number) AS missing
FROM (
    SELECT run, min(number) AS first, max(number) FILTER (WHERE at <= $2) AS last
    FROM (
        SELECT run, number, received_at AS at FROM deliveries WHERE received_at >= $1
        UNION ALL
        SELECT run, number, parked_at FROM parked WHERE number IS NOT NULL AND parked_at >= $1
    ) AS recent GROUP BY run
) AS s
CROSS JOIN LATERAL (
    SELECT number FROM deliveries WHERE run = s.run AND number BETWEEN s.first AND s.last
    UNION ALL
    SELECT number FROM void_numbers WHERE run = s.run AND number BETWEEN s.first AND s.last
    UNION ALL
    SELECT number FROM parked WHERE run = s.run AND number BETWEEN s.first AND s.last
) AS n
WHERE s.last IS NOT NULL
GROUP BY s.run, s.first, s.last
HAVING s.last - s.first + 1 > count(DISTINCT n.number)
ORDER BY s.run
"""

# However old they are: there are few of them, and the index on them holds no others.
UNATTENDED = """
SELECT o.order_ref, o.status, o.phase_since AS since FROM orders o
WHERE o.closed_at IS NULL AND o.status IN ('processing', 'partially_paid', 'refunding')
  AND o.status IN ('processing', 'refunding')
  AND NOT EXISTS (SELECT FROM due_orders d WHERE d.order_id = o.id)
  AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = o.id AND c.closed_at IS NULL)
ORDER BY o.id LIMIT $1
"""


async def audit_since(pool: asyncpg.Pool, since: datetime, *, settled_until: datetime, now: datetime) -> Audit:
    """Audits one snapshot of the database, as `audit` does, for what came since then."""
    recorded = since - CLOCKS_APART
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        orders, misjudged = 0, list[dict[str, Any]]()
        async for page in _pages(conn, recorded):
            orders += len(page)
            misjudged += (await misjudged_in(conn, page))[: EXAMPLES_MAX - len(misjudged)]
        missing = [dict(row) for row in await conn.fetch(MISSING_SINCE, since, settled_until)]
        until_now = [row["missing"] for row in await conn.fetch(MISSING_SINCE, since, now)]
        return Audit(
            **dict(await conn.fetchrow(TOTALS_SINCE, since) or {}),
            outcomes={row["outcome"]: row["count"] for row in await conn.fetch(OUTCOMES_SINCE, since, recorded)},
            missing=missing,
            in_flight=sum(until_now) - sum(row["missing"] for row in missing),
            unbalanced=[dict(row) for row in await conn.fetch(UNBALANCED_SINCE, since, recorded, EXAMPLES_MAX)],
            orders=orders,
            fetches=dict.fromkeys(FETCHED, 0),
            unfetched=[],
            misjudged=misjudged,
            stray=[dict(row) for row in await conn.fetch(STRAY_SINCE, recorded, EXAMPLES_MAX)],
            unattended=[dict(row) for row in await conn.fetch(UNATTENDED, EXAMPLES_MAX)],
            stale=await stale(conn, limit=EXAMPLES_MAX),
            overdue_notices=await overdue_notices(conn, now),
            overdue_orders=await overdue_orders(conn, now),
            overdue_fetches=await overdue_fetches(conn, now),
            since=since,
        )


ORDERS_SINCE = "SELECT DISTINCT order_id FROM inbox WHERE recorded_at >= $1 AND order_id IS NOT NULL ORDER BY 1"
ORDERS_OF_IDS = """
SELECT id, order_ref, amount_minor, currency, accounts, status, captured_minor, refunding_minor, refunded_minor,
       discount_minor
FROM orders WHERE id = ANY($1::bigint[])
"""


async def _pages(conn: Conn, recorded: datetime) -> AsyncIterator[list[asyncpg.Record]]:
    """Yields the orders that events since then concern, a page at a time."""
    ids = [row["order_id"] for row in await conn.fetch(ORDERS_SINCE, recorded)]
    for first in range(0, len(ids), ORDERS_AT_ONCE):
        yield await conn.fetch(ORDERS_OF_IDS, ids[first : first + ORDERS_AT_ONCE])
