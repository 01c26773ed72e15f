-- Audits remember where they ended, so that the next one goes on from there.
-- oldest program: 2
-- step: transaction
CREATE TABLE audits (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL,
    settled_until  timestamptz NOT NULL,
    continues      bigint REFERENCES audits,
    balances       boolean NOT NULL,
    deliveries     bigint NOT NULL,
    accepted       bigint NOT NULL,
    orders         bigint NOT NULL,
    last_order     bigint NOT NULL,
    CONSTRAINT settled_before CHECK (settled_until <= at)
);
CREATE TABLE audited_runs (
    run     uuid PRIMARY KEY,
    number  bigint NOT NULL CHECK (number > 0)
);
