-- A notice remembers the trace of what caused it, so that its sending goes on with that.
-- oldest program: 2
-- step: transaction
ALTER TABLE outbox ADD COLUMN trace text;
ALTER TABLE outbox ALTER COLUMN trace SET DEFAULT nullif(current_setting('tillkeeper.trace', true), '');
