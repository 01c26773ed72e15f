"""Blanks raw deliveries: their bodies, headers and queries.  What dedupe and audit count stays."""

from collections.abc import Collection

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.store.postgres.pool import Conn

DELIVERIES_OF = "SELECT DISTINCT run, number FROM inbox WHERE order_id = $1 AND number IS NOT NULL"


async def deliveries_of(conn: Conn, order_id: int) -> set[DeliveryKey]:
    """Returns the deliveries that brought the order's events."""
    return {(row["run"], row["number"]) for row in await conn.fetch(DELIVERIES_OF, order_id)}


RECEIVED_AT = """
SELECT DISTINCT received_at
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number) JOIN deliveries USING (run, number)
"""
# By their times, which find the weeks in which they stand, and the places there.
DELETE_BODIES = """
DELETE FROM delivery_bodies
WHERE received_at = ANY($3::timestamptz[]) AND (run, number) IN (SELECT * FROM unnest($1::uuid[], $2::bigint[]))
RETURNING run, number
"""

# Likewise what 0.1.0 stored.
BLANK = """
UPDATE deliveries AS d SET body = NULL, headers = '[]', query = ''
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number)
WHERE d.run = w.run AND d.number = w.number AND (d.body IS NOT NULL OR d.headers <> '[]' OR d.query <> '')
RETURNING d.run, d.number
"""

# A delivery may bring events of several orders.
SHARED_WITH = """
SELECT DISTINCT o.order_ref
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number)
JOIN inbox x ON x.run = w.run AND x.number = w.number
JOIN orders o ON o.id = x.order_id
WHERE x.order_id <> $3
ORDER BY o.order_ref
"""


async def blank_deliveries(conn: Conn, keys: Collection[DeliveryKey], order_id: int) -> tuple[int, tuple[str, ...]]:
    """Blanks the deliveries that still hold anything; returns their number, and other orders with events in them."""
    if not keys:
        return 0, ()
    received = [row["received_at"] for row in await conn.fetch(RECEIVED_AT, *_columns(keys))]
    rows = await conn.fetch(DELETE_BODIES, *_columns(keys), received)
    rows += await conn.fetch(BLANK, *_columns(keys))
    blanked = {(row["run"], row["number"]) for row in rows}
    shared = await conn.fetch(SHARED_WITH, *_columns(blanked), order_id)
    return len(blanked), tuple(row["order_ref"] for row in shared)


def _columns(keys: Collection[DeliveryKey]) -> tuple[list[object], list[int]]:
    ordered = sorted(keys)
    return [run for run, _ in ordered], [number for _, number in ordered]


ORDERS_OF = """
SELECT DISTINCT o.order_ref FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number)
JOIN inbox x ON x.run = w.run AND x.number = w.number JOIN orders o ON o.id = x.order_id
"""


async def orders_of_deliveries(conn: Conn, keys: Collection[DeliveryKey]) -> set[str]:
    """Returns the orders whose events these deliveries brought."""
    return {row["order_ref"] for row in await conn.fetch(ORDERS_OF, *_columns(keys))}
