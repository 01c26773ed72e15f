-- The bytes of deliveries stand in a table of their own, by weeks, which retention drops whole; 0.1.0 goes on writing where it did.
-- oldest program: 2
-- step: transaction
-- Each delivery byte for byte, in a partition for each week, which retention drops whole
-- (docs/decisions/026-bodies-by-week.md).  A row is found by the delivery's received_at.  It has no key of its own: the
-- delivery's, which is written in the same statement, keeps it unique.
CREATE TABLE delivery_bodies (
    run          uuid NOT NULL,
    number       bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    proven       boolean NOT NULL,  -- false: its gateway signs nothing, and anybody could have posted it
    headers      jsonb NOT NULL,
    query        text NOT NULL,  -- of the URL, raw
    body         bytea NOT NULL
) PARTITION BY RANGE (received_at);
ALTER TABLE delivery_bodies ALTER COLUMN body SET STORAGE EXTERNAL;  -- compressing each body cost more than writing it
-- Rows come in the order of time: this costs next to nothing, and finds one among some 200.
CREATE INDEX delivery_bodies_in_time ON delivery_bodies USING brin (received_at)
WITH (pages_per_range = 64, autosummarize = on);
CREATE INDEX delivery_bodies_unsigned ON delivery_bodies (received_at) WHERE NOT proven;
-- What came in a week for which no partition was made: nothing fails for that.
CREATE TABLE delivery_bodies_other PARTITION OF delivery_bodies DEFAULT WITH (toast_tuple_target = 8160);

-- Weeks are made ahead and dropped by the sweep's process, which owns no table where each process has a role of its own
-- (deploy/roles.sql).  So these run as the owner, and do nothing else.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);
CREATE FUNCTION make_body_week(monday date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name text := 'delivery_bodies_' || to_char(monday, 'YYYYMMDD');
    first timestamptz := monday::timestamp AT TIME ZONE 'UTC';
    next timestamptz := (monday + 7)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF extract(isodow FROM monday) <> 1 THEN
        RAISE EXCEPTION '% is no Monday', monday;
    END IF;
    LOCK TABLE delivery_bodies IN SHARE UPDATE EXCLUSIVE MODE;  -- one at a time; rows come and go meanwhile
    -- Rows of that week that came before it was made stay where they are, and the week with them.
    IF to_regclass(name) IS NOT NULL
       OR EXISTS (SELECT FROM delivery_bodies_other WHERE received_at >= first AND received_at < next) THEN
        RETURN false;
    END IF;
    -- Attached, for CREATE TABLE ... PARTITION OF would wait for all who store bodies, and have others wait behind it.
    EXECUTE format('CREATE TABLE %I (LIKE delivery_bodies INCLUDING STORAGE) WITH (toast_tuple_target = 8160)', name);
    EXECUTE format('ALTER TABLE delivery_bodies ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first, next);
    RETURN true;
END $$;
CREATE FUNCTION drop_body_week(monday date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name text := 'delivery_bodies_' || to_char(monday, 'YYYYMMDD');
BEGIN
    IF monday + 14 > (now() AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'the week of % did not end seven days ago', monday;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits
                   WHERE inhparent = 'delivery_bodies'::regclass AND inhrelid = to_regclass(name)) THEN
        RAISE EXCEPTION 'there is no partition for the week of %', monday;
    END IF;
    EXECUTE format('DROP TABLE %I', name);
END $$;
REVOKE ALL ON FUNCTION make_body_week(date), drop_body_week(date) FROM PUBLIC;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS deliveries_with_body ON deliveries (received_at) WHERE body IS NOT NULL;
