"""What only the PostgreSQL lane can do wrong: leases, hints, unknown ends, standbys that are not asked."""

import asyncio
import json
from contextlib import suppress
from uuid import uuid4

import asyncpg
import pytest

from tests.lane_handles import WITHIN_S, SpoolLane, nothing_left, take_all, until_available, until_true
from tillkeeper import clock
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.lanes.spool_scan import IN_FLIGHT_S, WHOLE_LOOK_S, SpoolScan
from tillkeeper.store.jobs import spool

WAITING = """
SELECT pid FROM pg_stat_activity
WHERE wait_event = 'SyncRep' AND backend_type = 'client backend' AND datname = current_database()
"""
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


async def test_the_same_bytes_are_one_row_however_often_they_are_put(spool_lane: SpoolLane):
    for body in (b"one", b"one", b"two", b"one"):
        await spool_lane.sender.put(body)
    assert await spool_lane.pool.fetchval("SELECT count(*) FROM spool") == 2


async def test_a_lease_that_ran_out_lets_another_take_and_its_first_taker_deletes_nothing(spool_lane: SpoolLane):
    await spool_lane.sender.put(b"one")
    slow, quick = await spool_lane.receiver(), await spool_lane.receiver()
    taken = await take_all(slow, 1)
    await spool_lane.pool.execute("UPDATE spool SET leased_until = now() - interval '1 s'")
    again = await take_all(quick, 1)
    await slow.acknowledge(taken)
    assert await spool_lane.pool.fetchval("SELECT count(*) FROM spool") == 1
    await quick.acknowledge(again)
    assert await spool_lane.pool.fetchval("SELECT count(*) FROM spool") == 0


async def test_a_lease_keeps_others_away_while_it_lasts(spool_lane: SpoolLane):
    await spool_lane.sender.put(b"one")
    await take_all(await spool_lane.receiver(), 1)
    assert await nothing_left(await spool_lane.receiver())
    left_s = await spool_lane.pool.fetchval("SELECT extract(epoch FROM leased_until - now()) FROM spool")
    assert 50 < left_s <= 60


async def test_a_hint_wakes_a_waiting_take_before_its_next_poll(spool_lane: SpoolLane, monkeypatch):
    monkeypatch.setattr("tillkeeper.lanes.spool.POLL_S", 60.0)
    receiver = await spool_lane.receiver()
    await listening(spool_lane)
    waiting = asyncio.ensure_future(receiver.take(limit=1, wait_s=60))
    await spool_lane.sender.put(b"one")
    started_s = clock.monotonic_s()
    assert len(await waiting) == 1
    assert clock.monotonic_s() - started_s < WITHIN_S


async def test_without_hints_the_poll_finds_the_message(spool_lane: SpoolLane):
    receiver = await spool_lane.receiver()
    await listening(spool_lane)
    await spool_lane.pool.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS listeners")
    waiting = asyncio.ensure_future(receiver.take(limit=1, wait_s=20))
    await spool_lane.pool.execute("INSERT INTO spool (id, shard, body) VALUES (gen_random_uuid(), 0, 'silent')")
    assert [each.body for each in await waiting] == [b"silent"]
    await listening(spool_lane)


async def listening(lane: SpoolLane) -> None:
    await until_true(lane.pool, f"SELECT count(*) > 0 FROM ({LISTENERS}) AS listeners")


async def test_a_put_into_an_exhausted_pool_is_unavailable_in_time(database: str):
    async with asyncpg.create_pool(database, min_size=0, max_size=1) as pool:
        async with pool.acquire():
            started_s = clock.monotonic_s()
            with pytest.raises(LaneUnavailable):
                await SpoolSender(pool).put(b"one")
            assert clock.monotonic_s() - started_s < WITHIN_S  # and not for as long as it is held
        await SpoolSender(pool).put(b"one")


async def test_a_put_behind_a_lock_is_unavailable_in_time_and_heals(spool_lane: SpoolLane, database: str):
    connection = await asyncpg.connect(database)
    async with connection.transaction():
        await connection.execute("LOCK TABLE spool")
        started_s = clock.monotonic_s()
        with pytest.raises(LaneUnavailable):
            await spool_lane.sender.put(b"one")
        assert clock.monotonic_s() - started_s < WITHIN_S  # and not for as long as it is held
    await connection.close()
    await until_available(lambda: spool_lane.sender.put(b"one"))
    assert await spool_lane.pool.fetchval("SELECT count(*) FROM spool") == 1


async def test_a_commit_that_stopped_waiting_for_its_standby_is_not_durable(spool_lane: SpoolLane, monkeypatch):
    monkeypatch.setattr("tillkeeper.lanes.spool.PUT_S", 20.0)
    admin = await asyncpg.connect(spool_lane.database, server_settings={"synchronous_commit": "local"})
    try:
        await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await admin.execute("SELECT pg_reload_conf()")
        await until_true(admin, "SELECT current_setting('synchronous_standby_names') = 'nobody'")
        putting = await a_put_that_waits_for_its_standby(spool_lane, admin)
        await until_true(admin, f"SELECT bool_or(pg_cancel_backend(pid)) IS NULL FROM ({WAITING}) AS waiting")
        with pytest.raises(LaneUnavailable, match="synchronous replication"):
            await putting
    finally:
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")
        await until_true(admin, "SELECT current_setting('synchronous_standby_names') = ''")
        await admin.close()


async def a_put_that_waits_for_its_standby(lane: SpoolLane, admin: asyncpg.Connection) -> asyncio.Future[None]:
    """Made again until it does: no commit waits before the checkpointer has come to take the setting up."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            putting = asyncio.ensure_future(lane.sender.put(b"one"))
            while not putting.done():
                if await admin.fetchval(f"SELECT count(*) > 0 FROM ({WAITING}) AS waiting"):
                    return putting
            with suppress(LaneUnavailable):  # no connection in time
                await putting


@pytest.mark.parametrize("rows", [0, 5000])
@pytest.mark.parametrize("statement", ["TAKE", "TAKE_PAST_LIMIT", "REMOVE"])
async def test_the_backlog_is_never_scanned_not_even_by_a_plan_made_while_it_was_empty(
    spool_lane: SpoolLane, statement: str, rows: int
):
    await spool_lane.pool.execute(
        "INSERT INTO spool (id, shard, body) SELECT gen_random_uuid(), 0, 'x' FROM generate_series(1, $1)", rows
    )
    types, arguments = {
        "TAKE": ("uuid, int, float8, int, bigint", "gen_random_uuid(), 10, 60, 20, 0"),
        "TAKE_PAST_LIMIT": ("uuid, int, float8, int, int", "gen_random_uuid(), 10, 60, 20, 1000"),
        "REMOVE": ("uuid[], uuid", "'{}', gen_random_uuid()"),
    }[statement]
    async with spool_lane.pool.acquire() as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE statement ({types}) AS {getattr(spool, statement)}")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE statement ({arguments})"))
    assert "Index Scan" in plan
    assert "Seq Scan" not in plan


async def test_everything_the_table_needs_is_told_by_its_statements(spool_lane: SpoolLane):
    statements = [value for name, value in vars(spool).items() if name.isupper() and "SELECT" in str(value)]
    statements += [spool.REMOVE, spool.SET_ASIDE]
    async with spool_lane.pool.acquire() as connection:
        for statement in statements:
            await connection.prepare(statement)
    assert len(statements) == 8


async def test_a_take_passes_dead_rows_that_an_old_snapshot_keeps(spool_lane: SpoolLane, database: str, monkeypatch):
    monkeypatch.setattr("tillkeeper.lanes.spool_scan.IN_FLIGHT_S", 0.0)
    old = await asyncpg.connect(database)
    async with old.transaction(isolation="repeatable_read", readonly=True):
        await old.fetchval("SELECT count(*) FROM spool")
        await spool_lane.pool.execute(
            "INSERT INTO spool (id, shard, body) SELECT gen_random_uuid(), 0, 'x' FROM generate_series(1, 20000)"
        )
        await spool_lane.pool.execute("DELETE FROM spool")
        receiver = await spool_lane.receiver()
        for _ in range(2):
            assert await nothing_left(receiver)
        assert await pages_read(spool_lane, after=0) > 100
        assert await pages_read(spool_lane, after=receiver._scan.after) < 20
        await spool_lane.sender.put(b"one")
        assert [each.body for each in await take_all(receiver, 1)] == [b"one"]
    await old.close()


async def pages_read(lane: SpoolLane, *, after: int) -> int:
    """By one take, of whatever is in memory or not."""
    async with lane.pool.acquire() as connection, connection.transaction():
        explained = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {spool.TAKE}", uuid4(), 1, 60.0, 20, after
        )
    [told] = json.loads(explained)
    return told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]


async def test_what_another_gave_back_or_let_lapse_before_the_scan_is_found(spool_lane: SpoolLane, monkeypatch):
    monkeypatch.setattr("tillkeeper.lanes.spool_scan.IN_FLIGHT_S", 0.0)
    await spool_lane.sender.put(b"one")
    slow, quick = await spool_lane.receiver(), await spool_lane.receiver()
    await listening(spool_lane)
    await take_all(slow, 1)
    for _ in range(2):
        assert await nothing_left(quick)
    assert quick._scan.after > 0
    await slow.release()
    assert [each.body for each in await take_all(quick, 1)] == [b"one"]
    quick._held.clear()
    await spool_lane.pool.execute("UPDATE spool SET leased_until = now() - interval '1 s'")
    quick._scan.look_at_all()  # as it does by itself after WHOLE_LOOK_S
    assert [each.body for each in await take_all(quick, 1)] == [b"one"]


def test_the_scan_passes_only_what_can_no_longer_appear():
    scan = SpoolScan()
    assert (scan.begin(0), scan.wants_mark()) == (0, True)
    scan.mark(50, 0)
    scan.ended(was_whole=True, began_s=0, ended_s=0.1, first=None, is_full=False)
    assert scan.after == 0  # the 50th may not be committed yet
    scan.ended(was_whole=False, began_s=IN_FLIGHT_S, ended_s=10.1, first=20, is_full=True)
    assert scan.after == 19  # there may be more of them than one take brings
    scan.mark(70, 11)
    scan.ended(was_whole=False, began_s=11 + IN_FLIGHT_S, ended_s=21.1, first=60, is_full=False)
    assert scan.after == 70
    assert scan.begin(12) == 70


def test_the_whole_is_looked_at_now_and_then_and_the_less_often_the_longer_it_takes():
    scan = SpoolScan()
    scan.after = 9
    scan.ended(was_whole=True, began_s=0, ended_s=0.001, first=None, is_full=False)
    assert [scan.begin(at) for at in (WHOLE_LOOK_S - 1, WHOLE_LOOK_S + 1)] == [9, 0]
    scan.ended(was_whole=True, began_s=20, ended_s=20.5, first=None, is_full=False)
    assert [scan.begin(at) for at in (20.5 + WHOLE_LOOK_S + 1, 71)] == [9, 0]


async def test_a_look_past_the_limit_that_takes_long_is_not_taken_often(spool_lane: SpoolLane, monkeypatch):
    receiver = await spool_lane.receiver()
    times_s = iter([0, 0.25, 5, 24, 26, 26])
    monkeypatch.setattr("tillkeeper.lanes.spool.clock.monotonic_s", lambda: next(times_s))
    looks = []

    async def take(*_args, **_options):
        looks.append(1)
        return []

    monkeypatch.setattr("tillkeeper.store.jobs.spool.take_past_limit", take)
    for _ in range(4):
        await receiver.take_parked(limit=1)
    assert len(looks) == 2
    monkeypatch.undo()


async def test_a_closed_receiver_no_longer_listens(spool_lane: SpoolLane):
    receiver = await spool_lane.receiver()
    await receiver.close()
    assert receiver._listener.done()
