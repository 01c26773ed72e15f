"""GET /healthz and /metrics of a process, on a port of their own where one is set.

Figures tell the accounts' names and which of their keys is in use: they are no business of whoever reaches the port
that webhooks come to.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog
from aiohttp import web

from tillkeeper import telemetry

log = structlog.get_logger()

SERVER: Final = {"Server": "tillkeeper"}
SHUTDOWN_S: Final = 1.0  # nobody waits for figures of a process that ends


class Figures(Protocol):
    """The settings of a process that may serve its figures."""

    @property
    def metrics_host(self) -> str:
        """Where to listen."""
        ...

    @property
    def metrics_port(self) -> int:
        """0: nowhere."""
        ...


@asynccontextmanager
async def listening(settings: Figures) -> AsyncIterator[None]:
    """Serves them while inside.  Processes that share their figures share the port: each tells the sum of all."""
    if settings.metrics_port == 0:
        yield
        return
    app = web.Application()
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/metrics", _metrics)
    app.router.add_route("*", "/{anything:.*}", _nothing_here)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        shares_port = telemetry.MULTIPROCESS
        await web.TCPSite(runner, settings.metrics_host, settings.metrics_port, reuse_port=shares_port).start()
        log.info("figures_listening", host=settings.metrics_host, port=settings.metrics_port)
        yield
    finally:
        await runner.cleanup()


async def _alive(_request: web.Request) -> web.Response:
    """The event loop turns; says nothing about the world."""
    return web.json_response({"alive": True}, headers=SERVER)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=telemetry.exposition(), headers={**SERVER, "Content-Type": telemetry.EXPOSITION_TYPE})


async def _nothing_here(_request: web.Request) -> web.Response:
    return web.json_response({"error": "there is nothing here"}, status=404, headers=SERVER)
