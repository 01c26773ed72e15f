-- People may sign in with their company's account: who they are there, and which role a sign-in gives.
-- oldest program: 2
-- step: transaction
ALTER TABLE people ALTER COLUMN role SET DEFAULT 'viewer';
-- step: transaction
ALTER TABLE people ADD COLUMN issuer text, ADD COLUMN subject text;
-- step: transaction
ALTER TABLE people ADD CONSTRAINT known_at_issuer CHECK ((issuer IS NULL) = (subject IS NULL)) NOT VALID;
-- step: transaction
ALTER TABLE people VALIDATE CONSTRAINT known_at_issuer;
-- step: alone
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS people_by_subject ON people (issuer, subject);
-- step: transaction
ALTER TABLE sessions ADD COLUMN role text, ADD COLUMN flow bytea;
-- step: transaction
ALTER TABLE sessions ADD CONSTRAINT role_known CHECK (role IN ('viewer', 'support', 'operator', 'admin')) NOT VALID;
-- step: transaction
ALTER TABLE sessions VALIDATE CONSTRAINT role_known;
-- step: transaction
ALTER TABLE sessions ADD CONSTRAINT role_of_flow CHECK ((role IS NULL) = (flow IS NULL)) NOT VALID;
-- step: transaction
ALTER TABLE sessions VALIDATE CONSTRAINT role_of_flow;
-- step: alone
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS sessions_by_flow ON sessions (flow);
