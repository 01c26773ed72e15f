"""Room for questions that unsigned deliveries caused: whoever can post can name what is not there.

New ones are asked about first.  One that its gateway did not know is tried again while there is room, and falls out for
newer ones.  What the gateway knew once, or what is known as a payment, is not counted here: nobody thought that up.

The receiver lets in no more than can be asked about (ingest/unsigned_limits.py), so that none falls out before it was
asked; where it does, because receivers were many or its gateway was away for long, ops are told.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Final

from tillkeeper.store.postgres.pool import Conn

# Of each account.  To be sure that something is not there takes four questions in 36 minutes.
UNKNOWN_OPEN_MAX: Final = 300  # asked about, and the gateway did not know it
UNANSWERED_OPEN_MAX: Final = 50_000  # not asked about yet, or its gateway was away: hours of a flood that was let in

OPEN = """
SELECT account, count(*) FILTER (WHERE misses > 0 OR not_found > 0) AS unknown,
       count(*) FILTER (WHERE misses = 0 AND not_found = 0) AS unanswered
FROM fetches WHERE due_at IS NOT NULL AND NOT proven AND found = 0 AND account = ANY($1::text[]) GROUP BY account
"""

# The newest $2 stay.  What is in somebody's hands is not counted, for its query is on its way.
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


async def make_room(conn: Conn, accounts: Collection[str], *, now: datetime) -> Counter[str]:
    """Lets the oldest of what is too much fall out; returns how many were never answered, by account."""
    unanswered: Counter[str] = Counter()
    for row in await conn.fetch(OPEN, sorted(accounts)) if accounts else ():
        account = row["account"]
        if row["unknown"] > UNKNOWN_OPEN_MAX:
            await conn.execute(FORGET_UNKNOWN, account, UNKNOWN_OPEN_MAX, now)
        if row["unanswered"] > UNANSWERED_OPEN_MAX:
            unanswered[account] = len(await conn.fetch(FORGET_UNANSWERED, account, UNANSWERED_OPEN_MAX, now))
    return +unanswered
