"""The receiver's own answers: JSON that says what is wrong, and never repeats what was sent."""

from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from multidict import CIMultiDict

from tillkeeper import clock
from tillkeeper.gateways.messages import Reply

SERVER: Final = "tillkeeper"  # instead of the name and version of the library
RETRY_AFTER_S: Final = 5  # an outage that lasts longer is met by the gateway's own, growing pauses

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Ready(web.Response):
    """A gateway's answer, sent any number of times: its bytes are made once a second, for they tell the date.

    Making aiohttp's own anew for each request took a tenth of the receiver's CPU.  Where the connection ends with the
    answer, it is `fresh` that is sent.
    """

    def __init__(self, reply: Reply, **headers: str) -> None:
        named = {"Server": SERVER, "Content-Type": reply.content_type, **headers}
        super().__init__(status=reply.status, body=reply.body, headers=CIMultiDict(named))
        self._reply = reply
        self._named = named
        self._wire = b""
        self._stale_at_s = float("-inf")

    @property
    def keep_alive(self) -> bool:
        """What aiohttp asks of an answer that is sent."""
        return True

    def fresh(self) -> web.Response:
        """The same as an ordinary response, which is spent when it is sent."""
        return web.Response(status=self.status, body=self._reply.body, headers=CIMultiDict(self._named))

    def wire(self) -> bytes:
        """The whole answer of HTTP/1.1 on a connection that stays open."""
        now_s = clock.monotonic_s()
        if now_s >= self._stale_at_s:
            now = clock.now()
            self._stale_at_s = now_s + 1 - now.microsecond / 1_000_000
            lines = {**self._named, "Date": format_datetime(now, usegmt=True)}
            if self.status != HTTPStatus.NO_CONTENT:
                lines["Content-Length"] = str(len(self._reply.body))
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            self._wire = f"HTTP/1.1 {self.status} {self.reason}\r\n{head}\r\n".encode() + self._reply.body
        return self._wire


def answer(status: int, content: object, **headers: str) -> web.Response:
    """A JSON answer.  Header names are spelt with underscores: Retry_After="5"."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        status=status,
        body=orjson.dumps(content),
        headers=CIMultiDict({"Server": SERVER, "Content-Type": "application/json", **named}),
    )


def refusal(status: int, error: str, **headers: str) -> web.Response:
    """What every error of the API looks like."""
    return answer(status, {"error": error}, **headers)


def method_refusal(allowed: str) -> web.Response:
    """The path is right, and the method is not one that it takes."""
    response = refusal(405, f"this path takes {allowed}", Allow=allowed)
    response.force_close()  # a body that nobody asked for is not read
    return response


def not_now(error: str) -> web.Response:
    """The world's fault: come again."""
    return refusal(503, error, Retry_After=str(RETRY_AFTER_S))
