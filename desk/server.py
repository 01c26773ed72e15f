"""Runs the role `desk`: the pages, and what they show live, until it is stopped.

stop ─> the streams end ─> open requests are finished ─> disconnect broker and database
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import structlog
from aiohttp import web

from tillkeeper import clock
from tillkeeper.accounts import LOOK_EVERY_S, Accounts
from tillkeeper.desk.access.middleware import access
from tillkeeper.desk.app import build_app
from tillkeeper.desk.context import Desk
from tillkeeper.desk.live.feed import Feed
from tillkeeper.desk.live.snapshot import TillSnapshot, read_snapshot
from tillkeeper.lanes.queue_depth import QueueDepth
from tillkeeper.lanes.topology import Topology
from tillkeeper.loops import keep_running, start
from tillkeeper.oidc.provider import Provider, open_provider
from tillkeeper.policy import PolicyFile
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import DeskSettings, Settings
from tillkeeper.status_server import serving_status
from tillkeeper.store.postgres.connections import Pool
from tillkeeper.store.postgres.pool import open_pool

log = structlog.get_logger()

POOL_CONNECTIONS: Final = 8  # pages take milliseconds
STATEMENT_S: Final = 5.0  # no query of the desk holds a snapshot for longer
KEEPALIVE_S: Final = 30.0
ADDRESS_BYTES_MAX: Final = 16 * 1024  # a text to be found has 800 characters, which take up to twelve bytes each
PORTS: Final = 10  # from the default on, where none is named
SHUTDOWN_S: Final = 6.0  # a request ends within ANSWER_S of desk/problems.py
DEPTH_EVERY_S: Final = 5.0  # a call to the broker for each shard


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then shuts down in order."""
    async with desk_server(settings):
        await stop.wait()
    log.info("desk_stopped")


@asynccontextmanager
async def desk_server(settings: Settings) -> AsyncIterator[int]:
    """Runs the desk in this process, and yields its port."""
    accounts, schema = Accounts(settings), SchemaWatch()  # the policy may name accounts
    policy = PolicyFile(settings.policy, accounts.gateways.keys())
    accounts.on_change(policy.read_again)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_status(settings.desk, is_ready=lambda: schema.is_fit))
        pool = await _open_pool(settings)
        stack.push_async_callback(pool.close)
        await schema.look_once(pool)  # not known is not wrong: pages say while the database is away
        schema.refuse_unfit()
        depth = _depth(settings)
        if depth is not None:
            stack.push_async_callback(depth.close)
        provider = await _open_provider(settings.desk, stack)
        desk = msgspec.structs.replace(_desk(settings, pool, policy, accounts, depth), provider=provider)
        stop = asyncio.Event()
        loops = [
            start(desk.feed.run(stop), name="feed"),
            start(schema.keep_looking(pool, stop), name="schema"),
            start(policy.keep_looking(stop), name="policy"),
            start(keep_running(accounts.look_once, name="accounts", stop=stop, idle_s=LOOK_EVERY_S), name="accounts"),
        ]
        if depth is not None:
            look = keep_running(depth.look_once, name="depth", stop=stop, idle_s=DEPTH_EVERY_S)
            loops.append(start(look, name="depth"))
        try:
            yield await _listen(settings, desk, stack)
        finally:
            stop.set()
            await desk.feed.close()
            await asyncio.wait(loops)


async def _open_pool(settings: Settings) -> Pool:
    return await open_pool(
        settings.database_url,
        max_size=POOL_CONNECTIONS,
        min_size=0,
        command_timeout_s=STATEMENT_S,
        statement_timeout_s=STATEMENT_S,
    )


async def _open_provider(settings: DeskSettings, stack: AsyncExitStack) -> Provider | None:
    if settings.oidc is None:
        return None
    assert settings.public_url is not None  # the settings ask for it
    return await stack.enter_async_context(open_provider(settings.oidc, settings.public_url))


def _depth(settings: Settings) -> QueueDepth | None:
    if settings.broker_url is None:
        return None
    return QueueDepth(settings.broker_url, Topology(prefix=settings.broker_prefix, shards=settings.broker_shards))


def _desk(settings: Settings, pool: Pool, policy: PolicyFile, accounts: Accounts, depth: QueueDepth | None) -> Desk:
    async def read(before: TillSnapshot | None) -> TillSnapshot:
        waiting = depth.ready if depth is not None else 0
        return await read_snapshot(pool, before, broker_waiting=waiting or 0, now=clock.now())

    return Desk(
        settings=settings,
        pool=pool,
        policy=lambda: policy.policy,
        now=clock.now,
        zone=ZoneInfo(settings.notify.time_zone),
        feed=Feed(read, now=clock.now),
        depth=depth,
        gateways=lambda: accounts.gateways,
    )


async def _listen(settings: Settings, desk: Desk, stack: AsyncExitStack) -> int:
    app = build_app(desk, access(settings.desk.trusted_proxies))
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
        max_line_size=ADDRESS_BYTES_MAX,
        auto_decompress=False,  # a body of a few bytes would take any memory
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await _take_port(runner, settings.desk)
    port: int = runner.addresses[0][1]
    log.info("desk_listening", host=settings.desk.host, port=port)
    return port


async def _take_port(runner: web.AppRunner, settings: DeskSettings) -> None:
    """Listens on the port that the configuration names, else on the first free one of some: a port that is taken on
    this machine must not keep `tillkeeper run` from receiving webhooks.  Raises OSError."""
    ports = [settings.port] if "port" in settings.model_fields_set else range(settings.port, settings.port + PORTS)
    for port in ports:
        try:
            await web.TCPSite(runner, settings.host, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise
        else:
            return
