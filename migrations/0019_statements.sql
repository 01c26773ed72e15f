-- Statements of gateways are taken in and compared with the orders.
-- oldest program: 2
-- step: transaction
CREATE TABLE statements (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account        text NOT NULL,
    form           text NOT NULL,
    digest         bytea NOT NULL CHECK (octet_length(digest) = 32),
    name           text NOT NULL CHECK (length(name) <= 255),
    run            uuid NOT NULL,
    begins         timestamptz NOT NULL,
    ends           timestamptz NOT NULL,
    zone           text NOT NULL,
    covers         text[] NOT NULL,
    lines          bigint NOT NULL CHECK (lines >= 0),
    sums           jsonb NOT NULL,
    taken_at       timestamptz NOT NULL,
    taken_by       text NOT NULL,
    superseded_by  bigint REFERENCES statements,
    matched_at     timestamptz,
    lines_removed_at timestamptz,
    UNIQUE (account, form, digest),
    CONSTRAINT statement_ends CHECK (ends > begins)
);
CREATE INDEX statements_in_time ON statements (account, form, begins);
CREATE TABLE statement_lines (
    statement_id      bigint NOT NULL,
    place             bigint NOT NULL,
    number            bigint NOT NULL,
    account           text NOT NULL,
    kind              text NOT NULL,
    amount_minor      bigint NOT NULL,
    currency          text NOT NULL,
    fee_minor         bigint,
    net_minor         bigint,
    settled_currency  text,
    occurred_at       timestamptz,
    settled_on        date,
    order_ref         text,
    payment_ref       text,
    capture_ref       text,
    refund_ref        text,
    dispute_ref       text,
    payout_ref        text,
    method            text,
    text              text,
    superseded_by     bigint,
    PRIMARY KEY (statement_id, place)
);
CREATE INDEX statement_lines_of_payment ON statement_lines (account, payment_ref)
WHERE payment_ref IS NOT NULL AND superseded_by IS NULL;
CREATE INDEX statement_lines_of_refund ON statement_lines (account, refund_ref)
WHERE refund_ref IS NOT NULL AND superseded_by IS NULL;
CREATE INDEX statement_lines_of_dispute ON statement_lines (account, dispute_ref)
WHERE dispute_ref IS NOT NULL AND superseded_by IS NULL;
CREATE TABLE statement_differences (
    account           text NOT NULL,
    form              text NOT NULL,
    object            text NOT NULL CHECK (object IN ('payment', 'refund', 'dispute')),
    ref               text NOT NULL,
    verdict           text NOT NULL,
    statement_id      bigint,
    number            bigint,
    order_id          bigint,
    said_minor        bigint,
    said_currency     text,
    known_minor       bigint,
    known_currency    text,
    said_fee_minor    bigint,
    agreed_fee_minor  bigint,
    found_at          timestamptz NOT NULL,
    told_at           timestamptz,
    settled_at        timestamptz,
    PRIMARY KEY (account, form, object, ref)
);
CREATE INDEX statement_differences_open ON statement_differences (account, form, object, ref) WHERE settled_at IS NULL;
