"""Keeps a connection to RabbitMQ, and reconnects whenever it is lost."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import structlog
from aio_pika import Connection
from aio_pika.abc import AbstractConnection
from yarl import URL

from tillkeeper.domain.backoff import BROKER_CONNECTION, Jitter
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.bounded import bounded
from tillkeeper.loops import pause, start

log = structlog.get_logger()

HEARTBEAT_S: Final = 5  # the library notices a hung node after 3 * (heartbeat + 1) s; its default of 60 makes that 183
CONNECT_S: Final = 5.0  # TCP, login and declarations together
CLOSE_S: Final = 5.0  # not worth more for a hung node
GOODBYE_S: Final = 30.0  # in the background, over the library's own limit for a hung one

SetUp = Callable[[AbstractConnection, asyncio.Event], Awaitable[None]]


def broker_urls(broker_url: str, *, name: str) -> tuple[URL, ...]:
    """Splits `amqp://user:password@one:5672,two:5672/vhost` into one URL for each host, in order."""
    parts = urlsplit(broker_url)
    login, at, hosts = parts.netloc.rpartition("@")
    urls = (URL(parts._replace(netloc=f"{login}{at}{host}").geturl(), encoded=True) for host in hosts.split(","))
    return tuple(url.update_query({"heartbeat": str(HEARTBEAT_S), "name": name, **url.query}) for url in urls)


class BrokerConnection:
    """Connects, tries the next host when that fails, and starts over when the connection is lost.

    `set_up` gets each new connection, and an event to set once the connection is useless; `tear_down` is called when it
    is lost.  The library's own robust connection retries one host only, and blocks publishers meanwhile.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        name: str,
        set_up: SetUp,
        tear_down: Callable[[], None],
        jitter: Jitter = random.uniform,
    ) -> None:
        self._urls = broker_urls(broker_url, name=name)
        self._name = name
        self._set_up = set_up
        self._tear_down = tear_down
        self._jitter = jitter
        self._up = asyncio.Event()
        self._stop = asyncio.Event()
        self._lost = asyncio.Event()  # the present connection's
        self._keeper: asyncio.Task[None] | None = None
        self._closings: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Starts connecting; returns when connected, or after a while, and then goes on in the background."""
        self._keeper = start(self._keep(), name=self._name)
        await pause(self._up, CONNECT_S)

    async def close(self) -> None:
        """Disconnects for good.  Safe to repeat."""
        self._stop.set()
        self._lost.set()
        if self._keeper is not None:
            await asyncio.wait({self._keeper}, timeout=CLOSE_S)
            self._keeper.cancel()
        if self._closings:
            await asyncio.wait(self._closings, timeout=CLOSE_S)

    async def _keep(self) -> None:
        failures = 0
        for url in itertools.cycle(self._urls):
            if self._stop.is_set():
                return
            try:
                await self._connect_and_hold(url)
                failures = 0
            except LaneUnavailable as error:
                failures += 1
                if failures <= len(self._urls):  # of each host once; `broker_connected` tells the end
                    log.warning(
                        "broker_unreachable", connection=self._name, host=url.host, port=url.port, error=str(error)
                    )
            await pause(self._stop, self._backoff_s(failures // len(self._urls)))

    def _backoff_s(self, rounds: int) -> float:
        return BROKER_CONNECTION.pause_s(rounds + 1, self._jitter)

    async def _connect_and_hold(self, url: URL) -> None:
        lost = self._lost = asyncio.Event()
        connection = Connection(url)
        connection.close_callbacks.add(lambda *_: lost.set())
        try:
            await bounded(self._connect(connection, lost), timeout_s=CONNECT_S, what="connecting")
            log.info("broker_connected", connection=self._name, host=url.host, port=url.port)
            self._up.set()
            if not self._stop.is_set():
                await lost.wait()
        finally:
            self._up.clear()
            self._tear_down()
            self._close_in_background(connection)
        if not self._stop.is_set():
            log.warning("broker_lost", connection=self._name, host=url.host, port=url.port)

    async def _connect(self, connection: Connection, lost: asyncio.Event) -> None:
        await connection.connect(timeout=CONNECT_S)
        await self._set_up(connection, lost)

    def _close_in_background(self, connection: Connection) -> None:
        # In the background: closing a hung connection takes the library up to its heartbeat's grace.
        closing = start(_close(connection), name=f"{self._name} goodbye")
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


async def _close(connection: Connection) -> None:
    with contextlib.suppress(LaneUnavailable):
        await bounded(connection.close(), timeout_s=GOODBYE_S, what="closing")
