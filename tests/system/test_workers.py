"""The apply loop on real lanes and a real database: applied once, poison parked, outages waited out."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.delivery import Envelope, pack, unpack
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.base import LaneMessage
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.store.apply.batch import apply_event, replay
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import close_parked, list_parked, show_parked
from tillkeeper.store.postgres.sqlstates import WriteConflict
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit, explain_missing
from tillkeeper.store.reports.order import show
from tillkeeper.workers.apply import GATHER_S, LOAD_DELIVERIES, ApplyLoop, Opened, batches
from tillkeeper.workers.apply_or_park import park_delivery
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.delivery_limit import ParkLoop

RUN = uuid4()


@pytest.fixture
async def spool(pool, database):
    receiver = await SpoolReceiver.open(pool, database)
    yield receiver
    await receiver.close()


@pytest.fixture
def stop():
    return asyncio.Event()


@pytest.fixture
def loop(pool, spool, stop):
    return ApplyLoop(lane=spool, pool=pool, retry=DatabaseRetry(stop), policy=Policy, now=lambda: NOON, batch_events=50)


async def put(pool, *deliveries, void=()):
    await SpoolSender(pool).put(pack(Envelope(run=RUN, deliveries=deliveries, void=void)))


def numbered(count, **fields):
    return [a_delivery(an_event(order_ref=f"O{i}", payment_ref=f"p{i}"), run=RUN, number=i + 1) for i in range(count)]


async def registered(pool, *order_refs):
    for ref in order_refs:
        await register(pool, a_registration(ref), policy=Policy(), now=NOON)


async def books(pool):
    return await audit(pool, settled_until=NOON, now=NOON)


async def test_what_the_lane_holds_is_applied_and_leaves_the_lane(pool, loop):
    await registered(pool, "O0", "O1")
    await put(pool, *numbered(2))
    assert await loop.run_once() == 1
    assert (await show(pool, "O1"))["status"] == "paid"
    assert await pool.fetchval("SELECT count(*) FROM spool") == 0
    assert (await books(pool)).balances


async def test_a_pass_over_nothing_handles_nothing(loop):
    assert await loop.run_once() == 0


async def test_what_comes_after_a_batch_that_showed_load_gathers_for_a_moment_and_a_single_event_never_waits(
    pool, spool, stop
):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    retry = DatabaseRetry(stop)
    loop = ApplyLoop(lane=spool, pool=pool, retry=retry, policy=Policy, now=lambda: NOON, batch_events=50, sleep=sleep)
    deliveries = numbered(LOAD_DELIVERIES + 2)
    for taken, waits in (
        (deliveries[:1], []),
        (deliveries[1:-1], []),
        (deliveries[-1:], [GATHER_S]),
        ([], [GATHER_S]),
    ):
        if taken:
            await put(pool, *taken)
        assert await loop.run_once() == bool(taken)
        assert waited == waits


async def test_one_bad_event_is_parked_and_its_neighbours_are_applied(pool, loop):
    await registered(pool, *(f"O{i}" for i in range(9)))
    good = numbered(9)
    bad = a_delivery(an_event(failure_code="no\x00where"), run=RUN, number=10)
    await put(pool, *good[:4], bad, *good[4:])
    await loop.run_once()
    assert await pool.fetch("SELECT status, count(*) FROM orders GROUP BY 1") == [("paid", 9)]
    async with pool.acquire() as conn:
        [row] = await list_parked(conn, closed_too=False, limit=10)
        assert row["reason"] == "cannot_be_applied"
        assert "UntranslatableCharacter" in row["error"]
        shown = await show_parked(conn, row["id"])
        assert shown["delivery"]["number"] == 10
    told = await books(pool)
    assert (told.balances, told.accepted, told.parked) == (True, 10, 1)


async def test_of_a_delivery_with_several_events_only_the_bad_one_is_parked(pool, loop):
    await registered(pool, "A1")
    bad = an_event(failure_code="\x00")
    await put(pool, a_delivery(an_event(), bad, an_event(second=1), run=RUN, number=1))
    await loop.run_once()
    assert (await show(pool, "A1"))["status"] == "paid"
    told = await books(pool)
    assert (told.balances, told.accepted, told.parked, sum(told.outcomes.values())) == (True, 3, 1, 2)


async def test_a_delivery_that_cannot_even_be_kept_is_parked_whole(pool, loop):
    await put(pool, a_delivery(an_event(), run=RUN, number=1, key="\x00"))
    await loop.run_once()
    told = await books(pool)
    assert (told.balances, told.accepted, told.parked) == (True, 1, 1)


async def test_the_books_balance_while_events_of_a_delivery_that_could_not_be_kept_are_replayed_one_by_one(pool, loop):
    await registered(pool, "O0", "O1", "O2")
    events = [an_event(order_ref=f"O{i}", payment_ref=f"p{i}") for i in range(3)]
    await put(pool, a_delivery(*events, run=RUN, number=1, key="\x00"))
    await loop.run_once()
    first, second, third = [row["id"] for row in await pool.fetch("SELECT id FROM parked ORDER BY id")]
    for parked_id, body in await pool.fetch("SELECT id, body FROM parked"):  # as a release would that keeps such keys
        mended = pack(unpack(body)).replace(b"\xa3key\xa1\x00", b"\xa3key\xa1-")
        await pool.execute("UPDATE parked SET body = $2 WHERE id = $1", parked_id, mended)
    async with pool.acquire() as conn:
        await close_parked(conn, first, "discarded", by="me", note="a test", now=NOON)
    for parked_id in (second, third):
        await repeat_on_conflict(
            pool, lambda conn, each=parked_id: replay(conn, each, by="me", note="fixed", policy=Policy(), now=NOON)
        )
        told = await books(pool)
        assert (told.balances, told.accepted) == (True, 3)
    assert [(await show(pool, f"O{i}"))["status"] for i in range(3)] == ["unpaid", "paid", "paid"]


async def test_a_delivery_that_seems_to_meet_others_at_every_attempt_is_parked(pool, loop, monkeypatch):
    await registered(pool, "O0", "O1")
    await put(pool, *numbered(2))

    async def raced(conn, delivery, event, **_):
        if event.order_ref == "O0":
            raise WriteConflict
        return await apply_event(conn, delivery, event, policy=Policy(), now=NOON)

    async def cannot(*_, **__):
        raise WriteConflict

    monkeypatch.setattr("tillkeeper.workers.hold_back.apply_deliveries", cannot)
    monkeypatch.setattr("tillkeeper.workers.apply_or_park.apply_event", raced)
    assert await loop.run_once() == 1
    assert [(await show(pool, ref))["status"] for ref in ("O0", "O1")] == ["unpaid", "paid"]
    [parked] = await pool.fetch("SELECT reason, error FROM parked")
    assert tuple(parked) == ("cannot_be_applied", "WriteConflict: ")
    assert (await books(pool)).balances


async def test_a_message_that_is_no_envelope_is_parked_and_audit_says_so(pool, loop):
    await SpoolSender(pool).put(b"not msgpack")
    await loop.run_once()
    async with pool.acquire() as conn:
        [row] = await list_parked(conn, closed_too=False, limit=10)
        assert (row["reason"], row["readable"]) == ("unreadable", False)
        assert not (await books(pool)).balances
        await close_parked(conn, row["id"], "discarded", by="me", note="a test", now=NOON)
    assert (await books(pool)).balances


async def test_a_redelivery_supersedes_what_was_parked(pool, loop):
    await registered(pool, "A1")
    event = an_event()
    await park_delivery(pool, a_delivery(event, run=RUN, number=1), reason="delivery_limit", error="-", now=NOON)
    await put(pool, a_delivery(event, run=RUN, number=2))
    await loop.run_once()
    assert await pool.fetchval("SELECT outcome FROM parked") == "superseded"
    assert (await show(pool, "A1"))["status"] == "paid"
    assert (await books(pool)).balances


async def test_a_parked_event_is_replayed_once(pool):
    await registered(pool, "A1")
    await park_delivery(pool, a_delivery(an_event(), run=RUN, number=1), reason="delivery_limit", error="-", now=NOON)
    parked_id = await pool.fetchval("SELECT id FROM parked")
    await repeat_on_conflict(
        pool, lambda conn: replay(conn, parked_id, by="me", note="fixed", policy=Policy(), now=NOON)
    )
    assert (await show(pool, "A1"))["status"] == "paid"
    row = await pool.fetchrow("SELECT outcome, closed_by, note FROM parked")
    assert tuple(row) == ("replayed", "me", "fixed")
    assert (await books(pool)).balances


async def test_a_number_that_never_arrived_is_missing_and_a_void_one_is_not(pool, loop):
    deliveries = numbered(4)
    await put(pool, deliveries[0], deliveries[3], void=(3,))
    await loop.run_once()
    told = await books(pool)
    assert not told.balances
    assert [(row["run"], row["missing"]) for row in told.missing] == [(RUN, 1)]
    await put(pool, deliveries[1])
    await loop.run_once()
    assert (await books(pool)).balances


async def test_a_gap_that_a_person_explained_is_missing_no_more(pool, loop):
    deliveries = numbered(3)
    await put(pool, deliveries[0], deliveries[2])
    await loop.run_once()
    assert not (await books(pool)).balances
    assert await explain_missing(pool, RUN, by="me", note="the receiver was killed before it told", now=NOON) == 1
    assert await explain_missing(pool, RUN, by="me", note="again", now=NOON) == 0
    assert (await books(pool)).balances
    assert tuple(await pool.fetchrow("SELECT number, explained_by FROM void_numbers")) == (2, "me")


async def test_audit_sees_a_status_that_does_not_follow_from_the_facts(pool, loop):
    await registered(pool, "O0")
    await pool.execute("UPDATE orders SET status = 'failed'")
    told = await books(pool)
    assert [row["facts_say"] for row in told.misjudged] == ["unpaid"]
    assert not told.balances


async def test_audit_sees_an_event_that_vanished(pool, loop):
    await registered(pool, "O0")
    await put(pool, *numbered(1))
    await loop.run_once()
    await pool.execute("DELETE FROM inbox")
    assert [row["number"] for row in (await books(pool)).unbalanced] == [1]


@pytest.mark.parametrize("key", ["webhook_secrets[0]", "\x00"])
async def test_messages_past_the_delivery_limit_come_to_where_people_see_them(pool, spool, stop, key):
    await put(pool, *(msgspec.structs.replace(each, key=key) for each in numbered(3)))
    await pool.execute("UPDATE spool SET attempts = 1000")
    park = ParkLoop(lane=spool, pool=pool, retry=DatabaseRetry(stop), now=lambda: NOON)
    assert await park.run_once() == 1
    reason = "delivery_limit" if key.isprintable() else "cannot_be_kept"
    assert await pool.fetch("SELECT reason, count(*) FROM parked GROUP BY 1") == [(reason, 3)]
    assert await pool.fetchval("SELECT count(*) FROM spool") == 0
    assert (await books(pool)).balances


async def test_an_outage_parks_nothing_and_ends_with_the_work_done(pool, loop, postgres_server):
    await registered(pool, "O0")
    await put(pool, *numbered(1))
    lane = _Held(loop._lane, await loop._lane.take(limit=1, wait_s=1))
    loop._lane = lane
    await postgres_server.stop()
    applying = asyncio.ensure_future(loop.run_once())
    await postgres_server.start()
    assert await applying == 1
    assert (await show(pool, "O0"))["status"] == "paid"
    assert await pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_being_stopped_ends_an_outage_without_an_end(pool, loop, stop, postgres_server):
    await put(pool, *numbered(1))
    loop._lane = _Held(loop._lane, await loop._lane.take(limit=1, wait_s=1))
    await postgres_server.stop()
    applying = asyncio.ensure_future(loop.run_once())
    stop.set()
    assert await applying == 0
    await postgres_server.start()
    assert await pool.fetchval("SELECT count(*) FROM spool") == 1


class _Held:
    """A lane whose next messages were taken before."""

    def __init__(self, lane, taken):
        self._lane, self._taken, self.name = lane, taken, lane.name
        self.acknowledge, self.release = lane.acknowledge, lane.release

    async def take(self, **_):
        return self._taken


def opened(*attempts):
    envelope = Envelope(run=RUN, deliveries=tuple(numbered(2)))
    return [
        Opened(taken=LaneMessage(body=b"", receipt=i, attempts=n), envelope=envelope) for i, n in enumerate(attempts)
    ]


def receipts(groups):
    return [[each.taken.receipt for each in group] for group in groups]


def test_messages_are_grouped_whole_to_about_the_batch_size():
    assert receipts(batches(opened(1, 1, 1, 1, 1), 4)) == [[0, 1], [2, 3], [4]]


def test_messages_handed_out_often_go_alone_and_turn_direction_each_time():
    assert receipts(batches(opened(1, 4, 4, 2, 4), 100)) == [[0, 3], [1], [2], [4]]
    assert receipts(batches(opened(5, 5, 5), 100)) == [[2], [1], [0]]
