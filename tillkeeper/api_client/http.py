"""Makes one HTTP call to a gateway's API, of bounded time and size, and follows no redirect."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from tillkeeper import __version__
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import Call, Response
from tillkeeper.tracing.http import calling, note_status

FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # packed; a statement of a million lines has some 60 MB then
FILE_S: Final = 300.0
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024  # a hundred of Stripe's events with large objects are under 2 MiB

# Compressed answers are not asked for: what is signed is the plain body, and small bytes could become many.
HEADERS: Final = {
    "User-Agent": f"tillkeeper/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}

Send = Callable[[Call], Awaitable[Response]]


class Unreachable(Exception):
    """No complete response came: no connection, a broken one, or a time-out."""


@asynccontextmanager
async def open_http(settings: ApiClientSettings) -> AsyncIterator[Send]:
    """Opens what sends calls, over one session for all accounts."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=settings.call_s, connect=settings.connect_s),
        headers=HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as session:

        async def send(call: Call) -> Response:
            return await _send(session, call)

        yield send


async def _send(session: aiohttp.ClientSession, call: Call) -> Response:
    with calling(call.method, call.url) as span:
        response = await _exchange(session, call)
        note_status(span, response.status)
        return response


async def _exchange(session: aiohttp.ClientSession, call: Call) -> Response:
    timeout = aiohttp.ClientTimeout(total=FILE_S) if call.is_for_file else session.timeout
    try:
        async with session.request(
            call.method,
            URL(call.url, encoded=True),  # the URL is signed as it is written
            headers=call.headers,
            data=call.body or None,
            allow_redirects=False,  # another host must not get our credentials
            timeout=timeout,
        ) as response:
            body = await (_file(response) if call.is_for_file else _body(response))
            headers: dict[str, list[str]] = {}
            for name, value in response.headers.items():
                headers.setdefault(name.lower(), []).append(value)
            return Response(status=response.status, headers=headers, body=body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(type(error).__name__) from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BadPayload("the answer is compressed, though that was not asked for")
    return await _bounded(response, ANSWER_BYTES_MAX)


async def _file(response: aiohttp.ClientResponse) -> bytes:
    """Reads a file as it comes, packed or not: whoever reads it unpacks it."""
    return await _bounded(response, FILE_BYTES_MAX)


async def _bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise BadPayload(f"the answer is greater than {bytes_max} bytes")
    return bytes(body)
