"""Limits the queries that unsigned deliveries cause, for anybody who can post can name objects that do not exist.

New ones are queried first.  One that its gateway did not know is retried while there is room, and dropped for newer
ones.  Objects that the gateway knew once, or that are known payments, do not count here: nobody made them up.

The receiver admits no more than can be queried (ingest/unsigned_limits.py), so that none is dropped before its query;
where one is, because there are many receivers or the gateway was unavailable for long, ops are notified.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Final

from tillkeeper.store.postgres.pool import Conn

# Of each account.  To be sure that something does not exist takes four queries in 36 minutes.
UNKNOWN_OPEN_MAX: Final = 300  # queried, and unknown to the gateway
UNANSWERED_OPEN_MAX: Final = 50_000  # not queried yet, or without an answer: hours of a flood that was admitted

OPEN = """
SELECT account, count(*) FILTER (WHERE misses > 0 OR not_found > 0) AS unknown,
       count(*) FILTER (WHERE misses = 0 AND not_found = 0) AS unanswered
FROM fetches WHERE due_at IS NOT NULL AND NOT proven AND found = 0 AND account = ANY($1::text[]) GROUP BY account
"""

# The newest $2 stay.  Leased ones are not counted, for their query is running.
FORGET_UNKNOWN = """
UPDATE fetches
SET not_found = requests - found - given_up, due_at = NULL, failures = 0, misses = 0, finished_at = $3,
    result = 'not found; newer ones came before it was tried again'
WHERE id IN (
    SELECT f.id FROM fetches f
    WHERE f.account = $1 AND f.due_at IS NOT NULL AND NOT f.proven AND f.found = 0
      AND (f.misses > 0 OR f.not_found > 0) AND f.leased_until <= $3
      AND NOT EXISTS (SELECT FROM payments p WHERE p.account = f.account AND p.payment_ref = f.payment_ref)
    ORDER BY f.requested_at DESC, f.number DESC OFFSET $2 FOR NO KEY UPDATE OF f SKIP LOCKED
)
"""

FORGET_UNANSWERED = """
UPDATE fetches
SET given_up = requests, due_at = NULL, failures = 0, finished_at = $3, result = 'never answered: newer ones came'
WHERE id IN (
    SELECT f.id FROM fetches f
    WHERE f.account = $1 AND f.due_at IS NOT NULL AND NOT f.proven AND f.found = 0
      AND f.misses = 0 AND f.not_found = 0 AND f.given_up = 0 AND f.leased_until <= $3
      AND NOT EXISTS (SELECT FROM payments p WHERE p.account = f.account AND p.payment_ref = f.payment_ref)
    ORDER BY f.requested_at DESC, f.number DESC OFFSET $2 FOR NO KEY UPDATE OF f SKIP LOCKED
)
RETURNING 1
"""


async def drop_excess(conn: Conn, accounts: Collection[str], *, now: datetime) -> Counter[str]:
    """Drops the oldest beyond the limits; returns how many of them were never answered, by account."""
    unanswered: Counter[str] = Counter()
    for row in await conn.fetch(OPEN, sorted(accounts)) if accounts else ():
        account = row["account"]
        if row["unknown"] > UNKNOWN_OPEN_MAX:
            await conn.execute(FORGET_UNKNOWN, account, UNKNOWN_OPEN_MAX, now)
        if row["unanswered"] > UNANSWERED_OPEN_MAX:
            unanswered[account] = len(await conn.fetch(FORGET_UNANSWERED, account, UNANSWERED_OPEN_MAX, now))
    return +unanswered
