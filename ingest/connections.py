"""Connections kept in bounds: how many, how long until a first request, and what malformed HTTP is told.

aiohttp limits none of these.  A later request on a kept connection has KEEPALIVE_S for its headers; a body has its own
limit (ingest/body.py).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiohttp import HttpVersion11, http_parser, web

from ingest.answers import Ready, refusal
from tillkeeper import telemetry

log = structlog.get_logger()

CONNECTIONS_MAX: Final = 900  # under the usual soft limit of 1,024 open files, with room for database and broker
FIRST_REQUEST_S: Final = 10.0  # from connecting to the end of the headers; who connects has something to say
KEEPALIVE_S: Final = 30.0
LINGER_S: Final = 2.0  # how long the rest of a refused body is read, so that the client gets to see the answer
BACKLOG: Final = 1024
BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: tillkeeper\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

TOO_MANY: Final = telemetry.CONNECTIONS_REFUSED.labels("too_many")
TOO_SLOW: Final = telemetry.CONNECTIONS_REFUSED.labels("too_slow")
MALFORMED: Final = telemetry.CONNECTIONS_REFUSED.labels("malformed")


class Crowd:
    """How many connections are open, of one listening socket."""

    def __init__(self) -> None:
        self.open = 0


class BoundedConnection(web.RequestHandler):
    """One connection."""

    __slots__ = ("_crowd", "_first_request_timer")

    def __init__(self, server: web.Server, crowd: Crowd, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._crowd = crowd
        self._first_request_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turns the client away where there are too many."""
        self._crowd.open += 1
        if self._crowd.open > CONNECTIONS_MAX:
            TOO_MANY.inc()
            assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
            transport.write(BUSY)
            transport.close()
            return
        super().connection_made(transport)
        self._first_request_timer = self._loop.call_later(FIRST_REQUEST_S, self._expect_request)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Makes room."""
        self._crowd.open -= 1
        if self._first_request_timer is not None:
            self._first_request_timer.cancel()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Says so when the connection ends with this answer, which the library does not when the receiver stops: the
        client would send its next request to nobody."""
        ends = self._close or self._force_close
        if isinstance(resp, Ready):
            if not ends and request.keep_alive and request.version == HttpVersion11:
                return resp, await self._is_cut_off(request, resp.wire())
            resp = resp.fresh()
        if ends:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    async def _is_cut_off(self, request: web.BaseRequest, answer: bytes) -> bool:
        """Writes an answer; true if the client is gone."""
        if self.transport is None or self.transport.is_closing():
            return True
        self.transport.write(answer)
        try:
            if self._paused:
                await request.writer.drain()
        except ConnectionError:
            return True
        return False

    def _expect_request(self) -> None:
        if self._request_count == 0:
            TOO_SLOW.inc()
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats the offending bytes
    ) -> web.StreamResponse:
        """Malformed HTTP, and what a handler did not foresee.  Neither bytes nor trace go back."""
        if status < 500:  # noqa: PLR2004 - the client's fault
            MALFORMED.inc()
            response = refusal(status, "this is not well-formed HTTP/1.1")
        else:
            log.error("request_failed", method=request.method, path=request.path, status=status, exc_info=exc)
            response = refusal(status, "an error inside Tillkeeper; it is in the log")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        response.force_close()
        return response


class BoundedSite(web.BaseSite):
    """Listens on a socket and gives each connection its bounds."""

    def __init__(self, runner: web.AppRunner, listening: socket.socket, crowd: Crowd) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._listening = listening
        self._crowd = crowd

    @property
    def name(self) -> str:
        """Where it listens."""
        host, port = self._listening.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Begins to accept."""
        await super().start()
        loop = asyncio.get_running_loop()
        assert self._runner.server is not None
        self._server = await loop.create_server(
            self._connections(self._runner.server, loop), sock=self._listening, backlog=self._backlog
        )

    def _connections(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> Callable[[], BoundedConnection]:
        def connection() -> BoundedConnection:
            return BoundedConnection(
                server,
                self._crowd,
                loop=loop,
                auto_decompress=False,  # the wire's bytes are what was signed, and bombs stay packed
                keepalive_timeout=KEEPALIVE_S,
                lingering_time=LINGER_S,
                access_log=None,
            )

        return connection


def refuse_slow_parser() -> None:
    """The pure-Python parser is slow and had request smuggling of its own (CVE-2026-111750)."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp runs without its C extension; unset AIOHTTP_NO_EXTENSIONS or reinstall aiohttp")
