"""What an outsider does to a receiver, one attack at a time: `python -m bench.attacks PORT NAME` until it is killed.

No HTTP library: an attack must cost its sender little.  Each is a coroutine that goes on for ever on one connection
after the other, and counts for nobody.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import uvloop

from bench.unsigned import BODY_BYTES, a_forgery, hostile_bodies
from tillkeeper.sandbox.accounts import account_of

PAUSE_S: Final = 0.05  # before a connection that was refused is tried again
DRIP_S: Final = 1.0
UNSIGNED: Final = ("adyen", "shengpay", "alipay", "wechatpay_v2", "braintree", "stripe")
HEAD: Final = "POST /webhooks/{account} HTTP/1.1\r\nHost: t\r\n"

Attack = Callable[[int], Awaitable[None]]


async def idle(port: int) -> None:
    """Connects and says nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _until_closed(reader, writer)


async def slow_head(port: int) -> None:
    """Headers that never end."""
    await _drip(port, _head("stripe") + b"X-A: b")


async def slow_body(port: int) -> None:
    """Most of a body, and then a byte a second."""
    most = BODY_BYTES - 1024
    await _drip(port, _head("stripe") + b"Content-Length: %d\r\n\r\n" % BODY_BYTES + b"a" * most)


async def never_read(port: int) -> None:
    """Requests without end, and no answer is ever read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to never read
    try:
        while not writer.is_closing():
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n" * 100)
            await writer.drain()
    finally:
        writer.transport.abort()


async def heads(port: int) -> None:
    """A hundred headers of 300 bytes, again and again."""
    flood = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 300) for number in range(100))
    await _again_and_again(port, _head("stripe") + flood + b"Content-Length: 2\r\n\r\n{}")


async def queries(port: int) -> None:
    """A query string of 100 KB."""
    await _again_and_again(port, b"POST /webhooks/klarna-main?klarna_order_id=" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n")


async def chunks(port: int) -> None:
    """50,000 chunks of a byte."""
    many = b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"
    await _again_and_again(port, _head("stripe") + many)


async def made_up(port: int) -> None:
    """Ids that are none, at a gateway that signs nothing."""
    number = id(asyncio.current_task())
    while True:
        number += 1
        body = b"id=tr_%d" % number
        await _once(port, _head("mollie") + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)


def unsigned(*gateways: str) -> Attack:
    """The bodies that take longest to refuse, at one gateway after the other."""
    requests = [request for name in gateways for request in _unsigned_requests(name)]

    async def attack(port: int) -> None:
        while True:
            for request in requests:
                await _once(port, request)

    return attack


def _unsigned_requests(name: str) -> list[bytes]:
    _, (headers, body), _ = a_forgery(name)
    told = "".join(f"{key}: {value}\r\n" for key, value in headers.items()).encode()
    return [
        _head(name) + told + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(hostile) + hostile
        for _, hostile in hostile_bodies(body, BODY_BYTES - 1024)
    ]


ATTACKS: Final[Mapping[str, tuple[Callable[[], Attack], int]]] = {
    "idle": (lambda: idle, 2_000),
    "slow_head": (lambda: slow_head, 850),
    "slow_body": (lambda: slow_body, 850),
    "never_read": (lambda: never_read, 200),
    "heads": (lambda: heads, 16),
    "queries": (lambda: queries, 16),
    "chunks": (lambda: chunks, 16),
    "made_up": (lambda: made_up, 16),
    "unsigned": (lambda: unsigned(*UNSIGNED), 16),
}


async def attack_for_ever(port: int, name: str) -> None:
    """So many at once; who is turned away comes again.  `unsigned_NAME` is at that gateway alone."""
    make, count = ATTACKS[name.partition("_")[0] if name.startswith("unsigned") else name]
    attack = unsigned(gateway) if (gateway := name.removeprefix("unsigned_")) in UNSIGNED else make()

    async def again() -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                await attack(port)
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*(again() for _ in range(count)))


def _head(gateway: str) -> bytes:
    return HEAD.format(account=account_of(gateway)).encode()


async def _drip(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip() -> None:
        writer.write(sent)
        while True:
            await asyncio.sleep(DRIP_S)
            writer.write(b"a")

    dripping = asyncio.ensure_future(drip())
    try:
        await _until_closed(reader, writer)
    finally:
        dripping.cancel()


async def _again_and_again(port: int, request: bytes) -> None:
    while True:
        await _once(port, request)


async def _once(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await reader.read(1024)
    finally:
        writer.transport.abort()


async def _until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(65_536):
            pass
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(attack_for_ever(int(sys.argv[1]), sys.argv[2]))
