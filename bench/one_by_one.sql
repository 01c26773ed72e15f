-- What a straightforward worker does for one event: one transaction, its statements one after the other, on the same
-- schema.  pgbench runs it prepared; `client_id` is pgbench's own, the other variables come from bench/apply.py.
-- Each client has orders of its own, so that nobody waits for a lock: a hundred become pending, then those are paid.
\set n :n + 1
\set number :client_id * 1000000000 + :n + 1
\set paid (:n / 100) % 2
\set order (:client_id * :span + (:n / 200) * 100 + :n % 100) % :orders
BEGIN;
WITH kept AS (
    INSERT INTO deliveries (run, number, account, received_at, key, headers, events)
    VALUES (:run::uuid, :number, 'stripe-main', now(), 'webhook_secrets[0]', '[]', 1)
)
INSERT INTO delivery_bodies (run, number, received_at, proven, headers, query, body)
VALUES (:run::uuid, :number, now(), true, :headers::jsonb, '', :body::bytea);
SELECT id AS order_id, version FROM orders WHERE order_ref = 'bench-' || lpad(:order::text, 8, '0') FOR UPDATE \gset
\if :paid
INSERT INTO inbox (account, event_id, run, number, kind, evidence, order_ref, payment_ref, amount_minor, currency,
                   occurred_at, recorded_at, digest, outcome, order_id, status_after)
VALUES ('stripe-main', 'evt_bench' || :number, :run::uuid, :number, 'payment.succeeded', 'webhook',
        'bench-' || lpad(:order::text, 8, '0'), 'pi_bench' || lpad(:order::text, 8, '0'), 12900, 'CNY', now(), now(),
        decode(md5(:number::text), 'hex'), 'applied', :order_id, 'paid')
ON CONFLICT (account, event_id) DO NOTHING;
INSERT INTO payments (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor)
VALUES ('stripe-main', 'pi_bench' || lpad(:order::text, 8, '0'), :order_id, 'succeeded', :facts::jsonb, 12900, 'CNY',
        12900)
ON CONFLICT (account, payment_ref) DO UPDATE
SET status = excluded.status, facts = excluded.facts, amount_minor = excluded.amount_minor,
    currency = excluded.currency, captured_minor = excluded.captured_minor;
UPDATE orders SET status = 'paid', captured_minor = 12900, version = version + 1, changed_at = now(), phase = version + 1,
    phase_since = now()
WHERE id = :order_id;
DELETE FROM due_orders WHERE order_id = :order_id;
\else
INSERT INTO inbox (account, event_id, run, number, kind, evidence, order_ref, payment_ref, amount_minor, currency,
                   occurred_at, recorded_at, digest, outcome, order_id, status_after)
VALUES ('stripe-main', 'evt_bench' || :number, :run::uuid, :number, 'payment.pending', 'webhook',
        'bench-' || lpad(:order::text, 8, '0'), 'pi_bench' || lpad(:order::text, 8, '0'), 12900, 'CNY', now(), now(),
        decode(md5(:number::text), 'hex'), 'applied', :order_id, 'processing')
ON CONFLICT (account, event_id) DO NOTHING;
INSERT INTO payments (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor)
VALUES ('stripe-main', 'pi_bench' || lpad(:order::text, 8, '0'), :order_id, 'pending', :facts::jsonb, 12900, 'CNY', 0)
ON CONFLICT (account, payment_ref) DO UPDATE
SET status = excluded.status, facts = excluded.facts, amount_minor = excluded.amount_minor,
    currency = excluded.currency, captured_minor = excluded.captured_minor;
UPDATE orders SET status = 'processing', version = version + 1, changed_at = now(), phase = version + 1,
    phase_since = now()
WHERE id = :order_id;
INSERT INTO due_orders (order_id, due_at, accounts_key, status, phase_since)
VALUES (:order_id, now() + interval '2 minutes', 'stripe-main', 'processing', now())
ON CONFLICT (order_id) DO UPDATE
SET due_at = excluded.due_at, status = excluded.status, phase_since = excluded.phase_since;
\endif
INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, due_at)
VALUES ('order/' || :order_id || '/' || :version + 1 || '/order.status_changed', :order_id, :version + 1, 'merchant',
        'order.status_changed', :notice::jsonb, now(), now());
COMMIT;
