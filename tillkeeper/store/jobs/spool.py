"""Reads and writes the table of the PostgreSQL lane: messages that wait for a worker, and the leases on them."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.store.postgres.pool import Conn, rows_of

CHANNEL: Final = "tillkeeper_spool"  # NOTIFY announces a message; nothing relies on it
GIVEN_BACK: Final = "given back"  # its payload for a message that is not at the end
# Rows past the delivery limit were delivered first, so that they stand at the front of the table.  Reading only there
# is cheap under a backlog; an index on `attempts` would cost every take its cheap in-page update.
FRONT_ROWS: Final = 1000


class SpoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A leased message."""

    id: UUID
    body: bytes
    attempts: int
    position: int


PUT = """
WITH put AS (
    INSERT INTO spool (id, shard, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING
)
SELECT pg_notify('tillkeeper_spool', '')
"""


async def put(conn: Conn, *, message_id: UUID, shard: int, body: bytes, timeout_s: float) -> None:
    """Commits a message and notifies workers.  The same id again changes nothing.  Raises NotReplicated."""
    await conn.execute(PUT, message_id, shard, body, timeout=timeout_s)


SET_ASIDE = """
INSERT INTO spool (id, shard, body, leased_until) VALUES ($1, 0, $2, now() + make_interval(secs => $3))
"""


async def set_aside(conn: Conn, *, message_id: UUID, body: bytes, rest_s: float) -> None:
    """Puts a message that is not delivered for a while.  The id must be new, for the same bytes may come again."""
    await conn.execute(SET_ASIDE, message_id, body, rest_s)


# `position > $5`: while an old snapshot keeps dead rows, a scan from the front reads every one of them (600,000 took a
# quarter of a second).  id = ANY (ARRAY (...)): the LIMIT is evaluated once, and the primary key finds the rows.  A
# join would be planned while the table is empty, as a full scan, and the plan kept while the backlog grows.
TAKE = """
WITH taken AS (
    UPDATE spool SET leased_until = now() + make_interval(secs => $3), leased_by = $1, attempts = attempts + 1
    WHERE id = ANY (ARRAY (
        SELECT id FROM spool
        WHERE leased_until < now() AND attempts <= $4 AND position > $5
        ORDER BY position
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, position, body, attempts
)
SELECT id, body, attempts, position FROM taken ORDER BY position
"""


async def take(
    conn: Conn, *, taker: UUID, limit: int, lease_s: float, attempts_max: int, timeout_s: float, after: int = 0
) -> list[SpoolRow]:
    """Leases the oldest free messages beyond a position to the taker."""
    rows = await conn.fetch(TAKE, taker, limit, lease_s, attempts_max, after, timeout=timeout_s)
    return [SpoolRow(**row) for row in rows]


# Read from the sequence, without a scan of the table; a user who may not read it scans from the front.
LAST_POSITION = """
SELECT coalesce(pg_sequence_last_value(s.name), 0)
FROM (SELECT pg_get_serial_sequence('spool', 'position')::regclass AS name) s
WHERE has_sequence_privilege(s.name, 'SELECT')
"""


async def last_position(conn: Conn, *, timeout_s: float) -> int:
    """Returns the position that was assigned last, whose row may not be committed yet."""
    return int(await conn.fetchval(LAST_POSITION, timeout=timeout_s) or 0)


TAKE_PAST_LIMIT = """
WITH taken AS (
    UPDATE spool SET leased_until = now() + make_interval(secs => $3), leased_by = $1
    WHERE id = ANY (ARRAY (
        SELECT id FROM spool
        WHERE leased_until < now() AND attempts > $4 AND id = ANY (ARRAY (
            SELECT id FROM (SELECT id, attempts FROM spool ORDER BY position LIMIT $5) AS front WHERE attempts > $4
        ))
        ORDER BY position
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, position, body, attempts
)
SELECT id, body, attempts, position FROM taken ORDER BY position
"""


async def take_past_limit(
    conn: Conn, *, taker: UUID, limit: int, lease_s: float, attempts_max: int, timeout_s: float
) -> list[SpoolRow]:
    """Leases the oldest messages past the delivery limit to the taker."""
    rows = await conn.fetch(TAKE_PAST_LIMIT, taker, limit, lease_s, attempts_max, FRONT_ROWS, timeout=timeout_s)
    return [SpoolRow(**row) for row in rows]


REMOVE = """
DELETE FROM spool WHERE id = ANY($1::uuid[]) AND leased_by = $2
"""


async def remove(conn: Conn, ids: Collection[UUID], *, taker: UUID, timeout_s: float) -> int:
    """Deletes the messages that the taker still holds; returns their number."""
    return rows_of(await conn.execute(REMOVE, list(ids), taker, timeout=timeout_s))


# Released by a living worker: that is no failed attempt.
GIVE_BACK = """
WITH given AS (
    UPDATE spool SET leased_until = '-infinity', leased_by = NULL, attempts = greatest(attempts - $3, 0)
    WHERE id = ANY($1::uuid[]) AND leased_by = $2
    RETURNING id
)
SELECT pg_notify('tillkeeper_spool', 'given back') FROM given LIMIT 1
"""


async def give_back(conn: Conn, ids: Collection[UUID], *, taker: UUID, attempts: int, timeout_s: float) -> None:
    """Ends the taker's leases at once, and subtracts `attempts` from the count."""
    await conn.execute(GIVE_BACK, list(ids), taker, attempts, timeout=timeout_s)


# A put without a row: it is refused for the same reasons, and its commit is written and waits for the standbys.
CHECK = """
WITH put AS (
    INSERT INTO spool (id, shard, body) SELECT gen_random_uuid(), 0, '' WHERE false
)
SELECT pg_logical_emit_message(true, 'tillkeeper', '')
"""


async def check(conn: Conn, *, timeout_s: float) -> None:
    """Raises where a message could not be committed now."""
    await conn.fetchval(CHECK, timeout=timeout_s)
