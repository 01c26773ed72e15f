"""Fills a database with what years leave behind: settled orders above all, and few that are open, by SQL alone."""

from typing import Final

import asyncpg

EVENTS_AN_ORDER: Final = 4  # authorized, pending, succeeded, and the answer to a query of the next day
CASES_ONE_IN: Final = 50  # of these one in forty is open
STUCK_ONE_IN: Final = 2_000
WAITING_ONE_IN: Final = 1_000  # events of orders that nobody registered
PARKED_ONE_IN: Final = 2_500  # of these one in forty is open
RUN_NUMBERS: Final = 100_000  # deliveries of one receiver's run

ORDERS: Final = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor, refunded_minor, version,
                    registered_at, changed_at, phase, phase_since, due_at, closed_at)
SELECT 'years-' || n, 12900, 'CNY', '{stripe-main}',
       jsonb_build_object('order_ref', 'years-' || n, 'amount', 12900, 'currency', 'CNY',
                          'accounts', '{stripe-main}'::text[],
                          'payer', jsonb_build_object('email', n || '@example.com')),
       status, CASE WHEN status IN ('paid', 'refunded') THEN 12900 ELSE 0 END,
       CASE WHEN status = 'refunded' THEN 12900 ELSE 0 END,
       3, at, at, 3, at, CASE WHEN age < 7 OR status = 'processing' THEN now() + interval '1 hour' * (1 + n % 160) END,
       CASE WHEN status = 'unpaid' AND age > 1 THEN at + interval '40 minutes' END
FROM (
    SELECT n, CASE WHEN n % $2 = 0 THEN 'processing' WHEN n % 25 = 1 THEN 'failed' WHEN n % 12 = 5 THEN 'unpaid'
                   WHEN n % 20 = 3 THEN 'refunded' ELSE 'paid' END AS status,
           ($1 - n) * 700.0 / $1 AS age, now() - interval '1 day' * (($1 - n) * 700.0 / $1) AS at
    FROM generate_series(1, $1::bigint) AS n
) AS made
"""
DUE: Final = """
INSERT INTO due_orders (order_id, due_at, accounts_key, status, phase_since)
SELECT id, due_at, 'stripe-main', CASE WHEN is_open THEN status END, CASE WHEN is_open THEN phase_since END
FROM (SELECT *, closed_at IS NULL AND status IN ('unpaid', 'processing', 'failed') AS is_open FROM orders) AS o
WHERE due_at IS NOT NULL OR is_open ORDER BY id
"""
DELIVERIES: Final = """
INSERT INTO deliveries (run, number, account, received_at, key, headers, events)
SELECT ('00000000-0000-4000-8000-' || lpad(((m - 1) / $1)::text, 12, '0'))::uuid, (m - 1) % $1 + 1, 'stripe-main',
       o.registered_at + interval '1 second' * (m % 3), 'webhook_secrets[0]', '[]', 1
FROM orders o CROSS JOIN LATERAL (SELECT (o.id - 1) * 3 + part AS m FROM generate_series(1, 3) AS part) AS numbered
"""
EVENTS: Final = """
INSERT INTO inbox (account, event_id, run, number, kind, evidence, order_ref, payment_ref, amount_minor, currency,
                   occurred_at, recorded_at, digest, outcome, order_id, status_after)
SELECT 'stripe-main', 'evt_' || md5(o.id || '/' || part),
       CASE WHEN part < 4
            THEN ('00000000-0000-4000-8000-' || lpad((((o.id - 1) * 3 + part - 1) / $1)::text, 12, '0'))::uuid END,
       CASE WHEN part < 4 THEN ((o.id - 1) * 3 + part - 1) % $1 + 1 END,
       CASE part WHEN 1 THEN 'payment.authorized' WHEN 2 THEN 'payment.pending' ELSE 'payment.succeeded' END,
       CASE WHEN part < 4 THEN 'webhook' ELSE 'query' END, o.order_ref, 'pi_' || o.id, 12900, 'CNY', o.registered_at,
       o.registered_at + interval '1 second' * part, '\\x00112233445566778899aabbccddeeff',
       CASE WHEN part < 4 THEN 'applied' ELSE 'no_change' END, o.id, o.status
FROM orders o CROSS JOIN generate_series(1, 4) AS part
"""
EVENTS_THAT_WAIT: Final = """
INSERT INTO inbox (account, event_id, kind, evidence, order_ref, payment_ref, amount_minor, currency, occurred_at,
                   recorded_at, digest, outcome)
SELECT 'stripe-main', 'evt_waits_' || n, 'payment.pending', 'query', 'nobody-' || n, 'pi_nobody_' || n, 12900, 'CNY',
       now() - interval '1 day', now() - interval '1 day', '\\x00', 'waiting'
FROM generate_series(1, $1::bigint) AS n
"""
PAYMENTS: Final = """
INSERT INTO payments (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor)
SELECT 'stripe-main', 'pi_' || id, id,
       CASE status WHEN 'processing' THEN 'pending' WHEN 'failed' THEN 'failed' ELSE 'succeeded' END,
       CASE status
           WHEN 'processing' THEN '{"standing":{"at":"2026-11-22T12:00:00Z","rank":1,"step":"pending"}}'
           WHEN 'failed' THEN '{"standing":{"at":"2026-11-22T12:00:00Z","rank":3,"step":"failed"}}'
           ELSE '{"standing":{"absorbs":true,"at":"2026-11-22T12:00:00Z","rank":4,"step":"succeeded"},
                  "captures":{"":{"at":"2026-11-22T12:00:00Z","minor":12900,"currency":"CNY"}}}'
       END::jsonb,
       12900, 'CNY', captured_minor
FROM orders WHERE status <> 'unpaid'
"""
REFUNDS: Final = """
INSERT INTO refunds (account, refund_ref, order_id, payment_ref, status, facts, amount_minor, currency)
SELECT 'stripe-main', 're_' || id, id, 'pi_' || id, 'succeeded',
       jsonb_build_object('payment_ref', 'pi_' || id,
                          'amount', '{"at":"2026-11-22T12:00:00Z","minor":12900,"currency":"CNY"}'::jsonb,
                          'standing', '{"at":"2026-11-22T12:00:00Z","rank":2,"step":"succeeded"}'::jsonb),
       12900, 'CNY'
FROM orders WHERE status = 'refunded'
"""
STEPS: Final = """
INSERT INTO steps (order_id, phase, action, at, taken_at, result)
SELECT id, phase, 'query', registered_at + interval '1 day' * step, registered_at + interval '1 day' * step,
       'nothing new'
FROM orders CROSS JOIN (VALUES (1), (7)) AS taken (step) WHERE status <> 'unpaid'
"""
CASES: Final = """
INSERT INTO cases (kind, subject, order_id, account, details, level, opened_at, follow_up_at, closed_at, closed_by,
                   outcome)
SELECT CASE WHEN n % 3 = 0 THEN 'overpaid' ELSE 'stuck' END, 'order:years-' || n * $2, n * $2, 'stripe-main',
       '{"amount": 12900, "currency": "CNY"}', 1 + n % 3, o.changed_at,
       CASE WHEN n % 40 = 0 THEN now() + interval '1 hour' END, CASE WHEN n % 40 <> 0 THEN o.changed_at END,
       CASE WHEN n % 40 <> 0 THEN 'mei' END, CASE WHEN n % 40 <> 0 THEN 'refunded' END
FROM generate_series(1, $1::bigint) AS n JOIN orders o ON o.id = n * $2
"""
CASE_ENTRIES: Final = """
INSERT INTO case_entries (case_id, what, by, at)
SELECT id, what, 'mei', opened_at FROM cases CROSS JOIN (VALUES ('opened'), ('noted'), ('escalated')) AS each (what)
"""
NOTICES: Final = """
INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, state, finished_at, due_at)
SELECT 'order/' || id || '/3/order.status_changed', id, 3, 'merchant', 'order.status_changed', '{"status": "paid"}',
       changed_at, CASE WHEN id % 100000 = 0 THEN 'dead' ELSE 'sent' END, changed_at, NULL
FROM orders
"""
PARKED: Final = """
INSERT INTO parked (run, number, account, event_id, body, readable, reason, error, parked_at, outcome, closed_at,
                    closed_by, note)
SELECT gen_random_uuid(), n, 'stripe-main', 'evt_parked_' || n, '\\x00', false, 'unreadable', 'no envelope',
       now() - interval '1 day', CASE WHEN n % 40 <> 0 THEN 'discarded' END, CASE WHEN n % 40 <> 0 THEN now() END,
       CASE WHEN n % 40 <> 0 THEN 'mei' END, CASE WHEN n % 40 <> 0 THEN 'known' END
FROM generate_series(1, $1::bigint) AS n
"""


async def fill(conn: asyncpg.Connection, orders: int) -> None:
    """Fills an empty database with so many orders, and EVENTS_AN_ORDER times as many events."""
    await conn.execute(
        "SET session_replication_role = replica"
    )  # triggers and foreign keys would take most of the time
    await conn.execute(ORDERS, orders, STUCK_ONE_IN)
    await conn.execute(DUE)
    await conn.execute(DELIVERIES, RUN_NUMBERS)
    await conn.execute(EVENTS, RUN_NUMBERS)
    await conn.execute(EVENTS_THAT_WAIT, max(1, orders // WAITING_ONE_IN))
    for statement in (PAYMENTS, REFUNDS, STEPS, NOTICES):
        await conn.execute(statement)
    await conn.execute(CASES, orders // CASES_ONE_IN, CASES_ONE_IN)
    await conn.execute(CASE_ENTRIES)
    await conn.execute(PARKED, max(1, orders // PARKED_ONE_IN))
    await conn.execute("RESET session_replication_role")
    await conn.execute("VACUUM ANALYZE")
    await conn.execute("CHECKPOINT")
