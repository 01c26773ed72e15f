-- What each of Tillkeeper's processes may do in the database, and nothing besides.  Run it as the owner of the tables (who
-- needs CREATEROLE, or a superuser), after every `tillkeeper db init` and `db upgrade`; it is safe to repeat, and takes away what is not here:
--
--     psql "postgresql://owner@host/tillkeeper" --set ON_ERROR_STOP=1 --single-transaction --file deploy/roles.sql
--
-- These are groups.  Each process logs in as a user of its own, whom you make and put into its group:
--
--     CREATE ROLE till_ingest LOGIN PASSWORD '...' IN ROLE tillkeeper_ingest;
--
--     group               for                                         it cannot
--     (the owner)         tillkeeper db init, db upgrade, and nothing else
--     tillkeeper_ingest   tillkeeper ingest                           read or empty the spool, keep deliveries, touch notices on their way
--     tillkeeper_work     tillkeeper work                             register orders, sweep, send
--     tillkeeper_sweep    tillkeeper sweep                            read the spool, register orders, send
--     tillkeeper_notify   tillkeeper notify                           change orders, payments or refunds
--     tillkeeper_run      tillkeeper run (all five in one tree)       change the schema, make people or links
--     tillkeeper_ops      commands of people: order, cases, parked    take from the spool, send
--     tillkeeper_desk     tillkeeper desk                             give roles that last, make links, rewrite what was logged
--     tillkeeper_people   tillkeeper user                             read or change anything but people
--     tillkeeper_erase    tillkeeper erase                            change amounts, statuses, events, or anything that makes them
--     tillkeeper_read     show, list, reports, a read-only desk       change anything
--     tillkeeper_audit    tillkeeper audit                            change anything but where audits ended, read payers' contacts or raw deliveries
--
-- None of them owns a table, so that none can alter, drop or empty one; nobody deletes deliveries, events, acts or cases.
-- tests/system/test_roles.py runs every process as its group, and holds these lines against the statements in tillkeeper/store.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ingest', 'work', 'sweep', 'notify', 'run', 'ops', 'erase', 'read', 'audit', 'people', 'desk'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tillkeeper_' || name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', 'tillkeeper_' || name);
        END IF;
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I', 'tillkeeper_' || name);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM %I', 'tillkeeper_' || name);
        EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I', 'tillkeeper_' || name);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', 'tillkeeper_' || name);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'tillkeeper_' || name);
        EXECUTE format('GRANT SELECT ON schema_versions TO %I', 'tillkeeper_' || name);  -- whether it may serve what is there
    END LOOP;
END
$$;
-- Databases that came from before PostgreSQL 15 let everybody make tables.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON FUNCTION make_body_week(date), drop_body_week(date) FROM PUBLIC;

-- The receiver makes deliveries durable in the spool, and registers orders, which takes up what waited for them.
GRANT SELECT, INSERT, UPDATE ON orders, fetches, inbox, payments, refunds, disputes, cases TO tillkeeper_ingest;
GRANT SELECT, UPDATE ON deliveries, parked TO tillkeeper_ingest;
GRANT SELECT, INSERT ON acts, outbox, spool, named_elsewhere TO tillkeeper_ingest;
GRANT SELECT ON bound_payments TO tillkeeper_ingest, tillkeeper_work, tillkeeper_sweep;  -- whose a payment is
GRANT INSERT ON case_entries TO tillkeeper_ingest;
GRANT SELECT ON steps, case_entries TO tillkeeper_ingest;  -- an order's history
GRANT SELECT, INSERT, UPDATE, DELETE ON due_orders TO tillkeeper_ingest;
GRANT DELETE ON payments, refunds, disputes TO tillkeeper_ingest;  -- what turns out to be another order's moves
GRANT SELECT, INSERT, DELETE ON refused TO tillkeeper_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON answers_given TO tillkeeper_ingest;  -- how many of each account it answered with what
GRANT SELECT, INSERT, UPDATE, DELETE ON learnt_keys, hints TO tillkeeper_ingest;

-- The workers apply deliveries to orders, or park them.
GRANT SELECT, UPDATE ON orders TO tillkeeper_work;
GRANT SELECT, INSERT, UPDATE ON deliveries, fetches, inbox, payments, refunds, disputes, cases, parked, key_uses, unknown_words,
      activity TO tillkeeper_work;
GRANT SELECT, INSERT ON void_numbers, outbox, named_elsewhere TO tillkeeper_work;
GRANT INSERT ON acts, case_entries TO tillkeeper_work;
GRANT DELETE ON payments, refunds, disputes TO tillkeeper_work;
GRANT SELECT, INSERT, UPDATE, DELETE ON spool, due_orders TO tillkeeper_work;
GRANT INSERT ON delivery_bodies TO tillkeeper_work;
GRANT SELECT, INSERT, DELETE ON held_deliveries TO tillkeeper_work;  -- of paused accounts
GRANT SELECT, INSERT, UPDATE ON account_pauses TO tillkeeper_work;

-- Whoever applies events counts what they change, and sees whether their account is paused.
GRANT SELECT, INSERT, UPDATE ON guard_counts TO tillkeeper_ingest, tillkeeper_work, tillkeeper_sweep, tillkeeper_ops;
GRANT SELECT ON guard_usual, account_pauses TO tillkeeper_ingest, tillkeeper_work, tillkeeper_sweep, tillkeeper_ops;

-- The sweep asks gateways, and applies what they answer; it removes what was kept for long enough.
GRANT SELECT, UPDATE ON orders, deliveries, parked TO tillkeeper_sweep;
GRANT SELECT, INSERT, UPDATE ON fetches, inbox, payments, refunds, disputes, steps, cases, unknown_words, policy_in_force, account_health,
      silences, backfills TO tillkeeper_sweep;
GRANT INSERT ON acts, case_entries TO tillkeeper_sweep;
GRANT DELETE ON payments, refunds, disputes TO tillkeeper_sweep;
GRANT DELETE ON fetches TO tillkeeper_sweep;  -- retention, as what follows but activity
GRANT SELECT, DELETE ON sessions, one_time_links, api_tokens TO tillkeeper_sweep;
GRANT UPDATE (payload) ON outbox TO tillkeeper_sweep;
-- It fetches statements and takes them in, removes old lines, and settles what events settled.
GRANT SELECT, INSERT, UPDATE ON statements, statement_differences, statement_days TO tillkeeper_sweep;
GRANT SELECT, INSERT, DELETE, UPDATE (superseded_by, payment_ref, dispute_ref) ON statement_lines TO tillkeeper_sweep;
GRANT SELECT, INSERT ON outbox, named_elsewhere TO tillkeeper_sweep;
GRANT SELECT, DELETE ON refused, delivery_bodies, delivery_bodies_other TO tillkeeper_sweep;
GRANT EXECUTE ON FUNCTION make_body_week(date), drop_body_week(date) TO tillkeeper_sweep;  -- bodies by weeks
GRANT SELECT, INSERT, UPDATE, DELETE ON activity, due_orders TO tillkeeper_sweep;
GRANT INSERT, UPDATE (finding) ON account_pauses TO tillkeeper_sweep;  -- answers may have one paused; the right to lock it
GRANT SELECT, INSERT, UPDATE, DELETE ON guard_usual TO tillkeeper_sweep;
GRANT DELETE ON guard_counts TO tillkeeper_sweep;
GRANT SELECT (pause_id, position) ON held_deliveries TO tillkeeper_sweep;
-- It chains events, acts and entries of cases, whose notes are part of it; what is chained it can neither change nor remove.
GRANT SELECT ON acts, case_entries TO tillkeeper_sweep;
GRANT SELECT ON SEQUENCE inbox_seq_seq, acts_id_seq, case_entries_id_seq TO tillkeeper_sweep;
GRANT SELECT, INSERT ON chain_links, chain_salts TO tillkeeper_sweep;
GRANT SELECT, INSERT, UPDATE ON chain_marks TO tillkeeper_sweep;
-- It makes the figures of the monthly reports; those of orders that came later, by what people bound.
GRANT SELECT, INSERT, DELETE ON report_figures, report_stale_days TO tillkeeper_sweep;
GRANT SELECT, INSERT, UPDATE, DELETE ON report_progress TO tillkeeper_sweep;
GRANT SELECT ON bound_payments TO tillkeeper_sweep;
GRANT SELECT (position, put_at) ON spool TO tillkeeper_sweep;  -- it counts what waits, for the gauges

-- The sender reads what is to be told, and opens a case where nobody could be told.  To lock an order it needs the right to
-- change a column of it: one that no status comes from.
GRANT SELECT, UPDATE (changed_at) ON orders TO tillkeeper_notify;
GRANT SELECT ON payments, refunds, disputes, parked TO tillkeeper_notify;
GRANT SELECT (account, ended_at) ON account_pauses TO tillkeeper_notify;  -- nobody is told anything meanwhile
GRANT SELECT, INSERT, UPDATE ON cases, outbox TO tillkeeper_notify;
GRANT INSERT ON case_entries TO tillkeeper_notify;

GRANT tillkeeper_ingest, tillkeeper_work, tillkeeper_sweep, tillkeeper_notify TO tillkeeper_run;

-- People: hold, close and ask about orders, resolve cases, replay and discard what is parked, hand over.
GRANT SELECT, INSERT, UPDATE ON orders, deliveries, fetches, inbox, payments, refunds, disputes, steps, cases, parked, unknown_words,
      backfills TO tillkeeper_ops;
GRANT SELECT, INSERT ON void_numbers, acts, case_entries, outbox, handovers, named_elsewhere, bound_payments TO tillkeeper_ops;
GRANT INSERT ON delivery_bodies TO tillkeeper_ops;  -- of what is replayed
GRANT SELECT, INSERT, UPDATE, DELETE ON due_orders TO tillkeeper_ops;
GRANT DELETE ON payments, refunds, disputes TO tillkeeper_ops;
GRANT INSERT ON spool TO tillkeeper_ops;  -- refused deliveries that are taken in after all
GRANT DELETE ON refused TO tillkeeper_ops;
GRANT UPDATE (state, channels, due_at, finished_at, leased_until) ON outbox TO tillkeeper_ops;  -- what was given up is tried again
GRANT UPDATE (decision, decided_by, decided_at, note, deaf_s) ON account_pauses TO tillkeeper_ops;
GRANT INSERT ON audits TO tillkeeper_ops;
GRANT INSERT, UPDATE ON statements, statement_differences TO tillkeeper_ops;  -- reconcile
GRANT INSERT, UPDATE (superseded_by, payment_ref, dispute_ref) ON statement_lines TO tillkeeper_ops;
GRANT INSERT ON bank_statements, bank_entries TO tillkeeper_ops;
GRANT INSERT, UPDATE ON payout_arrivals TO tillkeeper_ops;
GRANT INSERT ON account_pauses TO tillkeeper_ops;  -- a statement may have its account paused
GRANT INSERT, UPDATE ON audited_runs TO tillkeeper_ops;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO tillkeeper_ops;

-- Whoever erases a payer's data rewrites texts that nobody else may, and nothing that the books are made of.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO tillkeeper_erase;
GRANT UPDATE (terms) ON orders TO tillkeeper_erase;
GRANT UPDATE (body, headers, query) ON deliveries TO tillkeeper_erase;
GRANT UPDATE (body, error, note) ON parked TO tillkeeper_erase;
GRANT UPDATE (body) ON held_deliveries TO tillkeeper_erase;
GRANT UPDATE (state, payload, channels, due_at, finished_at, leased_until, last_error) ON outbox TO tillkeeper_erase;
GRANT UPDATE (details, outcome) ON cases TO tillkeeper_erase;
GRANT UPDATE (note) ON case_entries, acts, bound_payments TO tillkeeper_erase;
GRANT DELETE ON refused, delivery_bodies, chain_salts TO tillkeeper_erase;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO tillkeeper_read;

-- The audit adds up; whom an order is for, and what a gateway wrote, is no business of its.
GRANT SELECT ON void_numbers, fetches, inbox, named_elsewhere, payments, refunds, disputes, cases, steps, acts, silences,
      due_orders, statements, statement_lines TO tillkeeper_audit;
GRANT SELECT, INSERT ON audits TO tillkeeper_audit;
GRANT SELECT, INSERT, UPDATE ON audited_runs TO tillkeeper_audit;
GRANT SELECT (run, number, account, received_at, key, events, duplicates, fetches, dropped) ON deliveries TO tillkeeper_audit;
GRANT SELECT (id, run, number, account, event_id, readable, reason, parked_at, outcome, closed_at) ON parked
TO tillkeeper_audit;
GRANT SELECT (run, number, received_at, events) ON held_deliveries TO tillkeeper_audit;
GRANT SELECT (position, id, shard, put_at, attempts, leased_until) ON spool TO tillkeeper_audit;
GRANT SELECT (key, id, order_id, version, audience, topic, created_at, due_at, attempts, leased_until, state, finished_at)
ON outbox TO tillkeeper_audit;
GRANT SELECT (id, order_ref, amount_minor, currency, accounts, status, captured_minor, discount_minor, refunding_minor,
              refunded_minor, version, registered_at, changed_at, expires_at, instalments, phase, phase_since, due_at, ask_at,
              held_until, closed_at) ON orders TO tillkeeper_audit;

-- Passwords' hashes and what signs people in are read by nobody who does not need them to sign people in.
REVOKE ALL ON people, sessions, api_tokens, one_time_links, sign_in_attempts FROM tillkeeper_ops, tillkeeper_erase, tillkeeper_read;
-- What programs were answered with is the desk's, and goes where it names an order whose payer's data goes.
REVOKE ALL ON idempotency_keys FROM tillkeeper_ops, tillkeeper_read;
GRANT DELETE ON idempotency_keys TO tillkeeper_erase;
GRANT SELECT (id, name, display_name, role, locale, created_at, created_by, disabled_at, issuer) ON people
TO tillkeeper_ops, tillkeeper_erase, tillkeeper_read;
-- What needs a second person may be proposed and decided at a terminal, too.
GRANT SELECT, INSERT, UPDATE ON approvals TO tillkeeper_ops;
GRANT SELECT, INSERT ON access_log TO tillkeeper_ops;

-- Who adds people, and gives them roles, links and tokens, at a terminal.
GRANT SELECT, INSERT, UPDATE ON people, api_tokens TO tillkeeper_people;
GRANT SELECT, INSERT, UPDATE, DELETE ON one_time_links TO tillkeeper_people;
GRANT SELECT, DELETE ON sessions TO tillkeeper_people;
GRANT SELECT, INSERT ON access_log TO tillkeeper_people;

-- The desk does what people do at a terminal, and signs them in.  Whom it lets do what is desk/access/roles.py; which roles they
-- have is beyond it: it can neither make a link nor change a role.  Whom the company's provider names it may add, as a viewer:
-- the role that the provider gives stands in the session, and ends with it.
GRANT tillkeeper_ops TO tillkeeper_desk;
GRANT tillkeeper_desk TO tillkeeper_run;
GRANT SELECT ON people, api_tokens, one_time_links TO tillkeeper_desk;
GRANT INSERT (name, display_name, locale, created_at, created_by, issuer, subject) ON people TO tillkeeper_desk;
GRANT UPDATE (password_hash, locale) ON people TO tillkeeper_desk;
GRANT UPDATE (last_used_at) ON api_tokens TO tillkeeper_desk;
GRANT UPDATE (used_at) ON one_time_links TO tillkeeper_desk;
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO tillkeeper_desk;
GRANT SELECT, INSERT, UPDATE ON sign_in_attempts TO tillkeeper_desk;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO tillkeeper_desk;
