"""The receiver's own answers: JSON that says what is wrong, and never repeats what was sent."""

from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from aiohttp import web
from multidict import CIMultiDict

SERVER: Final = "tillkeeper"  # instead of the name and version of the library
RETRY_AFTER_S: Final = 5  # an outage that lasts longer is met by the gateway's own, growing pauses

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def not_now(error: str) -> web.Response:
    """The world's fault: come again."""
    return refusal(503, error, Retry_After=str(RETRY_AFTER_S))
