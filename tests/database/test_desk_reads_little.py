"""What the desk reads every second or two, and for a page, does not grow with what is over."""

import json

import pytest

from tests.database.factories import NOON
from tests.database.sweeps import MINUTE
from tillkeeper.store.reports import flow, gauges, stuck, whole_order

# A year, most of it long ago: the last minute has some fifty deliveries of 20,000.
ORDERS = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor, registered_at,
                    changed_at, phase_since)
SELECT 'done-' || i, 100, 'EUR', '{a}', '{}', 'paid', 100, now(), now(), now() FROM generate_series(1, 25000) i
"""
DELIVERIES = """
INSERT INTO deliveries (run, number, account, received_at, key, headers, events)
SELECT '00000000-0000-4000-8000-000000000001', i, 'a', $1::timestamptz - (20000 - i) * interval '1.2 seconds', 'k',
       '[]', 1
FROM generate_series(1, 20000) i
"""
EVENTS = """
INSERT INTO inbox (account, event_id, run, number, kind, evidence, order_ref, payment_ref, occurred_at, recorded_at,
                   digest, outcome, order_id)
SELECT d.account, 'e' || d.number, d.run, d.number, 'payment.succeeded', 'webhook', 'done-1', 'p', d.received_at,
       d.received_at, '', 'applied', 1 + d.number / 4
FROM deliveries d WHERE d.number < 19996 ORDER BY d.number
"""
NOTICES = """
INSERT INTO outbox (key, order_id, audience, topic, payload, created_at, state, finished_at)
SELECT 'order/' || i || '/1', 1, 'merchant', 'order.status_changed', '{"a": 1}', $1, 'sent',
       $1::timestamptz - (5000 - i) * interval '1 hour'
FROM generate_series(1, 5000) i
"""
SINCE = NOON - MINUTE
LOOKS = {
    "received": (200, flow.RECEIVED, SINCE),
    "applied": (200, flow.APPLIED, SINCE),
    "lag": (400, flow.LAG, SINCE, flow.LAGS),
    "told": (40, flow.TOLD, SINCE),
    "statuses": (400, flow.ESTIMATED_BY_STATUS),  # the catalog, which is larger where many tests have used the database
    "steps": (40, flow.STUCK_BY_STEP, NOON, 1000),
    "cases": (40, gauges.CASES, 10_000),
    "due": (40, gauges.DUE, 10_000, NOON),
    "stuck": (40, stuck.COUNT_STATUS.format(status="processing"), NOON, None, 10_000),
    "an order's events": (80, whole_order.TIMELINE_EVENTS, 7, None, 51),
    "an order's notices": (40, whole_order.NOTICES, ["order/7/", "payer/7/"], ["order/70", "payer/70"], 50),
    "an order's delivery": (
        *(80, whole_order.DELIVERY_OF_ORDER),
        *("done-7", "00000000-0000-4000-8000-000000000001", 25),
    ),
}


@pytest.fixture
async def years(pool):
    await pool.execute(ORDERS)
    await pool.execute(DELIVERIES, NOON)
    await pool.execute(EVENTS)
    await pool.execute(NOTICES, NOON)
    await pool.execute("VACUUM ANALYZE")
    return pool


async def test_what_pages_read_is_bounded_by_what_they_show(years):
    pages = {}
    async with years.acquire() as conn:
        for name, (_, statement, *arguments) in LOOKS.items():
            explained = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
            [told] = json.loads(explained)
            pages[name] = told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]
    assert {name: read for name, read in pages.items() if read >= LOOKS[name][0]} == {}
