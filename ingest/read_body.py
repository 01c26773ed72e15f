"""Reads a request's headers and body within limits of size and time, exactly as they came over the wire."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Final, cast

from aiohttp import web

from tillkeeper.gateways.errors import Refused
from tillkeeper.ingest.connections import BoundedConnection

BODY_S: Final = 5.0  # a megabyte in five seconds is 1.6 Mbit/s; gateways send a few KB at once

HTTP2: Final = "h2c"  # an offer of it may be ignored; the connection ends with the response

Headers = dict[str, tuple[str, ...]]


class TooLarge(Refused):
    """The body is over the limit."""

    status: ClassVar[int] = 413


class TooSlow(Refused):
    """The body did not arrive in time."""

    status: ClassVar[int] = 408


class Encoded(Refused):
    """The body is compressed: signatures are over plain bytes, and a bomb is never unpacked."""

    status: ClassVar[int] = 415


class Incomplete(Refused):
    """The body broke off or broke the rules of HTTP."""


class Upgrade(Refused):
    """The client wants to speak another protocol."""


def headers_of(request: web.BaseRequest) -> Headers:
    """Returns all values of each header in order, by its lower-case name.  Refuses what no gateway sends."""
    headers = multimap(request.raw_headers)
    if "content-encoding" in headers:
        raise Encoded("the body has a Content-Encoding")
    if any(offered.strip().lower() != HTTP2 for value in headers.get("upgrade", ()) for offered in value.split(",")):
        raise Upgrade("the request asks for an upgrade")
    return headers


def multimap(raw: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Decodes raw headers.  Latin-1 keeps every byte, so that nothing is lost and nothing can fail."""
    headers: Headers = {name.decode("latin-1").lower(): (value.decode("latin-1"),) for name, value in raw}
    if len(headers) == len(raw):
        return headers
    headers.clear()  # some header occurs more than once
    for raw_name, raw_value in raw:
        name = raw_name.decode("latin-1").lower()
        headers[name] = (*headers.get(name, ()), raw_value.decode("latin-1"))
    return headers


async def read_body(request: web.BaseRequest, *, bytes_max: int) -> bytes:
    """Returns the body's bytes.  Raises one of this module's refusals."""
    try:
        if request.content.is_eof():  # it came with the headers, as most do: nothing to wait for
            body = request.content.read_nowait()
        elif (request.content_length or 0) > bytes_max:
            raise TooLarge("the announced body is over the limit")
        else:
            async with asyncio.timeout(BODY_S):
                body = await _read_on(request, bytes_max)
    except TimeoutError:
        raise TooSlow(f"the body was not complete after {BODY_S:.0f} s") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        error.__traceback__ = None  # the stream keeps this error, and the reference cycle would keep what was read
        raise Incomplete("the body broke off or is malformed") from None
    if len(body) > bytes_max:
        raise TooLarge("the body is over the limit")
    return body


async def _read_on(request: web.BaseRequest, bytes_max: int) -> bytes:
    """Reads to the end of the body, counting its bytes towards the limit of all unfinished bodies together."""
    body = bytearray()
    connection = cast("BoundedConnection", request.protocol)
    held_bytes = 0
    try:
        while not request.content.at_eof():
            part = await request.content.readany()
            body += part
            if len(body) > bytes_max:
                break
            held_bytes += len(part)
            connection.hold_bytes(len(part))
    finally:
        connection.hold_bytes(-held_bytes)
    return bytes(body)
