"""Limits each connection: the time to its first request, the bytes parsed at a time, the response to malformed HTTP.

aiohttp limits none of these.  A later request on a kept connection has KEEPALIVE_S for its headers; a body has its own
limit (ingest/read_body.py), and all connections together have theirs (ingest/connection_limits.py).
"""

import asyncio
import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import structlog
from aiohttp import HttpVersion11, StreamReader, http_parser, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import _ErrInfo

from tillkeeper import telemetry
from tillkeeper.ingest.connection_limits import ConnectionLimits
from tillkeeper.ingest.responses import INTERNAL, SERVER, PreparedResponse, refusal
from tillkeeper.ingest.scheduler import LARGE_BYTES

log = structlog.get_logger()

FIRST_REQUEST_S: Final = 10.0  # from connecting to the end of the headers: whoever connects has a request to send
KEEPALIVE_S: Final = 30.0
NOT_FOUND: Final = 404
LINGER_S: Final = 2.0  # how long the rest of a refused body is read, so that the client gets to see the answer
HEAD_BYTES_MAX: Final = 32 * 1024  # of one request's headers; the longest that gateways send have 4 KiB
READ_BYTES: Final = 16 * 1024  # of a body, kept before the handler takes it
SLICE_BYTES: Final = 8 * 1024  # parsed in one turn of the event loop: 1,400 chunks of a byte take some 3 ms
BACKLOG: Final = 1024
OPEN_FILES: Final = 4096  # a burst of connections is accepted before those that must go for it are closed
BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: tillkeeper\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

TOO_MANY: Final = telemetry.CONNECTIONS_REFUSED.labels("too_many")
TOO_SLOW: Final = telemetry.CONNECTIONS_REFUSED.labels("too_slow")
MALFORMED: Final = telemetry.CONNECTIONS_REFUSED.labels("malformed")


# Begins a delivery of this path, raw headers and body, and calls the last argument with the response once it is safe.
# Returns False, and has done nothing, where that needs more: then the library makes a request and calls its handler.
Begin = Callable[[str, Sequence[tuple[bytes, bytes]], bytes, Callable[[PreparedResponse], None]], bool]


class BoundedConnection(web.RequestHandler):
    """A connection with limits on time and size."""

    __slots__ = (
        "_begin",
        "_client",
        "_first_request_timer",
        "_half_closed",
        "_has_begun",
        "_head_bytes",
        "_is_begun",
        "_is_parse_scheduled",
        "_last_payload",
        "_limits",
        "_parsed_to",
        "_unparsed",
        "scheduler",
    )

    def __init__(
        self,
        server: web.Server,
        limits: ConnectionLimits,
        *,
        begin: Begin,
        loop: asyncio.AbstractEventLoop,
        **options: Any,
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._begin = begin
        self._is_begun = False  # a delivery that `begin` began is not answered yet
        self._limits = limits
        self.scheduler = limits.scheduler
        self._first_request_timer: asyncio.TimerHandle | None = None
        self._has_begun = False
        self._half_closed = False
        self._head_bytes = 0  # of headers that are not complete yet
        self._last_payload: StreamReader | None = None
        self._unparsed = b""
        self._parsed_to = 0
        self._is_parse_scheduled = False
        self._client: asyncio.Transport | None = None  # until the connection is lost, and not only until we close it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuses the client where every other connection is being served."""
        self._client = cast("asyncio.Transport", transport)
        if not self._limits.add(self):
            TOO_MANY.inc()
            self._has_begun = self._force_close = True  # what it still sends is not parsed
            self._client.write(BUSY)
            self._client.close()
            return
        self._first_request_timer = self._loop.call_later(FIRST_REQUEST_S, self._expect_request)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Frees the connection's place."""
        self._limits.remove(self)
        self._unparsed = b""
        self._client = None
        if self._first_request_timer is not None:
            self._first_request_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses a slice at a time, in turns of the event loop that have time: others are served in between."""
        if not self._has_begun:  # a silent connection costs no task, and is cheap to close
            assert self._client is not None
            self._has_begun = True
            super().connection_made(self._client)
        if not data:  # the parser continues where it stopped
            self._parse(data)
        elif not self._unparsed and len(data) <= SLICE_BYTES and self.scheduler.is_free:
            self.scheduler.run(self._parse, data)
        else:
            self._unparsed, self._parsed_to = self._unparsed[self._parsed_to :] + data, 0
            self.hold_bytes(len(data))
            if len(self._unparsed) > SLICE_BYTES:
                self._pause_transport_reading()
            self._parse_later()

    def _parse_next(self) -> None:
        """Parses the next slice, unless the parser is paused: whoever resumes reading calls again."""
        self._is_parse_scheduled = False
        if not self._unparsed or self._reading_paused or self._buffer_paused:
            return
        part = self._unparsed[self._parsed_to : self._parsed_to + SLICE_BYTES]
        self._parsed_to += len(part)
        if self._parsed_to >= len(self._unparsed):
            self._unparsed, self._parsed_to = b"", 0
        self.hold_bytes(-len(part))
        self.scheduler.run(self._parse, part)
        self._resume_transport_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resumes reading.  The library calls this twice for each body; mostly nothing was paused."""
        if self._reading_paused or self._buffer_paused or self._unparsed:
            super().resume_reading(resume_parser)

    def _resume_transport_reading(self) -> None:
        if self._unparsed:
            self._parse_later()
        elif not (self._reading_paused or self._buffer_paused):
            super()._resume_transport_reading()

    def _parse_later(self) -> None:
        if not self._is_parse_scheduled:
            self._is_parse_scheduled = True
            self.scheduler.schedule(self._parse_next, low_priority=len(self._unparsed) > SLICE_BYTES)

    def _parse(self, data: bytes) -> None:
        requests = self._request_count
        self._pass_to_library(data)
        if self._request_count != requests:
            self._head_bytes = 0
            if not self._messages:  # it was begun, with its body
                self._last_payload = None
                return
            message, self._last_payload = self._messages[-1]
            if (malformed := getattr(message, "exc", None)) is not None:
                malformed.__traceback__ = None  # it is part of a reference cycle that would keep what was sent
        elif self._last_payload is None or self._last_payload.is_eof():
            if not self._head_bytes:
                self._limits.restart_wait(self)
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                MALFORMED.inc()
                self.force_close()

    def _pass_to_library(self, data: bytes) -> None:
        """Has the library parse, and wakes its task only for what it must handle."""
        waiter, self._waiter = self._waiter, None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if waiter is not None and self._messages and not (self._is_begun or waiter.done() or self._begin_whole()):
            waiter.set_result(None)

    def _begin_whole(self) -> bool:
        """Begins a delivery that arrived whole; returns False for all else, which the library's task handles."""
        message, payload = self._messages[0]
        if isinstance(message, _ErrInfo) or not _is_plain_post(message, payload):
            return False
        if len(self._messages) > 1 or self._paused or self._upgraded:
            return False
        body = payload.read_nowait()
        if not self._begin(message.path, message.raw_headers, body, self._answer):
            self._messages[0] = message, self._payload_of(body)
            return False
        self._messages.clear()
        self._is_begun = self._request_in_progress = True  # the second lets the library's shutdown wait
        self._restart_keepalive()
        assert self._parser is not None
        self._parser.message_consumed()
        return True

    def _answer(self, response: PreparedResponse) -> None:
        """Answers the delivery that was begun, and has the library go on with what arrived meanwhile."""
        self._is_begun = self._request_in_progress = False
        self._limits.restart_wait(self)
        self._restart_keepalive()
        closes = self._closes()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(response.encoded(closes=closes))
            if closes:
                self.transport.close()
        if self._handler_waiter is not None:
            self._handler_waiter.set_result(None)
        if self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _restart_keepalive(self) -> None:
        self._next_keepalive_close_time = self._loop.time() + KEEPALIVE_S

    def _closes(self) -> bool:
        """Returns whether the connection ends with the next response."""
        return self._close or self._force_close or (self._half_closed and not self._messages)

    def _payload_of(self, body: bytes) -> StreamReader:
        payload = StreamReader(self, READ_BYTES, loop=self._loop)
        payload.feed_data(body)
        payload.feed_eof()
        return payload

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answers what is complete before it closes: a client that sends no more may still read."""
        is_whole = self._last_payload is None or self._last_payload.is_eof()
        self._half_closed = is_whole and (self._request_in_progress or bool(self._messages))
        return self._half_closed

    def is_served(self) -> bool:
        """Returns whether a complete request of this connection is being answered."""
        request = self._current_request
        if request is None:
            return self._is_begun or (bool(self._messages) and not self._paused)
        return request.content.is_eof()

    def unsent_bytes(self) -> int:
        """Returns the bytes of responses that the client has not read yet."""
        return 0 if self._client is None else self._client.get_write_buffer_size()

    def abort(self) -> None:
        """Closes the connection at once, whatever is still to be read or written."""
        self.force_close()
        if self._client is not None:
            self._client.abort()

    def hold_bytes(self, size_bytes: int) -> None:
        """Counts bytes of a request in memory, less where negative."""
        self._limits.hold_bytes(self, size_bytes)

    async def wait_turn(self, *, size_bytes: int = 0) -> None:
        """Returns when there is time for a request; a large one, or one of many sent at once, waits behind others."""
        await self.scheduler.wait(low_priority=bool(self._messages) or size_bytes > LARGE_BYTES)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends `Connection: close` when the receiver stops, which the library does not do: the client would send its
        next request into a closed connection."""
        self._limits.restart_wait(self)
        closes = (
            self._closes() or "Upgrade" in request.headers
        )  # what stands behind an upgrade that was not made is no request
        if isinstance(resp, PreparedResponse):
            if not closes and request.keep_alive and request.version == HttpVersion11:
                return resp, await self._write_prepared(request, resp.encoded())
            resp = resp.as_response()
        if resp.headers.get("Server") != SERVER:  # aiohttp's own, which would tell its version
            resp = refusal(resp.status, "there is nothing here" if resp.status == NOT_FOUND else "this is not served")
            resp.force_close()
        if closes:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    async def _write_prepared(self, request: web.BaseRequest, answer: bytes) -> bool:
        """Writes a response; returns True if the client has disconnected."""
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
            self.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats the offending bytes
    ) -> web.StreamResponse:
        """Answers malformed HTTP and unexpected errors.  Neither the request's bytes nor a traceback are sent back."""
        if status < 500:  # noqa: PLR2004 - the client's fault
            MALFORMED.inc()
            response = refusal(status, "this is not well-formed HTTP/1.1")
        else:
            log.error("request_failed", method=request.method, path=request.path, status=status, exc_info=exc)
            response = refusal(status, INTERNAL)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        response.force_close()
        return response


def _is_plain_post(message: RawRequestMessage, payload: StreamReader) -> bool:
    """Returns whether a request is a POST that arrived whole, on a connection that stays open."""
    return (
        payload.is_eof() and message.method == "POST" and message.version == HttpVersion11 and not message.should_close
    )


class BoundedSite(web.BaseSite):
    """Listens on a socket and gives each connection its limits."""

    def __init__(
        self, runner: web.AppRunner, listening: socket.socket, limits: ConnectionLimits, *, begin: Begin
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._begin = begin
        self._listening = listening
        self._limits = limits

    @property
    def name(self) -> str:
        """Returns the address of the socket."""
        host, port = self._listening.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Starts accepting connections."""
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
                self._limits,
                begin=self._begin,
                loop=loop,
                auto_decompress=False,  # the bytes on the wire are what was signed; no bomb is unpacked
                keepalive_timeout=KEEPALIVE_S,
                lingering_time=LINGER_S,
                read_bufsize=READ_BYTES,
                access_log=None,
            )

        return connection


def refuse_slow_parser() -> None:
    """Refuses the pure-Python parser, which is slow and had a request smuggling bug of its own (CVE-2026-111750)."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp runs without its C extension; unset AIOHTTP_NO_EXTENSIONS or reinstall aiohttp")


def allow_open_files() -> None:
    """Raises this process's soft limit of open files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
