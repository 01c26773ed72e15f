-- Events and notices refer to orders and deliveries without foreign keys, and these are never removed.
-- oldest program: 2
-- 0.1.0 relies on none of these constraints: it writes events and notices of orders and deliveries that it has just locked
-- or written, and removes neither (docs/decisions/034-events-without-foreign-keys.md).
-- step: transaction
CREATE OR REPLACE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never removed: events refer to them', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'tillkeeper retention removes bodies, tillkeeper erase a payer''s data';
END $$;
-- step: transaction
CREATE TRIGGER orders_stay BEFORE DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
-- step: transaction
CREATE TRIGGER deliveries_stay BEFORE DELETE ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
-- step: transaction
-- All locks first, in the order in which a batch takes them.  Whoever has locked inbox and then waits for deliveries, as the
-- first ALTER would, is in a deadlock with every batch that has written its deliveries and now writes its events.
LOCK TABLE deliveries, orders, inbox, outbox IN ACCESS EXCLUSIVE MODE;
-- squawk-ignore ban-drop-constraint
ALTER TABLE inbox DROP CONSTRAINT inbox_run_number_fkey;
-- squawk-ignore ban-drop-constraint
ALTER TABLE inbox DROP CONSTRAINT inbox_order_id_fkey;
-- squawk-ignore ban-drop-constraint
ALTER TABLE outbox DROP CONSTRAINT outbox_order_id_fkey;
