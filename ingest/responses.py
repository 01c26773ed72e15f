"""Builds the receiver's own responses: JSON that says what is wrong, and never repeats what was sent."""

from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

import msgspec
import orjson
from aiohttp import web
from multidict import CIMultiDict

from tillkeeper import clock
from tillkeeper.gateways.messages import Reply
from tillkeeper.ingest.api_types import Problem

SERVER: Final = "tillkeeper"  # instead of the name and version of the library
INTERNAL: Final = "an error inside Tillkeeper; it is in the log"
RETRY_AFTER_S: Final = 5  # in a longer outage the gateway's own growing pauses apply

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PreparedResponse(web.Response):
    """A gateway's response that is sent many times: it is encoded once a second, for it holds the date.

    Building aiohttp's response for each request took a tenth of the receiver's CPU.  Where the connection ends with the
    response, `as_response` is sent instead.
    """

    def __init__(self, reply: Reply, **headers: str) -> None:
        named = {"Server": SERVER, "Content-Type": reply.content_type, **headers}
        super().__init__(status=reply.status, body=reply.body, headers=CIMultiDict(named))
        self._reply = reply
        self._named_headers = named
        self._encoded = b""
        self._encoded_closing = b""
        self._stale_at_s = float("-inf")

    @property
    def keep_alive(self) -> bool:
        """Returns True if the connection stays open; aiohttp asks this of each response."""
        return True

    def as_response(self) -> web.Response:
        """Returns the same reply as an ordinary response, which can be sent once."""
        return web.Response(status=self.status, body=self._reply.body, headers=CIMultiDict(self._named_headers))

    def encoded(self, *, closes: bool = False) -> bytes:
        """Returns all bytes of the response to an HTTP/1.1 request."""
        now_s = clock.monotonic_s()
        if now_s >= self._stale_at_s:
            now = clock.now()
            self._stale_at_s = now_s + 1 - now.microsecond / 1_000_000
            lines = {**self._named_headers, "Date": format_datetime(now, usegmt=True)}
            if self.status != HTTPStatus.NO_CONTENT:
                lines["Content-Length"] = str(len(self._reply.body))
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            head = f"HTTP/1.1 {self.status} {self.reason}\r\n{head}"
            self._encoded = f"{head}\r\n".encode() + self._reply.body
            self._encoded_closing = f"{head}Connection: close\r\n\r\n".encode() + self._reply.body
        return self._encoded_closing if closes else self._encoded


def answer(status: int, content: object, **headers: str) -> web.Response:
    """Builds a JSON response.  Header names are spelt with underscores: Retry_After="5"."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        status=status,
        body=orjson.dumps(content, default=msgspec.structs.asdict),
        headers=CIMultiDict({"Server": SERVER, "Content-Type": "application/json", **headers}),
    )


def refusal(status: int, error: str, **headers: str) -> web.Response:
    """Builds the JSON response for an error: every error of the API has this form."""
    return answer(status, Problem(error), **headers)


def method_refusal(allowed: str) -> web.Response:
    """Builds a 405 response, for a path that takes other methods."""
    response = refusal(405, f"this path takes {allowed}", Allow=allowed)
    response.force_close()  # the body is not read
    return response


def unavailable_response(error: str) -> web.Response:
    """Builds a 503 response with Retry-After: something that the receiver needs is unavailable."""
    return refusal(503, error, Retry_After=str(RETRY_AFTER_S))


FAILED: Final = PreparedResponse(
    Reply(500, orjson.dumps(Problem(INTERNAL), default=msgspec.structs.asdict), "application/json")
)
