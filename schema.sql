-- Tillkeeper's database, whole.  Read it first.  `tillkeeper db init` runs it; running it again changes nothing.
--
--   delivery ──< inbox >── orders ──< payment, refund, dispute
--                            └────< outbox, cases
--   spool (the PostgreSQL lane)      parked (what could not be applied)
--
-- Amounts are integers of the currency's minor unit.  Times are the gateway's own unless the name says otherwise.

-- What a merchant sells.  Status and the three sums are derived by domain/order.py from the rows below it, never set.
CREATE TABLE IF NOT EXISTS orders (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_ref        text NOT NULL UNIQUE,
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    accounts         text[] NOT NULL CHECK (cardinality(accounts) > 0),  -- where payment is expected, and nowhere else
    terms            jsonb NOT NULL,  -- the registration as it came: payer, pay_url, expires_at, instalments
    status           text NOT NULL DEFAULT 'unpaid' CHECK (status IN
                     ('unpaid', 'processing', 'paid', 'failed', 'partially_paid', 'refunding', 'partially_refunded', 'refunded')),
    captured_minor   bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    refunding_minor  bigint NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0),
    refunded_minor   bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    version          bigint NOT NULL DEFAULT 1,  -- grows with every change, so that receivers of notices can order them
    registered_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    -- Nobody's order shows paid for less than its amount.
    CONSTRAINT paid_means_covered CHECK (status <> 'paid' OR captured_minor >= amount_minor)
) WITH (fillfactor = 80);  -- status changes stay on their page

-- One request of a gateway, byte for byte.  (run, number) is given by the receiver process and has no gaps.
CREATE TABLE IF NOT EXISTS delivery (
    run          uuid NOT NULL,
    number       bigint NOT NULL CHECK (number > 0),
    account      text NOT NULL,
    received_at  timestamptz NOT NULL,
    key          text NOT NULL,  -- which of the account's keys verified it
    headers      jsonb NOT NULL,
    body         bytea,  -- null once retention removed it
    events       integer NOT NULL CHECK (events >= 0),
    duplicates   integer NOT NULL DEFAULT 0 CHECK (duplicates BETWEEN 0 AND events),
    PRIMARY KEY (run, number)
) WITH (toast_tuple_target = 8160);  -- real bodies of 2 to 5 KB stay in the row
ALTER TABLE delivery ALTER COLUMN body SET STORAGE EXTERNAL;  -- compressing each body cost more than writing it

-- Numbers that a receiver gave out but answered 503 for, or whose absence a person explained: audit does not miss them.
CREATE TABLE IF NOT EXISTS delivery_void (
    run           uuid NOT NULL,
    number        bigint NOT NULL,
    explained_by  text,
    note          text,
    explained_at  timestamptz,
    PRIMARY KEY (run, number),
    -- A person's act says who, when and why.
    CONSTRAINT explained_whole CHECK (num_nulls(explained_by, note, explained_at) IN (0, 3))
);

-- Every event once, with its outcome.  This is also the history of an order.
CREATE TABLE IF NOT EXISTS inbox (
    seq           bigint GENERATED ALWAYS AS IDENTITY,
    account       text NOT NULL,
    event_id      text NOT NULL,
    run           uuid,
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
    occurred_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,  -- our clock
    digest        bytea NOT NULL,  -- of the canonical event: the same id with another meaning is a case
    outcome       text NOT NULL CHECK (outcome IN ('applied', 'no_change', 'waiting', 'mismatched')),
    reason        text,  -- why mismatched
    order_id      bigint REFERENCES orders,
    status_after  text,
    -- Dedupe is permanent: a delivery may come back months later.
    PRIMARY KEY (account, event_id),
    FOREIGN KEY (run, number) REFERENCES delivery,
    -- An event waits exactly as long as it has no order.
    CONSTRAINT waiting_means_no_order CHECK ((outcome = 'waiting') = (order_id IS NULL)),
    CONSTRAINT webhooks_have_a_delivery CHECK (evidence <> 'webhook' OR number IS NOT NULL)
) WITH (fillfactor = 90);
CREATE INDEX IF NOT EXISTS inbox_of_order ON inbox (order_id, seq) WHERE order_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS inbox_waiting_for_order ON inbox (order_ref) WHERE outcome = 'waiting';
CREATE INDEX IF NOT EXISTS inbox_waiting_for_payment ON inbox (account, payment_ref) WHERE outcome = 'waiting';

-- One attempt to pay.  Each group of columns is a fact that merges on its own (domain/facts.py).
CREATE TABLE IF NOT EXISTS payment (
    account            text NOT NULL,
    payment_ref        text NOT NULL,
    order_id           bigint NOT NULL REFERENCES orders,
    status             text NOT NULL CHECK (status IN ('created', 'pending', 'authorized', 'failed', 'cancelled', 'succeeded')),
    facts              jsonb NOT NULL,  -- what domain/facts.py merges; the columns beside it are for reading
    amount_minor       bigint CHECK (amount_minor >= 0),
    currency           text,
    captured_minor     bigint NOT NULL CHECK (captured_minor >= 0),
    failure            text,
    PRIMARY KEY (account, payment_ref),
    CONSTRAINT captured_means_succeeded CHECK (captured_minor = 0 OR status = 'succeeded')
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS payment_of_order ON payment (order_id);

-- An amount on its way back.
CREATE TABLE IF NOT EXISTS refund (
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
CREATE INDEX IF NOT EXISTS refund_of_order ON refund (order_id);

-- An amount that the payer's bank contests.
CREATE TABLE IF NOT EXISTS dispute (
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
CREATE INDEX IF NOT EXISTS dispute_of_order ON dispute (order_id);

-- What a person must look at.  (kind, subject) opens once, however often the cause is seen.
CREATE TABLE IF NOT EXISTS cases (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL,
    subject    text NOT NULL,
    order_id   bigint REFERENCES orders,
    account    text,
    details    jsonb NOT NULL,
    opened_at  timestamptz NOT NULL,
    UNIQUE (kind, subject)
);
CREATE INDEX IF NOT EXISTS cases_of_order ON cases (order_id) WHERE order_id IS NOT NULL;

-- Effects on their way out, written in the transaction of the change that caused them.
CREATE TABLE IF NOT EXISTS outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    order_id    bigint NOT NULL REFERENCES orders,
    version     bigint NOT NULL,
    topic       text NOT NULL,
    payload     jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (order_id, version, topic)  -- a version is told once
);

-- The PostgreSQL lane.  A row is an envelope; the id comes from the sender, so that putting it twice is harmless.
CREATE TABLE IF NOT EXISTS spool (
    position     bigint GENERATED ALWAYS AS IDENTITY,
    id           uuid PRIMARY KEY,
    shard        integer NOT NULL,
    body         bytea NOT NULL,
    put_at       timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    taken_until  timestamptz NOT NULL DEFAULT '-infinity',  -- a worker's lease; past it the row is anybody's
    taken_by     uuid
) WITH (fillfactor = 70, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE spool ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS spool_in_order ON spool (position);

-- What could not be applied, one row an event, where people see, replay or discard it.
CREATE TABLE IF NOT EXISTS parked (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run        uuid,
    number     bigint,
    account    text,
    event_id   text,
    body       bytea NOT NULL,  -- an envelope of this one event's delivery; or the whole message, if it cannot be read
    readable   boolean NOT NULL,
    reason     text NOT NULL,
    error      text NOT NULL,
    parked_at  timestamptz NOT NULL,
    -- replayed: its event is in the inbox.  superseded: a redelivery was applied in its stead.
    outcome    text CHECK (outcome IN ('replayed', 'superseded', 'discarded')),
    closed_at  timestamptz,
    closed_by  text,
    note       text,
    UNIQUE (run, number, event_id),
    CONSTRAINT closed_whole CHECK ((outcome IS NULL) = (closed_at IS NULL))
);
CREATE INDEX IF NOT EXISTS parked_open ON parked (account, event_id) WHERE outcome IS NULL;
