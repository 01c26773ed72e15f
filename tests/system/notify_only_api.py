"""A receiver of accounts of the tests' own gateway, and that gateway's API, which says what a test has it say."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import asyncpg
from aiohttp import web

from tests.notify_only_gateway import NotifyOnlyGateway
from tests.system.receiving import some_settings
from tillkeeper import clock
from tillkeeper.accounts import KnownAccounts
from tillkeeper.api_client.client import open_api_client
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.key_fetching import KEY_SETTINGS
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.ingest.answers_given import AnswersGiven
from tillkeeper.ingest.app import Resources as Receiver
from tillkeeper.ingest.app import begin_of, build_app, bypass_router
from tillkeeper.ingest.connection_limits import ConnectionLimits
from tillkeeper.ingest.connections import BoundedSite
from tillkeeper.ingest.hints import Hints
from tillkeeper.ingest.refusals import Refusals
from tillkeeper.ingest.server import listen
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.policy import PolicyFile
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.unknown_words import UnknownWords


class Api:
    """What the gateway knows, and what it was asked."""

    def __init__(self) -> None:
        self.payments: dict[str, dict] = {}
        self.keys: set[str] = set()
        self.asked: list[str] = []
        self.broken = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        await self.goes_on.wait()
        _, what, name = request.path.split("/")
        if self.broken:
            return web.Response(status=500)
        if what == "keys":
            return web.Response(text=name) if name in self.keys else web.Response(status=404)
        if what == "acknowledge":
            return web.Response(status=204)
        found = self.payments.get(name)
        return web.json_response(found) if found else web.Response(status=404)


@asynccontextmanager
async def api_listening(api: Api) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    [port] = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def receiver(database: str, *gateways: NotifyOnlyGateway) -> AsyncIterator[int]:
    """Listening, over the PostgreSQL lane; yields its port."""
    settings = some_settings(database)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(database, min_size=0, max_size=4))
        send = await stack.enter_async_context(open_http(KEY_SETTINGS))
        intake = Intake(run=uuid4(), broker=None, spool=SpoolSender(pool))
        stack.push_async_callback(intake.close)
        policy = PolicyFile(None, {})
        hints = Hints(pool, policy=lambda: policy.policy, now=clock.now, monotonic_s=clock.monotonic_s)
        stack.push_async_callback(hints.close)
        accounts = KnownAccounts({})
        accounts.gateways.update({gateway.account: gateway for gateway in gateways})
        refusals = Refusals(pool, records=accounts, monotonic_s=clock.monotonic_s)
        stack.push_async_callback(refusals.close)
        answers = AnswersGiven(pool, now=clock.now)
        stack.push_async_callback(answers.close)
        held = Receiver(
            accounts=accounts,
            pool=pool,
            schema=SchemaWatch(),
            intake=intake,
            hints=hints,
            refusals=refusals,
            answers=answers,
            send=send,
            policy=policy,
        )
        app = build_app(settings, held)
        runner = web.AppRunner(app, handler_cancellation=False, shutdown_timeout=5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        bypass_router(runner.server, app)
        listening = listen("127.0.0.1", 0, shares_port=False)
        await BoundedSite(
            runner, listening, ConnectionLimits(monotonic_s=clock.monotonic_s), begin=begin_of(app)
        ).start()
        yield listening.getsockname()[1]


class Workers:
    """The apply loop of the PostgreSQL lane, and the loop that asks."""

    def __init__(self, apply: ApplyLoop, fetch: FetchLoop, words: UnknownWords) -> None:
        self.apply, self.fetch, self.words = apply, fetch, words

    async def run(self) -> None:
        """Until there is nothing to do at the moment."""
        while await self.apply.run_once() + await self.fetch.run_once() + await self.words.run_once():
            pass


@asynccontextmanager
async def workers(database: str, pool: asyncpg.Pool, *gateways: NotifyOnlyGateway) -> AsyncIterator[Workers]:
    """In this process."""
    settings = ApiClientSettings(attempts=1, total_s=5, call_s=5, breaker_failures=1000)
    policy, retry = PolicyFile(None, {}), DatabaseRetry(asyncio.Event())
    async with open_api_client({gateway.account: gateway for gateway in gateways}, settings) as api_client:
        lane = await SpoolReceiver.open(pool, database)
        given = {"pool": pool, "retry": retry, "policy": lambda: policy.policy, "now": clock.now}
        apply = ApplyLoop(lane=lane, batch_events=100, **given)
        words = UnknownWords(pool=pool, take=api_client.take_unknown_words, retry=retry, now=clock.now)
        yield Workers(apply, FetchLoop(api_client=api_client, jitter=random.uniform, ask_within_s=5.0, **given), words)
        await lane.close()
