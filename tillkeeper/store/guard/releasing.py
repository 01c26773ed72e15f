"""Carries out what a person decided about a paused account, some held deliveries at a time, the oldest first.

    go    ──> back to the PostgreSQL lane, whence workers apply them as any others
    park  ──> parked, an event each, where people see, replay or discard them
    none is left ──> the pause ends, and its case closes

Each time is one transaction, which no two workers make at once for one pause: what a killed one did not commit is done
by the next.
"""

from datetime import datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.store.cases.writing import close_cases
from tillkeeper.store.guard.deciding import Decision
from tillkeeper.store.guard.pausing import pause_subject
from tillkeeper.store.postgres.pool import Conn

LANE_MESSAGES_MAX: Final = 32  # in the lane already: others' webhooks do not queue behind a whole backlog


class Releasing(msgspec.Struct, frozen=True, kw_only=True):
    """A pause about which a person decided."""

    id: int
    account: str
    decision: Decision


CLAIM = """
SELECT id, account, decision FROM account_pauses
WHERE ended_at IS NULL AND decision IS NOT NULL ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""


async def claim_decided(conn: Conn) -> Releasing | None:
    """Locks a pause whose decision is to be carried out, for the caller's transaction."""
    row = await conn.fetchrow(CLAIM)
    return None if row is None else Releasing(**dict(row))


LANE_IS_BUSY = "SELECT count(*) >= $1 FROM (SELECT FROM spool LIMIT $1) AS waiting"


async def lane_is_busy(conn: Conn) -> bool:
    """Returns whether the lane holds enough to do as it is."""
    return bool(await conn.fetchval(LANE_IS_BUSY, LANE_MESSAGES_MAX))


TAKE = """
WITH taken AS (
    DELETE FROM held_deliveries WHERE (run, number) IN (
        SELECT run, number FROM held_deliveries WHERE pause_id = $1 ORDER BY position LIMIT $2
    ) RETURNING position, body
)
SELECT body FROM taken ORDER BY position
"""


async def take_held(conn: Conn, pause: Releasing, *, limit: int) -> list[bytes]:
    """Takes the oldest held messages away, which the caller's transaction must put elsewhere."""
    return [row["body"] for row in await conn.fetch(TAKE, pause.id, limit)]


PUT_BACK = """
WITH put AS (
    INSERT INTO spool (id, shard, body) SELECT id, 0, body FROM unnest($1::uuid[], $2::bytea[])
    WITH ORDINALITY AS w (id, body, n) ORDER BY n
    ON CONFLICT (id) DO NOTHING
)
SELECT pg_notify('tillkeeper_spool', '')
"""


async def put_back(conn: Conn, messages: list[bytes]) -> None:
    """Puts messages into the PostgreSQL lane."""
    ids = [UUID(bytes=blake2b(message, digest_size=16).digest()) for message in messages]
    await conn.execute(PUT_BACK, ids, messages)


END = """
UPDATE account_pauses SET ended_at = $2, deaf_until = $2::timestamptz + make_interval(secs => deaf_s) WHERE id = $1
"""


async def end(conn: Conn, pause: Releasing, *, now: datetime) -> None:
    """Ends a pause of which nothing is held any more, and closes its case."""
    await conn.execute(END, pause.id, now)
    key = (CaseKind.ACCOUNT_PAUSED, pause_subject(pause.account, pause.id))
    await close_cases(conn, [key], outcome=f"{pause.decision}: nothing is held any more", now=now)
