"""The receiver over real HTTP with real databases: what is answered, and what is then durable."""

import asyncio
import itertools
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.database.factories import a_registration
from tests.system.receiving import (
    PATH,
    SECRET,
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
from tillkeeper.domain.delivery import unpack
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.messages import Reply
from tillkeeper.ingest.responses import PreparedResponse
from tillkeeper.ingest.server import receiver, serve
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.lanes.topology import Topology
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.sandbox.simulators.stripe.signing import stripe_signed
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.supervise import reserved_port


async def test_a_delivery_is_durable_byte_for_byte_before_it_is_acknowledged(client, connection):
    headers, body = a_delivery("evt_kept")
    async with client.post(PATH, headers=headers, data=body) as answer:
        assert answer.status == 200
    (delivery,) = await deliveries_in(connection)
    assert (delivery.account, delivery.body, delivery.number) == ("stripe-main", body, 1)
    assert ("stripe-signature", headers["Stripe-Signature"]) in delivery.headers
    assert [event.event_id for event in delivery.events] == ["evt_kept"]


async def test_nothing_is_acknowledged_while_it_is_not_durable(port, connection, database):
    async with spool_held(connection):
        asked = asyncio.ensure_future(exchange(port, wire(a_delivery(), extra=b"Connection: close\r\n")))
        await somebody_waits(connection)
        assert not asked.done()
    assert status_of(await asked) == 200


async def test_a_forged_delivery_is_refused_without_detail_and_leaves_nothing(client, connection):
    headers, body = a_delivery(secret="whsec_of_somebody_else")
    async with client.post(PATH, headers=headers, data=body) as answer:
        assert answer.status == 401
        assert b"signature" not in (await answer.read()).lower()
    assert await deliveries_in(connection) == []


ANSWERS = "SELECT sum(accepted), sum(refused) FROM answers_given WHERE account = 'stripe-main'"


async def test_what_it_answered_is_written_down_within_seconds(client, connection):
    for secret, status in ((SECRET, 200), ("whsec_of_somebody_else", 401)):
        headers, body = a_delivery(secret=secret)
        async with client.post(PATH, headers=headers, data=body) as answer:
            assert answer.status == status

    async def both_are_written() -> bool:
        return tuple(await connection.fetchrow(ANSWERS)) == (1, 1)

    await until(both_are_written)


async def test_forged_deliveries_have_the_orders_that_they_name_asked_about_and_never_more_than_a_few(
    client, connection, database
):
    async with await open_pool(database, max_size=2) as pool:
        for number in range(30):
            registration = a_registration(f"ORDER-{number}", accounts=("stripe-main",))
            await register(pool, registration, policy=Policy(), now=clock.now())
    for number in range(300):
        headers, body = a_delivery(f"evt_{number}", secret="whsec_of_somebody_else", order_ref=f"ORDER-{number % 30}")
        async with client.post(PATH, headers=headers, data=body) as answer:
            assert answer.status == 401

    async def hinted() -> int:
        return await connection.fetchval("SELECT count(*) FROM orders WHERE ask_at <= now()")

    async def is_hinted() -> bool:
        return await hinted() > 0

    await until(is_hinted)
    assert await hinted() <= 10
    for table in ("inbox", "cases", "payments", "deliveries", "spool", "parked"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_signed_delivery_that_cannot_be_read_is_refused(client, connection):
    headers, body = stripe_signed(SECRET, clock.now(), b'{"id": NaN}')
    async with client.post(PATH, headers=headers, data=body) as answer:
        assert answer.status == 400
    assert await deliveries_in(connection) == []


async def test_a_delivery_of_no_interest_is_kept_without_events(client, connection):
    headers, body = a_delivery(event_type="payment_intent.unheard_of")
    async with client.post(PATH, headers=headers, data=body) as answer:
        assert answer.status == 200
    (delivery,) = await deliveries_in(connection)
    assert (delivery.body, delivery.events) == (body, ())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/nobody", 404),
        ("POST", "/webhooks/stripe-main/more", 404),
        ("GET", PATH, 405),
        ("PUT", PATH, 405),
        ("HEAD", PATH, 405),
        ("DELETE", "/orders/ORDER-1", 405),
        ("GET", "/", 404),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 404),
    ],
)
async def test_each_path_takes_its_own_methods(client, method, path, status):
    async with client.request(method, path) as answer:
        assert answer.status == status
        assert answer.headers["Server"] == "tillkeeper"


async def test_an_answer_is_the_same_whether_its_connection_stays_open_or_ends(port):
    sent = wire(a_delivery("evt_1")) + wire(a_delivery("evt_2"), extra=b"Connection: close\r\n")
    _, stays, ends = re.split(rb"HTTP/1.1 200 OK\r\n", await exchange(port, sent))
    assert b"connection" not in stays.lower()
    assert lines_of(ends) == lines_of(stays) | {b"connection": b"close"}
    assert lines_of(stays).keys() == {b"server", b"content-type", b"content-length", b"date"}


async def test_a_client_of_http_1_0_is_answered_in_its_own_way(port):
    answer = await exchange(port, wire(a_delivery()).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")


def test_an_answer_without_content_tells_no_length():
    prepared = PreparedResponse(Reply(status=204))
    assert prepared.encoded().startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length" not in prepared.encoded().lower()


def lines_of(answer):
    lines = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n") if line)
    return {name: value if name != b"date" else len(value) for name, value in lines.items()}


async def test_without_any_lane_the_answer_is_503_and_come_again(client, postgres_server):
    await postgres_server.stop()
    headers, body = a_delivery()
    async with client.post(PATH, headers=headers, data=body) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    async with client.get("/readyz") as answer:
        assert answer.status == 503
    async with client.get("/healthz") as answer:
        assert answer.status == 200
    await postgres_server.start()

    async def sent_again() -> bool:
        async with client.post(PATH, headers=headers, data=body) as answer:
            return answer.status == 200

    await until(sent_again)


async def test_a_client_that_leaves_does_not_cut_its_delivery(port, connection, database):
    async with spool_held(connection):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(wire(a_delivery("evt_gone")))
        await writer.drain()
        await somebody_waits(connection)
        writer.transport.abort()

    async def is_kept() -> bool:
        return [event.event_id for each in await deliveries_in(connection) for event in each.events] == ["evt_gone"]

    await until(is_kept)


async def test_metrics_tell_results_keys_and_lanes_on_a_port_of_their_own(database, free_port):
    async with (
        receiver(some_settings(database, ingest={"metrics_port": free_port})) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        before = await figures(free_port)
        for headers, body in (a_delivery("evt_a"), a_delivery("evt_b"), a_delivery(secret="whsec_of_somebody_else")):
            async with client.post(PATH, headers=headers, data=body):
                pass
        after = await figures(free_port)
        async with client.get("/metrics") as answer:  # where strangers come
            assert (answer.status, "tillkeeper_" in await answer.text()) == (404, False)
        async with aiohttp.request("POST", f"http://127.0.0.1:{free_port}{PATH}", data=b"{}") as answer:
            assert (answer.status, answer.headers["Server"]) == (404, "tillkeeper")

    def grew(name):
        return after.get(name, 0) - before.get(name, 0)

    assert grew('tillkeeper_deliveries_total{account="stripe-main",result="accepted"}') == 2
    assert grew('tillkeeper_deliveries_total{account="stripe-main",result="bad_signature"}') == 1
    assert grew("tillkeeper_accept_seconds_count") == 2
    assert sum(grew(name) for name in after if name.startswith("tillkeeper_keys_used_total")) == 2


async def figures(port):
    async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    return {name: float(value) for name, value in re.findall(r"^(tillkeeper_\S+) (\S+)$", text, re.MULTILINE)}


# --- processes --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def child_process(settings):
    """The receiver as `supervise` starts it."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "tillkeeper.ingest.server", stdin=PIPE)
    try:
        child.stdin.write(settings.dump() + b"\n")
        await child.stdin.drain()
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def until_it_listens(port):
    async def listens() -> bool:
        with suppress(OSError):
            return b"200 OK" in await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        return False

    await until(listens)


async def until_it_takes_nothing_new(port):
    async def refuses() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return True
        writer.close()
        return False

    await until(refuses)


@pytest.fixture
def free_port():
    with reserved_port("127.0.0.1", 0) as port:
        yield port


@pytest.mark.parametrize("event_loop", ["uvloop", "asyncio"])
async def test_sigterm_finishes_what_is_in_hand_and_takes_nothing_new(database, connection, free_port, event_loop):
    settings = some_settings(database, ingest={"port": free_port}, event_loop=event_loop)
    async with child_process(settings) as child:
        await until_it_listens(free_port)
        async with spool_held(connection):
            asked = [asyncio.ensure_future(exchange(free_port, wire(a_delivery(f"evt_{n}")))) for n in range(5)]
            await somebody_waits(connection)
            child.send_signal(signal.SIGTERM)
            await until_it_takes_nothing_new(free_port)
        answers = await asyncio.gather(*asked)
        async with asyncio.timeout(120):
            assert await child.wait() == 0
    answered = sum(status_of(answer) == 200 for answer in answers if answer)
    assert answered == len(await deliveries_in(connection)) == 5


async def test_a_child_stops_in_good_order_when_its_parent_is_gone(database, free_port):
    async with child_process(some_settings(database, ingest={"port": free_port})) as child:
        await until_it_listens(free_port)
        child.stdin.close()
        async with asyncio.timeout(120):
            assert await child.wait() == 0


def children():
    """The receiver processes below this one."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in found if b"tillkeeper.ingest.server" in Path(f"/proc/{pid}/cmdline").read_bytes()}


async def test_several_processes_share_a_port_and_one_that_dies_is_replaced(database, connection, free_port):
    stop = asyncio.Event()
    [metrics_port] = free_ports(1)
    settings = some_settings(database, ingest={"port": free_port, "processes": 2, "metrics_port": metrics_port})
    serving = asyncio.ensure_future(serve(settings, stop))
    try:
        posted = await post_until_both_took_some(free_port, connection, [])
        victim = min(children())
        os.kill(victim, signal.SIGKILL)

        async def is_replaced() -> bool:
            return victim not in children() and len(children()) == 2

        await until(is_replaced)
        survivors = {delivery.run for delivery in await deliveries_in(connection)}
        posted = await post_until_both_took_some(free_port, connection, posted, known=survivors)
        told = await figures(metrics_port)
        # A post that met the kill may be durable and yet unanswered: never the other way round.
        kept = {event.event_id for delivery in await deliveries_in(connection) for event in delivery.events}
        assert set(posted) <= kept
        assert told['tillkeeper_deliveries_total{account="stripe-main",result="accepted"}'] >= len(posted)
    finally:
        stop.set()
        async with asyncio.timeout(120):
            await serving
    assert children() == set()


async def post_until_both_took_some(port, connection, posted, known=frozenset()):
    """Posts over fresh connections until a second run, or one not known before, has stored something."""
    posted, attempts = list(posted), itertools.count()

    async def another_run_took_one() -> bool:
        event_id = f"evt_{len(posted)}_{next(attempts)}"
        with suppress(OSError):
            if b"200 OK" in await exchange(port, wire(a_delivery(event_id), extra=b"Connection: close\r\n")):
                posted.append(event_id)
        runs = {delivery.run for delivery in await deliveries_in(connection)}
        return len(runs) >= 2 and (not known or bool(runs - known))

    await until(another_run_took_one)
    return posted


# --- with RabbitMQ ----------------------------------------------------------------------------------------------------


@pytest.mark.rabbitmq
async def test_with_a_broker_the_delivery_is_confirmed_there(database, broker_url, broker_prefix, connection):
    settings = some_settings(database, broker_url=broker_url, broker_prefix=broker_prefix)
    async with receiver(settings) as port:
        answer = await exchange(port, wire(a_delivery("evt_mq"), extra=b"Connection: close\r\n"))
    assert status_of(answer) == 200
    lane = await RabbitReceiver.open(broker_url, Topology(prefix=broker_prefix), prefetch=10)
    try:
        taken = await lane.take(limit=10, wait_s=10)
    finally:
        await lane.close()
    assert [unpack(one.body).deliveries[0].events[0].event_id for one in taken] == ["evt_mq"]
    assert await deliveries_in(connection) == []


@pytest.mark.rabbitmq
async def test_with_a_broker_it_starts_and_accepts_while_the_database_is_away(
    database, broker_url, broker_prefix, postgres_server
):
    await postgres_server.stop()
    settings = some_settings(database, broker_url=broker_url, broker_prefix=broker_prefix)
    async with receiver(settings) as port:
        answer = await exchange(port, wire(a_delivery(), extra=b"Connection: close\r\n"))
    assert status_of(answer) == 200
