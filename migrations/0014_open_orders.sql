-- What the lists of open orders read stands in due_orders, so that an order that changes its status touches none of its indexes.
-- oldest program: 2
-- 0.1.0 goes on; its lists of stuck orders, and its look at open orders after a gap, read all of `orders` from now on
-- (docs/decisions/043-lists-of-open-orders-apart.md).
-- step: transaction
-- squawk-ignore ban-drop-not-null
ALTER TABLE due_orders ALTER COLUMN due_at DROP NOT NULL;
ALTER TABLE due_orders ADD COLUMN status text;
ALTER TABLE due_orders ADD COLUMN phase_since timestamptz;
ALTER TABLE due_orders ADD COLUMN expires_at timestamptz;
ALTER TABLE due_orders ADD CONSTRAINT due_or_open CHECK (num_nonnulls(due_at, status) > 0) NOT VALID;
ALTER TABLE due_orders ADD CONSTRAINT open_since CHECK ((status IS NULL) = (phase_since IS NULL)) NOT VALID;
CREATE OR REPLACE FUNCTION follow_orders_due_at() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_open boolean := NEW.closed_at IS NULL
                       AND NEW.status IN ('unpaid', 'processing', 'failed', 'partially_paid', 'refunding');
BEGIN
    IF NEW.due_at IS NULL AND NOT is_open THEN
        EXECUTE format('DELETE FROM %I.due_orders WHERE order_id = $1', TG_TABLE_SCHEMA) USING NEW.id;
    ELSE
        EXECUTE format('INSERT INTO %I.due_orders (order_id, due_at, accounts_key, status, phase_since, expires_at)
                        VALUES ($1, $2, $3, $4, $5, $6)
                        ON CONFLICT (order_id) DO UPDATE
                        SET due_at = excluded.due_at, status = excluded.status, phase_since = excluded.phase_since',
                       TG_TABLE_SCHEMA)
        USING NEW.id, NEW.due_at, array_to_string(NEW.accounts, ' '), CASE WHEN is_open THEN NEW.status END,
              CASE WHEN is_open THEN NEW.phase_since END, NEW.expires_at;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER orders_due_at_followed AFTER INSERT OR UPDATE OF due_at, status, phase_since, closed_at ON orders
FOR EACH ROW
WHEN (current_setting('tillkeeper.due_orders', true) IS DISTINCT FROM 'written') EXECUTE FUNCTION follow_orders_due_at();
-- step: batches of 5000 over orders.id
-- Locked, or an order that closes meanwhile would be listed for ever.
INSERT INTO due_orders AS d (order_id, accounts_key, status, phase_since, expires_at)
SELECT id, array_to_string(accounts, ' '), status, phase_since, expires_at FROM (
    SELECT id, accounts, status, phase_since, expires_at FROM orders
    WHERE id > $1 AND id <= $2 AND closed_at IS NULL
      AND status IN ('unpaid', 'processing', 'failed', 'partially_paid', 'refunding')
    ORDER BY id FOR NO KEY UPDATE
) AS open
ON CONFLICT (order_id) DO UPDATE
SET status = excluded.status, phase_since = excluded.phase_since, expires_at = excluded.expires_at;
-- step: transaction
ALTER TABLE due_orders VALIDATE CONSTRAINT due_or_open;
-- step: transaction
ALTER TABLE due_orders VALIDATE CONSTRAINT open_since;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS due_orders_moving ON due_orders (phase_since)
WHERE status IN ('processing', 'partially_paid', 'refunding');
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS due_orders_payable ON due_orders (coalesce(expires_at, phase_since))
WHERE status IN ('unpaid', 'failed');
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS due_orders_failed ON due_orders (phase_since) WHERE status = 'failed';
-- step: alone
DROP INDEX CONCURRENTLY IF EXISTS orders_moving;
-- step: alone
DROP INDEX CONCURRENTLY IF EXISTS orders_payable;
-- step: alone
DROP INDEX CONCURRENTLY IF EXISTS orders_failed;
-- step: transaction
-- Of pages written from now on.
ALTER TABLE orders SET (fillfactor = 50);
