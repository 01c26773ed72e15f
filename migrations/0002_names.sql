-- Tables, columns and some stored words get the names that they have since 0.1.0.
-- oldest program: 2
-- step: transaction

-- Each part looks whether it is done already, for databases of the days before versions were counted may have it.
DO $$
DECLARE
    t record;
    old record;
BEGIN
    IF to_regclass('rung') IS NULL THEN
        RETURN;
    END IF;
    FOR t IN SELECT * FROM (VALUES
        ('delivery', 'deliveries'), ('delivery_void', 'void_numbers'), ('payment', 'payments'), ('refund', 'refunds'),
        ('dispute', 'disputes'), ('rung', 'steps'), ('act', 'acts'), ('case_entry', 'case_entries'), ('key_use', 'key_uses'),
        ('unknown_word', 'unknown_words'), ('learnt_key', 'learnt_keys'), ('handover', 'handovers'), ('heard', 'activity'),
        ('pulse', 'account_health'), ('quiet', 'silences'), ('backfill', 'backfills'), ('hint', 'hints')
    ) AS renamed (before, after) WHERE to_regclass(before) IS NOT NULL LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', t.before, t.after);
        FOR old IN SELECT conname AS name FROM pg_constraint
                   WHERE conrelid = to_regclass(t.after) AND starts_with(conname, t.before || '_') LOOP
            EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I',
                           t.after, old.name, t.after || substr(old.name, length(t.before) + 1));
        END LOOP;
        FOR old IN SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                   WHERE i.indrelid = to_regclass(t.after) AND starts_with(c.relname, t.before || '_') LOOP
            EXECUTE format('ALTER INDEX %I RENAME TO %I', old.name, t.after || substr(old.name, length(t.before) + 1));
        END LOOP;
        FOR old IN SELECT c.relname AS name FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
                   WHERE d.refobjid = to_regclass(t.after) AND starts_with(c.relname, t.before || '_') LOOP
            EXECUTE format('ALTER SEQUENCE %I RENAME TO %I', old.name, t.after || substr(old.name, length(t.before) + 1));
        END LOOP;
    END LOOP;
    FOR t IN SELECT * FROM (VALUES
        ('orders', 'spell', 'phase'), ('orders', 'spell_since', 'phase_since'), ('steps', 'spell', 'phase'),
        ('fetches', 'wishes', 'requests'), ('fetches', 'wanted_at', 'requested_at'), ('fetches', 'taken', 'claims'),
        ('fetches', 'taken_until', 'leased_until'), ('outbox', 'taken_until', 'leased_until'),
        ('spool', 'taken_until', 'leased_until'), ('spool', 'taken_by', 'leased_by'), ('silences', 'over_at', 'ended_at'),
        ('backfills', 'wanted_since', 'requested_since'), ('backfills', 'wished_at', 'requested_at'),
        ('backfills', 'taken_by', 'leased_by'), ('backfills', 'taken_until', 'leased_until')
    ) AS renamed (in_table, before, after)
    WHERE EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(in_table) AND attname = before) LOOP
        EXECUTE format('ALTER TABLE %I RENAME %I TO %I', t.in_table, t.before, t.after);
        FOR old IN SELECT conname AS name FROM pg_constraint  -- from PostgreSQL 18 on these have names
                   WHERE conrelid = to_regclass(t.in_table) AND conname = concat_ws('_', t.in_table, t.before, 'not_null') LOOP
            EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I',
                           t.in_table, old.name, concat_ws('_', t.in_table, t.after, 'not_null'));
        END LOOP;
    END LOOP;
    FOR t IN SELECT * FROM (VALUES
        ('fetches', 'fetches_wishes_check', 'fetches_requests_check'), ('backfills', 'wanted_whole', 'requested_whole')
    ) AS renamed (in_table, before, after)
    WHERE EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass(in_table) AND conname = before) LOOP
        EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I', t.in_table, t.before, t.after);
    END LOOP;
    UPDATE cases SET closed_by = 'system' WHERE closed_by = 'truth';
    UPDATE case_entries SET by = 'system' WHERE by = 'truth';
    UPDATE cases SET subject = replace(subject, '/spell:', '/phase:') WHERE kind = 'stuck';
    -- Named as before, what was told already would be told once more.
    UPDATE outbox SET key = replace(key, '/spell ', '/phase ') WHERE audience = 'payer' AND key LIKE '%/spell %';
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('outbox') AND attname = 'told') THEN
        ALTER TABLE outbox RENAME told TO channels;
        IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass('outbox') AND conname = 'outbox_told_not_null') THEN
            ALTER TABLE outbox RENAME CONSTRAINT outbox_told_not_null TO outbox_channels_not_null;
        END IF;
    END IF;
END $$;
