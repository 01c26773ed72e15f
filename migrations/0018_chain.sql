-- A chain of hashes over events, acts and entries of cases, which names what was altered afterwards.
-- oldest program: 2
-- step: transaction
CREATE TABLE chain_links (
    number     bigint PRIMARY KEY CHECK (number > 0),
    subject    text NOT NULL CHECK (subject IN ('inbox', 'acts', 'case_entries')),
    first_id   bigint NOT NULL,
    last_id    bigint NOT NULL,
    leaves     bytea NOT NULL,
    sealed_at  timestamptz NOT NULL,
    previous   bytea NOT NULL,
    hash       bytea NOT NULL,
    signature  bytea,
    CONSTRAINT ids_in_turn CHECK (first_id <= last_id)
);
ALTER TABLE chain_links ALTER COLUMN leaves SET STORAGE EXTERNAL;
CREATE INDEX chain_links_of_subject ON chain_links (subject, last_id);
CREATE TABLE chain_marks (
    subject   text PRIMARY KEY,
    ceiling   bigint NOT NULL,
    horizon   xid8 NOT NULL,
    noted_at  timestamptz NOT NULL
);
CREATE TABLE chain_salts (
    subject  text NOT NULL,
    id       bigint NOT NULL,
    salt     bytea NOT NULL,
    PRIMARY KEY (subject, id)
);
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_in_turn ON inbox
USING brin (seq) WITH (pages_per_range = 64, autosummarize = on);
