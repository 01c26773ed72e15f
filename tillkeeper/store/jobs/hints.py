"""Takes hints: a delivery that failed verification may at most cause a query about the payment that it names.

Anybody who can post can give hints, so they are limited here for all receivers together: a number of queries a minute
for each account, one about the same order in a while, and only about orders that wait for money anyway.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from tillkeeper.domain.policy import HintPolicy
from tillkeeper.store.jobs.backfill import request_queries
from tillkeeper.store.postgres.pool import Conn

MINUTE: Final = timedelta(minutes=1)
KEPT: Final = timedelta(days=1)  # to explain later why a gateway was queried

Outcome = Literal["asked", "unknown", "limited"]

# Only the holder counts and writes; others skip their hint.
ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtextextended('tillkeeper hint ' || $1, 0))"

COUNT_LATELY = "SELECT count(*) FROM hints WHERE account = $1 AND at > $2"

# An order with a query that is due already needs no hint.
FIND = """
SELECT o.id FROM orders o LEFT JOIN due_orders d ON d.order_id = o.id
WHERE o.id IN (
    SELECT order_id FROM payments WHERE account = $1 AND payment_ref = $2
    UNION ALL SELECT id FROM orders WHERE order_ref = $3
)
  AND $1 = ANY(o.accounts) AND o.closed_at IS NULL
  AND (o.ask_at <= $4 AND d.due_at <= $4) IS NOT TRUE
  AND o.status IN ('unpaid', 'processing', 'failed', 'partially_paid', 'refunding')
  AND (o.held_until IS NULL OR o.held_until <= $4)
  AND NOT EXISTS (SELECT FROM hints h WHERE h.order_id = o.id AND h.at > $5)
ORDER BY o.id LIMIT 1
FOR NO KEY UPDATE OF o SKIP LOCKED
"""

KEEP = "INSERT INTO hints (account, at, order_id) VALUES ($1, $2, $3)"

FORGET = "DELETE FROM hints WHERE account = $1 AND at < $2"


async def take_hint(
    conn: Conn,
    account: str,
    *,
    payment_ref: str | None,
    order_ref: str | None,
    policy: HintPolicy,
    now: datetime,
) -> Outcome:
    """Requests a query about the named order, if it is an open one of the account and the limits allow it."""
    if not await conn.fetchval(ONE_AT_A_TIME, account):
        return "limited"
    if await conn.fetchval(COUNT_LATELY, account, now - MINUTE) >= policy.per_minute:
        return "limited"
    order_id = await conn.fetchval(FIND, account, payment_ref, order_ref, now, now - policy.again_after)
    if order_id is None:
        return "unknown"
    await conn.execute(KEEP, account, now, order_id)
    await conn.execute(FORGET, account, now - KEPT)
    await request_queries(conn, [order_id], [now])
    return "asked"
