-- Deliveries and events are found by their time, for an audit of what came lately.
-- oldest program: 2
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS deliveries_in_time ON deliveries USING brin (received_at)
WITH (pages_per_range = 64, autosummarize = on);
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_in_time ON inbox USING brin (recorded_at)
WITH (pages_per_range = 64, autosummarize = on);
