"""Hostile HTTP over real sockets: bounded, refused, never a 5xx, nothing echoed, and others are served meanwhile."""

import asyncio
import gzip
import resource
import socket
import zlib
from contextlib import asynccontextmanager
from functools import cache

import pytest
from aiohttp import web

from tests.system.receiving import (
    ACCOUNT,
    PATH,
    SECRET,
    TOKEN,
    a_delivery,
    deliveries_in,
    exchange,
    some_settings,
    somebody_waits,
    spool_held,
    status_of,
    wire,
)
from tillkeeper import clock
from tillkeeper.ingest import connection_limits, connections
from tillkeeper.ingest.health import LOOK_S, HealthProbes
from tillkeeper.ingest.server import receiver
from tillkeeper.sandbox.simulators.stripe.signing import stripe_signed
from tillkeeper.schema_watch import SchemaWatch

H = f"POST {PATH} HTTP/1.1\r\nHost: t\r\n".encode()
CLOSE = b"Connection: close\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
UNFINISHED_BODY = H + b"Content-Length: 10\r\n\r\n{}"
BIG = b"a" * (256 * 1024 + 1)
MEMORY_GROWTH_MAX_MIB = 64


@cache
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
    "a bomb of 200 MB": (lambda: encoded(bomb(200)), 415),
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
    "an upgrade to HTTP/2 with a body": (
        H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        401,
    ),
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
    sent = sent() if callable(sent) else sent
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
    from tillkeeper.ingest import read_body

    monkeypatch.setattr(read_body, "BODY_S", 0.3)
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


@asynccontextmanager
async def connected(port, number, sent=b""):
    """So many connections, each of which has sent this; closed at the end."""
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(number)]
    for _, writer in held:
        writer.write(sent)
    try:
        yield held
    finally:
        for _, writer in held:
            writer.transport.abort()


async def test_newcomers_are_served_in_the_place_of_who_sends_nothing(port, connection, monkeypatch):
    """Idle, with headers or a body that never end: who waits longest goes, and nobody is told to come again."""
    monkeypatch.setattr(connection_limits, "CONNECTIONS_MAX", 6)
    silent, unfinished = b"", H + b"X-A: b"
    async with (
        connected(port, 2, silent) as oldest,
        connected(port, 2, unfinished),
        connected(port, 2, UNFINISHED_BODY),
    ):
        for number in range(20):
            answer = await exchange(port, wire(a_delivery(f"evt_{number}"), extra=CLOSE))
            assert status_of(answer) == 200
        assert await oldest[0][0].read() == b""
    assert len(await deliveries_in(connection)) == 20


async def test_who_is_being_served_is_not_turned_out(database, connection, monkeypatch):
    monkeypatch.setattr(connection_limits, "CONNECTIONS_MAX", 2)
    async with receiver(some_settings(database)) as port:
        async with spool_held(connection):
            held = [asyncio.ensure_future(exchange(port, wire(a_delivery(f"evt_{n}"), extra=CLOSE))) for n in range(2)]
            await somebody_waits(connection)
            async with asyncio.timeout(5):
                while b" 503 " not in (refused := await exchange(port, HEALTH)):
                    pass
            assert b"Retry-After" in refused
        assert [status_of(answer) for answer in await asyncio.gather(*held)] == [200, 200]
        assert status_of(await exchange(port, HEALTH)) == 200


async def test_unfinished_bodies_have_a_bound_together(port, connection, monkeypatch):
    monkeypatch.setattr(connection_limits, "BODIES_BYTES_MAX", 256 * 1024)
    large = a_delivery("evt_large")
    async with connected(port, 10, H + b"Content-Length: 200000\r\n\r\n" + b"a" * 60_000) as held:
        async with asyncio.timeout(4):  # sooner than by the time for a body
            assert await asyncio.gather(*(reader.read() for reader, _ in held[:5])) == [b""] * 5
        half = wire(large, extra=CLOSE)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(half[:-100])
        await writer.drain()
        writer.write(half[-100:])
        assert status_of(await reader.read()) == 200
        writer.close()


async def send_for_ever(client, sent):
    async with asyncio.timeout(20):
        while True:
            await asyncio.get_running_loop().sock_sendall(client, sent)


async def test_who_never_reads_is_cut_off(database, monkeypatch):
    """Answers in the kernel's buffers cost us nothing; what it does not take any more stays ours."""
    monkeypatch.setattr(connection_limits, "WRITE_S", 0.2)
    monkeypatch.setattr(connection_limits, "CHECK_EVERY_S", 0.05)
    async with receiver(some_settings(database)) as other:
        with socket.create_connection(("127.0.0.1", other)) as client:
            client.setblocking(False)
            with pytest.raises(ConnectionError):
                await send_for_ever(client, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n" * 100)


async def test_headers_have_a_bound_together(port):
    head = H + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 8000) for n in range(10))
    assert await exchange(port, head, within_s=5) == b""  # sooner than by the time for a first request


async def test_a_hundred_thousand_chunks_keep_nobody_waiting(port, monkeypatch):
    """Counted, not timed: what is parsed in one turn of the event loop is bounded, and others are served in between."""
    parsed, parse = [], web.RequestHandler.data_received
    monkeypatch.setattr(
        web.RequestHandler, "data_received", lambda self, data: (parsed.append(len(data)), parse(self, data))
    )
    many = H + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n"
    attack = asyncio.ensure_future(exchange(port, many))
    answered = 0
    while not attack.done():
        assert status_of(await exchange(port, HEALTH)) == 200
        answered += 1
    assert status_of(await attack) in {401, 413}
    assert max(parsed) <= connections.SLICE_BYTES
    assert answered > 1


async def test_a_client_that_stops_sending_is_answered(port, connection):
    """It has half closed its connection, and waits for the answer, to the last of what it sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire(a_delivery("evt_1")) + wire(a_delivery("evt_2")))
    writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert len(await deliveries_in(connection)) == 2


async def test_a_client_that_stops_in_the_midst_is_left(port, connection):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire(a_delivery())[:-10])
    writer.write_eof()
    async with asyncio.timeout(4):
        assert await reader.read() == b""
    writer.close()
    assert await deliveries_in(connection) == []


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz"])
async def test_health_is_told_by_head(port, path):
    answer = await exchange(port, b"HEAD " + path + b" HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status_of(answer), body, b"Content-Length: " in head) == (200, b"", True)


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


async def test_a_client_that_offers_http2_is_answered_in_http1(port, connection):
    """Java's does so with its first request; a server that does not want to takes no notice."""
    answer = await exchange(port, wire(a_delivery(), extra=UPGRADE))
    assert (status_of(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
    assert len(await deliveries_in(connection)) == 1
    order = b'{"amount":100,"currency":"CNY","accounts":["stripe-main"]}'
    head = b"PUT /orders/A-1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n" % TOKEN.encode()
    put = head + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(order) + order
    assert status_of(await exchange(port, put)) == 201


async def test_what_follows_an_offer_of_http2_is_nobodys_request(port, connection):
    smuggled = wire(a_delivery("evt_smuggled"))
    answer = await exchange(port, wire(a_delivery(), extra=UPGRADE) + smuggled)
    assert (answer.count(b"HTTP/1.1 "), len(await deliveries_in(connection))) == (1, 1)


async def test_an_account_may_take_larger_bodies(database, connection):
    more = {**ACCOUNT, "max_body_bytes": 512 * 1024}
    async with receiver(some_settings(database, accounts={"stripe-main": ACCOUNT, "stripe-large": more})) as port:
        large = stripe_signed(SECRET, clock.now(), b'{"id":"evt_1","type":"none","pad":"%s"}' % (b"a" * 300_000))
        assert status_of(await exchange(port, wire(large, extra=CLOSE))) == 413
        assert status_of(await exchange(port, wire(large, path="/webhooks/stripe-large", extra=CLOSE))) == 200


ODD = {
    "CONNECT to a host": b"CONNECT example.com:443 HTTP/1.1",
    "CONNECT to a path": b"CONNECT /webhooks/stripe-main HTTP/1.1",
    "OPTIONS of all": b"OPTIONS * HTTP/1.1",
    "TRACE": b"TRACE / HTTP/1.1",
    "no such method": b"FOO / HTTP/1.1",
    "no address": b"GET * HTTP/1.1",
    "no version": b"GET / HTTP/9.9",
    "another protocol": b"PRI * HTTP/2.0",
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
async def test_no_answer_tells_what_serves_it_and_the_connection_ends(port, line):
    answer = await exchange(port, line + b"\r\nHost: t\r\n\r\n", within_s=5)
    assert status_of(answer) in {400, 404, 405}
    assert b"Server: tillkeeper" in answer
    assert not any(each in answer.lower() for each in (b"aiohttp", b"python", b"example.com"))


async def test_many_who_ask_for_readiness_at_once_cost_one_look(monkeypatch):
    looks, now_s = [], [0.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])

    class Intake:
        async def ready(self):
            looks.append(now_s[0])
            await asyncio.sleep(0)
            return len(looks) == 1

    health = HealthProbes(Intake(), SchemaWatch())
    assert {each.status for each in await asyncio.gather(*(health.ready(None) for _ in range(50)))} == {200}
    now_s[0] += LOOK_S + 0.1
    assert {each.status for each in await asyncio.gather(*(health.ready(None) for _ in range(50)))} == {503}
    assert len(looks) == 2
