"""What is traced of batches and of the sweep, what a hanging collector costs, and that traces cost nothing when off."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from uuid import uuid4

import aio_pika
import msgspec
import pytest
from structlog.contextvars import get_contextvars

from tests.collector import collecting
from tests.database.factories import NOON, a_delivery, an_event
from tests.database.sweeps import MINUTE, a_sweep, registered, steps
from tests.releases.kept import unpack_release
from tests.system.api_client.api_server import Server, an_api_client, an_intent, says, stripe
from tests.system.receiving import a_delivery as a_signed_delivery
from tests.system.receiving import exchange, some_settings, status_of, wire
from tests.virtual_time import Clock, Time
from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.domain.order.notice_outcomes import Sent
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest.server import receiver
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.notices.exchange import ExchangeChannel
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.tracing import process, spans
from tillkeeper.tracing.process import traces
from tillkeeper.tracing.settings import TracingSettings
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.watched_api_client import WatchedApiClient

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def collector():
    async with collecting() as listening:
        yield listening


@pytest.fixture
async def spool(pool, database):
    opened = await SpoolReceiver.open(pool, database)
    yield opened
    await opened.close()


def to(collector, **settings) -> TracingSettings:
    return TracingSettings(endpoint=collector.endpoint, **settings)


def a_loop(pool, spool) -> ApplyLoop:
    retry = DatabaseRetry(asyncio.Event())
    return ApplyLoop(lane=spool, pool=pool, retry=retry, policy=Policy, now=lambda: NOON, batch_events=50)


def some_deliveries(*parents: str) -> Envelope:
    run = uuid4()
    deliveries = [
        msgspec.structs.replace(
            a_delivery(an_event(order_ref=f"O{at}", payment_ref=f"p{at}"), run=run, number=at + 1), trace=parent
        )
        for at, parent in enumerate(parents)
    ]
    return Envelope(run=run, deliveries=tuple(deliveries))


async def test_a_batch_has_a_trace_with_links_to_its_deliveries_and_each_of_them_learns_of_it(pool, spool, collector):
    async with traces(to(collector, ratio=0.0), "test"):
        parents = [f"00-{letter * 32}-{letter * 16}-01" for letter in "ab"]
        await SpoolSender(pool).put(pack(some_deliveries(*parents, "", "no traceparent")))
        assert await a_loop(pool, spool).run_once() == 1
    processed = await collector.named("process events", times=3)
    [batch] = [span for span in processed if span.links and span.trace not in ("a" * 32, "b" * 32)] or [None]
    assert batch is not None
    assert batch.parent == ""
    assert sorted(batch.links) == [("a" * 32, "a" * 16), ("b" * 32, "b" * 16)]
    assert (batch.attributes["tillkeeper.deliveries"], batch.kind) == (4, "CONSUMER")
    for letter in "ab":
        [member] = [span for span in processed if span.trace == letter * 32]
        assert (member.parent, member.links) == (letter * 16, ((batch.trace, batch.id),))
    [committed] = await collector.named("commit")
    assert [span.name for span in collector.way_to(committed)] == ["process events", "transaction", "commit"]


async def test_of_a_batch_that_fails_the_failed_transaction_is_told_with_its_errors_class_alone(pool, spool, collector):
    await pool.execute("ALTER TABLE deliveries ADD CONSTRAINT no_such_account CHECK (account <> 'stripe-main')")
    async with traces(to(collector), "test"):
        await SpoolSender(pool).put(pack(some_deliveries(f"00-{'a' * 32}-{'a' * 16}-01")))
        await a_loop(pool, spool).run_once()
    failed = [span for span in collector.spans if span.name == "transaction" and span.failed]
    assert {span.attributes["error.type"] for span in failed} == {"CheckViolationError"}
    assert {span.events for span in collector.spans} == {0}  # an event would hold the error's text, and so the row's
    assert await pool.fetchval("SELECT count(*) FROM parked") == 1


async def test_a_step_of_the_sweep_is_traced_from_its_query_to_what_its_answer_changed(pool, collector):
    order_id = await pool.fetchval("SELECT coalesce(max(id), 0) + 1 FROM orders")
    intents = {"object": "search_result", "data": [an_intent(currency="cny", amount=12900)], "has_more": False}
    clock, time = Clock(), Time()
    await registered(pool, order_ref="ORDER-1")
    async with (
        Server([says(intents)]).listening() as server,
        traces(to(collector), "test"),
        an_api_client({"stripe-main": stripe(server.url)}, time) as api_client,
    ):
        sweep = a_sweep(pool, WatchedApiClient(api_client, now=clock), clock)
        clock.at += 3 * MINUTE
        assert await sweep.run_once() == 1
    assert len(await steps(pool)) == 1
    [step] = await collector.named("step query")
    assert step.attributes == {"tillkeeper.order_id": order_id}
    calls = [span for span in collector.spans if span.kind == "CLIENT" and span.name == "GET"]
    assert calls
    for call in calls:
        way = [span.name for span in collector.way_to(call)]
        assert (way[0], way[1].split()[0], way[-1]) == ("step query", "query", "GET")
        assert call.attributes["http.response.status_code"] == 200
        assert "url.full" not in call.attributes
    settled = [span for span in collector.spans if span.name == "commit"]
    assert {span.trace for span in settled} == {step.trace}
    assert ["step query", "settle answers", "transaction", "commit"] in [
        [span.name for span in collector.way_to(each)] for each in settled
    ]


async def test_log_lines_name_the_trace_of_the_span_that_is_current_and_of_no_other(collector):
    def named() -> str | None:
        return get_contextvars().get(spans.LOG_FIELD)

    async with traces(to(collector), "test"):
        with spans.begin("outer") as outer:
            assert named() == outer.traceparent.split("-")[1]
            with spans.alone():
                assert spans.child("of nothing") is spans.NO_SPAN
                assert named() is None
                with spans.begin("other") as other:
                    assert named() == other.traceparent.split("-")[1] != outer.traceparent.split("-")[1]
            assert named() == outer.traceparent.split("-")[1]
    assert named() is None


@pytest.mark.rabbitmq
async def test_whoever_is_bound_to_the_exchange_of_notices_can_go_on_with_their_trace(
    collector, broker_url, broker_prefix
):
    notice = Outgoing(key="k", topic="order.closed", payload={}, version=1, created_at=NOON, sent_at=NOON)
    channel = await ExchangeChannel.open(broker_url, broker_prefix)
    connection = await aio_pika.connect(broker_url)
    async with connection:
        bound = await connection.channel()
        exchange = await bound.get_exchange(f"{broker_prefix}.notices")
        queue = await bound.declare_queue(exclusive=True)
        await queue.bind(exchange, "#")
        async with traces(to(collector), "test"):
            with spans.begin("notify merchant"):
                assert await channel.send(notice) == Sent()
        assert await channel.send(notice) == Sent()
        traced, untraced = [await queue.get(no_ack=True) for _ in range(2)]
        await exchange.delete()
    await channel.close()
    [sent] = await collector.named("send notices")
    assert traced.headers["traceparent"].split("-")[1:3] == [sent.trace, sent.id]
    assert "traceparent" not in untraced.headers
    assert [span.name for span in collector.way_to(sent)] == ["notify merchant", "send notices"]


# --- a collector that fails -------------------------------------------------------------------------------------------


async def test_what_a_hanging_collector_does_not_take_is_dropped_and_nothing_waits(collector, monkeypatch):
    monkeypatch.setattr(process, "QUEUE_SPANS_MAX", 8)
    monkeypatch.setattr(process, "SENT_AT_ONCE", 8)
    collector.hangs = True
    async with traces(to(collector), "test"):
        for _ in range(8):
            spans.begin("before").end()
        await asyncio.wait_for(collector.asked.wait(), timeout=180)
        for _ in range(1000):
            spans.begin("meanwhile").end()
        collector.hangs = False
        collector.stopping.set()
        await collector.named("meanwhile", times=8)
    assert len([span for span in collector.spans if span.name == "meanwhile"]) == 8


# --- off --------------------------------------------------------------------------------------------------------------


@contextmanager
def called(within: str, calls: list[str]) -> Iterator[None]:
    """Notes each function of our files about traces that is called."""

    def note(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call" and within in frame.f_code.co_filename:
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


async def test_without_a_collector_no_request_and_no_batch_makes_a_span(database, pool, spool):
    of_request: list[str] = []
    of_batch: list[str] = []
    async with receiver(some_settings(database)) as port:
        with called("/tracing", of_request):
            answer = await exchange(port, wire(a_signed_delivery(), extra=b"Connection: close\r\n"))
            assert status_of(answer) == 200
    with called("/tracing", of_batch):
        assert await a_loop(pool, spool).run_once() == 1
    assert of_request == []
    assert set(of_batch) == {"processing", "is_on", "NoSpan.__enter__", "NoSpan.__exit__"}
    assert len(of_batch) == 4


IMPORTING = """
import pkgutil, sys, tillkeeper.cli, tillkeeper.ingest.server, tillkeeper.workers as workers
for module in pkgutil.iter_modules(workers.__path__, "tillkeeper.workers."):
    __import__(module.name)
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf"))])
"""


def test_without_a_collector_opentelemetry_is_not_imported():
    done = subprocess.run([sys.executable, "-c", IMPORTING], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


READING = """
import json, sys
from tillkeeper.domain.delivery import unpack
import tillkeeper
read = unpack(sys.stdin.buffer.read()).deliveries
print(json.dumps([tillkeeper.__file__, [each.account for each in read], [hasattr(each, "trace") for each in read]]))
"""


def test_a_worker_of_the_release_before_reads_what_a_traced_receiver_sends(tmp_path):
    release = unpack_release(tmp_path)
    message = pack(some_deliveries(f"00-{'a' * 32}-{'a' * 16}-01", ""))
    assert b"trace" in message
    done = subprocess.run(
        [sys.executable, "-c", READING],
        input=message,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(release)},
        capture_output=True,
        check=True,
    )
    where, accounts, has_trace = json.loads(done.stdout)
    assert where.startswith(str(release))
    assert accounts == ["stripe-main"] * 2
    assert has_trace == [False, False]


def test_an_untraced_delivery_takes_no_room_for_a_trace():
    assert b"trace" not in pack(some_deliveries(""))
