"""An upgrade on a real server: while others hold locks, cut off in the middle, twice at once."""

import asyncio

import asyncpg
import pytest

from tillkeeper.domain.backoff import constant
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.sqlstates import SchemaMissing, SchemaUnfit
from tillkeeper.store.schema import upgrading
from tillkeeper.store.schema.creating import create_schema
from tillkeeper.store.schema.exclusive import exclusively
from tillkeeper.store.schema.files import migrations, parse_migration
from tillkeeper.store.schema.status import look
from tillkeeper.store.schema.upgrading import ChangedMigration, upgrade
from tillkeeper.store.schema.versions import schema_version

NEXT = len(migrations()) + 1
OLDEST = migrations()[-1].oldest_program
ORDERS = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since)
SELECT 'A' || n, 100, 'EUR', '{a}', '{}', now(), now(), now() FROM generate_series(1, 25) n
"""
ADD = "-- step: transaction\nALTER TABLE orders ADD COLUMN colour text;\n"
INDEX = "-- step: alone\nCREATE INDEX CONCURRENTLY IF NOT EXISTS orders_colour ON orders (colour);\n"
FILL = "-- step: batches of 10 over orders.id\nUPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2;\n"


def known(*steps, oldest=OLDEST):
    text = f"-- Orders have a colour.\n-- oldest program: {oldest}\n{''.join(steps)}"
    return [*migrations(), parse_migration(f"{NEXT:04}_colour.sql", text)]


class Reports(list):
    """What an upgrade told; `seen` waits for one."""

    def __init__(self):
        self._told = asyncio.Event()

    def __call__(self, done):
        self.append(done)
        self._told.set()

    async def seen(self, fits):
        async with asyncio.timeout(120):
            while not any(map(fits, self)):
                self._told.clear()
                await self._told.wait()


@pytest.fixture
async def owner(database):
    connection = await asyncpg.connect(database)
    await connection.execute(ORDERS)
    yield connection
    await connection.close()


@pytest.fixture
def hasty(monkeypatch):
    """Waits for locks for a moment only."""
    monkeypatch.setattr(upgrading, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(upgrading, "MIGRATION_LOCK", constant(0.05))
    monkeypatch.setattr(upgrading, "NOTICE_S", 0.0)


async def test_steps_of_each_kind_are_run_and_told(owner, database):
    reports = Reports()
    done = await upgrade(database, known(ADD, FILL, INDEX), report=reports)
    assert [migration.version for migration in done] == [NEXT]
    assert await owner.fetchval("SELECT count(*) FROM orders WHERE colour = 'grey'") == 25
    assert await owner.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_colour'::regclass")
    assert [(report.done, report.total) for report in reports if report.step == 1] == [
        (0, 0),
        (10, 25),
        (20, 25),
        (25, 25),
    ]
    assert (await schema_version(owner)).version == NEXT
    assert await upgrade(database, known(ADD, FILL, INDEX), report=reports) == []


async def test_locks_that_others_hold_are_waited_for_briefly(owner, database, hasty):
    reports = Reports()
    async with owner.transaction():
        await owner.execute("SELECT count(*) FROM orders")
        running = asyncio.ensure_future(upgrade(database, known(ADD), report=reports))
        await reports.seen(lambda each: "in a transaction for" in each.waits_for)
        assert (await schema_version(owner)).version == NEXT - 1
    await running
    assert (await schema_version(owner)).version == NEXT


async def test_what_was_cut_off_goes_on_where_it_stopped(owner, database):
    await owner.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
    await owner.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id = 15) EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await upgrade(database, known(ADD, FILL), report=Reports())
    cut_off = await schema_version(owner)
    assert (cut_off.version, cut_off.unfinished) == (NEXT - 1, NEXT)
    with pytest.raises(ChangedMigration):  # for what is done of it is another file's
        await upgrade(database, known(ADD, INDEX, FILL), report=Reports())
    await owner.execute("DROP TRIGGER refuse ON orders; DROP FUNCTION refuse")
    reports = Reports()
    await upgrade(database, known(ADD, FILL), report=reports)
    assert [(report.step, report.done) for report in reports] == [(1, 0), (1, 20), (1, 25)]
    assert await owner.fetchval("SELECT count(*) FROM orders WHERE colour = 'grey'") == 25


async def test_an_index_that_was_cut_off_is_built_anew(owner, database):
    await owner.execute("ALTER TABLE orders ADD COLUMN colour text DEFAULT 'grey'")
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute("CREATE UNIQUE INDEX CONCURRENTLY orders_colour ON orders (colour)")
    await upgrade(database, known(INDEX), report=Reports())
    built = "SELECT indisvalid AND NOT indisunique FROM pg_index WHERE indexrelid = 'orders_colour'::regclass"
    assert await owner.fetchval(built)


async def test_of_two_at_once_the_second_waits_and_finds_it_done(owner, database):
    waits = asyncio.Event()
    async with exclusively(database):
        both = [
            asyncio.ensure_future(upgrade(database, known(ADD), report=Reports(), waiting=waits.set)) for _ in range(2)
        ]
        await asyncio.wait_for(waits.wait(), 120)
        assert (await schema_version(owner)).version == NEXT - 1
    done = await asyncio.gather(*both)
    assert sorted(map(len, done)) == [0, 1]


async def test_a_migration_that_was_run_from_another_file_is_refused(owner, database):
    await upgrade(database, known(ADD), report=Reports())
    with pytest.raises(ChangedMigration, match=f"{NEXT:04} colour"):
        await upgrade(database, known(INDEX), report=Reports())


async def test_a_look_tells_what_an_upgrade_would_do_and_changes_nothing(owner, database):
    await owner.execute("ANALYZE orders")
    status = await look(database, known(ADD, FILL))
    assert (status.found.version, [each.version for each in status.left]) == (NEXT - 1, [NEXT])
    assert status.size_of(status.left[0].steps[1])[:2] == ("orders", 25)
    assert "tillkeeper db upgrade" in str(status.unfit)
    assert (await look(database, migrations())).unfit is None
    assert status.shuts_out_before is None
    assert (await look(database, known(ADD, oldest=NEXT))).shuts_out_before == NEXT


async def test_what_is_old_is_not_made_anew_and_what_is_empty_is_not_upgraded(owner, database):
    await owner.execute("DELETE FROM schema_versions WHERE version > 1")
    with pytest.raises(SchemaUnfit, match="db upgrade"):
        await create_schema(database)
    await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with pytest.raises(SchemaMissing, match="db init"):
        await upgrade(database, migrations(), report=Reports())


async def test_whoever_is_shut_out_waits_as_in_an_outage_and_goes_on_when_it_may(owner, database, hasty):
    """The program of before, in the middle of its work."""
    watch = SchemaWatch(made_for=NEXT - 1)
    async with await open_pool(database, max_size=2) as pool:
        await watch.look_once(pool)
        assert watch.is_fit
        await upgrade(database, known(ADD), report=Reports())  # expands
        await watch.look_once(pool)
        assert watch.is_fit
        await owner.execute("UPDATE schema_versions SET oldest_program = $1 WHERE version = $1", NEXT)  # contracts
        await watch.look_once(pool)
        assert not watch.is_fit
        with pytest.raises(SchemaUnfit, match="install a later Tillkeeper"):
            await pool.fetchval("SELECT 1")
        await owner.execute("UPDATE schema_versions SET oldest_program = 1")
        await watch.look_once(pool)
        assert await pool.fetchval("SELECT 1") == 1


async def test_who_is_shut_out_is_told_before_the_schema_changes(owner, database, monkeypatch):
    at_notice = []

    async def noticed(_seconds):
        at_notice.append(await schema_version(owner))

    monkeypatch.setattr(upgrading.asyncio, "sleep", noticed)
    await upgrade(database, known(ADD, oldest=NEXT), report=Reports())
    assert [(each.version, each.oldest_program) for each in at_notice] == [(NEXT - 1, NEXT)]
