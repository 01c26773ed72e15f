-- Tillkeeper's database, whole.  Read it first.  `tillkeeper db init` runs it on an empty database; `tillkeeper db upgrade`
-- brings an older one to it, step by step, with migrations/.  All steps from the first give what stands here.
--
--   deliveries ──< inbox >── orders ──< payments, refunds, disputes
--      ├─── delivery_bodies (their bytes, until retention drops them)
--      └──< fetches (what to ask its gateway)
--                              ├────  due_orders (when the sweep looks at it next, and while it is open, where it stands)
--                              ├────< steps (what the sweep did), acts (what people did)
--                              └────< cases ──< case_entries      outbox (notices to send)
--   spool (the PostgreSQL lane)      parked (what could not be applied)
--   activity, account_health, silences (each account's webhooks and answers, and when they stay away)
--   backfills, hints (queries for other reasons)
--   audits, audited_runs (what was proven, up to where)
--   answers_given (what receivers answer just now)
--   statements ──< statement_lines (what gateways' files list)      statement_differences (what is otherwise here)
--   account_pauses ──< held_deliveries (accounts that wait for a person)      guard_counts, guard_usual (why)
--   people ──< sessions, api_tokens, one_time_links      access_log, approvals (what they did, and what two of them decide)
--
-- Amounts are integers of the currency's minor unit.  Times are the gateway's own unless the name says otherwise.

BEGIN;  -- all of it or nothing: run over a database that is not empty it changes nothing

-- What a merchant sells.  Status and the three sums are derived by domain/order/status.py from the rows below it, never set.
CREATE TABLE orders (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_ref        text NOT NULL UNIQUE,
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    accounts         text[] NOT NULL CHECK (cardinality(accounts) > 0),  -- where payment is expected, and nowhere else
    terms            jsonb NOT NULL,  -- the registration as it came: payer, pay_url, expires_at, instalments; who erased the first two
    status           text NOT NULL DEFAULT 'unpaid' CHECK (status IN
                     ('unpaid', 'processing', 'paid', 'failed', 'partially_paid', 'refunding', 'partially_refunded', 'refunded')),
    captured_minor   bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    discount_minor   bigint NOT NULL DEFAULT 0 CHECK (discount_minor >= 0),  -- granted by a gateway off the amount
    refunding_minor  bigint NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0),
    refunded_minor   bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    version          bigint NOT NULL DEFAULT 1,  -- grows with every change, so that receivers of notices can order them
    registered_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    expires_at       timestamptz,  -- out of the terms, for the sweep
    instalments      jsonb,  -- likewise: [{"amount", "due_at"}], or null
    -- The present phase: from one movement of the order's money to the next.  The sweep takes its ladder's steps (domain/ladder.py).
    phase            bigint NOT NULL DEFAULT 1,  -- the version at which it began
    phase_since      timestamptz NOT NULL,
    due_at           timestamptz,  -- for 0.1.0, whose sweep looks here: never later than in due_orders, and so mostly too soon
    ask_at           timestamptz,  -- a query is requested for then, whatever the ladder says
    held_until       timestamptz,  -- a person put it on hold until then
    closed_at        timestamptz,  -- no payment is expected any more
    -- Nobody's order shows paid for less than its amount.
    CONSTRAINT paid_means_covered CHECK (status <> 'paid' OR captured_minor + discount_minor >= amount_minor)
) WITH (fillfactor = 50);  -- a batch may change each order of a page, and the new rows find room there
-- No index names a column that events change: so an update by events touches no index (HOT), and what lists of open orders
-- are read by stands in due_orders.
CREATE INDEX orders_due ON orders (due_at) WHERE due_at IS NOT NULL;  -- for 0.1.0
CREATE INDEX orders_held ON orders (held_until) WHERE held_until IS NOT NULL;
-- For search (store/search/): references by their last characters, contacts, and the day of registration.  Ends are kept
-- backwards and in the order of bytes, so that one index answers for a whole reference as for its last digits.
CREATE INDEX orders_ref_end ON orders (reverse(lower(order_ref COLLATE "C")));
CREATE INDEX orders_email ON orders (lower(terms -> 'payer' ->> 'email') COLLATE "C")
WHERE terms -> 'payer' ->> 'email' IS NOT NULL;
CREATE INDEX orders_phone_end ON orders (reverse(regexp_replace(terms -> 'payer' ->> 'phone', '[^0-9]', '', 'g')) COLLATE "C")
WHERE terms -> 'payer' ->> 'phone' IS NOT NULL;
CREATE INDEX orders_registered ON orders
USING brin (registered_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 64, autosummarize = on);

-- When the sweep advances an order next, and where the order stands while its money may move: one narrow row for each order
-- that is looked at again or is open.  The sweep looks at each order many times, and most looks change nothing else: in
-- `orders`, each would write a wide row and an entry in every index of it.
CREATE TABLE due_orders (
    order_id      bigint PRIMARY KEY REFERENCES orders,
    due_at        timestamptz,  -- null: it is open, and no step of its ladder is left
    accounts_key  text NOT NULL,  -- the order's accounts with blanks between, for an account that is left alone meanwhile
    status        text,  -- as in orders while it is open, else null: unpaid, processing, failed, partially_paid, refunding
    phase_since   timestamptz,  -- likewise
    expires_at    timestamptz,
    CONSTRAINT due_or_open CHECK (num_nonnulls(due_at, status) > 0),
    CONSTRAINT open_since CHECK ((status IS NULL) = (phase_since IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX due_orders_due ON due_orders (due_at);
-- What a gap in an account's webhooks may have missed: orders whose money may move at any time, however old they are, and
-- those that could be paid within it.
CREATE INDEX due_orders_moving ON due_orders (phase_since)
WHERE status IN ('processing', 'partially_paid', 'refunding');
CREATE INDEX due_orders_payable ON due_orders (coalesce(expires_at, phase_since))
WHERE status IN ('unpaid', 'failed');
-- With the first one, for lists of stuck orders.
CREATE INDEX due_orders_failed ON due_orders (phase_since) WHERE status = 'failed';
-- What 0.1.0 writes comes here, too; later programs say that they write both.  This goes with the release after 0.2.0.
CREATE FUNCTION follow_orders_due_at() RETURNS trigger LANGUAGE plpgsql
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
CREATE TRIGGER orders_due_at_followed AFTER INSERT OR UPDATE OF due_at, status, phase_since, closed_at ON orders
FOR EACH ROW
WHEN (current_setting('tillkeeper.due_orders', true) IS DISTINCT FROM 'written') EXECUTE FUNCTION follow_orders_due_at();

-- One request of a gateway: what dedupe and audit need of it for ever.  (run, number) is given by the receiver process and
-- has no gaps.  Its bytes are in delivery_bodies; headers, body and query here are those of deliveries that 0.1.0 stored.
CREATE TABLE deliveries (
    run          uuid NOT NULL,
    number       bigint NOT NULL CHECK (number > 0),
    account      text NOT NULL,
    received_at  timestamptz NOT NULL,
    key          text NOT NULL,  -- which of the account's keys verified it
    headers      jsonb NOT NULL,
    body         bytea,  -- null where it is in delivery_bodies, and once retention removed it
    events       integer NOT NULL CHECK (events >= 0),
    duplicates   integer NOT NULL DEFAULT 0 CHECK (duplicates BETWEEN 0 AND events),
    query        text NOT NULL DEFAULT '',  -- of the URL, raw
    fetches      integer NOT NULL DEFAULT 0 CHECK (fetches >= 0),  -- queries to its gateway that it requests
    dropped      integer NOT NULL DEFAULT 0 CHECK (dropped BETWEEN 0 AND fetches),  -- of these, by earlier versions
    PRIMARY KEY (run, number)
) WITH (toast_tuple_target = 8160);  -- real bodies of 2 to 5 KB stay in the row
ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL;  -- compressing each body cost more than writing it
-- For retention of what 0.1.0 stored, and stores while both serve.
CREATE INDEX deliveries_in_time ON deliveries USING brin (received_at) WITH (pages_per_range = 64, autosummarize = on);
CREATE INDEX deliveries_unsigned ON deliveries (received_at) WHERE key = 'unsigned' AND body IS NOT NULL;
CREATE INDEX deliveries_with_body ON deliveries (received_at) WHERE body IS NOT NULL;

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

-- Numbers that a receiver gave out but answered 503 for, or whose absence a person explained: audit does not miss them.
CREATE TABLE void_numbers (
    run           uuid NOT NULL,
    number        bigint NOT NULL,
    explained_by  text,
    note          text,
    explained_at  timestamptz,
    PRIMARY KEY (run, number),
    -- A person's act says who, when and why.
    CONSTRAINT explained_whole CHECK (num_nulls(explained_by, note, explained_at) IN (0, 3))
);

-- Queries that deliveries request, because they say only that something changed.  One row for each object that can be
-- queried, open while a request is not answered: many requests make one query, and one that comes while the query is
-- running leads to one more.  What retention removed is added up in a row without references, one for each account.
CREATE TABLE fetches (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      text NOT NULL,
    about        text NOT NULL CHECK (about IN ('payment', 'refund')),
    payment_ref  text,
    refund_ref   text,
    order_ref    text,
    run          uuid NOT NULL,  -- the delivery that requested it last
    number       bigint NOT NULL,
    proven       boolean NOT NULL,  -- whether one of the requests that are open was signed by the gateway
    -- Requests so far, and what became of them; audit adds them up.
    requests     bigint NOT NULL CHECK (requests > 0),
    found        bigint NOT NULL DEFAULT 0 CHECK (found >= 0),
    not_found    bigint NOT NULL DEFAULT 0 CHECK (not_found >= 0),
    given_up     bigint NOT NULL DEFAULT 0 CHECK (given_up >= 0),  -- or fell out for newer ones, unsigned
    requested_at    timestamptz NOT NULL,  -- when the first request came that is open
    due_at       timestamptz,  -- when to ask next; null: nothing is open
    failures     integer NOT NULL DEFAULT 0,  -- queries without an answer since requested_at
    misses       integer NOT NULL DEFAULT 0,  -- and those that were answered with "no such thing"
    asked_at     timestamptz,
    claims       bigint NOT NULL DEFAULT 0,  -- so far: whose claim ran out writes nothing here
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',  -- a lease
    result       text,  -- of the last query, in words for people
    finished_at  timestamptz,
    UNIQUE NULLS NOT DISTINCT (account, about, payment_ref, refund_ref, order_ref),
    FOREIGN KEY (run, number) REFERENCES deliveries,
    -- A request is answered, or somebody will ask.
    CONSTRAINT open_is_due CHECK ((due_at IS NOT NULL) = (requests > found + not_found + given_up)),
    CONSTRAINT answered_once CHECK (requests >= found + not_found + given_up)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX fetches_due ON fetches (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX fetches_finished ON fetches (finished_at)
WHERE due_at IS NULL AND num_nonnulls(payment_ref, refund_ref, order_ref) > 0;  -- for retention
CREATE INDEX fetches_unfound ON fetches (account, requested_at)
WHERE due_at IS NOT NULL AND NOT proven AND found = 0;
CREATE INDEX fetches_unasked ON fetches (requested_at, number)
WHERE due_at IS NOT NULL AND NOT proven AND found = 0 AND asked_at IS NULL;

-- Every event once, with its outcome.  This is also the history of an order.
CREATE TABLE inbox (
    seq           bigint GENERATED ALWAYS AS IDENTITY,
    account       text NOT NULL,
    event_id      text NOT NULL,
    run           uuid,  -- of deliveries, with number; no foreign key either
    number        bigint,
    kind          text NOT NULL,
    evidence      text NOT NULL CHECK (evidence IN ('webhook', 'query', 'statement', 'operator')),
    order_ref     text,
    payment_ref   text,
    capture_ref   text,
    refund_ref    text,
    dispute_ref   text,
    amount_minor  bigint,
    total_minor   bigint,
    currency      text,
    failure       text,
    failure_code  text,
    method        text,
    discount_minor  bigint,
    has_refunds   boolean,  -- null: it does not say so
    on_top_minor    bigint,
    released_minor  bigint,
    may_be_release  boolean,  -- null: it is none
    occurred_at   timestamptz NOT NULL,
    as_of         timestamptz,  -- of answers: the latest moment for which the gateway said so
    recorded_at   timestamptz NOT NULL,  -- our clock
    digest        bytea NOT NULL,  -- of the canonical event: the same id with another meaning is a case
    outcome       text NOT NULL CHECK (outcome IN ('applied', 'no_change', 'waiting', 'mismatched')),
    reason        text,  -- why mismatched
    order_id      bigint,  -- of orders; no foreign key (docs/decisions/034-events-without-foreign-keys.md)
    status_after  text,
    -- Dedupe is permanent: a delivery may come back months later.
    PRIMARY KEY (account, event_id),
    -- An event waits exactly as long as it has no order.
    CONSTRAINT waiting_means_no_order CHECK ((outcome = 'waiting') = (order_id IS NULL)),
    CONSTRAINT webhooks_have_a_delivery CHECK (evidence <> 'webhook' OR number IS NOT NULL)
) WITH (fillfactor = 90);
CREATE INDEX inbox_in_time ON inbox USING brin (recorded_at) WITH (pages_per_range = 64, autosummarize = on);
CREATE INDEX inbox_in_turn ON inbox USING brin (seq) WITH (pages_per_range = 64, autosummarize = on);
CREATE INDEX inbox_occurred ON inbox
USING brin (occurred_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 64, autosummarize = on);  -- for the reports' days
CREATE INDEX inbox_of_order ON inbox (order_id, seq) WHERE order_id IS NOT NULL;
CREATE INDEX inbox_waiting_for_order ON inbox (order_ref) WHERE outcome = 'waiting';
CREATE INDEX inbox_waiting_for_payment ON inbox (account, payment_ref) WHERE outcome = 'waiting';
CREATE INDEX inbox_waiting_for_refund ON inbox (account, refund_ref)
WHERE outcome = 'waiting' AND refund_ref IS NOT NULL;
CREATE INDEX inbox_waiting_for_dispute ON inbox (account, dispute_ref)
WHERE outcome = 'waiting' AND dispute_ref IS NOT NULL;
CREATE INDEX inbox_waiting_since ON inbox (recorded_at) WHERE outcome = 'waiting';
CREATE INDEX inbox_waiting_in_turn ON inbox (seq) WHERE outcome = 'waiting';
-- For search: what waits or counts for nothing, and captures, which have no row of their own.
CREATE INDEX inbox_capture_end ON inbox (reverse(lower(capture_ref COLLATE "C")))
WHERE capture_ref IS NOT NULL;
CREATE INDEX inbox_unplaced_order_end ON inbox (reverse(lower(order_ref COLLATE "C")))
WHERE outcome IN ('waiting', 'mismatched') AND order_ref IS NOT NULL;
CREATE INDEX inbox_unplaced_payment_end ON inbox (reverse(lower(payment_ref COLLATE "C")))
WHERE outcome IN ('waiting', 'mismatched') AND payment_ref IS NOT NULL;

-- Payments that events name with more than one order, and with which: when one of these is registered, it is decided
-- anew where the payment belongs (domain/order/ownership.py).
CREATE TABLE named_elsewhere (
    order_ref    text NOT NULL,
    account      text NOT NULL,
    payment_ref  text NOT NULL,
    PRIMARY KEY (order_ref, account, payment_ref)
);

-- One attempt to pay.  Each group of columns is a fact that merges on its own (domain/order/facts.py).
CREATE TABLE payments (
    account            text NOT NULL,
    payment_ref        text NOT NULL,
    order_id           bigint NOT NULL REFERENCES orders,
    status             text NOT NULL CHECK (status IN ('created', 'pending', 'authorized', 'failed', 'cancelled', 'succeeded', 'reversed')),
    facts              jsonb NOT NULL,  -- what domain/order/facts.py merges; the columns beside it are for reading
    amount_minor       bigint CHECK (amount_minor >= 0),
    currency           text,
    captured_minor     bigint NOT NULL CHECK (captured_minor >= 0),
    held_minor         bigint NOT NULL DEFAULT 0 CHECK (held_minor >= 0),  -- authorized, and not captured by a part yet
    failure            text,
    method             text,
    PRIMARY KEY (account, payment_ref),
    CONSTRAINT captured_means_succeeded CHECK (captured_minor = 0 OR status = 'succeeded')
) WITH (fillfactor = 80);
CREATE INDEX payments_of_order ON payments (order_id);
CREATE INDEX payments_ref_end ON payments (reverse(lower(payment_ref COLLATE "C")));

-- Payments that a person bound to an order because they waited under a reference that is nobody's.  Whose a payment is
-- was decided by them, whatever its events name (domain/order/ownership.py).
CREATE TABLE bound_payments (
    account       text NOT NULL,
    payment_ref   text NOT NULL,
    order_id      bigint NOT NULL REFERENCES orders,
    named         text,  -- the reference under which it waited
    by            text NOT NULL,
    confirmed_by  text,  -- the second person; null where a command bound it and named none
    note          text NOT NULL,
    at            timestamptz NOT NULL,
    PRIMARY KEY (account, payment_ref),
    CONSTRAINT confirmed_by_another CHECK (confirmed_by <> by)
);
CREATE INDEX bound_payments_of_order ON bound_payments (order_id);

-- An amount on its way back.
CREATE TABLE refunds (
    account       text NOT NULL,
    refund_ref    text NOT NULL,
    order_id      bigint NOT NULL REFERENCES orders,
    payment_ref   text,
    status        text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    facts         jsonb NOT NULL,
    amount_minor  bigint CHECK (amount_minor >= 0),
    currency      text,
    PRIMARY KEY (account, refund_ref)
) WITH (fillfactor = 80);
CREATE INDEX refunds_of_order ON refunds (order_id);
CREATE INDEX refunds_ref_end ON refunds (reverse(lower(refund_ref COLLATE "C")));

-- An amount that the payer's bank contests.
CREATE TABLE disputes (
    account       text NOT NULL,
    dispute_ref   text NOT NULL,
    order_id      bigint NOT NULL REFERENCES orders,
    payment_ref   text,
    status        text NOT NULL CHECK (status IN ('opened', 'won', 'lost')),
    facts         jsonb NOT NULL,
    amount_minor  bigint CHECK (amount_minor >= 0),
    currency      text,
    PRIMARY KEY (account, dispute_ref)
);
CREATE INDEX disputes_of_order ON disputes (order_id);
CREATE INDEX disputes_ref_end ON disputes (reverse(lower(dispute_ref COLLATE "C")));

-- What the sweep did for an order.  A step of a phase is taken once: its row is committed before any query or notice.
CREATE TABLE steps (
    order_id  bigint NOT NULL REFERENCES orders,
    phase     bigint NOT NULL,
    action    text NOT NULL CHECK (action IN ('query', 'grace', 'remind', 'case', 'escalate', 'close')),
    at        timestamptz NOT NULL,  -- when the ladder has it
    taken_at  timestamptz NOT NULL,
    tries     integer NOT NULL DEFAULT 1,
    retry_at  timestamptz,  -- no answer yet: the query is repeated then, unless the next one comes first
    result    text,  -- what came of it; null while it is under way, or when its sweeper died
    PRIMARY KEY (order_id, phase, action, at)
);

-- What a person did to an order, or the policy in their stead: who, when and why.
CREATE TABLE acts (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id  bigint NOT NULL REFERENCES orders,
    what      text NOT NULL CHECK (what IN ('hold', 'release', 'close', 'reopen', 'ask', 'remind')),
    by        text NOT NULL,
    note      text NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX acts_of_order ON acts (order_id);

-- What a person must look at.  (kind, subject) opens once, however often the cause is seen; one that closed itself may
-- open again, one that a person resolved stays resolved while things stand as they did then, and no more money comes in.
CREATE TABLE cases (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL,
    subject       text NOT NULL,
    order_id      bigint REFERENCES orders,
    account       text,
    state         text,  -- how things stand, in a few words; '' once the cause of a resolved one is gone
    details       jsonb NOT NULL,
    level         integer NOT NULL DEFAULT 1 CHECK (level BETWEEN 1 AND 9),
    owner         text,
    opened_at     timestamptz NOT NULL,
    follow_up_at  timestamptz,
    closed_at     timestamptz,
    closed_by     text,  -- a person, or 'system' where what opened it no longer holds
    outcome       text,
    UNIQUE (kind, subject),
    CONSTRAINT open_is_followed_up CHECK ((closed_at IS NULL) = (follow_up_at IS NOT NULL)),
    CONSTRAINT closed_says_how CHECK (num_nulls(closed_at, closed_by, outcome) IN (0, 3))
);
CREATE INDEX cases_of_order ON cases (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX cases_due ON cases (follow_up_at) WHERE follow_up_at IS NOT NULL;
CREATE INDEX cases_subject_end ON cases (reverse(lower(subject COLLATE "C")));

-- A case's own history.
CREATE TABLE case_entries (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id  bigint NOT NULL REFERENCES cases,
    what     text NOT NULL CHECK (what IN
             ('opened', 'reopened', 'escalated', 'followed_up', 'assigned', 'noted', 'proposed', 'confirmed', 'refused',
              'resolved', 'closed')),
    by       text NOT NULL,
    note     text,
    at       timestamptz NOT NULL
);
CREATE INDEX case_entries_of_case ON case_entries (case_id);
CREATE INDEX case_entries_since ON case_entries (at);

-- Effects on their way out, written in the transaction of the change that caused them.
CREATE TABLE outbox (
    -- Identifies the fact, so that no notice is sent twice.  Sorted by its bytes: case/17/ and order/17/ are ranges.
    key          text COLLATE "C" PRIMARY KEY,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    order_id     bigint,  -- of orders; no foreign key, as in inbox
    version      bigint,  -- the order's, so that receivers can sort notices
    audience     text NOT NULL CHECK (audience IN ('merchant', 'payer', 'ops')),
    topic        text NOT NULL,
    payload      jsonb NOT NULL,  -- {} once retention removed it
    created_at   timestamptz NOT NULL,
    due_at       timestamptz,  -- when to try next; null: finished
    attempts     integer NOT NULL DEFAULT 0,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',  -- a sender's lease
    channels     jsonb NOT NULL DEFAULT '{}',  -- by channel: {"outcome", "at", "why"}
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'uncertain', 'dropped', 'dead')),
    last_error   text,
    finished_at  timestamptz,
    -- What caused it, where that is traced (docs/tracing.md).  Whoever traces a transaction sets it for all that it
    -- writes; elsewhere it is null.
    trace        text DEFAULT nullif(current_setting('tillkeeper.trace', true), ''),
    CONSTRAINT pending_is_due CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CONSTRAINT finished_says_when CHECK ((state = 'pending') = (finished_at IS NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (finished_at) WHERE state = 'dead';
CREATE INDEX outbox_of_order ON outbox (order_id) WHERE audience = 'payer';
CREATE INDEX outbox_with_content ON outbox (finished_at)
WHERE state IN ('sent', 'uncertain', 'dropped') AND payload <> '{}';  -- for retention

-- The PostgreSQL lane.  A row is an envelope; the id comes from the sender, so that putting it twice is harmless.
CREATE TABLE spool (
    position     bigint GENERATED ALWAYS AS IDENTITY,
    id           uuid PRIMARY KEY,
    shard        integer NOT NULL,
    body         bytea NOT NULL,
    put_at       timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',  -- a worker's lease; past it the row is anybody's
    leased_by     uuid
) WITH (fillfactor = 70, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE spool ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX spool_in_order ON spool (position);

-- What could not be applied, one row an event, where people see, replay or discard it.
CREATE TABLE parked (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run        uuid,
    number     bigint,
    account    text,
    event_id   text,
    body       bytea NOT NULL,  -- an envelope of this one event's delivery; or the whole message, if it cannot be read.  Empty once
                               -- retention removed it, which it does of closed rows alone
    readable   boolean NOT NULL,
    reason     text NOT NULL,
    error      text NOT NULL,
    parked_at  timestamptz NOT NULL,
    -- replayed: its event is in the inbox.  superseded: a redelivery was applied in its stead.
    outcome    text CHECK (outcome IN ('replayed', 'superseded', 'discarded')),
    closed_at  timestamptz,
    closed_by  text,
    note       text,
    order_ref  text,  -- what its event names: while it is open, the money of that order is not clear
    payment_ref text,
    UNIQUE (run, number, event_id),
    CONSTRAINT closed_whole CHECK ((outcome IS NULL) = (closed_at IS NULL))
);
CREATE INDEX parked_with_body ON parked (closed_at) WHERE outcome IS NOT NULL AND octet_length(body) > 0;  -- for retention
CREATE INDEX parked_open ON parked (account, event_id) WHERE outcome IS NULL;
CREATE INDEX parked_of_order ON parked (order_ref) WHERE outcome IS NULL;
CREATE INDEX parked_of_payment ON parked (account, payment_ref) WHERE outcome IS NULL;
-- For search.  IS NOT NULL, so that no look-up by account and event can take one of them for its index and read it whole.
CREATE INDEX parked_order_end ON parked (reverse(lower(order_ref COLLATE "C")))
WHERE outcome IS NULL AND order_ref IS NOT NULL;
CREATE INDEX parked_payment_end ON parked (reverse(lower(payment_ref COLLATE "C")))
WHERE outcome IS NULL AND payment_ref IS NOT NULL;

-- Deliveries that were refused, for ops to see why (tillkeeper/diagnostics).  Strangers decide how many come and how large:
-- store/deliveries/refused.py bounds them by account and altogether, in number, bytes and days; the oldest go first.
CREATE TABLE refused (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      text NOT NULL,
    received_at  timestamptz NOT NULL,
    step         text NOT NULL,  -- at which it was refused
    finding      text NOT NULL,
    reason       text NOT NULL,
    detail       text NOT NULL,
    query        text NOT NULL,
    headers      jsonb NOT NULL,
    body         bytea,  -- null where it was too large to be kept
    bytes        integer NOT NULL DEFAULT 65536  -- of its texts and body; for rows from before it was counted the most
);
CREATE INDEX refused_of_account ON refused (account, id);

-- Which of an account's keys verified deliveries, and when last: whether an old one may go.
CREATE TABLE key_uses (
    account     text NOT NULL,
    key         text NOT NULL,  -- as gateways label it: its setting, place and fingerprint
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    deliveries  bigint NOT NULL CHECK (deliveries > 0),
    PRIMARY KEY (account, key)
);

-- Words of gateways that stand in no list of ours (a new status, reason or type): nothing is refused or guessed for them.
CREATE TABLE unknown_words (
    account   text NOT NULL,
    field     text NOT NULL,
    word      text NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    seen      bigint NOT NULL CHECK (seen > 0),
    PRIMARY KEY (account, field, word)
);

-- What addresses of gateways yielded for keys that deliveries named, for receivers that start (tillkeeper/api_client/key_fetching.py).
-- None of it is secret, and none is believed for standing here: the gateway's file checks it as what was just fetched.
CREATE TABLE learnt_keys (
    account    text NOT NULL,
    url        text NOT NULL,
    content    bytea NOT NULL,
    learnt_at  timestamptz NOT NULL,
    PRIMARY KEY (account, url)
);

-- When a shift was handed over: the next one asks what is new since.
CREATE TABLE handovers (
    id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at  timestamptz NOT NULL,
    by  text NOT NULL
);

-- The policy that sweeps apply.  When it changes, orders that are due later are rescheduled, up to this id so far.
CREATE TABLE policy_in_force (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),  -- there is one row
    digest        text NOT NULL,
    taken_at      timestamptz NOT NULL,
    looked_up_to  bigint  -- null: finished
);

-- Each account's webhooks: the deliveries of an hour, and the minutes in which there were any as a mask of sixty bits.
-- Each connection has rows of its own, so that batches never wait for each other here; whoever reads adds them up.
CREATE TABLE activity (
    account     text NOT NULL,
    hour        timestamptz NOT NULL,
    backend     integer NOT NULL,
    minutes     bigint NOT NULL,
    deliveries  bigint NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (account, hour, backend)
) WITH (fillfactor = 50);  -- a row changes with every batch, and stays on its page

-- One row for each account: when it was checked last, and how its gateway answers.  A check locks the row.
CREATE TABLE account_health (
    account        text PRIMARY KEY,
    watched_at     timestamptz NOT NULL,
    answered_at    timestamptz,  -- the last answer to any sweeper
    failing_since  timestamptz,  -- the first query since then without an answer
    failed_at      timestamptz,  -- the last one
    reason         text  -- why that had none
);

-- Accounts without webhooks although some are expected, and gateways that do not answer.  An open row is reported once,
-- and once more when it ends.
CREATE TABLE silences (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('silent', 'unanswering')),
    since       timestamptz NOT NULL,
    noticed_at  timestamptz NOT NULL,
    asked_at    timestamptz NOT NULL,  -- when its open payments were last queried because of it
    ended_at     timestamptz
);
CREATE UNIQUE INDEX silences_once ON silences (account, kind) WHERE ended_at IS NULL;

-- How far each account's own list of events is taken in, and the span that is requested next.
CREATE TABLE backfills (
    account       text PRIMARY KEY,
    good_until    timestamptz,  -- up to here the last one got
    requested_since  timestamptz,  -- from here to now; moves on with each finished part
    requested_at     timestamptz,  -- when that was last said
    reason        text,
    due_at        timestamptz,  -- when to begin, or to try again
    tries         integer NOT NULL DEFAULT 0,
    leased_by      uuid,
    leased_until   timestamptz NOT NULL DEFAULT '-infinity',  -- a lease: two at once would ask everything twice
    CONSTRAINT requested_whole CHECK (num_nulls(requested_since, requested_at, reason, due_at) IN (0, 4))
);
CREATE INDEX backfills_due ON backfills (due_at) WHERE due_at IS NOT NULL;

-- Questions caused by deliveries that proved nothing: counted here, so that forgers have no more than the policy allows.
CREATE TABLE hints (
    account   text NOT NULL,
    at        timestamptz NOT NULL,
    order_id  bigint NOT NULL REFERENCES orders,
    PRIMARY KEY (account, at, order_id)
);
CREATE INDEX hints_of_order ON hints (order_id, at);

-- Orders and deliveries are never removed: what events and notices say of them, without a foreign key, stays true.
CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never removed: events refer to them', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'tillkeeper retention removes bodies, tillkeeper erase a payer''s data';
END $$;
CREATE TRIGGER orders_stay BEFORE DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER deliveries_stay BEFORE DELETE ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

-- Who may use the desk.  Nobody is removed, for acts name them; disabled ones can do nothing (docs/access.md).
CREATE TABLE people (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),  -- folded (domain/people.py): one for each spelling
    display_name   text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
    -- What they may who sign in with a password, and their tokens at most.  The desk can add people, and none with another.
    role           text NOT NULL DEFAULT 'viewer' CHECK (role IN ('viewer', 'support', 'operator', 'admin')),
    locale         text NOT NULL CHECK (locale IN ('en', 'zh')),
    password_hash  text,  -- Argon2id with its parameters; null: none is set yet
    created_at     timestamptz NOT NULL,
    created_by     text NOT NULL,
    disabled_at    timestamptz,
    issuer         text,  -- who signs them in with their company's account, and under which number that knows them; null: nobody
    subject        text,
    CONSTRAINT known_at_issuer CHECK ((issuer IS NULL) = (subject IS NULL))
);
CREATE UNIQUE INDEX people_by_subject ON people (issuer, subject);

-- Browsers that are signed in.  The token stands in their cookie alone; whoever reads this table cannot use a row of it.
CREATE TABLE sessions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash  bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    person_id   bigint NOT NULL REFERENCES people,
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,  -- to a minute: a request must not cost a write
    expires_at  timestamptz NOT NULL,  -- however busy it is
    role        text,  -- that the company's account gave; null: the person's own
    flow        bytea,  -- the sign-in at the company's provider: each opens one session
    CONSTRAINT session_ends CHECK (expires_at > created_at),
    CONSTRAINT role_known CHECK (role IN ('viewer', 'support', 'operator', 'admin')),
    CONSTRAINT role_of_flow CHECK ((role IS NULL) = (flow IS NULL))
);
CREATE INDEX sessions_of_person ON sessions (person_id);
CREATE INDEX sessions_seen ON sessions (seen_at);
CREATE UNIQUE INDEX sessions_by_flow ON sessions (flow);

-- Tokens for programs, which may what their role and their person's both allow.
CREATE TABLE api_tokens (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash    bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    person_id     bigint NOT NULL REFERENCES people,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),  -- what for
    role          text NOT NULL CHECK (role IN ('viewer', 'support', 'operator', 'admin')),
    may_act       boolean NOT NULL,  -- false: it reads
    created_at    timestamptz NOT NULL,
    created_by    text NOT NULL,
    expires_at    timestamptz NOT NULL,
    last_used_at  timestamptz,  -- to a minute
    ended_at      timestamptz,
    scope         text CHECK (scope IN ('health')),  -- it is for this alone; null: for all that its role may
    UNIQUE (person_id, name)
);
CREATE INDEX api_tokens_over ON api_tokens (least(expires_at, ended_at));

-- Links with which a person sets a password, once.  One a person: a new link takes the place of the last.
CREATE TABLE one_time_links (
    person_id   bigint PRIMARY KEY REFERENCES people,
    token_hash  bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    purpose     text NOT NULL CHECK (purpose IN ('first_sign_in', 'password_reset')),
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX one_time_links_expired ON one_time_links (expires_at);

-- How many wrong passwords came lately (domain/sign_in.py).  Names share a fixed number of rows by their hash, those that
-- nobody has too, so that neither guesses nor made-up names fill this table.
CREATE TABLE sign_in_attempts (
    bucket   bigint PRIMARY KEY CHECK (bucket BETWEEN 0 AND 8192),  -- 0: all together
    level    double precision NOT NULL CHECK (level >= 0),  -- wrong ones, less what leaked away until last_at
    last_at  timestamptz NOT NULL
);

-- What people did at the desk, and which personal data they looked at: who, when, what, why.  Nobody may change a row.
CREATE TABLE access_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('act', 'look', 'access')),  -- access: signing in and out, tokens, people
    person_id  bigint REFERENCES people,  -- null: at a terminal
    person     text NOT NULL,
    token      text,  -- the name of the API token, where it was none of a browser's sessions
    what       text NOT NULL,  -- the route, or the act in a word
    subject    text NOT NULL,  -- what it was about: an order's reference, a case
    why        text NOT NULL
);
CREATE INDEX access_log_in_time ON access_log (at);
CREATE INDEX access_log_of_person ON access_log (person_id, at) WHERE person_id IS NOT NULL;
CREATE INDEX access_log_of_subject ON access_log (subject, at) WHERE subject <> '';

-- Acts that move what money means, for which one person asks and another decides (docs/access.md).
CREATE TABLE approvals (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    act          text NOT NULL,
    subject      text NOT NULL,
    content      text NOT NULL,  -- what exactly would be done, as JSON: no more and no less is
    reason       text NOT NULL CHECK (reason <> ''),
    proposed_by  text NOT NULL,
    proposed_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    decision     text CHECK (decision IN ('confirmed', 'refused', 'withdrawn', 'expired')),
    decided_by   text,
    decided_at   timestamptz,
    CONSTRAINT decided_whole CHECK (num_nulls(decision, decided_by, decided_at) IN (0, 3)),
    -- Two people, whatever a program does.
    CONSTRAINT confirmed_by_another CHECK (decision <> 'confirmed' OR decided_by <> proposed_by),
    CONSTRAINT withdrawn_by_oneself CHECK (decision <> 'withdrawn' OR decided_by = proposed_by)
);
-- The same is proposed once at a time.
CREATE UNIQUE INDEX approvals_open ON approvals (act, subject) WHERE decision IS NULL;

-- What programs' acts were answered with, by the idempotency key that they sent: a repeated request is answered again, and
-- done no more; likewise forms of the desk, which have a key each and no answer.  A row is written in the transaction of its
-- act, and kept for a day (store/people/idempotency.py).
CREATE TABLE idempotency_keys (
    person_id  bigint NOT NULL REFERENCES people,
    token      text NOT NULL,  -- the name of the API token; empty where a browser sent it
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    at         timestamptz NOT NULL,
    request    bytea NOT NULL CHECK (octet_length(request) = 32),  -- a hash of all of it: the key stands for no other
    status     bigint,
    answer     bytea CHECK (octet_length(answer) <= 65536),
    PRIMARY KEY (person_id, token, key)
);
CREATE INDEX idempotency_keys_in_time ON idempotency_keys (at);
CREATE INDEX idempotency_keys_of_token ON idempotency_keys (person_id, token, at);

-- Each audit of the books, and where it ended: the next one goes on from the last that balanced
-- (docs/decisions/035-audits-go-on.md).
CREATE TABLE audits (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL,
    settled_until  timestamptz NOT NULL,  -- numbers given out later may have been on their way
    continues      bigint REFERENCES audits,  -- from whose end on it read; null: it read everything
    balances       boolean NOT NULL,
    deliveries     bigint NOT NULL,  -- that it read, and so the next two
    accepted       bigint NOT NULL,
    orders         bigint NOT NULL,
    last_order     bigint NOT NULL,  -- the greatest id of an order by then
    CONSTRAINT settled_before CHECK (settled_until <= at)
);
-- Up to here every number of a receiver's run is accounted for: it was, in an audit that balanced.
CREATE TABLE audited_runs (
    run     uuid PRIMARY KEY,
    number  bigint NOT NULL CHECK (number > 0)
);

-- Accounts whose changes went so far beyond the usual that a person must decide (docs/guard.md).  One a time for each
-- account, until the last delivery that was held meanwhile went where the decision sent it.
CREATE TABLE account_pauses (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     text NOT NULL,
    sign        text NOT NULL CHECK (sign IN ('failed', 'taken_back', 'mismatched', 'far_off')),
    finding     jsonb NOT NULL,  -- why, with its numbers
    paused_at   timestamptz NOT NULL,
    decision    text CHECK (decision IN ('go', 'park')),
    decided_by  text,
    decided_at  timestamptz,
    note        text,
    deaf_s      bigint CHECK (deaf_s >= 0),  -- for so long after it ended nothing pauses the account
    ended_at    timestamptz,
    deaf_until  timestamptz,
    -- A person's act says who, when and why.
    CONSTRAINT decided_whole CHECK (num_nulls(decision, decided_by, decided_at, note, deaf_s) IN (0, 5)),
    CONSTRAINT ended_whole CHECK (num_nulls(ended_at, deaf_until) IN (0, 2)),
    -- No time-out ends a pause.
    CONSTRAINT ended_by_a_decision CHECK (ended_at IS NULL OR decision IS NOT NULL)
);
CREATE INDEX account_pauses_of_account ON account_pauses (account, id);
CREATE UNIQUE INDEX account_pauses_once ON account_pauses (account) WHERE ended_at IS NULL;

-- Deliveries of a paused account, each an envelope of its own as a lane brought it, sealed.
CREATE TABLE held_deliveries (
    position     bigint GENERATED ALWAYS AS IDENTITY,
    pause_id     bigint NOT NULL REFERENCES account_pauses,
    account      text NOT NULL,
    run          uuid NOT NULL,
    number       bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    held_at      timestamptz NOT NULL,
    events       bigint NOT NULL CHECK (events >= 0),
    body         bytea NOT NULL,
    -- A lane that delivers one again adds nothing.
    PRIMARY KEY (run, number)
) WITH (toast_tuple_target = 8160);
ALTER TABLE held_deliveries ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX held_deliveries_in_order ON held_deliveries (pause_id, position);

-- What events did to the orders of each account, by minutes of the last hours; each connection has rows of its own, as in
-- activity.
CREATE TABLE guard_counts (
    account     text NOT NULL,
    minute      timestamptz NOT NULL,
    backend     bigint NOT NULL,
    paid        bigint NOT NULL,
    failed      bigint NOT NULL,
    taken_back  bigint NOT NULL,
    mismatched  bigint NOT NULL,
    far_off     bigint NOT NULL,
    PRIMARY KEY (account, minute, backend)
) WITH (fillfactor = 50);
-- Of each hour of the last four weeks, the most within five minutes: what is usual for the account.
CREATE TABLE guard_usual (
    account     text NOT NULL,
    hour        timestamptz NOT NULL,
    failed      bigint NOT NULL,
    taken_back  bigint NOT NULL,
    mismatched  bigint NOT NULL,
    far_off     bigint NOT NULL,
    PRIMARY KEY (account, hour)
);

-- What receivers answered to deliveries, by spans of ten seconds: the first page shows what comes in also while applying
-- lags behind.  Counts of every receiver add up; rows go after two hours.
CREATE TABLE answers_given (
    since       timestamptz NOT NULL,  -- when the span began
    account     text NOT NULL,
    accepted    bigint NOT NULL,  -- 2xx
    refused     bigint NOT NULL,  -- 4xx
    put_off     bigint NOT NULL,  -- 5xx: the gateway sends it again
    accepted_at timestamptz,  -- the last one
    PRIMARY KEY (since, account),
    CONSTRAINT some_were_given CHECK (accepted + refused + put_off > 0)
);

-- The chain of hashes over events, acts and entries of cases (docs/decisions/048-the-chain.md): each link holds a hash of
-- each row of a table from one id to another, and the hash of the link before.
CREATE TABLE chain_links (
    number     bigint PRIMARY KEY CHECK (number > 0),
    subject    text NOT NULL CHECK (subject IN ('inbox', 'acts', 'case_entries')),
    first_id   bigint NOT NULL,
    last_id    bigint NOT NULL,
    leaves     bytea NOT NULL,  -- [[id, hash, hash of the note], ...], in MessagePack
    sealed_at  timestamptz NOT NULL,
    previous   bytea NOT NULL,
    hash       bytea NOT NULL,
    signature  bytea,  -- Ed25519, by books.chain_key; null: there was none
    CONSTRAINT ids_in_turn CHECK (first_id <= last_id)
);
ALTER TABLE chain_links ALTER COLUMN leaves SET STORAGE EXTERNAL;  -- hashes cannot be compressed
CREATE INDEX chain_links_of_subject ON chain_links (subject, last_id);
-- How far ids had come at a moment, and a transaction id of then: when all below it have ended, nothing is added below any more.
CREATE TABLE chain_marks (
    subject   text PRIMARY KEY,
    ceiling   bigint NOT NULL,
    horizon   xid8 NOT NULL,
    noted_at  timestamptz NOT NULL
);
-- Of notes that are chained; it goes when a payer's data is erased from the note.
CREATE TABLE chain_salts (
    subject  text NOT NULL,
    id       bigint NOT NULL,
    salt     bytea NOT NULL,
    PRIMARY KEY (subject, id)
);

-- Statements of gateways that were taken in: each file once, by its digest.  One that covers a time takes the place of
-- older ones of its form over the same time (docs/books.md).
CREATE TABLE statements (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account        text NOT NULL,
    form           text NOT NULL,  -- such as wechatpay.trade
    digest         bytea NOT NULL CHECK (octet_length(digest) = 32),  -- SHA-256 of the file
    name           text NOT NULL CHECK (length(name) <= 255),  -- of the file, for people
    run            uuid NOT NULL,  -- files that were given together are parts of one another
    begins         timestamptz NOT NULL,
    ends           timestamptz NOT NULL,
    zone           text NOT NULL,
    covers         text[] NOT NULL,  -- kinds of lines that it lists without a gap; empty: it lists what was settled
    lines          bigint NOT NULL CHECK (lines >= 0),
    sums           jsonb NOT NULL,  -- as read: [{"kind", "currency", "lines", "amount"}], which the audit compares with the lines
    taken_at       timestamptz NOT NULL,
    taken_by       text NOT NULL,
    superseded_by  bigint REFERENCES statements,
    matched_at     timestamptz,  -- null: its run was cut off, and whoever gives the file again completes it
    lines_removed_at timestamptz,  -- by retention
    UNIQUE (account, form, digest),
    CONSTRAINT statement_ends CHECK (ends > begins)
);
CREATE INDEX statements_in_time ON statements (account, form, begins);

-- Their lines.  No foreign key: a million of them are written in the transaction that writes their statement.
CREATE TABLE statement_lines (
    statement_id      bigint NOT NULL,
    place             bigint NOT NULL,
    number            bigint NOT NULL,  -- the line of the file, as an editor shows it
    account           text NOT NULL,
    kind              text NOT NULL,
    amount_minor      bigint NOT NULL,  -- signed as the merchant's balance moves
    currency          text NOT NULL,
    fee_minor         bigint,
    net_minor         bigint,
    settled_currency  text,  -- null: the same as currency
    occurred_at       timestamptz,
    settled_on        date,
    order_ref         text,
    payment_ref       text,
    capture_ref       text,
    refund_ref        text,
    dispute_ref       text,
    payout_ref        text,
    method            text,
    text              text,  -- the gateway's own word for a kind of line
    superseded_by     bigint,  -- the statement whose lines count instead
    pending           boolean NOT NULL DEFAULT false,  -- it was under way when the statement was made
    PRIMARY KEY (statement_id, place)
);
CREATE INDEX statement_lines_of_payment ON statement_lines (account, payment_ref)
WHERE payment_ref IS NOT NULL AND superseded_by IS NULL;
CREATE INDEX statement_lines_of_refund ON statement_lines (account, refund_ref)
WHERE refund_ref IS NOT NULL AND superseded_by IS NULL;
CREATE INDEX statement_lines_of_dispute ON statement_lines (account, dispute_ref)
WHERE dispute_ref IS NOT NULL AND superseded_by IS NULL;
CREATE INDEX statement_lines_of_payout ON statement_lines (account, payout_ref)
WHERE payout_ref IS NOT NULL AND superseded_by IS NULL;
CREATE INDEX statement_payouts ON statement_lines (account)
WHERE kind = 'payout' AND superseded_by IS NULL;

-- What statements and the orders' facts say differently of a payment, refund or dispute, one row for each form that says it;
-- matching writes it, and settles it once they agree (domain/books/matching.py).
CREATE TABLE statement_differences (
    account           text NOT NULL,
    form              text NOT NULL,
    object            text NOT NULL CHECK (object IN ('payment', 'refund', 'dispute')),
    ref               text NOT NULL,
    verdict           text NOT NULL,
    statement_id      bigint,  -- the last that lists it, with number; null: none does
    number            bigint,
    order_id          bigint,  -- of orders; no foreign key, as in inbox
    said_minor        bigint,
    said_currency     text,
    known_minor       bigint,
    known_currency    text,
    said_fee_minor    bigint,
    agreed_fee_minor  bigint,
    found_at          timestamptz NOT NULL,
    told_at           timestamptz,  -- when its event was applied
    settled_at        timestamptz,
    PRIMARY KEY (account, form, object, ref)
);
CREATE INDEX statement_differences_open ON statement_differences (account, form, object, ref) WHERE settled_at IS NULL;

-- Days whose statements gateways are asked for, of the accounts whose policy has them fetched ([books] fetch).  Each is taken in
-- once; one that does not come is late, a case, and is given up once the gateway gives it out no more.
CREATE TABLE statement_days (
    account       text NOT NULL,
    day           date NOT NULL,
    state         text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'late', 'taken', 'empty', 'given_up')),
    due_at        timestamptz,  -- null: nothing is left to do
    attempts      bigint NOT NULL DEFAULT 0,
    claims        bigint NOT NULL DEFAULT 0,  -- the token of the lease
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',
    last_error    text,
    statement_id  bigint,  -- of statements; no foreign key, for theirs would lock that row
    finished_at   timestamptz,
    PRIMARY KEY (account, day),
    CONSTRAINT statement_day_waits CHECK ((due_at IS NULL) = (state IN ('taken', 'empty', 'given_up')))
);
CREATE INDEX statement_days_due ON statement_days (due_at) WHERE due_at IS NOT NULL;

-- Statements of bank accounts ([banks.NAME] of the settings), one row for each of a file.
CREATE TABLE bank_statements (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank           text NOT NULL,
    digest         bytea NOT NULL CHECK (octet_length(digest) = 32),  -- SHA-256 of the file
    place          bigint NOT NULL,  -- within the file, from 1
    name           text NOT NULL CHECK (length(name) <= 255),  -- of the file, for people
    number         text,  -- the bank's own of the statement
    currency       text NOT NULL,
    begins         date NOT NULL,
    ends           date NOT NULL,
    opening_minor  bigint,  -- null: a table says no balance
    closing_minor  bigint,
    entries        bigint NOT NULL,
    taken_at       timestamptz NOT NULL,
    taken_by       text NOT NULL,
    UNIQUE (bank, digest, place),
    CONSTRAINT bank_statement_ends CHECK (ends >= begins)
);
-- Their entries.  One that stands in two files, for their days overlap, is kept once.
CREATE TABLE bank_entries (
    bank          text NOT NULL,
    key           text NOT NULL,  -- a hash of all that it says, and its place among those that say the same
    statement_id  bigint NOT NULL REFERENCES bank_statements,
    number        bigint NOT NULL,
    amount_minor  bigint NOT NULL,  -- positive where money came in
    currency      text NOT NULL,
    booked_on     date NOT NULL,
    reference     text,
    text          text NOT NULL,
    PRIMARY KEY (bank, key)
);
-- What became of the gateways' payouts, as their statements list them (domain/books/bank.py).
CREATE TABLE payout_arrivals (
    account       text NOT NULL,
    payout_ref    text NOT NULL,
    currency      text NOT NULL,
    amount_minor  bigint NOT NULL,
    sent_on       date NOT NULL,
    bank          text NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('arrived', 'on_its_way', 'missing', 'differs', 'came_back')),
    entry_key     text,
    found_by      text,  -- reference, amount, sum
    found_at      timestamptz NOT NULL,
    PRIMARY KEY (account, payout_ref)
);
CREATE INDEX payout_arrivals_open ON payout_arrivals (bank, sent_on) WHERE verdict <> 'arrived';

-- What the monthly reports add up: figures of each day, made of its events by the sweep's process (domain/monthly/figures.py).
CREATE TABLE report_figures (
    day       date NOT NULL,  -- in the time zone of report_progress
    figure    text NOT NULL,
    account   text NOT NULL,
    currency  text NOT NULL,  -- empty, as are the next two, where the figure does not tell them apart
    method    text NOT NULL,
    detail    text NOT NULL,  -- a class of failures, a piece of evidence, a span of time, a band of amounts
    hour      bigint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    count     bigint NOT NULL CHECK (count > 0),
    minor     numeric NOT NULL,  -- minor units; of spans of time, milliseconds
    PRIMARY KEY (day, figure, account, currency, method, detail, hour)
);
CREATE TABLE report_stale_days (
    day  date PRIMARY KEY  -- its figures are to be made anew, for something of it was learnt since
);
CREATE TABLE report_progress (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    zone       text NOT NULL,  -- in which days begin
    read_to    timestamptz NOT NULL  -- what was recorded before then has made its days stale
);

-- What has been done to this schema, one row for each file of migrations/.  Processes look at it: which programs may serve it.
CREATE TABLE schema_versions (
    version         integer PRIMARY KEY CHECK (version > 0),
    name            text NOT NULL,
    oldest_program  integer NOT NULL CHECK (oldest_program > 0),  -- the schema that the oldest program was made for that may serve
    checksum        text,  -- of the file that was run; null: it was part of this file when the database was made
    steps_done      integer NOT NULL DEFAULT 0 CHECK (steps_done >= 0),
    position        bigint,  -- up to here the batches of the step under way got
    started_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz  -- null: it is under way, or was interrupted
);
GRANT SELECT ON schema_versions TO PUBLIC;  -- whoever serves it must know what it serves
INSERT INTO schema_versions (version, name, oldest_program, finished_at) VALUES
    (1, 'first', 1, now()),
    (2, 'names', 2, now()),
    (3, 'bodies', 2, now()),
    (4, 'due_orders', 2, now()),
    (5, 'retention', 2, now()),
    (6, 'audit_in_time', 2, now()),
    (7, 'people', 2, now()),
    (8, 'find', 2, now()),
    (9, 'fewer_foreign_keys', 2, now()),
    (10, 'traces', 2, now()),
    (11, 'audits', 2, now()),
    (12, 'acts_of_people', 2, now()),
    (13, 'company_accounts', 2, now()),
    (14, 'open_orders', 2, now()),
    (15, 'guard', 2, now()),
    (16, 'api', 2, now()),
    (17, 'answers_given', 2, now()),
    (18, 'chain', 2, now()),
    (19, 'statements', 2, now()),
    (20, 'pending_lines', 2, now()),
    (21, 'reports', 2, now()),
    (22, 'bank', 2, now()),
    (23, 'statement_days', 2, now());

COMMIT;
