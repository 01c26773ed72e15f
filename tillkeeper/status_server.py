"""Serves GET /healthz, /readyz and /metrics of a process, on a port of their own where one is set.

Metrics name the accounts and the keys in use, so they are not served on the port of the webhooks.

A port that the configuration names is that one, or an error.  Where it names none, each role has ten of its own, and a
process takes the first that is free: several of a role on one machine do not collide.
"""

import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, Protocol

import structlog
from aiohttp import web

from tillkeeper import telemetry
from tillkeeper.supervise import reserved_port

log = structlog.get_logger()

SERVER: Final = {"Server": "tillkeeper"}
PORTS_EACH: Final = 10  # of each role, from its default on
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

    @property
    def model_fields_set(self) -> set[str]:
        """The settings that the configuration names."""
        ...


def ports_to_try(settings: HasMetricsPort) -> range:
    """Returns the ports of which the first free one is taken; none if the settings want none."""
    if settings.metrics_port == 0:
        return range(0)
    tries = 1 if "metrics_port" in settings.model_fields_set else PORTS_EACH
    return range(settings.metrics_port, settings.metrics_port + tries)


@contextmanager
def reserved_metrics_port(settings: HasMetricsPort) -> Iterator[int]:
    """Holds a port for children that share it, without listening on it; 0 where there is none to be had.

    Raises OSError where the one that the configuration names is taken."""
    with ExitStack() as held:
        yield _first_free(settings, held)


def _first_free(settings: HasMetricsPort, held: ExitStack) -> int:
    ports = ports_to_try(settings)
    for port in ports:
        try:
            _refuse_taken(settings.metrics_host, port)
            return held.enter_context(reserved_port(settings.metrics_host, port))
        except OSError as error:
            if not _is_taken(error) or len(ports) == 1:
                raise
    if ports:
        _say_that_none_is_free(settings)
    return 0


def _refuse_taken(host: str, port: int) -> None:
    """Raises OSError for a taken port; binding it as a shared one would not meet the children of another supervisor."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((host, port))


def _is_taken(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def _say_that_none_is_free(settings: HasMetricsPort) -> None:
    log.warning(
        "metrics_not_served",
        problem=f"ports {settings.metrics_port} to {settings.metrics_port + PORTS_EACH - 1} of "
        f"{settings.metrics_host} are taken; name a free one as metrics_port, or 0 for none",
    )


@asynccontextmanager
async def serving_status(settings: HasMetricsPort, *, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Serves /healthz, /readyz and /metrics.  Processes that share their metrics share the port: each
    answers with the sum of all."""
    telemetry.show_build()
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
        port = await _listen(runner, settings)
        if port is not None:
            log.info("status_server_listening", host=settings.metrics_host, port=port)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: HasMetricsPort) -> int | None:
    """Listens on the first free port, and returns it.  Raises OSError if there is one to try, and it is taken."""
    ports = ports_to_try(settings)
    for port in ports:
        try:
            shares_port = telemetry.MULTIPROCESS  # a parent reserved it
            await web.TCPSite(runner, settings.metrics_host, port, reuse_port=shares_port).start()
        except OSError as error:
            if not _is_taken(error) or len(ports) == 1:
                raise
        else:
            return port
    _say_that_none_is_free(settings)
    return None


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
