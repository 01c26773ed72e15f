-- When the sweep looks at an order next stands in a table of its own, so that looking changes no order.
-- oldest program: 2
-- step: transaction
CREATE TABLE IF NOT EXISTS due_orders (
    order_id      bigint PRIMARY KEY REFERENCES orders,
    due_at        timestamptz NOT NULL,
    accounts_key  text NOT NULL  -- the order's accounts with blanks between, for an account that is left alone meanwhile
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS due_orders_due ON due_orders (due_at);
-- 0.1.0 knows orders.due_at alone; what it writes there is written here, too.
CREATE OR REPLACE FUNCTION follow_orders_due_at() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.due_at IS NULL THEN
        EXECUTE format('DELETE FROM %I.due_orders WHERE order_id = $1', TG_TABLE_SCHEMA) USING NEW.id;
    ELSE
        EXECUTE format('INSERT INTO %I.due_orders (order_id, due_at, accounts_key) VALUES ($1, $2, $3)
                        ON CONFLICT (order_id) DO UPDATE SET due_at = excluded.due_at', TG_TABLE_SCHEMA)
        USING NEW.id, NEW.due_at, array_to_string(NEW.accounts, ' ');
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER orders_due_at_followed AFTER INSERT OR UPDATE OF due_at ON orders FOR EACH ROW
WHEN (current_setting('tillkeeper.due_orders', true) IS DISTINCT FROM 'written') EXECUTE FUNCTION follow_orders_due_at();
-- step: batches of 5000 over orders.id
INSERT INTO due_orders (order_id, due_at, accounts_key)
SELECT id, due_at, array_to_string(accounts, ' ') FROM orders WHERE id > $1 AND id <= $2 AND due_at IS NOT NULL
ON CONFLICT (order_id) DO NOTHING;
