"""Counts what is open, for the gauges: every count follows a partial index of what is open, and ends at a limit."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from tillkeeper.store.postgres.pool import Conn

DEAD_SINCE: Final = timedelta(hours=24)
STATEMENT_TIMEOUT = "SET LOCAL statement_timeout = 10000"  # a count that takes longer is worth less than it costs


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are, and since when the oldest is open or due."""

    count: int
    oldest: datetime | None = None


class OpenWork(msgspec.Struct, frozen=True, kw_only=True):
    """All that is open.  Mappings are by the values of the gauges' labels."""

    cases: Mapping[tuple[str, str], Count]  # by kind and level
    stuck: Mapping[tuple[str, int], Count]  # by status and number of the age
    orders_due: Count
    waiting: Count
    mismatched: Mapping[str, Count]
    parked: Mapping[str, Count]
    spool: Count
    outbox: Mapping[str, Count]
    dead: Mapping[str, Count]
    fetches: Mapping[str, Count]
    paused: Mapping[str, Count]  # the deliveries that wait, by account; its own row where none does
    undecided: frozenset[str]  # those of them about which nobody has decided yet


async def read_open_work(conn: Conn, *, ages_s: Sequence[float], limit: int, now: datetime) -> OpenWork:
    """Reads the counts, in the caller's transaction.  `ages_s` are the lower bounds of the ages, rising from 0."""
    await conn.execute(STATEMENT_TIMEOUT)
    return await open_work(conn, ages_s=ages_s, limit=limit, now=now)


async def open_work(conn: Conn, *, ages_s: Sequence[float], limit: int, now: datetime) -> OpenWork:
    """As `read_open_work`, within the limits of time that the connection has."""
    paused = await conn.fetch(PAUSED, limit)
    return OpenWork(
        cases={(row["kind"], str(row["level"])): _count(row) for row in await conn.fetch(CASES, limit)},
        stuck={
            (row["status"], max(row["age"] - 1, 0)): _count(row)
            for row in await conn.fetch(STUCK, limit, now, list(ages_s))
        },
        orders_due=_count(await conn.fetchrow(DUE, limit, now)),
        waiting=_count(await conn.fetchrow(WAITING, limit)),
        mismatched=_by("reason", await conn.fetch(MISMATCHED, limit)),
        parked=_by("reason", await conn.fetch(PARKED, limit)),
        spool=_count(await conn.fetchrow(SPOOL, limit)),
        outbox=_by("audience", await conn.fetch(OUTBOX, limit)),
        dead=_by("audience", await conn.fetch(DEAD, limit, now - DEAD_SINCE)),
        fetches=_by("account", await conn.fetch(FETCHES, limit)),
        paused=_by("account", paused),
        undecided=frozenset(row["account"] for row in paused if row["decision"] is None),
    )


def _count(row: Any) -> Count:
    return Count(count=row["count"], oldest=row["oldest"])


def _by(column: str, rows: Sequence[Any]) -> dict[str, Count]:
    return {row[column]: _count(row) for row in rows}


# ORDER BY has each count read along an index that holds only what is open, up to the limit.
CASES = """
SELECT kind, level, count(*), min(opened_at) AS oldest FROM (
    SELECT kind, level, opened_at FROM cases WHERE follow_up_at IS NOT NULL ORDER BY follow_up_at LIMIT $1
) AS open GROUP BY kind, level
"""

# In two parts, as the indexes of orders that may be stuck are.
STUCK = """
SELECT status, width_bucket(extract(epoch FROM $2::timestamptz - phase_since)::float8, $3::float8[]) AS age,
       count(*), min(phase_since) AS oldest
FROM (
    (SELECT status, phase_since FROM due_orders WHERE status IN ('processing', 'partially_paid', 'refunding')
     ORDER BY phase_since LIMIT $1)
    UNION ALL
    (SELECT status, phase_since FROM due_orders WHERE status = 'failed' ORDER BY phase_since LIMIT $1)
) AS stuck GROUP BY 1, 2
"""

DUE = """
SELECT count(*), min(due_at) AS oldest FROM (
    SELECT due_at FROM due_orders WHERE due_at <= $2 ORDER BY due_at LIMIT $1
) AS due
"""

WAITING = """
SELECT count(*), min(recorded_at) AS oldest FROM (
    SELECT recorded_at FROM inbox WHERE outcome = 'waiting' ORDER BY recorded_at LIMIT $1
) AS waiting
"""

# Of the latest orders with such a case, the latest events of each: an order may have a hundred thousand.
MISMATCHED = """
SELECT i.reason, count(*), min(i.recorded_at) AS oldest
FROM (
    SELECT DISTINCT order_id FROM (
        SELECT order_id, kind FROM cases WHERE follow_up_at IS NOT NULL ORDER BY follow_up_at LIMIT $1
    ) AS open WHERE kind IN ('unexpected_account', 'wrong_currency') AND order_id IS NOT NULL LIMIT 100
) AS c
CROSS JOIN LATERAL (
    SELECT outcome, reason, recorded_at FROM inbox WHERE order_id = c.order_id ORDER BY seq DESC LIMIT 100
) AS i
WHERE i.outcome = 'mismatched' GROUP BY i.reason
"""

PARKED = """
SELECT reason, count(*), min(parked_at) AS oldest FROM (
    SELECT reason, parked_at FROM parked WHERE outcome IS NULL ORDER BY account, event_id LIMIT $1
) AS open GROUP BY reason
"""

SPOOL = """
SELECT count(*), min(put_at) AS oldest FROM (SELECT put_at FROM spool ORDER BY position LIMIT $1) AS lane
"""

OUTBOX = """
SELECT audience, count(*), min(due_at) AS oldest FROM (
    SELECT audience, due_at FROM outbox WHERE due_at IS NOT NULL ORDER BY due_at LIMIT $1
) AS pending GROUP BY audience
"""

DEAD = """
SELECT audience, count(*), min(finished_at) AS oldest FROM (
    SELECT audience, finished_at FROM outbox WHERE state = 'dead' AND finished_at > $2
    ORDER BY finished_at DESC LIMIT $1
) AS dead GROUP BY audience
"""

FETCHES = """
SELECT account, count(*), min(due_at) AS oldest FROM (
    SELECT account, due_at FROM fetches WHERE due_at IS NOT NULL ORDER BY due_at LIMIT $1
) AS open GROUP BY account
"""

PAUSED = """
SELECT p.account, p.decision, h.count, p.paused_at AS oldest
FROM account_pauses p
CROSS JOIN LATERAL (
    SELECT count(*) FROM (SELECT FROM held_deliveries WHERE pause_id = p.id ORDER BY position LIMIT $1) AS first
) h
WHERE p.ended_at IS NULL
"""
