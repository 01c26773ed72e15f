"""The receiver put together: what it opens, and which path leads where."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, cast
from uuid import uuid4

import asyncpg
import msgspec
import structlog
from aiohttp import HttpVersion11, web

from ingest.answers import Handler, method_refusal, refusal
from ingest.health import Health
from ingest.hints import Hints
from ingest.orders import OrdersApi
from ingest.receive import AccountReceiver
from tillkeeper import clock
from tillkeeper.asking import wire
from tillkeeper.asking.keys import KEY_SETTINGS, Keys
from tillkeeper.gateways.base import Gateway
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.policy import PolicyFile
from tillkeeper.settings import Settings
from tillkeeper.store.pool import DATABASE_ERRORS, UnsafeDatabase, open_pool

log = structlog.get_logger()

POOL_CONNECTIONS_MAX: Final = 6  # two envelopes on their way to the spool, and the orders API
POOL_CLOSE_S: Final = 5.0


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver holds while it runs."""

    gateways: Mapping[str, Gateway]
    pool: asyncpg.Pool
    intake: Intake
    hints: Hints
    keys: Mapping[str, Keys]  # by account
    policy: PolicyFile


RECEIVERS: Final = web.AppKey("RECEIVERS", dict[str, Handler])  # by path


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """Opens it all; on the way out finishes what was accepted before it lets go of the lanes."""
    async with AsyncExitStack() as stack:
        pool = await _open_pool(settings)
        stack.push_async_callback(_close_pool, pool)
        spool = SpoolSender(pool)
        broker: RabbitSender | None = None
        if settings.broker_url is not None:
            topology = Topology(prefix=settings.broker_prefix, shards=settings.broker_shards)
            broker = await RabbitSender.open(settings.broker_url, topology)
            stack.push_async_callback(broker.close)
        intake = Intake(run=uuid4(), broker=broker, spool=spool, shards=settings.broker_shards)
        stack.push_async_callback(intake.close)
        policy = PolicyFile(settings.policy, settings.accounts)
        hints = Hints(pool, policy=lambda: policy.policy, now=clock.now, monotonic_s=clock.monotonic_s)
        stack.push_async_callback(hints.close)
        gateways, send = settings.build_gateways(), await stack.enter_async_context(wire.opened(KEY_SETTINGS))
        keys = {name: Keys(gateway, send) for name, gateway in gateways.items()}
        yield Opened(gateways=gateways, pool=pool, intake=intake, hints=hints, keys=keys, policy=policy)


async def _open_pool(settings: Settings) -> asyncpg.Pool:
    """With a broker, a receiver starts and accepts although the database is away."""
    try:
        return await open_pool(settings.database_url, max_size=POOL_CONNECTIONS_MAX)
    except DATABASE_ERRORS as error:
        if settings.broker_url is None or isinstance(error, UnsafeDatabase):
            raise
        log.warning("database_out_of_reach_at_start", error=repr(error))
        return await open_pool(settings.database_url, max_size=POOL_CONNECTIONS_MAX, min_size=0)


async def _close_pool(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(POOL_CLOSE_S):
            await pool.close()
    except DATABASE_ERRORS:
        pool.terminate()


def build_app(settings: Settings, opened: Opened) -> web.Application:
    """The routes.  Each account has its own, so that finding it is one look into a table."""
    body_bytes_max = settings.ingest.max_body_bytes
    orders = OrdersApi(
        opened.pool,
        tokens=settings.api_tokens,
        accounts=opened.gateways.keys(),
        policy=lambda: opened.policy.policy,
        body_bytes_max=body_bytes_max,
    )
    webhooks = _webhook_routes(opened, body_bytes_max)
    routes = {**webhooks, **orders.routes(), **Health(opened.intake).routes()}
    app = web.Application(client_max_size=body_bytes_max)
    app[RECEIVERS] = {path: handlers["POST"] for path, handlers in webhooks.items()}
    for path, handlers in routes.items():
        for method, handler in handlers.items():
            _add(app, method, path, handler)
        _add(app, "*", path, _refuse_method(", ".join(handlers)))
    _add(app, "*", "/{anything:.*}", _nothing_here)
    return app


def go_past_the_router(server: web.Server, app: web.Application) -> None:
    """Sends a plain POST to an account's path straight to its receiver; all else, and the same path, has a route."""
    receivers, routed = app[RECEIVERS], server.request_handler

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        receive = receivers.get(request.raw_path) or receivers.get(request.raw_path.partition("?")[0])
        if receive is None or request.method != "POST" or "Expect" in request.headers:
            return routed(request)
        return receive(cast("web.Request", request))

    server.request_handler = handle


def _webhook_routes(opened: Opened, body_bytes_max: int) -> dict[str, dict[str, Handler]]:
    routes: dict[str, dict[str, Handler]] = {}
    for name, gateway in opened.gateways.items():
        it = AccountReceiver(gateway, opened.intake, opened.hints, opened.keys[name], body_bytes_max=body_bytes_max)
        handlers: dict[str, Handler] = {"POST": it.receive}
        if type(gateway).challenged is not Gateway.challenged:
            handlers["GET"] = it.challenge
        routes[f"/webhooks/{name}"] = handlers
    return routes


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    app.router.add_route(method, path, handler, expect_handler=_continue)


async def _continue(request: web.Request) -> None:
    """Asks for the body of a client that waits to be asked; any other expectation is ignored, and not repeated."""
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what follows is the answer


def _refuse_method(allowed: str) -> Handler:
    async def refuse(_request: web.Request) -> web.Response:
        return method_refusal(allowed)

    return refuse


async def _nothing_here(request: web.Request) -> web.Response:
    is_webhook = request.path.startswith("/webhooks/")
    response = refusal(404, "no such account is configured" if is_webhook else "there is nothing here")
    response.force_close()
    return response
