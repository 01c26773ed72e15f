"""Reads the hand-over of a shift: what is open, what is due next, and what is new since the last one."""

from datetime import datetime, timedelta
from typing import Any, Final

from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.case_list import Filters, list_cases

LINES_MAX: Final = 20  # of each part, as many as a person reads; the rest is counted
STUCK_AFTER: Final = timedelta(minutes=30)  # younger ones may settle by themselves

LAST_HANDOVER = "SELECT at, by FROM handovers ORDER BY id DESC LIMIT 1"
RECORD_HANDOVER = "INSERT INTO handovers (at, by) VALUES ($1, $2)"


async def hand_over(conn: Conn, *, by: str | None, now: datetime, since: datetime | None = None) -> dict[str, Any]:
    """Reads what the next shift must know, in the caller's transaction, and records the hand-over if there is one.

    What is new is so since the last hand-over, or since the moment that the caller names.
    """
    last = await conn.fetchrow(LAST_HANDOVER)
    since = since or (last["at"] if last else None)
    told = {
        "at": now,
        "by": by,
        "last": dict(last) if last else None,
        "since": since,
        "open": await _open(conn),
        "due_next": [dict(row) for row in await conn.fetch(DUE_NEXT, LINES_MAX)],
        "held": [dict(row) for row in await conn.fetch(HELD, now, LINES_MAX)],
        "new": await _new(conn, since),
        "stuck": [dict(row) for row in await conn.fetch(STUCK_COUNTS, now - STUCK_AFTER, since)],
        "notices_dead": await _dead(conn, since),
        "parked": dict(await conn.fetchrow(PARKED, since) or {}),
        "waiting": dict(await conn.fetchrow(WAITING, since) or {}),
        "accounts": [dict(row) for row in await conn.fetch(QUIET, since, LINES_MAX)],
    }
    if by is not None:
        await conn.execute(RECORD_HANDOVER, now, by)
    return told


OPEN_BY_LEVEL = "SELECT level, count(*) FROM cases WHERE follow_up_at IS NOT NULL GROUP BY level ORDER BY level DESC"


async def _open(conn: Conn) -> dict[str, Any]:
    return {
        "by_level": {row["level"]: row["count"] for row in await conn.fetch(OPEN_BY_LEVEL)},
        "most_urgent": await list_cases(conn, Filters(), limit=LINES_MAX),
    }


DUE_NEXT = """
SELECT c.id, c.kind, c.subject, o.order_ref, c.level, c.owner, c.follow_up_at
FROM cases c LEFT JOIN orders o ON o.id = c.order_id
WHERE c.follow_up_at IS NOT NULL ORDER BY c.follow_up_at, c.id LIMIT $1
"""

HELD = """
SELECT o.order_ref, o.status, o.held_until, a.by, a.note
FROM orders o
LEFT JOIN LATERAL (SELECT by, note FROM acts WHERE order_id = o.id AND what = 'hold' ORDER BY id DESC LIMIT 1) a ON true
WHERE o.held_until > $1 AND o.closed_at IS NULL ORDER BY o.held_until LIMIT $2
"""

NEW_ENTRIES = """
SELECT c.id, c.kind, c.subject, o.order_ref, c.level, e.what, e.by, e.note, e.at
FROM case_entries e JOIN cases c ON c.id = e.case_id LEFT JOIN orders o ON o.id = c.order_id
WHERE ($1::timestamptz IS NULL OR e.at > $1) AND e.what IN ('opened', 'reopened', 'escalated', 'resolved', 'closed')
ORDER BY e.id DESC LIMIT $2
"""
NEW_COUNTS = """
SELECT what, count(*) FROM case_entries
WHERE ($1::timestamptz IS NULL OR at > $1) AND what IN ('opened', 'reopened', 'escalated', 'resolved', 'closed')
GROUP BY what ORDER BY what
"""


async def _new(conn: Conn, since: datetime | None) -> dict[str, Any]:
    """Reads the events of cases since then, the latest first."""
    return {
        "counts": {row["what"]: row["count"] for row in await conn.fetch(NEW_COUNTS, since)},
        "latest": [dict(row) for row in await conn.fetch(NEW_ENTRIES, since, LINES_MAX)],
    }


# In two parts, as the indexes of orders that may be stuck are.  The status of failed ones stands as a word, so that
# their index alone answers: shops whose orders never expire leave every failed one open.
STUCK_COUNTS = """
SELECT status, count(*) AS orders, min(phase_since) AS longest_since,
       count(*) FILTER (WHERE $2::timestamptz IS NULL OR phase_since > $2) AS new
FROM (
    SELECT status, phase_since FROM due_orders
    WHERE status IN ('processing', 'partially_paid', 'refunding') AND phase_since <= $1
    UNION ALL
    SELECT 'failed', phase_since FROM due_orders WHERE status = 'failed' AND phase_since <= $1
) AS stuck
GROUP BY status ORDER BY status
"""

DEAD_COUNT = "SELECT count(*) FROM outbox WHERE state = 'dead' AND ($1::timestamptz IS NULL OR finished_at > $1)"
DEAD = """
SELECT x.audience, x.topic, o.order_ref, x.last_error, x.finished_at
FROM outbox x LEFT JOIN orders o ON o.id = x.order_id
WHERE x.state = 'dead' AND ($1::timestamptz IS NULL OR x.finished_at > $1)
ORDER BY x.finished_at DESC LIMIT $2
"""


async def _dead(conn: Conn, since: datetime | None) -> dict[str, Any]:
    return {
        "count": await conn.fetchval(DEAD_COUNT, since),
        "latest": [dict(row) for row in await conn.fetch(DEAD, since, LINES_MAX)],
    }


PARKED = """
SELECT count(*) AS open, count(*) FILTER (WHERE $1::timestamptz IS NULL OR parked_at > $1) AS new
FROM parked WHERE outcome IS NULL
"""
WAITING = """
SELECT count(*) AS open, count(*) FILTER (WHERE $1::timestamptz IS NULL OR recorded_at > $1) AS new,
       min(recorded_at) AS oldest
FROM inbox WHERE outcome = 'waiting'
"""

# Open silences, and those that ended since.
QUIET = """
SELECT q.account, q.kind, q.since, q.ended_at, CASE WHEN q.kind = 'unanswering' THEN p.reason END AS reason
FROM silences q LEFT JOIN account_health p USING (account)
WHERE q.ended_at IS NULL OR $1::timestamptz IS NULL OR q.ended_at > $1
ORDER BY q.ended_at IS NOT NULL, q.since DESC LIMIT $2
"""
