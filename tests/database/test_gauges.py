"""The gauges of what is open: they count what stands in the database, read little for it, and have bounded labels."""

import asyncio
import json
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from tests.database.factories import NOON, a_delivery, an_event
from tests.database.sweeps import registered, told
from tests.database.test_commands_read_little import DONE, ENTRIES
from tillkeeper import database_metrics
from tillkeeper.domain.events import Kind
from tillkeeper.metric_definitions import DEFINITIONS
from tillkeeper.store.reports import gauges
from tillkeeper.workers.database_gauges import DatabaseGauges
from tillkeeper.workers.database_retry import DatabaseRetry

AGES_S = list(database_metrics.STUCK_AGES_S.values())
READS = {
    "cases": (gauges.CASES, 10_000),
    "stuck": (gauges.STUCK, 10_000, NOON, AGES_S),
    "due": (gauges.DUE, 10_000, NOON),
    "waiting": (gauges.WAITING, 10_000),
    "mismatched": (gauges.MISMATCHED, 10_000),
    "parked": (gauges.PARKED, 10_000),
    "spool": (gauges.SPOOL, 10_000),
    "outbox": (gauges.OUTBOX, 10_000),
    "dead": (gauges.DEAD, 10_000, NOON),
    "fetches": (gauges.FETCHES, 10_000),
}
CLOSED_CASES = """
INSERT INTO cases (kind, subject, details, opened_at, closed_at, closed_by, outcome)
SELECT 'stuck', 's' || i, '{}', now(), now(), 'me', 'done' FROM generate_series(1, 5000) i
"""
SENT = """
INSERT INTO outbox (key, audience, topic, payload, created_at, state, finished_at)
SELECT 'order/' || i, 'merchant', 'order.paid', '{}', now(), 'sent', now() FROM generate_series(1, 5000) i
"""
FAILED_LONG_AGO = """
INSERT INTO outbox (key, audience, topic, payload, created_at, state, finished_at)
SELECT 'old/' || i, 'ops', 'case.opened', '{}', now(), 'dead', '2025-01-01' FROM generate_series(1, 5000) i
"""
REPLAYED = """
INSERT INTO parked (body, readable, reason, error, parked_at, outcome, closed_at)
SELECT '', true, 'delivery_limit', '', now(), 'replayed', now() FROM generate_series(1, 5000) i
"""


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.fixture
def stop():
    return asyncio.Event()


@pytest.fixture
def reading(pool, clock, stop):
    return DatabaseGauges(pool=pool, accounts=("stripe-main", "alipay-main"), now=clock, retry=DatabaseRetry(stop))


@pytest.mark.parametrize("read", READS)
async def test_a_count_of_what_is_open_reads_little_of_what_is_done(pool, read):
    statement, *arguments = READS[read]
    for filling in (DONE, ENTRIES, CLOSED_CASES, SENT, FAILED_LONG_AGO, REPLAYED):
        await pool.execute(filling)
    await pool.execute("VACUUM ANALYZE")
    async with pool.acquire() as conn:
        explained = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
    [plan] = json.loads(explained)
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 30


async def test_a_count_ends_at_its_limit(pool, clock):
    for number in range(5):
        await told(pool, an_event(order_ref=f"nobody-{number}", payment_ref=f"pi_{number}"))
    async with pool.acquire() as conn, conn.transaction():
        work = await gauges.read_open_work(conn, ages_s=AGES_S, limit=3, now=NOON)
    assert work.waiting.count == 3


async def test_what_is_open_is_counted_by_its_labels(pool, reading, clock):
    await registered(pool, "paying")
    await registered(pool, "abroad")
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="paying", payment_ref="pi_1", amount=100))
    await told(pool, an_event(order_ref="abroad", payment_ref="pi_2", currency="EUR"))
    await told(pool, an_event(order_ref="nobody", payment_ref="pi_3"))
    await pool.execute("INSERT INTO spool (id, shard, body, put_at) VALUES (gen_random_uuid(), 0, '', $1)", NOON)
    await pool.execute(
        "INSERT INTO parked (body, readable, reason, error, parked_at) VALUES ('', false, 'a new one', '', $1)", NOON
    )
    await pool.execute("UPDATE cases SET level = 2")
    clock.at = NOON + timedelta(hours=2)
    await reading.run_once()
    assert value("tillkeeper_orders_stuck", status="processing", age="1h") == 1
    assert value("tillkeeper_orders_stuck", status="processing", age="6h") == 0
    assert value("tillkeeper_cases_open", kind="wrong_currency", level="2") == 1
    assert value("tillkeeper_cases_open", kind="wrong_currency", level="1") == 0
    assert value("tillkeeper_cases_oldest_seconds", level="2") == 7200
    assert value("tillkeeper_events_waiting") == 1
    assert value("tillkeeper_events_waiting_oldest_seconds") == 7200
    assert value("tillkeeper_events_mismatched", reason="wrong_currency") == 1
    assert value("tillkeeper_lane_messages", lane="spool") == 1
    assert value("tillkeeper_lane_oldest_seconds", lane="spool") == 7200
    assert value("tillkeeper_parked_open", reason="other") == 1
    assert value("tillkeeper_sweep_lag_seconds") > 0
    assert value("tillkeeper_outbox_pending", audience="ops") == 1
    assert value("tillkeeper_database_gauges_timestamp_seconds") == clock.at.timestamp()


async def test_what_is_settled_is_counted_no_more(pool, reading, clock):
    await told(pool, an_event(order_ref="late", payment_ref="pi_1"))
    await pool.execute("INSERT INTO spool (id, shard, body) VALUES (gen_random_uuid(), 0, '')")
    await reading.run_once()
    await registered(pool, "late")
    await pool.execute("DELETE FROM spool")
    await reading.run_once()
    assert value("tillkeeper_events_waiting") == 0
    assert value("tillkeeper_events_waiting_oldest_seconds") == 0
    assert value("tillkeeper_lane_messages", lane="spool") == 0
    assert value("tillkeeper_lane_oldest_seconds", lane="spool") == 0


async def test_without_the_database_the_figures_stay_and_their_time_tells_how_old_they_are(
    pool, reading, clock, stop, monkeypatch
):
    await told(pool, an_event(order_ref="nobody"))
    await reading.run_once()
    clock.at = NOON + timedelta(minutes=5)
    monkeypatch.setattr(gauges, "WAITING", "SELECT pg_terminate_backend(pg_backend_pid())")
    stop.set()
    assert await reading.run_once() == 0
    assert value("tillkeeper_events_waiting") == 1
    assert value("tillkeeper_database_gauges_timestamp_seconds") == NOON.timestamp()


async def test_a_count_that_fails_is_told_once_and_leaves_the_figures_as_they_were(reading, clock, monkeypatch, capsys):
    await reading.run_once()
    clock.at = NOON + timedelta(minutes=5)
    with monkeypatch.context() as spoilt:
        spoilt.setattr(gauges, "WAITING", "SELECT 1 / (0 * $1)")
        assert [await reading.run_once(), await reading.run_once()] == [0, 0]
    assert capsys.readouterr().out.count("gauges_not_read") == 1
    assert value("tillkeeper_database_gauges_timestamp_seconds") == NOON.timestamp()
    await reading.run_once()
    assert value("tillkeeper_database_gauges_timestamp_seconds") == clock.at.timestamp()


async def test_a_query_of_an_account_that_is_gone_counts_as_others(pool, reading):
    delivery = a_delivery(account="former")
    await pool.execute(
        "INSERT INTO deliveries (run, number, account, received_at, key, headers, events) "
        "VALUES ($1, $2, 'former', now(), '', '[]', 0)",
        delivery.run,
        delivery.number,
    )
    await pool.execute(
        "INSERT INTO fetches (account, about, payment_ref, run, number, proven, requests, requested_at, due_at) "
        "VALUES ('former', 'payment', 'p', $1, $2, true, 1, now(), now())",
        delivery.run,
        delivery.number,
    )
    await reading.run_once()
    assert value("tillkeeper_fetches_open", account="other") == 1
    assert value("tillkeeper_fetches_open", account="stripe-main") == 0


def test_every_label_has_a_bounded_set_of_values():
    for metric in DEFINITIONS:
        for label, values in metric.labels.items():
            assert values, f"{metric.name} {label}"
            if not isinstance(values, str):
                assert len(values) == len(set(values)) <= 30, f"{metric.name} {label}"
