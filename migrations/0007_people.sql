-- People who may use the desk: their sessions, tokens and links, what they did, and what two of them decide together.
-- oldest program: 2
-- step: transaction
-- Who may use the desk.  Nobody is removed, for acts name them; disabled ones can do nothing (docs/access.md).
CREATE TABLE IF NOT EXISTS people (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),  -- folded (domain/people.py): one for each spelling
    display_name   text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
    role           text NOT NULL CHECK (role IN ('viewer', 'support', 'operator', 'admin')),
    locale         text NOT NULL CHECK (locale IN ('en', 'zh')),
    password_hash  text,  -- Argon2id with its parameters; null: none is set yet
    created_at     timestamptz NOT NULL,
    created_by     text NOT NULL,
    disabled_at    timestamptz
);
-- Browsers that are signed in.  The token stands in their cookie alone; whoever reads this table cannot use a row of it.
CREATE TABLE IF NOT EXISTS sessions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash  bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    person_id   bigint NOT NULL REFERENCES people,
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,  -- to a minute: a request must not cost a write
    expires_at  timestamptz NOT NULL,  -- however busy it is
    CONSTRAINT session_ends CHECK (expires_at > created_at)
);
CREATE INDEX IF NOT EXISTS sessions_of_person ON sessions (person_id);
CREATE INDEX IF NOT EXISTS sessions_seen ON sessions (seen_at);
-- Tokens for programs, which may what their role and their person's both allow.
CREATE TABLE IF NOT EXISTS api_tokens (
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
    UNIQUE (person_id, name)
);
CREATE INDEX IF NOT EXISTS api_tokens_over ON api_tokens (least(expires_at, ended_at));
-- Links with which a person sets a password, once.  One a person: a new link takes the place of the last.
CREATE TABLE IF NOT EXISTS one_time_links (
    person_id   bigint PRIMARY KEY REFERENCES people,
    token_hash  bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    purpose     text NOT NULL CHECK (purpose IN ('first_sign_in', 'password_reset')),
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX IF NOT EXISTS one_time_links_expired ON one_time_links (expires_at);
-- How many wrong passwords came lately (domain/sign_in.py).  Names share a fixed number of rows by their hash, those that
-- nobody has too, so that neither guesses nor made-up names fill this table.
CREATE TABLE IF NOT EXISTS sign_in_attempts (
    bucket   bigint PRIMARY KEY CHECK (bucket BETWEEN 0 AND 8192),  -- 0: all together
    level    double precision NOT NULL CHECK (level >= 0),  -- wrong ones, less what leaked away until last_at
    last_at  timestamptz NOT NULL
);
-- What people did at the desk, and which personal data they looked at: who, when, what, why.  Nobody may change a row.
CREATE TABLE IF NOT EXISTS access_log (
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
CREATE INDEX IF NOT EXISTS access_log_in_time ON access_log (at);
CREATE INDEX IF NOT EXISTS access_log_of_person ON access_log (person_id, at) WHERE person_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_log_of_subject ON access_log (subject, at) WHERE subject <> '';
-- Acts that move what money means, for which one person asks and another decides (docs/access.md).
CREATE TABLE IF NOT EXISTS approvals (
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
CREATE UNIQUE INDEX IF NOT EXISTS approvals_open ON approvals (act, subject) WHERE decision IS NULL;
