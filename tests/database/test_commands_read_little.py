"""What people ask for at a terminal reads what is open, and not every order there ever was."""

import json

import pytest

from tests.database.factories import NOON
from tillkeeper.store.reports import handover as handing_over
from tillkeeper.store.reports.stuck import FROM_THE_BEGINNING, STUCK, longest_first

DONE = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor,
                    registered_at, changed_at, phase_since)
SELECT 'done-' || i, 100, 'EUR', '{a}', '{}', 'paid', 100, now(), now(), now() FROM generate_series(1, 5000) i
"""
ENTRIES = """
WITH c AS (INSERT INTO cases (kind, subject, details, opened_at, follow_up_at)
           VALUES ('k', 's', '{}', now(), now()) RETURNING id)
INSERT INTO case_entries (case_id, what, by, at)
SELECT id, 'noted', 'me', now() - interval '1 year' FROM c, generate_series(1, 5000)
"""
LOOKS = {
    "stuck": (longest_first(STUCK), NOON, None, 50, FROM_THE_BEGINNING.since, 0),
    "counts": (handing_over.STUCK_COUNTS, NOON, NOON),
    "held": (handing_over.HELD, NOON, 20),
    "new entries": (handing_over.NEW_ENTRIES, NOON, 20),
    "new counts": (handing_over.NEW_COUNTS, NOON),
    "parked": (handing_over.PARKED, NOON),
    "waiting": (handing_over.WAITING, NOON),
    "dead": (handing_over.DEAD, NOON, 20),
}


@pytest.mark.parametrize("look", LOOKS)
async def test_a_look_at_what_is_open_reads_no_table_of_what_is_done_whole(pool, look):
    statement, *arguments = LOOKS[look]
    await pool.execute(DONE)
    await pool.execute(ENTRIES)
    await pool.execute("VACUUM ANALYZE")
    async with pool.acquire() as conn:
        explained = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
    [told] = json.loads(explained)
    assert told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"] < 40


async def test_failed_orders_that_nobody_closes_are_counted_without_being_read(pool):
    await pool.execute(DONE)
    await pool.execute("UPDATE orders SET status = 'failed', captured_minor = 0, phase_since = $1", NOON)
    await pool.execute("VACUUM ANALYZE")
    async with pool.acquire() as conn:
        explained = await conn.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {handing_over.STUCK_COUNTS}", NOON, NOON
        )
        [counted] = await conn.fetch(handing_over.STUCK_COUNTS, NOON, NOON)
    [told] = json.loads(explained)
    assert (counted["status"], counted["orders"]) == ("failed", 5000)
    assert told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"] < 100


async def test_stuck_orders_of_every_status_are_found_together(pool):
    await pool.execute(DONE)
    for number, status in enumerate(STUCK):
        await pool.execute(
            "UPDATE orders SET status = $1, captured_minor = 0, phase_since = $2 WHERE order_ref = $3",
            status,
            NOON.replace(hour=number),
            f"done-{number + 1}",
        )
    rows = await pool.fetch(longest_first(STUCK), NOON, None, 3, FROM_THE_BEGINNING.since, 0)
    refs = [await pool.fetchval("SELECT order_ref FROM orders WHERE id = $1", row["id"]) for row in rows]
    assert refs == ["done-1", "done-2", "done-3"]
