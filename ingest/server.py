"""Runs the receiver process, alone or as one of several on one port, and stops it in order.

stop ─> accept no connection ─> finish the open requests ─> finish the envelopes ─> disconnect broker and database
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from tillkeeper.accounts import LOOK_EVERY_S
from tillkeeper.ingest import connection_limits
from tillkeeper.ingest.app import begin_of, build_app, bypass_router, open_resources
from tillkeeper.ingest.connections import BoundedSite, allow_open_files, refuse_slow_parser
from tillkeeper.ingest.health import LaneFigures
from tillkeeper.ingest.supervise import supervise
from tillkeeper.logs import set_up_logging
from tillkeeper.loops import keep_running, start
from tillkeeper.process import collect_garbage_seldom, loop_factory, run_until_stopped
from tillkeeper.settings import Settings
from tillkeeper.status_server import serving_status
from tillkeeper.tracing.process import traces

log = structlog.get_logger()

SHUTDOWN_S: Final = 20.0  # an open request needs at most its body's 5 s and its lanes' 3 + 2 s
LISTEN_BACKLOG: Final = 1024


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Receives until `stop` is set, then shuts down in order."""
    if settings.ingest.processes > 1:
        await supervise(settings, stop)
        return
    async with receiver(settings):
        await stop.wait()


@asynccontextmanager
async def receiver(settings: Settings, *, shares_port: bool = False) -> AsyncIterator[int]:
    """Runs one receiver in this process, and yields its port."""
    refuse_slow_parser()
    allow_open_files()
    async with (
        traces(settings.tracing, "ingest"),
        open_resources(settings) as resources,
        serving_status(settings.ingest, is_ready=lambda: resources.schema.unfit is None),
    ):
        # A client that leaves must not cut a publish, so handler_cancellation stays off.
        app = build_app(settings, resources)
        runner = web.AppRunner(app, handler_cancellation=False, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        assert runner.server is not None
        bypass_router(runner.server, app)
        figures_stop = asyncio.Event()
        figures = start(LaneFigures(resources.intake).run(figures_stop), name="lane figures")
        policy = start(resources.policy.keep_looking(figures_stop), name="policy")
        schema = start(resources.schema.keep_looking(resources.pool, figures_stop), name="schema")
        look = keep_running(resources.accounts.look_once, name="accounts", stop=figures_stop, idle_s=LOOK_EVERY_S)
        accounts = start(look, name="accounts")
        limits = connection_limits.ConnectionLimits()
        watch = keep_running(
            limits.check_once, name="connections", stop=figures_stop, idle_s=connection_limits.CHECK_EVERY_S
        )
        watched = start(watch, name="connections")
        try:
            listener = listen(settings.ingest.host, settings.ingest.port, shares_port=shares_port)
            await BoundedSite(runner, listener, limits, begin=begin_of(app)).start()
            port: int = listener.getsockname()[1]
            collect_garbage_seldom()
            log.info(
                "ingest_listening", host=settings.ingest.host, port=port, accounts=sorted(resources.accounts.gateways)
            )
            yield port
        finally:
            await runner.cleanup()
            limits.close()
            figures_stop.set()
            await asyncio.wait({figures, policy, schema, accounts, watched})
    log.info("ingest_stopped")


def listen(host: str, port: int, *, shares_port: bool) -> socket.socket:
    """Opens a listening socket.  With `shares_port` other processes of this user may listen on the same port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=LISTEN_BACKLOG, reuse_port=shares_port)


def main() -> None:
    """Runs a child of `supervise`: settings come in a line on standard input, whose end means that the parent ended."""
    settings = Settings.restore(sys.stdin.buffer.readline())
    set_up_logging("ingest")

    async def serve_beside_others(stop: asyncio.Event) -> None:
        async with receiver(settings, shares_port=True):
            await stop.wait()

    run_until_stopped(serve_beside_others, loop_factory=loop_factory(settings), tied=True)


if __name__ == "__main__":
    main()
