-- Programs' acts are done once for each idempotency key, and a token may be for one thing alone.
-- oldest program: 2
-- step: transaction
CREATE TABLE idempotency_keys (
    person_id  bigint NOT NULL REFERENCES people,
    token      text NOT NULL,
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    at         timestamptz NOT NULL,
    request    bytea NOT NULL CHECK (octet_length(request) = 32),
    status     bigint,
    answer     bytea CHECK (octet_length(answer) <= 65536),
    PRIMARY KEY (person_id, token, key)
);
CREATE INDEX idempotency_keys_in_time ON idempotency_keys (at);
CREATE INDEX idempotency_keys_of_token ON idempotency_keys (person_id, token, at);
-- step: transaction
ALTER TABLE api_tokens ADD COLUMN scope text CHECK (scope IN ('health'));
