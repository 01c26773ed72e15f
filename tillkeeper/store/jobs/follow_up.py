"""Follows up what becomes due besides orders: open cases, events that wait too long, and leftovers."""

from datetime import datetime

from tillkeeper.domain.order.case_reasons import unmatched
from tillkeeper.domain.order.cases import level_after_follow_up
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.topics import CaseTopic
from tillkeeper.store.apply.batch import Tally, apply_found
from tillkeeper.store.cases.writing import TILLKEEPER, case_in, notify, open_cases, write_entries
from tillkeeper.store.deliveries.inbox import event_of
from tillkeeper.store.postgres.pool import Conn

DUE_CASES = """
SELECT id, kind, subject, order_id, account, details, level, owner FROM cases
WHERE follow_up_at <= $1 ORDER BY follow_up_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
WRITE_FOLLOW_UPS = """
UPDATE cases AS c SET follow_up_at = $3, level = w.level
FROM unnest($1::bigint[], $2::int[]) AS w (id, level) WHERE c.id = w.id
"""


async def follow_up(conn: Conn, *, policy: Policy, limit: int, now: datetime) -> int:
    """Reminds people of cases that are due; returns their number."""
    rows = await conn.fetch(DUE_CASES, now, limit)
    if not rows:
        return 0
    levels = [
        level_after_follow_up(row["kind"], row["level"], owner=row["owner"], levels=policy.cases.levels) for row in rows
    ]
    await conn.execute(WRITE_FOLLOW_UPS, [row["id"] for row in rows], levels, now + policy.cases.follow_up)
    due = [(case_in(row, level=level), level > row["level"]) for row, level in zip(rows, levels, strict=True)]
    entries = [(case.id, "escalated" if goes_up else "followed_up", TILLKEEPER, None) for case, goes_up in due]
    await write_entries(conn, entries, now=now)
    await notify(conn, [case for case, goes_up in due if goes_up], CaseTopic.ESCALATED, now=now)
    await notify(conn, [case for case, goes_up in due if not goes_up], CaseTopic.FOLLOWED_UP, now=now)
    return len(rows)


# Only captured or disputed money needs a person; a payment that merely began or failed elsewhere does not.  Events of
# unknown orders wait for ever: reading a hundred thousand of them takes a third of a second.
WAITING_TOO_LONG = """
SELECT event_id, kind, account, occurred_at, evidence, order_ref, payment_ref, capture_ref, refund_ref, dispute_ref,
       amount_minor, total_minor, currency, failure, failure_code, method, as_of, discount_minor, has_refunds,
       on_top_minor, released_minor, may_be_release
FROM inbox x
WHERE x.outcome = 'waiting' AND x.recorded_at > coalesce($1, '-infinity'::timestamptz) AND x.recorded_at <= $2
  AND x.kind IN ('payment.succeeded', 'dispute.opened')
  AND NOT EXISTS (SELECT FROM cases c
                  WHERE c.kind = 'unmatched_payment' AND c.subject = 'event:' || x.account || '/' || x.event_id)
ORDER BY x.recorded_at LIMIT $3
"""


async def open_unmatched(
    conn: Conn, *, since: datetime | None, until: datetime, policy: Policy, limit: int, now: datetime
) -> int:
    """Opens a case for money that was recorded in the span and still waits for its order; returns the number of events.

    Without `since` it begins with the oldest.
    """
    rows = await conn.fetch(WAITING_TOO_LONG, since, until, limit)
    reasons = [unmatched(event_of(row)) for row in rows]
    await open_cases(conn, [(None, reason) for reason in reasons], policy=policy.cases, now=now)
    return len(reasons)


# Nothing should be found, because a lock keeps events and orders from missing each other.  It is checked all the same,
# in parts, for events of unknown orders wait for ever.  There are no joins: those would read orders and payments whole.
LEFT_OVER = """
SELECT max(w.seq) AS last, array_agg(w.seq) FILTER (WHERE w.known) AS found
FROM (
    SELECT x.seq, num_nonnulls(
               (SELECT o.id FROM orders o WHERE o.order_ref = x.order_ref),
               (SELECT p.order_id FROM payments p WHERE p.account = x.account AND p.payment_ref = x.payment_ref),
               (SELECT r.order_id FROM refunds r WHERE r.account = x.account AND r.refund_ref = x.refund_ref),
               (SELECT d.order_id FROM disputes d WHERE d.account = x.account AND d.dispute_ref = x.dispute_ref)
           ) > 0 AS known
    FROM (
        SELECT seq, account, order_ref, payment_ref, refund_ref, dispute_ref
        FROM inbox
        -- One whose payment is of an order that nobody registered waits although an order that it names is known.
        WHERE outcome = 'waiting' AND reason IS DISTINCT FROM 'named_elsewhere' AND seq > $1
        ORDER BY seq LIMIT $2
    ) x
) w
"""
WAITING_BY_SEQ = """
SELECT event_id, kind, account, occurred_at, evidence, order_ref, payment_ref, capture_ref, refund_ref, dispute_ref,
       amount_minor, total_minor, currency, failure, failure_code, method, as_of, discount_minor, has_refunds,
       on_top_minor, released_minor, may_be_release
FROM inbox WHERE outcome = 'waiting' AND seq = ANY($1::bigint[])
"""


async def take_up_left_over(conn: Conn, *, after: int, policy: Policy, limit: int, now: datetime) -> tuple[Tally, int]:
    """Applies events that wait although their order is known, among the next `limit` waiting ones.

    Returns their outcomes, and the number after which to go on: 0 at the end.
    """
    page = await conn.fetchrow(LEFT_OVER, after, limit)
    if page is None or page["last"] is None:
        return Tally(), 0
    if not page["found"]:
        return Tally(), page["last"]
    rows = await conn.fetch(WAITING_BY_SEQ, page["found"])
    tally = await apply_found(conn, [event_of(row) for row in rows], policy=policy, now=now)
    return tally, page["last"]
