"""The table behind the PostgreSQL lane: messages that wait for a worker, and the leases on them."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.store.pool import Conn, rows_of

CHANNEL: Final = "tillkeeper_spool"  # NOTIFY says that something was put; a hint, never relied on
# Rows past the delivery limit were handed out first, so that they stand at the front of the table.  Looking only there
# keeps the look cheap under a backlog; an index on `attempts` would cost every take its cheap in-page update.
FRONT_ROWS: Final = 1000


class SpoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message under lease."""

    id: UUID
    body: bytes
    attempts: int


PUT = """
WITH put AS (
    INSERT INTO spool (id, shard, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING
)
SELECT pg_notify('tillkeeper_spool', '')
"""


async def put(conn: Conn, *, message_id: UUID, shard: int, body: bytes, timeout_s: float) -> None:
    """Commits a message with its hint.  The same id again changes nothing.  Raises NotReplicated."""
    await conn.execute(PUT, message_id, shard, body, timeout=timeout_s)


SET_ASIDE = """
INSERT INTO spool (id, shard, body, taken_until) VALUES ($1, 0, $2, now() + make_interval(secs => $3))
"""


async def set_aside(conn: Conn, *, message_id: UUID, body: bytes, rest_s: float) -> None:
    """Puts a message that nobody takes for a while.  The same bytes may come again: the id must be a new one."""
    await conn.execute(SET_ASIDE, message_id, body, rest_s)


# id = ANY (ARRAY (...)): the LIMIT is taken once, and the primary key finds the rows.  A join would be planned while
# the table is empty, as a scan of it all, and the plan kept while the backlog grows.
TAKE = """
WITH taken AS (
    UPDATE spool SET taken_until = now() + make_interval(secs => $3), taken_by = $1, attempts = attempts + 1
    WHERE id = ANY (ARRAY (
        SELECT id FROM spool
        WHERE taken_until < now() AND attempts <= $4
        ORDER BY position
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, position, body, attempts
)
SELECT id, body, attempts FROM taken ORDER BY position
"""


async def take(
    conn: Conn, *, taker: UUID, limit: int, lease_s: float, attempts_max: int, timeout_s: float
) -> list[SpoolRow]:
    """The oldest free messages, leased to the taker."""
    rows = await conn.fetch(TAKE, taker, limit, lease_s, attempts_max, timeout=timeout_s)
    return [SpoolRow(**row) for row in rows]


TAKE_PAST_LIMIT = """
WITH taken AS (
    UPDATE spool SET taken_until = now() + make_interval(secs => $3), taken_by = $1
    WHERE id = ANY (ARRAY (
        SELECT id FROM spool
        WHERE taken_until < now() AND attempts > $4 AND id = ANY (ARRAY (
            SELECT id FROM (SELECT id, attempts FROM spool ORDER BY position LIMIT $5) AS front WHERE attempts > $4
        ))
        ORDER BY position
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, position, body, attempts
)
SELECT id, body, attempts FROM taken ORDER BY position
"""


async def take_past_limit(
    conn: Conn, *, taker: UUID, limit: int, lease_s: float, attempts_max: int, timeout_s: float
) -> list[SpoolRow]:
    """The oldest messages that too many takers died of, leased to the taker."""
    rows = await conn.fetch(TAKE_PAST_LIMIT, taker, limit, lease_s, attempts_max, FRONT_ROWS, timeout=timeout_s)
    return [SpoolRow(**row) for row in rows]


REMOVE = """
DELETE FROM spool WHERE id = ANY($1::uuid[]) AND taken_by = $2
"""


async def remove(conn: Conn, ids: Collection[UUID], *, taker: UUID, timeout_s: float) -> int:
    """Deletes what the taker still holds, and says how many that were."""
    return rows_of(await conn.execute(REMOVE, list(ids), taker, timeout=timeout_s))


# Given back by a living worker: that is no attempt that failed.
GIVE_BACK = """
UPDATE spool SET taken_until = '-infinity', taken_by = NULL, attempts = greatest(attempts - $3, 0)
WHERE id = ANY($1::uuid[]) AND taken_by = $2
"""


async def give_back(conn: Conn, ids: Collection[UUID], *, taker: UUID, attempts: int, timeout_s: float) -> None:
    """Ends the taker's leases at once, and takes `attempts` off the count."""
    await conn.execute(GIVE_BACK, list(ids), taker, attempts, timeout=timeout_s)


# A put without a row: what it would be refused for this is refused for as well, and its commit is written and waits for
# the standbys.
CHECK = """
WITH put AS (
    INSERT INTO spool (id, shard, body) SELECT gen_random_uuid(), 0, '' WHERE false
)
SELECT pg_logical_emit_message(true, 'tillkeeper', '')
"""


async def check(conn: Conn, *, timeout_s: float) -> None:
    """Raises when a message could not be committed now."""
    await conn.fetchval(CHECK, timeout=timeout_s)
