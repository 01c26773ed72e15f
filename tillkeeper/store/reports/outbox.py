"""Counts and lists notices that are dead, or still to be sent, for people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from tillkeeper.store.postgres.pool import Conn

Unsent = Literal["dead", "pending"]

# By the indexes on dead and on due ones: those that were sent are never counted, for they are most.
COUNT_UNSENT = """
SELECT audience, 'dead' AS state, count(*) AS count, min(finished_at) AS oldest, 0 AS failing
FROM outbox WHERE state = 'dead' GROUP BY audience
UNION ALL
SELECT audience, 'pending', count(*), min(due_at), count(*) FILTER (WHERE last_error IS NOT NULL)
FROM outbox WHERE due_at IS NOT NULL GROUP BY audience
ORDER BY 2, 1
"""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many notices to an audience are dead, or to be sent: `failing` are those that were tried in vain."""

    audience: str
    state: Unsent
    count: int
    oldest: datetime
    failing: int


async def count_unsent(conn: Conn) -> list[Counted]:
    """Counts notices that are not sent, by audience."""
    return [Counted(**dict(row)) for row in await conn.fetch(COUNT_UNSENT)]


# The latest dead one first: whoever looks comes for what broke just now.
LIST_DEAD = """
SELECT x.key, x.audience, x.topic, x.state, o.order_ref, x.attempts, x.last_error, x.created_at, x.due_at, x.finished_at
FROM outbox x LEFT JOIN orders o ON o.id = x.order_id
WHERE x.state = 'dead' AND ($1::text IS NULL OR x.audience = $1)
  AND ($2::timestamptz IS NULL OR (x.finished_at, x.key) < ($2, $3))
ORDER BY x.finished_at DESC, x.key DESC LIMIT $4
"""
LIST_PENDING = """
SELECT x.key, x.audience, x.topic, x.state, o.order_ref, x.attempts, x.last_error, x.created_at, x.due_at, x.finished_at
FROM outbox x LEFT JOIN orders o ON o.id = x.order_id
WHERE x.due_at IS NOT NULL AND ($1::text IS NULL OR x.audience = $1)
  AND ($2::timestamptz IS NULL OR (x.due_at, x.key) > ($2, $3))
ORDER BY x.due_at, x.key LIMIT $4
"""


class NoticePlace(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a notice in its list: when it was given up, or is due, and its key."""

    at: datetime
    key: str


async def list_unsent(
    conn: Conn, state: Unsent, *, limit: int, audience: str | None = None, after: NoticePlace | None = None
) -> list[dict[str, Any]]:
    """Lists dead notices, the latest first, or those to be sent, the next first."""
    place = (None, None) if after is None else (after.at, after.key)
    rows = await conn.fetch(LIST_DEAD if state == "dead" else LIST_PENDING, audience, *place, limit)
    return [dict(row) for row in rows]


NOTICES_NAMED = """
SELECT x.key, x.audience, x.topic, x.state, o.order_ref, x.attempts, x.last_error, x.created_at, x.due_at, x.finished_at
FROM outbox x LEFT JOIN orders o ON o.id = x.order_id WHERE x.key = ANY($1::text[]) ORDER BY x.key
"""


async def notices_named(conn: Conn, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Reads those of the notices that exist."""
    return [dict(row) for row in await conn.fetch(NOTICES_NAMED, keys)]
