"""What nobody signed is not kept for good: refused deliveries, and the raw bytes of unsigned ones."""

from datetime import datetime, timedelta
from typing import Final

from tillkeeper.store.deliveries.refused import forget_refused
from tillkeeper.store.postgres.pool import Conn, rows_of

UNSIGNED_DAYS: Final = 30  # what they named was asked about within three days; bytes that prove nothing help no dispute

# A part at a time, so that no other transaction waits for it.
FORGET_UNSIGNED = """
UPDATE deliveries SET body = NULL, headers = '[]', query = ''
WHERE (run, number) IN (
    SELECT run, number FROM deliveries
    WHERE key = 'unsigned' AND body IS NOT NULL AND received_at < $1
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""


async def forget_unsigned(conn: Conn, *, limit: int, now: datetime) -> int:
    """Takes the bytes out of old deliveries that anybody could have posted, and refused ones; returns how many."""
    forgotten = rows_of(await conn.execute(FORGET_UNSIGNED, now - timedelta(days=UNSIGNED_DAYS), limit))
    return forgotten + await forget_refused(conn, now=now)
