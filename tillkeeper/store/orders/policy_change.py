"""Puts a changed policy in force, and reschedules the orders whose due times came from the old one."""

from datetime import datetime

from tillkeeper.store.due_orders import set_due_by
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
NEXT_TO_LOOK_AT = """
SELECT order_id FROM due_orders WHERE due_at > $2 AND order_id > $3 ORDER BY order_id LIMIT $1
"""
LOCK_FREE = "SELECT id FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
LOOKED_UP_TO = "UPDATE policy_in_force SET looked_up_to = $1"


async def look_anew(conn: Conn, *, limit: int, now: datetime) -> int:
    """Makes up to `limit` orders that are due later due now; returns their number, 0 at the end.

    An order that a worker has locked is left to that worker, which uses the policy of that time.
    """
    place = await conn.fetchval(PLACE)
    if place is None:
        return 0
    ids = [row["order_id"] for row in await conn.fetch(NEXT_TO_LOOK_AT, limit, now, place)]
    if ids:
        await set_due_by(conn, {row["id"]: now for row in await conn.fetch(LOCK_FREE, ids)})
    await conn.execute(LOOKED_UP_TO, ids[-1] if ids else None)
    return len(ids)
