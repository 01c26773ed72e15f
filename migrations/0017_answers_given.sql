-- Receivers tell what they answered, which says what comes in while applying lags behind.
-- oldest program: 2
-- step: transaction
CREATE TABLE answers_given (
    since       timestamptz NOT NULL,
    account     text NOT NULL,
    accepted    bigint NOT NULL,
    refused     bigint NOT NULL,
    put_off     bigint NOT NULL,
    accepted_at timestamptz,
    PRIMARY KEY (since, account),
    CONSTRAINT some_were_given CHECK (accepted + refused + put_off > 0)
);
