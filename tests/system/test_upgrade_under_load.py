"""The release before and the one after serve one database while it is upgraded, and deliveries keep coming."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress

import aiohttp
import asyncpg
import pytest

from tests.database.factories import STANDING_OTHERWISE
from tests.releases.kept import copy_program, unpack_release
from tests.system.commands import serving, tillkeeper, toml, written
from tests.system.receiving import AUTHORIZED, PATH, a_delivery, until
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.store.schema.files import read_migrations

ORDERS = 40
ROWS_BEFORE = 30_000
PAUSE_S = 0.02  # after each round of posts
EXPANSION = """-- Orders have a colour, which the release before knows nothing of.
-- oldest program: {oldest}
-- step: transaction
ALTER TABLE orders ADD COLUMN colour text;
-- step: batches of 2000 over orders.id
UPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2 AND colour IS NULL;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_colour ON orders (colour);
-- step: transaction
ALTER TABLE orders ADD CONSTRAINT orders_colour_known CHECK (colour IN ('grey', 'red')) NOT VALID;
-- step: transaction
ALTER TABLE orders VALIDATE CONSTRAINT orders_colour_known;
"""
MANY_ORDERS = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since)
SELECT 'OLD-' || n, 100, 'EUR', '{stripe-main}', '{"amount": 100, "currency": "EUR", "accounts": ["stripe-main"]}',
       now(), now(), now()
FROM generate_series(1, $1::int) n
"""

# What the release before wrote is known to the present one, and what that wrote comes too late for neither.
DUE_OTHERWISE = """
SELECT count(*) FROM orders o FULL JOIN due_orders d ON d.order_id = o.id WHERE o.due_at IS DISTINCT FROM d.due_at
"""
DUE_TOO_LATE = """
SELECT count(*) FROM due_orders d JOIN orders o ON o.id = d.order_id
WHERE d.due_at IS NOT NULL AND (o.due_at IS NULL OR o.due_at > d.due_at)
"""

WHERE_BODIES_ARE = """
SELECT count(d.body) AS before, count(b.body) AS after,
       count(*) FILTER (WHERE num_nonnulls(b.body, d.body) <> 1) AS nowhere
FROM deliveries d LEFT JOIN delivery_bodies b USING (run, number)
"""


def running(program):
    """The environment in which Python finds that program and no other."""
    return {"PYTHONPATH": str(program), "PYTHONSAFEPATH": "1"}


# Both once for all tests here: the first process of each compiles it.
@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return unpack_release(tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """The present program with one migration more, so that there is always one to be run."""
    program = copy_program(tmp_path_factory.mktemp("after"))
    present = read_migrations(program / "migrations")
    name = f"{len(present) + 1:04}_colour.sql"
    text = EXPANSION.format(oldest=present[-1].oldest_program)
    (program / "migrations" / name).write_text(text)
    return program


class Poster:
    """Posts deliveries to whoever listens, round and round; those that are answered 2xx are accepted.

    It leaves the cores to the processes: what it posts as fast as it can they take as fast as they can.
    """

    def __init__(self, *ports):
        self.ports = list(ports)
        self.accepted = Counter()  # by port
        self._posted = 0
        self._stop = asyncio.Event()

    async def post_all(self, client):
        while not self._stop.is_set():
            for port in list(self.ports):
                self._posted += 1
                await self._post(client, port, self._posted)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), PAUSE_S)

    async def _post(self, client, port, number):
        headers, body = a_delivery(f"evt_{number}", order_ref=f"ORDER-{number % ORDERS}")
        with suppress(aiohttp.ClientError):  # the port is closed, for its process stops
            async with client.post(f"http://127.0.0.1:{port}{PATH}", headers=headers, data=body) as answer:
                if answer.status == 200:
                    self.accepted[port] += 1

    async def more(self, port, count=30):
        """Returns once that many more were accepted there."""
        wanted = self.accepted[port] + count
        await until(lambda: _true(self.accepted[port] >= wanted))

    def stop(self):
        self._stop.set()


async def _true(value):
    return value


@asynccontextmanager
async def posting(client, *ports):
    poster = Poster(*ports)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(poster.post_all(client))
        yield poster
        poster.stop()


async def readiness(client, port):
    try:
        async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status
    except aiohttp.ClientError:
        return None


async def register(client, port):
    order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
    for number in range(ORDERS):
        async with client.put(
            f"http://127.0.0.1:{port}/orders/ORDER-{number}", json=order, headers=AUTHORIZED
        ) as answer:
            assert answer.status == 201, await answer.text()


@pytest.mark.long(seconds=20)
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nothing_is_lost_while_a_database_is_upgraded_under_both_releases(
    tmp_path, before, after, empty_database
):
    old_port, new_port = free_ports(2)
    for port in (old_port, new_port):
        (tmp_path / str(port)).mkdir()
    old_config, new_config = (
        written(tmp_path / str(port), toml(empty_database, ingest=f"port = {port}", desk=""))
        for port in (old_port, new_port)
    )
    made = await tillkeeper("db", "init", "--config", old_config, as_program=True, **running(before))
    assert made.code == 0, made.err
    owner = await asyncpg.connect(empty_database)
    await owner.execute(MANY_ORDERS, ROWS_BEFORE)

    async with (
        serving("run", "--config", old_config, **running(before)) as old,
        aiohttp.ClientSession() as client,
    ):
        await until(lambda: _is(client, old_port, 200))
        await register(client, old_port)
        async with posting(client, old_port) as poster:
            await poster.more(old_port)

            early = await tillkeeper("run", "--config", new_config, as_program=True, **running(after))
            assert early.code == 4
            assert "run `tillkeeper db upgrade`" in early.err
            upgraded = await tillkeeper("db", "upgrade", "--config", new_config, as_program=True, **running(after))
            assert upgraded.code == 0, upgraded.err
            assert await owner.fetchval("SELECT count(*) FROM orders WHERE colour IS NULL") == 0

            await poster.more(old_port)
            assert await readiness(client, old_port) == 200
            assert await owner.fetchval(DUE_OTHERWISE) == 0
            async with serving("run", "--config", new_config, **running(after)) as new:
                await until(lambda: _is(client, new_port, 200))
                poster.ports.append(new_port)
                await poster.more(old_port)
                await poster.more(new_port)
                poster.ports.remove(old_port)
                old.child.terminate()
                assert await old.ended() == 0
                await poster.more(new_port)
                poster.stop()
                await until(lambda: _all_applied(owner, poster))
                new.child.terminate()
                assert await new.ended() == 0

    books = await tillkeeper("audit", "--grace", "0s", "--config", new_config, as_program=True, **running(after))
    assert books.code == 0, books.out + books.err
    statuses = await owner.fetch("SELECT DISTINCT status FROM orders WHERE order_ref LIKE 'ORDER-%'")
    assert [row["status"] for row in statuses] == ["paid"]
    assert await owner.fetchval("SELECT count(*) FROM parked") == 0
    kept = await owner.fetchrow(WHERE_BODIES_ARE)
    assert kept["nowhere"] == 0
    assert min(kept["before"], kept["after"]) >= 30
    assert await owner.fetchval("SELECT count(*) FROM delivery_bodies_other") == 0  # their week was made
    assert await owner.fetchval("SELECT count(*) FROM due_orders WHERE due_at IS NOT NULL") == ORDERS
    assert await owner.fetchval(DUE_TOO_LATE) == 0
    assert await owner.fetchval(STANDING_OTHERWISE) == 0
    await owner.close()


@pytest.mark.long(seconds=20)
async def test_when_an_order_is_due_is_known_to_both_releases(tmp_path, before, after, empty_database):
    config = written(tmp_path, toml(empty_database, desk=""))
    made = await tillkeeper("db", "init", "--config", config, as_program=True, **running(before))
    assert made.code == 0, made.err
    owner = await asyncpg.connect(empty_database)
    await owner.execute(MANY_ORDERS, 1)
    upgraded = await tillkeeper("db", "upgrade", "--config", config, as_program=True, **running(after))
    assert upgraded.code == 0, upgraded.err

    async def act(program, *words):
        done = await tillkeeper(
            "order", *words, "--note", "a test", "--config", config, as_program=True, **running(program)
        )
        assert done.code == 0, done.err

    await act(before, "hold", "OLD-1", "24h")
    assert await owner.fetchval("SELECT d.due_at = o.held_until FROM due_orders d, orders o")
    await act(after, "release", "OLD-1")
    assert await owner.fetchval("SELECT d.due_at = o.due_at AND d.due_at <= now() FROM due_orders d, orders o")
    await act(after, "hold", "OLD-1", "24h")
    assert await owner.fetchval("SELECT d.due_at = o.held_until AND o.due_at <= now() FROM due_orders d, orders o")
    await act(before, "release", "OLD-1")
    assert await owner.fetchval("SELECT d.due_at = o.due_at AND d.due_at <= now() FROM due_orders d, orders o")
    await owner.close()


async def _is(client, port, status):
    return await readiness(client, port) == status


async def _all_applied(owner, poster):
    return await owner.fetchval("SELECT count(*) FROM inbox") >= sum(poster.accepted.values())
