-- Indexes by which retention finds what was kept for long enough.
-- oldest program: 2
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS fetches_finished ON fetches (finished_at)
WHERE due_at IS NULL AND num_nonnulls(payment_ref, refund_ref, order_ref) > 0;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_with_content ON outbox (finished_at)
WHERE state IN ('sent', 'uncertain', 'dropped') AND payload <> '{}';
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS parked_with_body ON parked (closed_at)
WHERE outcome IS NOT NULL AND octet_length(body) > 0;
