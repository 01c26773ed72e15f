"""Hostile HTTP over real sockets: bounded, refused, never a 5xx, nothing echoed, and others are served meanwhile."""

import asyncio
import gzip
import resource
import zlib

import pytest

from ingest import connections
from tests.system.receiving import PATH, a_delivery, deliveries_in, exchange, status_of, wire

H = f"POST {PATH} HTTP/1.1\r\nHost: t\r\n".encode()
CLOSE = b"Connection: close\r\n"
BIG = b"a" * (1024 * 1024 + 1)
MEMORY_GROWTH_MAX_MIB = 64


def bomb(megabytes):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def encoded(body):
    return H + CLOSE + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks, extra=b""):
    return (
        H
        + CLOSE
        + extra
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        + b"0\r\n\r\n"
    )


CASES = {
    "unsigned": (H + CLOSE + b"Content-Length: 2\r\n\r\n{}", 401),
    "over the limit, announced": (H + b"Content-Length: %d\r\n\r\n" % len(BIG) + BIG, 413),
    "over the limit, chunked": (chunked(BIG), 413),
    "20,000 chunks of a byte": (chunked(*[b"a"] * 20_000), 401),
    "a bomb of 200 MB": (encoded(bomb(200)), 415),
    "20,000 empty gzip members": (encoded(b"".join(gzip.compress(b"") for _ in range(20_000))), 415),
    "gzip that is none": (encoded(b"{}"), 415),
    "brotli": (H + CLOSE + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", 415),
    "length and chunks": (
        H + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + H + b"Content-Length: 0\r\n\r\n",
        400,
    ),
    "two lengths": (H + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400),
    "length +2": (H + b"Content-Length: +2\r\n\r\n{}", 400),
    "length 1_0": (H + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
    "length -1": (H + b"Content-Length: -1\r\n\r\n", 400),
    "another transfer encoding": (H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "bare line feeds": (f"POST {PATH} HTTP/1.1\nHost: x\nContent-Length: 2\n\n{{}}".encode(), 400),
    "space before colon": (H + b"Content-Length : 2\r\n\r\n{}", 400),
    "folded header": (H + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", 400),
    "NUL in a header": (H + b"X-A: SECRETBYTES\x00\r\nContent-Length: 2\r\n\r\n{}", 400),
    "20 kB of header": (H + b"X-A: " + b"a" * 20_000 + b"\r\nContent-Length: 2\r\n\r\n{}", 400),
    "500 headers": (H + b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"Content-Length: 2\r\n\r\n{}", 400),
    "a chunk beyond 64 bits": (H + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\na\r\n0\r\n\r\n", 400),
    "a chunk that is none": (H + b"Transfer-Encoding: chunked\r\n\r\nzz\r\na\r\n0\r\n\r\n", 400),
    "HTTP/1.0": (f"POST {PATH} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}".encode(), 401),
    "no host": (f"POST {PATH} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode(), 400),
    "an upgrade with a body": (H + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}", 400),
    "an upgrade of GET": (
        f"GET {PATH} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".encode() + wire(a_delivery()),
        405,
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00SECRETBYTES\r\n\r\n", 400),
    "an expectation of its own": (H + CLOSE + b"Expect: SECRETBYTES\r\nContent-Length: 2\r\n\r\n{}", 401),
    "a path of raw bytes": (b"POST /webhooks/\xe4\xb8 HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "a signature of raw bytes": (H + CLOSE + b"Stripe-Signature: t=\xff,v1=\xe4\r\nContent-Length: 2\r\n\r\n{}", 401),
    "a signature of 8 kB": (
        H + CLOSE + b"Stripe-Signature: " + b"v1=a," * 1600 + b"\r\nContent-Length: 2\r\n\r\n{}",
        401,
    ),
    "a signature twice": (
        H + CLOSE + b"Stripe-Signature: t=1,v1=a\r\nStripe-Signature: t=1,v1=a\r\nContent-Length: 2\r\n\r\n{}",
        401,
    ),
}


@pytest.mark.parametrize(("sent", "status"), CASES.values(), ids=CASES.keys())
async def test_hostile_requests_are_refused_in_bounds(port, connection, sent, status):
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await exchange(port, sent)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    assert (status_of(answer), answer.count(b"Server: ")) == (status, 1)
    assert b"SECRETBYTES" not in answer
    assert b"aiohttp" not in answer
    assert b"Traceback" not in answer
    assert grown_mib < MEMORY_GROWTH_MAX_MIB
    assert await deliveries_in(connection) == []


async def test_one_answer_to_one_smuggled_pair(port):
    inner = wire(a_delivery("evt_smuggled"))
    smuggler = H + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(inner)) + inner
    answer = await exchange(port, smuggler)
    assert (status_of(answer), answer.count(b"Server: ")) == (400, 1)


async def test_a_body_that_came_in_chunks_is_accepted_as_it_is(port, connection):
    headers, body = a_delivery()
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    answer = await exchange(port, chunked(body[:100], body[100:101], body[101:], extra=told))
    assert status_of(answer) == 200
    assert [delivery.body for delivery in await deliveries_in(connection)] == [body]


async def test_a_client_that_waits_to_be_asked_is_asked(port):
    _, body = delivery = a_delivery()
    sent = wire(delivery, extra=b"Expect: 100-continue\r\n" + CLOSE).removesuffix(body)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert status_of(await reader.read()) == 200
    finally:
        writer.close()


async def test_pipelined_deliveries_are_all_answered_in_order(port, connection):
    sent = b"".join(wire(a_delivery(f"evt_{n}")) for n in range(20)) + wire(a_delivery("evt_20"), extra=CLOSE)
    answer = await exchange(port, sent)
    assert answer.count(b"HTTP/1.1 200 OK") == 21
    assert len(await deliveries_in(connection)) == 21


# --- slow clients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drip", [b"", H, H + b"X-A: b"])
async def test_headers_that_never_end_are_cut_off(port, monkeypatch, drip):
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.3)
    assert await exchange(port, drip, within_s=5) == b""


async def test_a_body_that_never_ends_is_answered_408(port, monkeypatch):
    from ingest import body

    monkeypatch.setattr(body, "BODY_S", 0.3)
    answer = await exchange(port, H + b"Content-Length: 10\r\n\r\n{}", within_s=5)
    assert status_of(answer) == 408


async def test_a_body_that_breaks_off_leaves_nothing(port, connection):
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire(a_delivery())[:-10])
    await writer.drain()
    writer.transport.abort()
    answer = await exchange(port, wire(a_delivery("evt_after"), extra=CLOSE))
    assert status_of(answer) == 200
    assert [delivery.events[0].event_id for delivery in await deliveries_in(connection)] == ["evt_after"]


async def test_one_connection_too_many_is_told_so_and_others_go_on(database, monkeypatch):
    from ingest.server import receiver
    from tests.system.receiving import some_settings

    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)
    async with receiver(some_settings(database)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in held:  # both are surely accepted once both are answered
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"\r\n\r\n")
        refused = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        assert (status_of(refused), b"Retry-After" in refused) == (503, True)
        held[0][1].write(wire(a_delivery(), extra=CLOSE))
        assert b"HTTP/1.1 200 OK" in await held[0][0].read()
        for _, writer in held:
            writer.close()
        answer = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        assert status_of(answer) == 200
