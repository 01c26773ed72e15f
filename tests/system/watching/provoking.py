"""How each alert is provoked on a running Tillkeeper, and how its runbook ends it: inside and after each context."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from aiohttp import web

from tests.gateway_apis import Gateways
from tests.releases.kept import copy_program
from tests.system.commands import tillkeeper
from tests.system.receiving import PATH, a_delivery, until
from tests.system.watching.stack import Stack
from tillkeeper import clock
from tillkeeper.domain.delivery import Delivery, Envelope, pack
from tillkeeper.sandbox.servers import Postgres, RabbitMQ

WECHAT = "wechatpay-main"
BROKEN_AT = datetime(2026, 1, 1, tzinfo=UTC)  # when WeChat Pay's API is broken: its clock is set there and back


class Shop:
    """The merchant's system, which gets our webhooks."""

    def __init__(self) -> None:
        self.status = 200

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.status)


class House:
    """A stack with all that it depends on, each to be broken."""

    def __init__(
        self, stack: Stack, *, database: str, postgres: Postgres, rabbitmq: RabbitMQ, gateways: Gateways, shop: Shop
    ) -> None:
        self.stack = stack
        self.database = database
        self.postgres = postgres
        self.rabbitmq = rabbitmq
        self.gateways = gateways
        self.shop = shop
        self._numbers = itertools.count(1)

    async def execute(self, statement: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.database)
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    async def fetchval(self, statement: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self.database)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    @asynccontextmanager
    async def holding(self, statement: str, *arguments: object) -> AsyncIterator[asyncpg.Connection]:
        """While inside, a session holds the locks of a statement."""
        connection = await asyncpg.connect(self.database)
        try:
            async with connection.transaction():
                await connection.execute(statement, *arguments)
                yield connection
        finally:
            await connection.close()

    def number(self) -> int:
        """A number that nothing had before."""
        return next(self._numbers)

    def name(self) -> str:
        """A name likewise."""
        return f"x{self.number()}"

    async def post(self, *, order_ref: str = "", **fields: Any) -> int:
        name = self.name()
        return await self.stack.post(PATH, *a_delivery(f"evt_{name}", order_ref=order_ref or f"O-{name}", **fields))

    async def command(self, *arguments: object) -> None:
        ended = await tillkeeper(*arguments, "--config", self.stack.config)
        assert ended.code == 0, ended.err

    async def spool(self, count: int, *, age: timedelta = timedelta(0)) -> None:
        """Puts messages into the PostgreSQL lane, each with a delivery that came so long ago."""
        for _ in range(count):
            at = clock.now() - age
            delivery = Delivery(
                run=uuid4(),
                number=1,
                account="stripe-main",
                received_at=at,
                key="webhook_secrets[0]",
                headers=(),
                body=b"{}",
                events=(),
            )
            body = pack(Envelope(run=delivery.run, deliveries=(delivery,)))
            await self.execute("INSERT INTO spool (id, shard, body, put_at) VALUES ($1, 0, $2, $3)", uuid4(), body, at)

    async def opens_case(self) -> int:
        """Money in a currency that its order does not have opens one; returns its number."""
        ref = self.name()
        assert await self.stack.register(ref, currency="EUR") == 201
        assert await self.post(order_ref=ref) == 200
        find = """
            SELECT c.id FROM cases c JOIN orders o ON o.id = c.order_id WHERE order_ref = $1 AND c.closed_at IS NULL
        """

        async def is_open() -> bool:
            return await self.fetchval(find, ref) is not None

        await until(is_open, within_s=60)
        return int(await self.fetchval(find, ref))


Provoking = Callable[[House], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def posting(house: House, **fields: Any) -> AsyncIterator[None]:
    """While inside, webhooks come in, whatever becomes of them."""

    async def keep_posting() -> None:
        while True:
            await house.post(**fields)
            await asyncio.sleep(0.2)

    task = asyncio.ensure_future(keep_posting())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def without(house: House, role: str) -> AsyncIterator[None]:
    """While inside, that process does not run."""
    await house.stack.kill(role)
    yield
    await house.stack.start(role)


# --- webhooks come in -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def not_durable(house: House) -> AsyncIterator[None]:
    async with breaker_open(house):
        await house.postgres.stop()
        async with posting(house):
            yield
        await house.postgres.start()


@asynccontextmanager
async def breaker_open(house: House) -> AsyncIterator[None]:
    await house.rabbitmq.stop()
    await house.post()
    yield
    await house.rabbitmq.start()


@asynccontextmanager
async def accept_slow(house: House) -> AsyncIterator[None]:
    async with breaker_open(house), posting(house):
        slow = asyncio.ensure_future(_hold_spool_again_and_again(house))
        yield
        slow.cancel()


async def _hold_spool_again_and_again(house: House) -> None:
    """Has each put wait for a second and a bit, and then go on."""
    waits = "SELECT max(clock_timestamp() - query_start) > '1.1 s' FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while True:
        async with house.holding("LOCK TABLE spool IN EXCLUSIVE MODE"):

            async def waited() -> bool:
                return bool(await house.fetchval(waits))

            await until(waited)


@asynccontextmanager
async def signatures_refused(house: House) -> AsyncIterator[None]:
    async with posting(house, secret="whsec_that_was_rolled_at_the_gateway"):
        yield


@asynccontextmanager
async def key_missing(house: House) -> AsyncIterator[None]:
    """WeChat Pay signs with a certificate that is not configured, and its API is broken until it is mended."""
    house.gateways.now = BROKEN_AT
    signer = house.gateways.signers[WECHAT]
    story = house.gateways.tells(WECHAT, ("TRANSACTION.SUCCESS", 0), order_ref=f"T-{house.number():06d}")

    async def post() -> int:
        headers, body = signer.sign(story, story.events[0], now=clock.now(), again=0)
        return await house.stack.post(f"/webhooks/{WECHAT}", headers, body)

    async def is_taken() -> bool:
        return await post() == 204

    posts = asyncio.ensure_future(until(is_taken, within_s=200))
    yield
    house.gateways.now = clock.now()
    await posts


# --- events are applied -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def apply_lag(house: House) -> AsyncIterator[None]:
    async with house.holding("LOCK TABLE deliveries IN EXCLUSIVE MODE"):
        await house.spool(1, age=timedelta(minutes=2))
        yield


@asynccontextmanager
async def spool_grows(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        await house.spool(120)
        grows = asyncio.ensure_future(_keep_spooling(house))
        yield
        grows.cancel()


async def _keep_spooling(house: House) -> None:
    while True:
        await house.spool(1)
        await asyncio.sleep(0.2)


@asynccontextmanager
async def lane_old(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        await house.spool(1, age=timedelta(minutes=10))
        yield


@asynccontextmanager
async def nobody_consumes(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        yield


@asynccontextmanager
async def apply_stalled(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        await house.spool(3)
        yield


@asynccontextmanager
async def parked(house: House) -> AsyncIterator[None]:
    await house.execute("INSERT INTO spool (id, shard, body) VALUES (gen_random_uuid(), 0, 'no envelope')")
    yield
    numbers = await house.fetchval("SELECT array_agg(id) FROM parked WHERE outcome IS NULL")
    await house.command("parked", "discard", *numbers, "--note", "made by the test of alerts")


# --- what becomes due -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def sweep_late(house: House) -> AsyncIterator[None]:
    ref = house.name()
    assert await house.stack.register(ref) == 201
    await house.stack.kill("sweep")
    due = "SELECT order_id FROM due_orders JOIN orders ON id = order_id WHERE order_ref = $1"
    order_id = await house.fetchval(due, ref)
    await house.execute("UPDATE due_orders SET due_at = now() - interval '10 min' WHERE order_id = $1", order_id)
    async with house.holding("SELECT FROM due_orders WHERE order_id = $1 FOR UPDATE", order_id):  # sweeps pass over it
        await house.stack.start("sweep")
        yield


@asynccontextmanager
async def gauges_stale(house: House) -> AsyncIterator[None]:
    async with without(house, "sweep"):
        yield


@asynccontextmanager
async def fetches_late(house: House) -> AsyncIterator[None]:
    """A sweep died that had leased it."""
    run = uuid4()
    await house.execute(
        "INSERT INTO deliveries (run, number, account, received_at, key, headers, events) "
        "VALUES ($1, 1, 'stripe-main', now(), '', '[]', 0)",
        run,
    )
    await house.execute(
        "INSERT INTO fetches (account, about, payment_ref, run, number, proven, requests, requested_at, due_at, "
        "leased_until) VALUES ('stripe-main', 'payment', 'pi_late', $1, 1, true, 1, now(), "
        "now() - interval '20 min', now() + interval '1 day')",
        run,
    )
    yield
    await house.execute("UPDATE fetches SET leased_until = '-infinity'")


@asynccontextmanager
async def events_wait(house: House) -> AsyncIterator[None]:
    ref = house.name()
    assert await house.post(order_ref=ref) == 200

    async def waits() -> bool:
        return bool(await house.fetchval("SELECT EXISTS (SELECT FROM inbox WHERE order_ref = $1)", ref))

    await until(waits, within_s=60)
    await house.execute("UPDATE inbox SET recorded_at = now() - interval '2 h' WHERE order_ref = $1", ref)
    yield
    assert await house.stack.register(ref) == 201


@asynccontextmanager
async def orders_stuck(house: House) -> AsyncIterator[None]:
    ref = house.name()
    assert await house.stack.register(ref) == 201
    await house.execute(
        "UPDATE orders SET status = 'processing', phase_since = now() - interval '4 days' WHERE order_ref = $1", ref
    )
    yield
    await house.command("order", "close", ref, "--force", "--note", "made by the test of alerts")


# --- people and notices -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def case_escalated(house: House) -> AsyncIterator[None]:
    case_id = await house.opens_case()
    await house.execute("UPDATE cases SET level = 2 WHERE id = $1", case_id)
    yield
    await house.command("case", "resolve", case_id, "--outcome", "refunded by hand", "--note", "by the test")


@asynccontextmanager
async def case_overdue(house: House) -> AsyncIterator[None]:
    case_id = await house.opens_case()
    await house.execute("UPDATE cases SET opened_at = now() - interval '4 days' WHERE id = $1", case_id)
    yield
    await house.command("case", "resolve", case_id, "--outcome", "refunded by hand", "--note", "by the test")


@asynccontextmanager
async def notices_late(house: House) -> AsyncIterator[None]:
    async with without(house, "notify"):
        await _has_notice(house)
        await house.execute("UPDATE outbox SET due_at = now() - interval '10 min' WHERE due_at IS NOT NULL")
        yield


@asynccontextmanager
async def notices_fail(house: House) -> AsyncIterator[None]:
    house.shop.status = 500
    await _has_notice(house)
    yield
    house.shop.status = 200
    await house.execute("UPDATE outbox SET due_at = now() WHERE due_at IS NOT NULL")


async def _has_notice(house: House) -> None:
    """An order that is paid: the shop's system is told."""
    ref = house.name()
    assert await house.stack.register(ref) == 201
    assert await house.post(order_ref=ref) == 200
    find = "SELECT EXISTS (SELECT FROM outbox x JOIN orders o ON o.id = x.order_id WHERE o.order_ref = $1)"

    async def is_written() -> bool:
        return bool(await house.fetchval(find, ref))

    await until(is_written, within_s=60)


@asynccontextmanager
async def notices_dead(house: House) -> AsyncIterator[None]:
    await _has_notice(house)
    last = "SELECT key FROM outbox WHERE audience = 'merchant' ORDER BY id DESC LIMIT 1"
    await house.execute(f"UPDATE outbox SET state = 'dead', due_at = NULL, finished_at = now() WHERE key IN ({last})")
    yield
    await house.execute("UPDATE outbox SET finished_at = now() - interval '25 h' WHERE state = 'dead'")  # a day later


# --- gateways ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def silent(house: House) -> AsyncIterator[None]:
    await _insert_silence(house, "silent")
    yield
    assert await house.post() == 200


@asynccontextmanager
async def unanswering(house: House) -> AsyncIterator[None]:
    await _insert_silence(house, "unanswering")
    yield
    await _ask(house)


async def _insert_silence(house: House, kind: str) -> None:
    await house.execute(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at) "
        "VALUES ('stripe-main', $1, now(), now(), now())",
        kind,
    )
    if kind == "unanswering":
        await house.execute(
            "UPDATE account_health SET failing_since = now(), failed_at = now(), reason = 'unreachable'"
        )


async def _ask(house: House) -> None:
    ref = house.name()
    assert await house.stack.register(ref) == 201
    await house.command("order", "ask", ref, "--note", "by the test of alerts")


@asynccontextmanager
async def denies(house: House) -> AsyncIterator[None]:
    house.stack.configure(api_key="sk_test_of_somebody_else_entirely")
    await house.stack.processes["sweep"].saw("accounts_reloaded")
    await _ask(house)
    yield
    house.stack.configure()
    await house.stack.processes["sweep"].saw("accounts_reloaded", times=2)


# --- processes --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def process_down(house: House) -> AsyncIterator[None]:
    async with without(house, "notify"):
        yield


@asynccontextmanager
async def database_unavailable(house: House) -> AsyncIterator[None]:
    await house.postgres.stop()
    yield
    await house.postgres.start()


@asynccontextmanager
async def schema_unfit(house: House) -> AsyncIterator[None]:
    await house.execute(
        "INSERT INTO schema_versions (version, name, oldest_program, finished_at) VALUES (9999, 'later', 9999, now())"
    )
    yield
    await house.execute("DELETE FROM schema_versions WHERE version = 9999")


@asynccontextmanager
async def policy_refused(house: House) -> AsyncIterator[None]:
    house.stack.policy.write_text('[unmatched]\ncase = "2x"\n')
    yield
    house.stack.policy.write_text('[unmatched]\ncase = "2h"\n')


@asynccontextmanager
async def accounts_refused(house: House) -> AsyncIterator[None]:
    house.stack.configure(secret="short")
    yield
    house.stack.configure()


@asynccontextmanager
async def versions_differ(house: House) -> AsyncIterator[None]:
    later = copy_program(Path(house.stack.directory) / house.name())
    init = later / "tillkeeper" / "__init__.py"
    init.write_text(init.read_text().replace("__version__ = ", '__version__ = "9.9.9"  # '))
    await house.stack.kill("notify")
    await house.stack.start("notify", PYTHONPATH=str(later), PYTHONSAFEPATH="1")  # not of this folder
    yield
    await house.stack.kill("notify")
    await house.stack.start("notify")


# By the alerts that it provokes.
PROVOKE: dict[str, Provoking] = {
    "NotDurable": not_durable,
    "BreakerOpen": breaker_open,
    "AcceptSlow": accept_slow,
    "SignaturesRefused": signatures_refused,
    "KeyNotFetched KeyMissing": key_missing,  # once: a key that was fetched stays
    "ApplyLag": apply_lag,
    "SpoolGrows": spool_grows,
    "LaneOld": lane_old,
    "NobodyConsumes": nobody_consumes,
    "ApplyStalled": apply_stalled,
    "Parked": parked,
    "SweepLate": sweep_late,
    "DatabaseGaugesStale": gauges_stale,
    "FetchesLate": fetches_late,
    "EventsWait": events_wait,
    "OrdersStuck": orders_stuck,
    "CaseEscalated": case_escalated,
    "CaseOverdue": case_overdue,
    "NoticesLate": notices_late,
    "NoticesFail": notices_fail,
    "NoticesDead": notices_dead,
    "AccountSilent": silent,
    "GatewayUnanswering": unanswering,
    "GatewayDenies": denies,
    "ProcessDown": process_down,
    "DatabaseUnavailable": database_unavailable,
    "SchemaUnfit": schema_unfit,
    "PolicyRefused": policy_refused,
    "AccountsRefused": accounts_refused,
    "VersionsDiffer": versions_differ,
}
