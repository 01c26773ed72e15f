"""Puts a changed policy in force, and reschedules the orders whose due times came from the old one."""

from datetime import datetime

from tillkeeper.store.postgres.pool import Conn

# The first policy of a database changes nothing: every due time came from it.
TAKE_POLICY = """
INSERT INTO policy_in_force AS p (digest, taken_at) VALUES ($1, $2)
ON CONFLICT (singleton) DO UPDATE SET digest = excluded.digest, taken_at = excluded.taken_at, looked_up_to = 0
WHERE p.digest <> excluded.digest
RETURNING looked_up_to IS NOT NULL AS changed
"""


async def take_policy(conn: Conn, digest: str, *, now: datetime) -> bool:
    """Stores the policy that is in force; returns True if it was another one before."""
    return bool(await conn.fetchval(TAKE_POLICY, digest, now))


# The process that holds the row goes on; others skip.
PLACE = "SELECT looked_up_to FROM policy_in_force WHERE looked_up_to IS NOT NULL FOR UPDATE SKIP LOCKED"
NEXT_TO_LOOK_AT = "SELECT id FROM orders WHERE due_at > $2 AND id > $3 ORDER BY id LIMIT $1"
LOOK_ANEW = """
UPDATE orders SET due_at = $2
WHERE id IN (
    SELECT id FROM orders WHERE id = ANY($1::bigint[]) AND due_at > $2 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
"""
LOOKED_UP_TO = "UPDATE policy_in_force SET looked_up_to = $1"


async def look_anew(conn: Conn, *, limit: int, now: datetime) -> int:
    """Makes up to `limit` orders that are due later due now; returns their number, 0 at the end.

    An order that a worker has locked is left to that worker, which uses the policy of that time.
    """
    place = await conn.fetchval(PLACE)
    if place is None:
        return 0
    ids = [row["id"] for row in await conn.fetch(NEXT_TO_LOOK_AT, limit, now, place)]
    if ids:
        await conn.execute(LOOK_ANEW, ids, now)
    await conn.execute(LOOKED_UP_TO, ids[-1] if ids else None)
    return len(ids)
