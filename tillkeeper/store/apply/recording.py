"""Records what a batch's events told, in one statement: the events, payments' facts and notices.

A statement of its own for each costs a round trip more, and a batch has a few dozen events.  Deliveries have one of
their own, for a receiver that registers orders may not keep any (deploy/roles.sql).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from tillkeeper.domain.batch import Item
from tillkeeper.domain.order.changes import Changes
from tillkeeper.store.deliveries.inbox import event_rows
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
), told AS (
    INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, due_at)
    SELECT key, order_id, version, audience, topic, payload, $2, $2 FROM json_to_recordset($4::json) AS w (
        key text, order_id bigint, version bigint, audience text, topic text, payload jsonb
    )
    ON CONFLICT (key) DO NOTHING
)
SELECT count(*) FROM paid
"""


async def record(conn: Conn, events: Iterable[Item], changes: Sequence[Changes], *, now: datetime) -> None:
    """Writes new events with their outcomes, and the payments and notices of the changes.

    Raises WriteConflict if another transaction was first with any of it.
    """
    rows, payments = event_rows(events), payment_rows(changes)
    notices = notice_rows(notice for change in changes for notice in change.notices)
    if not (rows or payments or notices):
        return
    try:
        paid = await conn.fetchval(RECORD, as_json(rows), now, as_json(payments), as_json(notices))
    except asyncpg.UniqueViolationError:
        raise WriteConflict from None
    if paid != len(payments):
        raise WriteConflict
