"""A stack with all that it depends on, each to be broken; and what several provocations share."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
from aiohttp import web

from tests.gateway_apis import Gateways
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
