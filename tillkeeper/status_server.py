"""Serves GET /healthz, /readyz and /metrics of a process, on a port of their own where one is set.

Metrics name the accounts and the keys in use, so they are not served on the port of the webhooks.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol

import structlog
from aiohttp import web

from tillkeeper import telemetry

log = structlog.get_logger()

SERVER: Final = {"Server": "tillkeeper"}
SHUTDOWN_S: Final = 1.0  # nobody waits for the metrics of a process that ends


class HasMetricsPort(Protocol):
    """The settings of a process that may serve its metrics."""

    @property
    def metrics_host(self) -> str:
        """Returns the address to listen on."""
        ...

    @property
    def metrics_port(self) -> int:
        """Returns the port to listen on; 0 for none."""
        ...


@asynccontextmanager
async def serving_status(settings: HasMetricsPort, *, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Serves /healthz, /readyz and /metrics.  Processes that share their metrics share the port: each
    answers with the sum of all."""
    if settings.metrics_port == 0:
        yield
        return
    app = web.Application()
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", partial(_ready, is_ready=is_ready))
    app.router.add_get("/metrics", _metrics)
    app.router.add_route("*", "/{anything:.*}", _nothing_here)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        shares_port = telemetry.MULTIPROCESS
        await web.TCPSite(runner, settings.metrics_host, settings.metrics_port, reuse_port=shares_port).start()
        log.info("status_server_listening", host=settings.metrics_host, port=settings.metrics_port)
        yield
    finally:
        await runner.cleanup()


async def _alive(_request: web.Request) -> web.Response:
    """Answers as long as the event loop turns; says nothing about the database or the broker."""
    return web.json_response({"alive": True}, headers=SERVER)


async def _ready(_request: web.Request, *, is_ready: Callable[[], bool]) -> web.Response:
    """Answers whether the process works, or would if there were something to do."""
    if is_ready():
        return web.json_response({"ready": True}, headers=SERVER)
    error = "the database was not reached yet, or has no schema that this program may serve; see the log for why"
    return web.json_response({"error": error}, status=503, headers=SERVER)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=telemetry.exposition(), headers={**SERVER, "Content-Type": telemetry.EXPOSITION_TYPE})


async def _nothing_here(_request: web.Request) -> web.Response:
    return web.json_response({"error": "there is nothing here"}, status=404, headers=SERVER)
