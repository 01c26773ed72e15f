"""Leftovers: events that wait although their order is known are found in turn, whatever else waits."""

import json

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.follow_up import LEFT_OVER, take_up_left_over
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import show

WAITING = """
INSERT INTO inbox (account, event_id, kind, evidence, order_ref, payment_ref, occurred_at, recorded_at, digest, outcome)
SELECT 'stripe-main', 'w' || i, 'payment.pending', 'query', 'nobody-' || i, 'p' || i, now(), now(), '', 'waiting'
FROM generate_series(1, $1::int) i
"""


async def left_over(pool, order_ref):
    """An event that waits, and its order, that missed each other."""
    deliveries = [a_delivery(an_event(order_ref=order_ref, payment_ref=f"pi-{order_ref}"))]
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, deliveries, policy=Policy(), now=NOON))
    await pool.execute("UPDATE inbox SET order_ref = 'hidden' WHERE order_ref = $1", order_ref)
    await register(pool, a_registration(order_ref), policy=Policy(), now=NOON)
    await pool.execute("UPDATE inbox SET order_ref = $1 WHERE order_ref = 'hidden'", order_ref)


async def test_leftovers_are_taken_up_in_turn_a_page_at_a_time(pool):
    await left_over(pool, "A1")
    await pool.execute(WAITING, 250)
    await left_over(pool, "A2")
    after, looks = 0, 0
    while True:
        _, after = await repeat_on_conflict(
            pool, lambda conn, since=after: take_up_left_over(conn, after=since, policy=Policy(), limit=100, now=NOON)
        )
        looks += 1
        if after == 0:
            break
    assert [(await show(pool, ref))["status"] for ref in ("A1", "A2")] == ["paid", "paid"]
    assert looks == 4


async def test_a_look_for_leftovers_reads_its_page_and_never_a_whole_table(pool):
    await pool.execute(WAITING, 20_000)
    await pool.execute("VACUUM ANALYZE")
    async with pool.acquire() as conn:
        [told] = json.loads(await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {LEFT_OVER}", 5_000, 100))
    scans = list(_scans(told["Plan"]))
    [page] = [scan for scan in scans if scan["Relation Name"] == "inbox"]
    assert (page["Index Name"], page["Actual Rows"]) == ("inbox_waiting_in_turn", 100)
    assert told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"] < 1_000


def _scans(plan):
    if "Relation Name" in plan:
        yield plan
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)
