"""The database is lost and restored to a moment before that: what docs/backup.md says, done as it says."""

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.gateway_apis import Gateways
from tests.system.commands import serving, tillkeeper
from tests.system.receiving import AUTHORIZED, TOKEN, until
from tillkeeper import clock
from tillkeeper.sandbox.accounts import write_config
from tillkeeper.sandbox.servers import Backup, Postgres
from tillkeeper.sandbox.servers.child import free_ports

STRIPE = "stripe-main"
PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
STATEMENTS = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)  # before any process writes to the copy
ORDERS = 40
TEN = 10
WITHIN_S = 120.0


class Shop:
    """A merchant with orders at Stripe, its receiver and worker, and whatever database they have just now."""

    def __init__(self, directory, signer, broker_url, bases, gateways):
        self.signer, self.bases = signer, bases
        self.broker_url = broker_url
        self.directory = directory
        self.config = directory / "tillkeeper.toml"
        [self.port] = free_ports(1)
        pays = signer.pays
        self.stories = [gateways.tells(STRIPE, (pays, number), order_ref=f"R-{number:06}") for number in range(ORDERS)]
        self.database = ""

    def configure(self, database, *, prefix):
        """Only the file with the database's address changes, as after a restore."""
        if not self.config.exists():
            more = f'broker_prefix = "{prefix}"'
            write_config(
                self.config,
                {STRIPE: self.signer},
                database_url=database,
                broker_url=self.broker_url,
                port=self.port,
                token=TOKEN,
                bases=self.bases,
            )
            self.config.write_text(f"{more}\n{self.config.read_text()}")
        (self.directory / "database_url").write_text(database)
        self.database = database

    async def register_all(self, client):
        order = {"amount": 12900, "currency": "EUR", "accounts": [STRIPE], "payer": {"email": "payer@shop.example"}}
        for story in self.stories:
            async with client.put(self.url(f"/orders/{story.order_ref}"), json=order, headers=AUTHORIZED) as answer:
                assert answer.status == 201, await answer.text()

    async def deliver(self, client, first, last=None):
        """The gateway's webhooks about these orders, each sent again until it is accepted."""
        for story in self.stories[first:last]:

            async def accepted(story=story):
                headers, body = self.signer.sign(story, story.events[0], now=clock.now(), again=0)
                async with client.post(self.url(f"/webhooks/{STRIPE}"), headers=headers, data=body) as answer:
                    return answer.status == 200

            await until(accepted, within_s=WITHIN_S)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    async def paid(self):
        """The numbers of the orders that are paid."""
        connection = await asyncpg.connect(self.database)
        try:
            rows = await connection.fetch("SELECT order_ref FROM orders WHERE status = 'paid'")
        finally:
            await connection.close()
        return {int(row["order_ref"][2:]) for row in rows}

    async def settled(self, *numbers):
        """Returns once just these orders are paid."""

        async def holds():
            return await self.paid() == set(numbers)

        await until(holds, within_s=WITHIN_S)

    async def run(self, *arguments):
        return await tillkeeper(*arguments, "--config", self.config)

    @asynccontextmanager
    async def receiver(self, client):
        async with serving("ingest", "--config", self.config) as process:

            async def ready():
                try:
                    async with client.get(self.url("/readyz")) as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await until(ready, within_s=WITHIN_S)
            yield process

    @asynccontextmanager
    async def worker(self):
        """A worker that acknowledges what it applied before it ends."""
        async with serving("work", "--config", self.config) as process:
            await process.saw("worker_started")
            yield process
            process.child.terminate()
            assert await process.ended() == 0


@pytest.fixture
async def lost_server():
    async with Postgres(archives=True) as server:
        yield server


@pytest.fixture
async def shop(tmp_path, signers, broker_url):
    gateways = Gateways({STRIPE: signers[STRIPE]})
    gateways.begin_an_hour_ago()
    gateways.at_minute(60)
    async with gateways.open() as bases:
        yield Shop(tmp_path, signers[STRIPE], broker_url, bases, gateways)


async def archived(server, database):
    """Returns once everything that was committed so far is in the archive."""
    connection = await asyncpg.connect(database)
    last = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

    async def is_there():
        return (server.archive / last).exists()

    await until(is_there, within_s=WITHIN_S)
    await connection.close()


async def moment_of(database):
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetchval("SELECT clock_timestamp()")
    finally:
        await connection.close()


async def promoted(database):
    connection = await asyncpg.connect(database)

    async def is_primary():
        return not await connection.fetchval("SELECT pg_is_in_recovery()")

    await until(is_primary, within_s=WITHIN_S)
    await connection.close()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.rabbitmq
@pytest.mark.timeout(400)
async def test_a_lost_database_is_restored_to_a_moment_and_what_it_lacks_is_found_again(
    shop, lost_server, broker_prefix
):
    shop.configure(await lost_server.create_database("shop"), prefix=broker_prefix)
    assert (await shop.run("db", "init")).code == 0
    async with aiohttp.ClientSession() as client:
        async with shop.receiver(client):
            async with shop.worker():
                await shop.register_all(client)
                await shop.deliver(client, 0, TEN)
                base, _ = await asyncio.gather(lost_server.base_backup(), shop.deliver(client, TEN, 2 * TEN))
                await shop.settled(*range(2 * TEN))
                until_then = await moment_of(shop.database)
                await shop.deliver(client, 2 * TEN, 3 * TEN)  # applied, and lost with the database
                await shop.settled(*range(3 * TEN))
            await archived(lost_server, shop.database)
            await lost_server.kill()
            await shop.deliver(client, 3 * TEN)  # RabbitMQ alone has them
        backup = Backup(base=base, archive=lost_server.archive, until=until_then)
        async with Postgres(restored_from=backup) as server:
            shop.configure(server.dsn("shop"), prefix=broker_prefix)
            await promoted(shop.database)
            await judged(shop, client)


async def judged(shop, client):
    """The copy is whole; what RabbitMQ held is applied; what went with the database is missed, and found again."""
    assert await shop.paid() == set(range(2 * TEN))
    copy = await shop.run("audit", "--grace", "0s", "--json")
    assert (copy.code, copy.json["accepted"]) == (0, 2 * TEN)
    await execute(shop.database, *STATEMENTS)
    async with shop.receiver(client), shop.worker():
        await shop.settled(*range(2 * TEN), *range(3 * TEN, ORDERS))
        books = await shop.run("audit", "--grace", "0s", "--json")
        [missing] = books.json["missing"]
        assert (books.code, missing["missing"]) == (1, TEN)
        found = await shop.run("backfill", STRIPE, "--since", "2h")
        assert found.code == 0, found.err
        await shop.settled(*range(ORDERS))
        explained = await shop.run("audit", "--grace", "0s", "--explain", missing["run"], "--note", "restored")
        assert explained.code == 0, explained.out
        await shop.deliver(client, 0)  # whatever the gateway sends again changes nothing
        await until(lambda: duplicates_are(shop, ORDERS), within_s=WITHIN_S)
        assert await shop.paid() == set(range(ORDERS))
        assert (await shop.run("audit", "--grace", "0s")).code == 0


async def execute(database, *statements):
    connection = await asyncpg.connect(database)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def duplicates_are(shop, number):
    connection = await asyncpg.connect(shop.database)
    try:
        return await connection.fetchval("SELECT sum(duplicates) FROM deliveries") == number
    finally:
        await connection.close()
