"""Records what a batch's events told, in one statement: the events, payments' facts, notices, and
counts for the guard.

A statement of its own for each costs a round trip more, and a batch has a few dozen events.  Deliveries have one of
their own, for a receiver that registers orders may not keep any (deploy/roles.sql).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from tillkeeper.domain.batch import BatchItem
from tillkeeper.domain.order.changes import Changes
from tillkeeper.store.deliveries.inbox import event_rows
from tillkeeper.store.guard.checking import CountedRow, Standing, standings_in
from tillkeeper.store.orders.writing import payment_rows
from tillkeeper.store.outbox.writing import notice_rows
from tillkeeper.store.postgres.pool import Conn, as_json
from tillkeeper.store.postgres.sqlstates import WriteConflict

# Events have no ON CONFLICT: what is new was looked up just before, and speculative insertion costs more than the rare
# transaction that is repeated because another one was first.
RECORD = """
WITH events AS (
    INSERT INTO inbox (account, event_id, run, number, kind, evidence, order_ref, payment_ref, capture_ref, refund_ref,
                       dispute_ref, amount_minor, total_minor, currency, failure, failure_code, method, discount_minor,
                       has_refunds, on_top_minor, released_minor, may_be_release, occurred_at, as_of, recorded_at,
                       digest, outcome, reason, order_id, status_after)
    SELECT account, event_id, run, number, kind, evidence, order_ref, payment_ref, capture_ref, refund_ref, dispute_ref,
           amount_minor, total_minor, currency, failure, failure_code, method, discount_minor, has_refunds,
           on_top_minor, released_minor, may_be_release, occurred_at, as_of, $2, digest, outcome, reason, order_id,
           status_after
    FROM json_populate_recordset(NULL::inbox, $1::json)
), paid AS (
    INSERT INTO payments AS p (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor,
                               held_minor, failure, method)
    SELECT account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor,
           coalesce(held_minor, 0), failure, method
    FROM json_populate_recordset(NULL::payments, $3::json)
    ON CONFLICT (account, payment_ref) DO UPDATE
    SET status = excluded.status, facts = excluded.facts, amount_minor = excluded.amount_minor,
        currency = excluded.currency, captured_minor = excluded.captured_minor, held_minor = excluded.held_minor,
        failure = excluded.failure, method = excluded.method
    WHERE p.order_id = excluded.order_id
    RETURNING 1
), counted AS (
    INSERT INTO guard_counts AS g (account, minute, backend, paid, failed, taken_back, mismatched, far_off)
    SELECT account, date_trunc('minute', $2::timestamptz, 'UTC'), pg_backend_pid(), paid, failed, taken_back,
           mismatched, far_off
    FROM json_populate_recordset(NULL::guard_counts, $5::json)
    WHERE paid + failed + taken_back + mismatched + far_off > 0
    ON CONFLICT (account, minute, backend) DO UPDATE
    SET paid = g.paid + excluded.paid, failed = g.failed + excluded.failed,
        taken_back = g.taken_back + excluded.taken_back, mismatched = g.mismatched + excluded.mismatched,
        far_off = g.far_off + excluded.far_off
), told AS (
    INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, due_at)
    SELECT key, order_id, version, audience, topic, payload, $2, $2 FROM json_to_recordset($4::json) AS w (
        key text, order_id bigint, version bigint, audience text, topic text, payload jsonb
    )
    ON CONFLICT (key) DO NOTHING
)
SELECT (SELECT count(*) FROM paid) AS paid, (
    SELECT json_agg(s) FROM (
        SELECT w.account, p.is_paused, p.is_deaf, c.paid, c.failed, c.taken_back, c.mismatched, c.far_off
        FROM json_to_recordset($5::json) AS w (account text)
        LEFT JOIN LATERAL (
            SELECT decision IS NULL AS is_paused, ended_at IS NULL OR deaf_until > $2 AS is_deaf, deaf_until
            FROM account_pauses WHERE account = w.account ORDER BY id DESC LIMIT 1
        ) p ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(paid), 0) AS paid, coalesce(sum(failed), 0) AS failed,
                   coalesce(sum(taken_back), 0) AS taken_back, coalesce(sum(mismatched), 0) AS mismatched,
                   coalesce(sum(far_off), 0) AS far_off
            FROM guard_counts
            WHERE account = w.account AND minute > greatest($2::timestamptz - interval '5 minutes', p.deaf_until)
        ) c
    ) s
) AS standings
"""


async def record(
    conn: Conn,
    events: Iterable[BatchItem],
    changes: Sequence[Changes],
    *,
    counted: Sequence[CountedRow] = (),
    now: datetime,
) -> list[Standing]:
    """Writes new events with their outcomes, and the payments and notices of the changes.

    Returns how each account in `counted` stood before.  Raises WriteConflict if another transaction was first with any
    of it.
    """
    rows, payments = event_rows(events), payment_rows(changes)
    notices = notice_rows(notice for change in changes for notice in change.notices)
    if not (rows or payments or notices):
        return []
    told = as_json(rows), now, as_json(payments), as_json(notices), as_json(counted)
    try:
        written = await conn.fetchrow(RECORD, *told)
    except asyncpg.UniqueViolationError:
        raise WriteConflict from None
    assert written is not None, "it counts"
    if written["paid"] != len(payments):
        raise WriteConflict
    return standings_in(written["standings"])
