"""Audits the books: each accepted event has an outcome, no number is missing, statuses are true, nothing is overdue."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.retention import BEGINNING
from tillkeeper.store.orders.loading import facts_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.listed_orders import mislisted
from tillkeeper.store.reports.overdue import (
    Overdue,
    overdue_fetches,
    overdue_notices,
    overdue_orders,
    stale,
    unattended,
)
from tillkeeper.store.reports.statement_sums import misadded_statements
from tillkeeper.store.rows import order_in, summary_in

EXAMPLES_MAX: Final = 20  # enough to find the cause; one fault may occur a million times
ORDERS_AT_ONCE: Final = 1000
FETCHED: Final = ("wanted", "dropped", "open", "found", "not_found", "given_up")


class Audit(msgspec.Struct, kw_only=True):
    """The result of an audit with its figures.  `accepted` counts events of stored deliveries."""

    deliveries: int
    accepted: int
    outcomes: dict[str, int]
    duplicates: int
    parked: int
    held: int  # events of deliveries whose account the guard has paused
    unreadable: int
    spooled: int
    in_flight: int
    orders: int
    fetches: dict[str, int]  # queries that deliveries requested: their number, and their results
    missing: list[dict[str, Any]]
    unbalanced: list[dict[str, Any]]
    unfetched: list[dict[str, Any]]
    misjudged: list[dict[str, Any]]
    stray: list[dict[str, Any]]  # events of an order or a delivery that does not exist
    misadded: list[dict[str, Any]]  # statements whose lines are not those that were read
    unattended: list[dict[str, Any]]
    mislisted: list[dict[str, Any]]  # orders that stand otherwise in the list of open ones
    stale: list[dict[str, Any]]
    overdue_notices: Overdue  # reported, but no fault of the books: some process does not run, or is behind
    overdue_orders: Overdue
    overdue_fetches: Overdue
    since: datetime | None = None  # what came before was not read
    continues: datetime | None = None  # what the balanced audit of then has proven was not read
    whole_at: datetime | None = None  # when an audit of everything balanced last
    not_remembered: str | None = None  # why the next one cannot go on from this one

    @property
    def is_whole(self) -> bool:
        """Returns True if everything was read."""
        return self.since is None and self.continues is None

    @property
    def accounted(self) -> int:
        """Returns the number of accepted events that have an outcome."""
        return sum(self.outcomes.values()) + self.duplicates + self.parked + self.held

    @property
    def balances(self) -> bool:
        """Returns True if every accepted event has one outcome, none is missing, every order's status is true, and no
        order with money under way is left without a sweep or a case, or stands otherwise in the list of open ones."""
        broken = self.missing or self.unbalanced or self.unfetched or self.misjudged or self.unreadable
        stands_over = self.unattended or self.stale or self.mislisted
        return self.accepted == self.accounted and not (broken or self.stray or self.misadded or stands_over)


# What is held is stored nowhere else, but for what a lane delivered again after it was applied.
TOTALS = """
WITH held AS (
    SELECT coalesce(sum(h.events), 0)::bigint AS events FROM held_deliveries h
    WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.run = h.run AND d.number = h.number)
)
SELECT (SELECT count(*) FROM deliveries) AS deliveries,
       (SELECT coalesce(sum(events), 0)::bigint FROM deliveries)
       -- a parked event whose delivery could not even be kept was accepted all the same
       + (SELECT count(*) FROM parked k WHERE readable
          AND NOT EXISTS (SELECT FROM deliveries d WHERE d.run = k.run AND d.number = k.number))
       + (SELECT events FROM held) AS accepted,
       (SELECT coalesce(sum(duplicates), 0)::bigint FROM deliveries) AS duplicates,
       -- the queries of a delivery that is stored by now are no event of it
       (SELECT count(*) FROM parked k WHERE readable AND outcome IS DISTINCT FROM 'replayed'
        AND NOT (event_id = 'to be fetched'
                 AND EXISTS (SELECT FROM deliveries d WHERE d.run = k.run AND d.number = k.number))) AS parked,
       (SELECT events FROM held) AS held,
       (SELECT count(*) FROM parked WHERE NOT readable AND outcome IS NULL) AS unreadable,
       (SELECT count(*) FROM spool) AS spooled
"""
OUTCOMES = "SELECT outcome, count(*) FROM inbox WHERE number IS NOT NULL GROUP BY outcome"

UNBALANCED = """
SELECT d.run, d.number, d.account, d.events, d.duplicates, coalesce(x.events, 0) AS settled,
       coalesce(k.events, 0) AS parked
FROM deliveries d
LEFT JOIN (SELECT run, number, count(*) AS events FROM inbox WHERE number IS NOT NULL GROUP BY 1, 2) x
       ON x.run = d.run AND x.number = d.number
LEFT JOIN (SELECT run, number, count(*) AS events FROM parked
           WHERE outcome IS DISTINCT FROM 'replayed' AND event_id <> 'to be fetched' GROUP BY 1, 2) k
       ON k.run = d.run AND k.number = d.number
WHERE d.events <> d.duplicates + coalesce(x.events, 0) + coalesce(k.events, 0)
LIMIT $1
"""

# No foreign key says so (docs/decisions/034-events-without-foreign-keys.md).
STRAY = """
SELECT account, event_id, order_id, run, number FROM inbox x
WHERE order_id IS NOT NULL AND NOT EXISTS (SELECT FROM orders o WHERE o.id = x.order_id)
UNION ALL
SELECT account, event_id, order_id, run, number FROM inbox x
WHERE number IS NOT NULL AND NOT EXISTS (SELECT FROM deliveries d WHERE d.run = x.run AND d.number = x.number)
LIMIT $1
"""

FETCHES = """
SELECT account, coalesce(d.wanted, 0)::bigint AS wanted, coalesce(d.dropped, 0)::bigint AS dropped,
       coalesce(f.requests - f.found - f.not_found - f.given_up, 0)::bigint AS open,
       coalesce(f.found, 0)::bigint AS found, coalesce(f.not_found, 0)::bigint AS not_found,
       coalesce(f.given_up, 0)::bigint AS given_up
FROM (SELECT account, sum(fetches) AS wanted, sum(dropped) AS dropped FROM deliveries WHERE fetches > 0 GROUP BY 1) d
FULL JOIN (SELECT account, sum(requests) AS requests, sum(found) AS found, sum(not_found) AS not_found,
                  sum(given_up) AS given_up FROM fetches GROUP BY 1) f USING (account)
ORDER BY account
"""

# Numbers that a receiver assigned before the last delivery received until $1, and that are stored nowhere.
MISSING = """
SELECT run, max(number) FILTER (WHERE settled) AS last_number,
       max(number) FILTER (WHERE settled) - count(*) FILTER (WHERE number <= last_settled) AS missing
FROM (
    SELECT run, number, settled, max(number) FILTER (WHERE settled) OVER (PARTITION BY run) AS last_settled
    FROM (
        SELECT run, number, bool_or(settled) AS settled
        FROM (
            SELECT run, number, received_at <= $1 AS settled FROM deliveries
            UNION ALL
            SELECT run, number, false FROM void_numbers
            UNION ALL
            SELECT run, number, parked_at <= $1 FROM parked WHERE number IS NOT NULL
            UNION ALL
            SELECT run, number, received_at <= $1 FROM held_deliveries
        ) seen GROUP BY run, number
    ) numbers
) numbered
GROUP BY run
HAVING max(number) FILTER (WHERE settled) > count(*) FILTER (WHERE number <= last_settled)
ORDER BY run
"""


async def audit(pool: asyncpg.Pool, *, settled_until: datetime, now: datetime) -> Audit:
    """Audits all of one snapshot of the database."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        return await audit_in(conn, settled_until=settled_until, now=now)


async def audit_in(conn: Conn, *, settled_until: datetime, now: datetime) -> Audit:
    """Audits everything, in a snapshot of the caller's.

    A number missing below a delivery received until `settled_until` is missing; one after that is in flight.
    """
    totals = dict(await conn.fetchrow(TOTALS) or {})
    orders, misjudged, alone, otherwise = 0, list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    async for page in _pages(conn):
        orders += len(page)
        misjudged += (await misjudged_in(conn, page))[: EXAMPLES_MAX - len(misjudged)]
        alone += (await unattended(conn, page))[: EXAMPLES_MAX - len(alone)]
        otherwise += (await mislisted(conn, [row["id"] for row in page]))[: EXAMPLES_MAX - len(otherwise)]
    missing = [dict(row) for row in await conn.fetch(MISSING, settled_until)]
    fetches = [dict(row) for row in await conn.fetch(FETCHES)]
    until_now = [row["missing"] for row in await conn.fetch(MISSING, now)]
    return Audit(
        **totals,
        outcomes={row["outcome"]: row["count"] for row in await conn.fetch(OUTCOMES)},
        missing=missing,
        in_flight=sum(until_now) - sum(row["missing"] for row in missing),
        unbalanced=[dict(row) for row in await conn.fetch(UNBALANCED, EXAMPLES_MAX)],
        orders=orders,
        fetches={name: sum(fetch[name] for fetch in fetches) for name in FETCHED},
        unfetched=[each for each in map(_unfetched, fetches) if each],
        misjudged=misjudged,
        stray=[dict(row) for row in await conn.fetch(STRAY, EXAMPLES_MAX)],
        misadded=await misadded_statements(conn, since=BEGINNING, limit=EXAMPLES_MAX),
        unattended=alone,
        mislisted=otherwise,
        stale=await stale(conn, limit=EXAMPLES_MAX),
        overdue_notices=await overdue_notices(conn, now),
        overdue_orders=await overdue_orders(conn, now),
        overdue_fetches=await overdue_fetches(conn, now),
    )


def _unfetched(told: dict[str, Any]) -> dict[str, Any] | None:
    """Returns an account's requested queries and their results, where the two differ."""
    accounted = sum(told[name] for name in FETCHED if name != "wanted")
    if told["wanted"] == accounted:
        return None
    return {"account": told["account"], "wanted": told["wanted"], "accounted": accounted}


EXPLAIN_MISSING = """
INSERT INTO void_numbers (run, number, explained_by, note, explained_at)
SELECT $1, n, $2, $3, $4
FROM generate_series(1, (SELECT max(number) FROM deliveries WHERE run = $1)) AS n
WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.run = $1 AND d.number = n)
  AND NOT EXISTS (SELECT FROM parked k WHERE k.run = $1 AND k.number = n)
  AND NOT EXISTS (SELECT FROM held_deliveries h WHERE h.run = $1 AND h.number = n)
ON CONFLICT (run, number) DO NOTHING
RETURNING 1
"""


async def explain_missing(pool: asyncpg.Pool, run: UUID, *, by: str, note: str, now: datetime) -> int:
    """Marks a run's missing numbers as explained by a person.  Returns their number.

    A delivery that arrives all the same is applied as any other.
    """
    async with pool.acquire() as conn:
        return len(await conn.fetch(EXPLAIN_MISSING, run, by, note, now))


ORDERS_PAGE = """
SELECT o.id, o.order_ref, o.amount_minor, o.currency, o.accounts, o.status, o.captured_minor, o.refunding_minor,
       o.refunded_minor, o.discount_minor, o.phase_since, d.due_at, o.closed_at
FROM orders o LEFT JOIN due_orders d ON d.order_id = o.id WHERE o.id > $1 ORDER BY o.id LIMIT $2
"""


async def _pages(conn: Conn) -> AsyncIterator[list[asyncpg.Record]]:
    """Yields every order, a page at a time."""
    after = 0
    while page := await conn.fetch(ORDERS_PAGE, after, ORDERS_AT_ONCE):
        after = page[-1]["id"]
        yield page


async def misjudged_in(conn: Conn, page: Sequence[asyncpg.Record]) -> list[dict[str, Any]]:
    """Derives each status anew; returns the orders whose stored status differs."""
    facts = await facts_of(conn, [row["id"] for row in page])
    judged = [(row, summarize(order_in(row), facts[row["id"]])) for row in page]
    return [
        {"order_ref": row["order_ref"], "stored": row["status"], "facts_say": told.status}
        for row, told in judged
        if summary_in(row) != told
    ]
