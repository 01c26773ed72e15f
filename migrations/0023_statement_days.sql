-- Days whose statements gateways are asked for.
-- oldest program: 2
-- step: transaction
CREATE TABLE statement_days (
    account       text NOT NULL,
    day           date NOT NULL,
    state         text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'late', 'taken', 'empty', 'given_up')),
    due_at        timestamptz,
    attempts      bigint NOT NULL DEFAULT 0,
    claims        bigint NOT NULL DEFAULT 0,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',
    last_error    text,
    statement_id  bigint,
    finished_at   timestamptz,
    PRIMARY KEY (account, day),
    CONSTRAINT statement_day_waits CHECK ((due_at IS NULL) = (state IN ('taken', 'empty', 'given_up')))
);
CREATE INDEX statement_days_due ON statement_days (due_at) WHERE due_at IS NOT NULL;
