"""Finds orders whose row in due_orders is not as the order is: lists of open orders and the sweep would miss them.

Both sides are compared: an open order has a row with its status and phase, and a row says that an order is open only
where it is.
"""

from collections.abc import Collection
from typing import Any

from tillkeeper.store.postgres.pool import Conn

# By the keys of both tables.  An order's accounts and deadline stay as they were registered.
MISLISTED = """
SELECT o.order_ref, CASE WHEN o.closed_at IS NULL THEN o.status ELSE 'closed' END AS stands,
       CASE WHEN d.order_id IS NULL THEN 'not there' ELSE coalesce(d.status, 'not open') END AS listed,
       o.phase_since, d.phase_since AS listed_since
FROM orders o
CROSS JOIN LATERAL (
    SELECT o.closed_at IS NULL
           AND o.status IN ('unpaid', 'processing', 'failed', 'partially_paid', 'refunding') AS is_open
) AS stands
LEFT JOIN due_orders d ON d.order_id = o.id
WHERE o.id = ANY($1::bigint[])
  AND (is_open IS DISTINCT FROM (d.status IS NOT NULL)
       OR is_open AND (d.status, d.phase_since) IS DISTINCT FROM (o.status, o.phase_since)
       OR d.order_id IS NOT NULL
          AND (d.accounts_key, d.expires_at) IS DISTINCT FROM (
              (SELECT string_agg(account, ' ' ORDER BY account COLLATE "C") FROM unnest(o.accounts) AS w (account)),
              o.expires_at))
ORDER BY o.id
"""


async def mislisted(conn: Conn, ids: Collection[int]) -> list[dict[str, Any]]:
    """Returns those of the orders whose row differs, with both."""
    return [dict(row) for row in await conn.fetch(MISLISTED, sorted(ids))]


# However old they are: there are few of them, and the index on them holds no others.
MOVING = """
SELECT order_id FROM due_orders WHERE status IN ('processing', 'partially_paid', 'refunding') ORDER BY order_id LIMIT $1
"""


async def moving(conn: Conn, *, limit: int) -> list[int]:
    """Returns the orders whose money is said to move; a limited number."""
    return [row["order_id"] for row in await conn.fetch(MOVING, limit)]
