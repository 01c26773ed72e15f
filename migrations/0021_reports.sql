-- Figures of each day for the monthly reports, so that these read no events.
-- oldest program: 2
-- step: transaction
CREATE TABLE report_figures (
    day       date NOT NULL,
    figure    text NOT NULL,
    account   text NOT NULL,
    currency  text NOT NULL,
    method    text NOT NULL,
    detail    text NOT NULL,
    hour      bigint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    count     bigint NOT NULL CHECK (count > 0),
    minor     numeric NOT NULL,
    PRIMARY KEY (day, figure, account, currency, method, detail, hour)
);
CREATE TABLE report_stale_days (
    day  date PRIMARY KEY
);
CREATE TABLE report_progress (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    zone       text NOT NULL,
    read_to    timestamptz NOT NULL
);
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_occurred ON inbox
USING brin (occurred_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 64, autosummarize = on);
