"""Deliveries over a connection that is kept: from the second on they are begun without a task, and answered alike."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from tests.system.receiving import (
    a_delivery,
    deliveries_in,
    exchange,
    some_settings,
    somebody_waits,
    spool_held,
    status_of,
    until,
    wire,
)
from tillkeeper import clock
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.ingest import connection_limits
from tillkeeper.ingest.receive import AccountReceiver
from tillkeeper.ingest.server import receiver
from tillkeeper.sandbox.simulators.stripe.signing import stripe_signed

WITHIN_S = 60.0


class Kept:
    """A connection over which a first delivery was answered."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def post(self, sent):
        self.writer.write(sent)
        return await self.answer()

    async def answer(self):
        async with asyncio.timeout(WITHIN_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
            return head + await self.reader.readexactly(int(length.split(b": ")[1]))

    async def rest(self):
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.read()


@asynccontextmanager
async def kept_connection(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        kept = Kept(reader, writer)
        assert status_of(await kept.post(wire(a_delivery("evt_first")))) == 200
        yield kept
    finally:
        writer.close()


@pytest.fixture
async def kept(port):
    async with kept_connection(port) as connected:
        yield connected


@pytest.fixture
def received(monkeypatch):
    """The requests that were handled by a task."""
    seen, receive = [], AccountReceiver.receive

    async def seeing(self, request):
        seen.append(request)
        return await receive(self, request)

    monkeypatch.setattr(AccountReceiver, "receive", seeing)
    return seen


async def test_a_delivery_is_durable_before_it_is_acknowledged_and_needs_no_task(kept, connection, received):
    delivery = a_delivery("evt_second")
    async with spool_held(connection):
        asked = asyncio.ensure_future(kept.post(wire(delivery, path="/webhooks/stripe-main?shop=7")))
        await somebody_waits(connection)
        assert not asked.done()
    answer = await asked
    assert (status_of(answer), b"Connection: close" in answer) == (200, False)
    second = (await deliveries_in(connection))[-1]
    assert (second.body, second.query, second.events[0].event_id) == (delivery[1], "shop=7", "evt_second")
    assert ("stripe-signature", delivery[0]["Stripe-Signature"]) in second.headers
    assert received == []


async def test_what_arrives_while_one_is_made_durable_is_answered_in_order(kept, connection):
    async with spool_held(connection):
        kept.writer.write(wire(a_delivery("evt_second")))
        await somebody_waits(connection)
        forged = wire(a_delivery("evt_forged", secret="whsec_of_somebody_else"))
        kept.writer.write(forged + wire(a_delivery("evt_third")))
        await kept.writer.drain()
    assert [status_of(await kept.answer()) for _ in range(3)] == [200, 401, 200]
    assert len(await deliveries_in(connection)) == 3


def forged():
    return wire(a_delivery(secret="whsec_of_somebody_else"))


# What is signed is signed when it is sent: for a test that begins much later a signature would be too old.
REFUSED = {
    "forged": (forged, 401),
    "unreadable": (lambda: wire(stripe_signed("whsec_of_the_system_tests", clock.now(), b'{"id": NaN}')), 400),
    "of nobody's account": (lambda: wire(a_delivery(), path="/webhooks/nobody"), 404),
    "compressed": (lambda: wire(a_delivery(), extra=b"Content-Encoding: gzip\r\n"), 415),
    "malformed": (lambda: b"POST /webhooks/stripe-main HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400),
    "empty": (lambda: b"POST /webhooks/stripe-main HTTP/1.1\r\nHost: t\r\n\r\n", 401),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_refused_is_refused_as_ever(kept, connection, received, what):
    sent, status = REFUSED[what]
    assert status_of(await kept.post(sent())) == status
    assert len(await deliveries_in(connection)) == 1
    assert len(received) == (status != 404 and what != "malformed")


async def test_after_a_refusal_the_connection_goes_on(kept, received):
    assert status_of(await kept.post(forged())) == 401
    assert status_of(await kept.post(wire(a_delivery("evt_second")))) == 200
    assert len(received) == 1


async def test_a_client_that_stops_sending_is_answered(kept, connection):
    async with spool_held(connection):
        kept.writer.write(wire(a_delivery("evt_second")))
        await somebody_waits(connection)
        kept.writer.write_eof()
    answer = await kept.rest()
    assert (status_of(answer), answer.count(b"Connection: close\r\n")) == (200, 1)


async def test_a_client_that_asks_to_close_is_answered_and_let_go(kept):
    kept.writer.write(wire(a_delivery("evt_second"), extra=b"Connection: close\r\n"))
    answer = await kept.rest()
    assert (status_of(answer), answer.count(b"Connection: close\r\n")) == (200, 1)


async def test_a_client_that_leaves_does_not_cut_its_delivery(port, kept, connection):
    async with spool_held(connection):
        kept.writer.write(wire(a_delivery("evt_second")))
        await somebody_waits(connection)
        kept.writer.transport.abort()
    async with kept_connection(port):
        pass
    assert b"evt_second" in b"".join([delivery.body for delivery in await deliveries_in(connection)])


async def is_refused(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.close()
    return False


async def test_a_receiver_that_stops_answers_first_and_says_that_it_closes(database, connection):
    running = AsyncExitStack()
    port = await running.enter_async_context(receiver(some_settings(database)))
    async with running, kept_connection(port) as kept:
        async with spool_held(connection):
            kept.writer.write(wire(a_delivery("evt_second")))
            await somebody_waits(connection)
            stopping = asyncio.ensure_future(running.aclose())
            await until(partial(is_refused, port))
        answer = await kept.rest()
        await stopping
    assert (status_of(answer), answer.count(b"Connection: close\r\n")) == (200, 1)
    assert len(await deliveries_in(connection)) == 2


async def test_who_is_being_served_is_not_turned_out(database, connection, monkeypatch):
    monkeypatch.setattr(connection_limits, "CONNECTIONS_MAX", 1)
    async with receiver(some_settings(database)) as port, kept_connection(port) as kept:
        async with spool_held(connection):
            kept.writer.write(wire(a_delivery("evt_second")))
            await somebody_waits(connection)
            async with asyncio.timeout(WITHIN_S):  # an answer may be lost, for what was sent is not read
                while b" 503 " not in await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"):
                    pass
        assert status_of(await kept.answer()) == 200


# --- when something fails ---------------------------------------------------------------------------------------------


async def test_without_any_lane_the_answer_is_503_and_come_again(kept, connection):
    await connection.execute("ALTER TABLE spool RENAME TO spool_away")
    answer = await kept.post(wire(a_delivery("evt_second")))
    assert (status_of(answer), b"Retry-After: 5\r\n" in answer) == (503, True)
    await connection.execute("ALTER TABLE spool_away RENAME TO spool")


async def test_a_mistake_of_ours_is_answered_500_and_told_in_the_log_alone(kept, monkeypatch):
    monkeypatch.setattr(Stripe, "parse", lambda self, verified: {}["SECRETBYTES"])
    answer = await kept.post(wire(a_delivery("evt_second")))
    assert (status_of(answer), b"SECRETBYTES" in answer) == (500, False)


async def test_a_mistake_that_shows_only_when_it_is_made_durable_is_answered_500(kept, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(EnvelopeKeys, "seal", lambda self, envelope: {}["SECRETBYTES"])
        answer = await kept.post(wire(a_delivery("evt_second")))
    assert (status_of(answer), b"SECRETBYTES" in answer) == (500, False)
    assert status_of(await kept.post(wire(a_delivery("evt_third")))) == 200
