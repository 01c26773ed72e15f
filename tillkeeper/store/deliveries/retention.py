"""Deletes old refused deliveries, and the raw bytes of old unsigned ones."""

from datetime import datetime, timedelta
from typing import Final

from tillkeeper.store.deliveries.refused import forget_refused
from tillkeeper.store.postgres.pool import Conn, rows_of

UNSIGNED_DAYS: Final = 30  # their queries ended within three days; unsigned bytes prove nothing in a dispute

# In parts, so that no other transaction waits for it.
FORGET_UNSIGNED_BODIES = """
DELETE FROM delivery_bodies WHERE NOT proven AND received_at <= (
    SELECT max(received_at) FROM (
        SELECT received_at FROM delivery_bodies WHERE NOT proven AND received_at < $1 ORDER BY received_at LIMIT $2
    ) oldest
)
"""

# Likewise what 0.1.0 stored.
FORGET_UNSIGNED = """
UPDATE deliveries SET body = NULL, headers = '[]', query = ''
WHERE (run, number) IN (
    SELECT run, number FROM deliveries
    WHERE key = 'unsigned' AND body IS NOT NULL AND received_at < $1
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""


async def forget_unsigned(conn: Conn, *, limit: int, now: datetime) -> int:
    """Deletes the bytes of old unsigned deliveries, and old refused ones; returns their number."""
    until = now - timedelta(days=UNSIGNED_DAYS)
    forgotten = rows_of(await conn.execute(FORGET_UNSIGNED_BODIES, until, limit))
    forgotten += rows_of(await conn.execute(FORGET_UNSIGNED, until, limit))
    return forgotten + await forget_refused(conn, now=now)
