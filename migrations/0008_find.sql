-- Search by whole references or their last characters, by contact, and by day; and payments that people bind to orders.
-- oldest program: 2
-- step: transaction
CREATE TABLE bound_payments (
    account       text NOT NULL,
    payment_ref   text NOT NULL,
    order_id      bigint NOT NULL REFERENCES orders,
    named         text,
    by            text NOT NULL,
    confirmed_by  text,
    note          text NOT NULL,
    at            timestamptz NOT NULL,
    PRIMARY KEY (account, payment_ref),
    CONSTRAINT confirmed_by_another CHECK (confirmed_by <> by)
);
CREATE INDEX bound_payments_of_order ON bound_payments (order_id);
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_ref_end ON orders (reverse(lower(order_ref COLLATE "C")));
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS payments_ref_end ON payments (reverse(lower(payment_ref COLLATE "C")));
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS refunds_ref_end ON refunds (reverse(lower(refund_ref COLLATE "C")));
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS disputes_ref_end ON disputes (reverse(lower(dispute_ref COLLATE "C")));
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_capture_end ON inbox (reverse(lower(capture_ref COLLATE "C")))
WHERE capture_ref IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_unplaced_order_end ON inbox (reverse(lower(order_ref COLLATE "C")))
WHERE outcome IN ('waiting', 'mismatched') AND order_ref IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_unplaced_payment_end ON inbox (reverse(lower(payment_ref COLLATE "C")))
WHERE outcome IN ('waiting', 'mismatched') AND payment_ref IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS cases_subject_end ON cases (reverse(lower(subject COLLATE "C")));
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS parked_order_end ON parked (reverse(lower(order_ref COLLATE "C")))
WHERE outcome IS NULL AND order_ref IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS parked_payment_end ON parked (reverse(lower(payment_ref COLLATE "C")))
WHERE outcome IS NULL AND payment_ref IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_email ON orders (lower(terms -> 'payer' ->> 'email') COLLATE "C")
WHERE terms -> 'payer' ->> 'email' IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_phone_end ON orders (reverse(regexp_replace(terms -> 'payer' ->> 'phone', '[^0-9]', '', 'g')) COLLATE "C")
WHERE terms -> 'payer' ->> 'phone' IS NOT NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_registered ON orders
USING brin (registered_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 64, autosummarize = on);
