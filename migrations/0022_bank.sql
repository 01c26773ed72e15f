-- Statements of bank accounts, and what became of the gateways' payouts in them.
-- oldest program: 2
-- step: transaction
CREATE TABLE bank_statements (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank           text NOT NULL,
    digest         bytea NOT NULL CHECK (octet_length(digest) = 32),
    place          bigint NOT NULL,
    name           text NOT NULL CHECK (length(name) <= 255),
    number         text,
    currency       text NOT NULL,
    begins         date NOT NULL,
    ends           date NOT NULL,
    opening_minor  bigint,
    closing_minor  bigint,
    entries        bigint NOT NULL,
    taken_at       timestamptz NOT NULL,
    taken_by       text NOT NULL,
    UNIQUE (bank, digest, place),
    CONSTRAINT bank_statement_ends CHECK (ends >= begins)
);
CREATE TABLE bank_entries (
    bank          text NOT NULL,
    key           text NOT NULL,
    statement_id  bigint NOT NULL REFERENCES bank_statements,
    number        bigint NOT NULL,
    amount_minor  bigint NOT NULL,
    currency      text NOT NULL,
    booked_on     date NOT NULL,
    reference     text,
    text          text NOT NULL,
    PRIMARY KEY (bank, key)
);
CREATE TABLE payout_arrivals (
    account       text NOT NULL,
    payout_ref    text NOT NULL,
    currency      text NOT NULL,
    amount_minor  bigint NOT NULL,
    sent_on       date NOT NULL,
    bank          text NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('arrived', 'on_its_way', 'missing', 'differs', 'came_back')),
    entry_key     text,
    found_by      text,
    found_at      timestamptz NOT NULL,
    PRIMARY KEY (account, payout_ref)
);
CREATE INDEX payout_arrivals_open ON payout_arrivals (bank, sent_on) WHERE verdict <> 'arrived';
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS statement_lines_of_payout ON statement_lines (account, payout_ref)
WHERE payout_ref IS NOT NULL AND superseded_by IS NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS statement_payouts ON statement_lines (account)
WHERE kind = 'payout' AND superseded_by IS NULL;
