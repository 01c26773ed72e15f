-- Accounts whose changes go beyond the usual are paused, and what comes for them is held until a person decides.
-- oldest program: 2
-- step: transaction
CREATE TABLE account_pauses (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     text NOT NULL,
    sign        text NOT NULL CHECK (sign IN ('failed', 'taken_back', 'mismatched', 'far_off')),
    finding     jsonb NOT NULL,
    paused_at   timestamptz NOT NULL,
    decision    text CHECK (decision IN ('go', 'park')),
    decided_by  text,
    decided_at  timestamptz,
    note        text,
    deaf_s      bigint CHECK (deaf_s >= 0),
    ended_at    timestamptz,
    deaf_until  timestamptz,
    CONSTRAINT decided_whole CHECK (num_nulls(decision, decided_by, decided_at, note, deaf_s) IN (0, 5)),
    CONSTRAINT ended_whole CHECK (num_nulls(ended_at, deaf_until) IN (0, 2)),
    CONSTRAINT ended_by_a_decision CHECK (ended_at IS NULL OR decision IS NOT NULL)
);
CREATE INDEX account_pauses_of_account ON account_pauses (account, id);
CREATE UNIQUE INDEX account_pauses_once ON account_pauses (account) WHERE ended_at IS NULL;
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
    PRIMARY KEY (run, number)
) WITH (toast_tuple_target = 8160);
ALTER TABLE held_deliveries ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX held_deliveries_in_order ON held_deliveries (pause_id, position);
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
CREATE TABLE guard_usual (
    account     text NOT NULL,
    hour        timestamptz NOT NULL,
    failed      bigint NOT NULL,
    taken_back  bigint NOT NULL,
    mismatched  bigint NOT NULL,
    far_off     bigint NOT NULL,
    PRIMARY KEY (account, hour)
);
