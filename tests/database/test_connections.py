"""Connections that are of no use any more: dark, read-only, or with a pooler that hands out another server."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.lane_handles import until_available, until_true
from tillkeeper import clock
from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.servers.child import Child, free_ports, new_directory
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.connections import Connection
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.sqlstates import NotReplicated, ReadOnlyDatabase
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show
from tillkeeper.store.schema.creating import create_schema
from tillkeeper.store.schema.files import migrations, parse_migration
from tillkeeper.store.schema.upgrading import upgrade
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry

PEERS = 6


class Line:
    """A way to the server whose present connections can go dark: no byte passes, and nobody hangs up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = asyncio.Event()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        self._open.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._open.set()
        server.close()

    def go_dark(self) -> None:
        """For those who are connected; new ones get through."""
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_open = self._open
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_pump(reader, to_server, is_open), _pump(from_server, writer, is_open))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event) -> None:
    while data := await reader.read(65536):
        if is_open.is_set():
            writer.write(data)
    writer.close()


async def all_at_once(pool: asyncpg.Pool, use: Callable[[asyncpg.Connection], Awaitable[object]]) -> None:
    """Uses every connection that the pool may have, so that there are as many."""
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.acquire()) for _ in range(PEERS)]
        for conn in held:
            await use(conn)


async def test_peers_of_a_connection_that_went_dark_are_replaced_with_it(postgres_server, database, monkeypatch):
    monkeypatch.setattr("tillkeeper.store.postgres.connections.PING_AFTER_S", 0.0)
    line = Line(postgres_server.port)
    async with line.laid() as where:
        pool = await open_pool(f"postgresql://postgres@{where}/{database.rsplit('/')[-1]}", max_size=PEERS)
        await all_at_once(pool, lambda conn: conn.execute("SELECT 1"))
        line.go_dark()
        started_s = clock.monotonic_s()
        await register(pool, a_registration(), policy=Policy(), now=NOON)
        assert clock.monotonic_s() - started_s < 5  # one sign of life that did not come, not one for each peer
        async with asyncio.timeout(5):
            await all_at_once(pool, lambda conn: conn.execute("SELECT 1"))
        await pool.close()


async def test_a_connection_that_goes_dark_in_use_holds_nobody_for_long(postgres_server, database):
    line = Line(postgres_server.port)
    async with line.laid() as where:
        pool = await open_pool(f"postgresql://postgres@{where}/{database.rsplit('/')[-1]}", max_size=1)
        started_s = clock.monotonic_s()

        async def go_dark_in_use() -> None:
            async with asyncio.timeout(0.5), pool.acquire() as conn:
                line.go_dark()
                await conn.fetchval("SELECT 1")

        with pytest.raises(TimeoutError):
            await go_dark_in_use()
        assert await pool.fetchval("SELECT 1") == 1
        assert clock.monotonic_s() - started_s < 8
        await pool.close()


async def test_a_command_that_was_given_up_condemns_the_peers(pool):
    await all_at_once(pool, lambda conn: conn.execute("SELECT 1"))
    before = {row["pid"] for row in await pool.fetch(OTHERS)}
    with pytest.raises(TimeoutError):
        await pool.fetchval("SELECT pg_sleep(30)", timeout=0.1)
    await all_at_once(pool, lambda conn: conn.execute("SELECT 1"))
    await until_true(pool, f"SELECT count(*) = 0 FROM ({OTHERS}) o WHERE pid = ANY('{{{','.join(map(str, before))}}}')")


OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
BECOME_READ_ONLY = "SET default_transaction_read_only = on"


async def test_peers_of_a_connection_that_cannot_write_are_replaced_with_it(pool):
    await all_at_once(pool, lambda conn: conn.execute(BECOME_READ_ONLY))
    sender = SpoolSender(pool)
    with pytest.raises(LaneUnavailable, match="ReadOnly"):
        await sender.put(b"one")
    await sender.put(b"one")  # not at its sixth try


async def test_readiness_writes(pool, postgres_server):
    sender = SpoolSender(pool)
    await sender.check()
    await all_at_once(pool, lambda conn: conn.execute(BECOME_READ_ONLY))
    with pytest.raises(LaneUnavailable, match="ReadOnly"):
        await sender.check()
    await sender.check()
    assert await pool.fetchval("SELECT count(*) FROM spool") == 0


async def test_a_server_that_takes_no_writes_is_no_place_to_connect_to(database, postgres_server):
    name = database.rsplit("/")[-1]
    admin = await asyncpg.connect(database)
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(ReadOnlyDatabase, match="read-only"):
        await open_pool(database, max_size=1)
    await admin.execute(f"SET default_transaction_read_only = off; ALTER DATABASE {name} RESET ALL")
    await admin.close()
    await (await open_pool(database, max_size=1)).close()


async def test_readiness_waits_for_the_standby_and_what_was_not_replicated_is_not_done(pool, database, monkeypatch):
    monkeypatch.setattr("tillkeeper.lanes.spool.CHECK_S", 20.0)
    admin = await asyncpg.connect(database, server_settings={"synchronous_commit": "local"})
    try:
        await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await admin.execute("SELECT pg_reload_conf()")
        await until_true(admin, "SELECT current_setting('synchronous_standby_names') = 'nobody'")
        for work, failure in (
            (SpoolSender(pool).check(), LaneUnavailable),
            (register(pool, a_registration(), policy=Policy(), now=NOON), NotReplicated),
        ):
            doing = asyncio.ensure_future(work)
            await until_true(admin, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            await admin.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            with pytest.raises(failure, match="synchronous replication"):
                await doing
    finally:
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")
        await until_true(admin, "SELECT current_setting('synchronous_standby_names') = ''")
        await admin.close()


CANCELLED_WAIT = {"S": "警告", "V": "WARNING", "C": "01000", "M": "由于用户请求取消等待同步复制", "F": "syncrep.c"}


async def test_a_cancelled_wait_is_known_in_any_language(pool):
    async def told(conn: Connection) -> None:
        conn._con._process_log_message(CANCELLED_WAIT, "COMMIT")

    async def work(conn: Connection) -> None:
        await conn.execute("CREATE TEMP TABLE t ()")
        conn._con.execute = announced.__get__(conn._con)

    async def announced(self: Connection, query: str, **options: object) -> str:
        async def run() -> str:
            answer = await asyncpg.Connection.execute(self, query, **options)
            self._process_log_message(CANCELLED_WAIT, query)
            return answer

        return await self._watched(run, simple=True)

    with pytest.raises(NotReplicated):
        await repeat_on_conflict(pool, work)


@pytest.fixture
async def pgbouncer(postgres_server: Postgres) -> AsyncIterator[str]:
    """Where a PgBouncer in transaction mode listens, with few servers for many clients."""
    if (program := shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")) is None:
        pytest.skip("there is no pgbouncer on this machine (apt-get install pgbouncer)")
    [port] = free_ports(1)
    directory = new_directory("pgbouncer")
    user = "nobody" if os.geteuid() == 0 else ""
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres_server.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 3\nserver_round_robin = 1\n"
    )
    child = await Child.start(
        [program, str(configuration)],
        directory=directory,
        log=directory / "log",
        user=user,
    )

    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", timeout=5)
        except (OSError, asyncpg.PostgresError):
            return False
        connection.terminate()
        return True

    await child.ready(answers, within_s=120)
    yield f"postgresql://postgres@127.0.0.1:{port}"
    await child.stop(signal.SIGTERM, within_s=10)
    shutil.rmtree(directory)


async def test_behind_pgbouncer_in_transaction_mode_every_order_comes_true(postgres_server, pgbouncer):
    name = f"pooled_{uuid4().hex[:8]}"
    await postgres_server.create_database(name)
    dsn = f"{pgbouncer}/{name}"
    assert "orders" in await create_schema(dsn)
    pool = await open_pool(dsn, max_size=8, by_key=True)
    refs = [f"O{i}" for i in range(60)]
    await asyncio.gather(*(register(pool, a_registration(ref), policy=Policy(), now=NOON) for ref in refs))
    run = uuid4()
    events = [an_event(order_ref=ref, payment_ref=f"p-{ref}") for ref in refs]
    deliveries = tuple(a_delivery(event, run=run, number=number) for number, event in enumerate(events, start=1))
    envelopes = [Envelope(run=run, deliveries=deliveries[start : start + 5]) for start in range(0, len(refs), 5)]
    await asyncio.gather(*(SpoolSender(pool).put(pack(envelope)) for envelope in envelopes))
    lanes = [await SpoolReceiver.open(pool, dsn) for _ in range(3)]
    loops = [
        ApplyLoop(
            lane=lane, pool=pool, retry=DatabaseRetry(asyncio.Event()), policy=Policy, now=lambda: NOON, batch_events=10
        )
        for lane in lanes
    ]

    async def work(loop: ApplyLoop) -> None:
        while await until_available(loop.run_once):
            pass

    await asyncio.gather(*map(work, loops))
    assert {(await show(pool, ref))["status"] for ref in refs} == {"paid"}
    assert (await audit(pool, settled_until=NOON, now=NOON)).balances
    await asyncio.gather(*(lane.close() for lane in lanes))
    await pool.close()
    await postgres_server.drop_database(name)


async def test_behind_pgbouncer_a_database_is_upgraded_by_one_at_a_time(postgres_server, pgbouncer):
    name = f"pooled_{uuid4().hex[:8]}"
    await postgres_server.create_database(name)
    dsn = f"{pgbouncer}/{name}"
    await create_schema(dsn)
    steps = (
        "-- step: transaction\nALTER TABLE orders ADD COLUMN colour text;\n"
        "-- step: batches of 10 over orders.id\nUPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2;\n"
        "-- step: alone\nCREATE INDEX CONCURRENTLY IF NOT EXISTS orders_colour ON orders (colour);\n"
    )
    number = len(migrations()) + 1
    colour = parse_migration(f"{number:04}_colour.sql", f"-- Colours.\n-- oldest program: {number - 1}\n{steps}")
    known = [*migrations(), colour]
    done = await asyncio.gather(*(upgrade(dsn, known, report=lambda _: None) for _ in range(2)))
    assert sorted(map(len, done)) == [0, 1]
    await postgres_server.drop_database(name)
