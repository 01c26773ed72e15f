"""What is neither an outage nor bad data: somebody holds an order, or the batch is too much for the server at once."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import MINUTE, Gateways, a_sweep, registered
from tests.system.receiving import AUTHORIZED
from tests.virtual_time import Clock
from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.domain.events import Evidence
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.messages import Answer
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.references import lock
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry

ORDERS = [f"O{i}" for i in range(8)]
LOCK_ORDER = "SELECT FROM orders WHERE order_ref = $1 FOR UPDATE"
ADVISORY_LOCKS_HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"

# Refuses batches of more than so many events with a state, or an event of one order, so many times.
REFUSE = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM written) > {rows} AND nextval('refusals') <= {times} THEN
        RAISE EXCEPTION 'refused' USING ERRCODE = '{state}';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT ON inbox REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""
REFUSE_ORDER = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON inbox FOR EACH ROW WHEN (NEW.order_ref = 'O3') EXECUTE FUNCTION refuse();
"""
REFUSE_REGISTRATION = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.fixture
async def loop(pool, database, monkeypatch):
    monkeypatch.setattr("tillkeeper.workers.apply.LOCK_WAIT_S", 0.2)
    monkeypatch.setattr("tillkeeper.workers.apply.SPLIT_LOCK_WAIT_S", 0.1)
    for ref in ORDERS:
        await register(pool, a_registration(ref), policy=Policy(), now=NOON)
    run = uuid4()
    events = [an_event(order_ref=ref, payment_ref=f"p-{ref}") for ref in ORDERS]
    deliveries = tuple(a_delivery(event, run=run, number=i) for i, event in enumerate(events, start=1))
    await SpoolSender(pool).put(pack(Envelope(run=run, deliveries=deliveries)))
    lane = await SpoolReceiver.open(pool, database)
    yield ApplyLoop(
        lane=lane, pool=pool, retry=DatabaseRetry(asyncio.Event()), policy=Policy, now=lambda: NOON, batch_events=400
    )
    await lane.close()


async def paid(pool) -> set[str]:
    return {row["order_ref"] for row in await pool.fetch("SELECT order_ref FROM orders WHERE status = 'paid'")}


async def parked(pool) -> int:
    return await pool.fetchval("SELECT count(*) FROM parked")


async def test_an_order_that_an_idle_session_holds_keeps_no_neighbour_and_is_applied_once_it_is_let_go(
    pool, database, loop
):
    somebody = await asyncpg.connect(database)
    async with somebody.transaction():
        await somebody.execute(LOCK_ORDER, "O3")
        async with asyncio.timeout(20):
            assert await loop.run_once() == 1
        assert await paid(pool) == set(ORDERS) - {"O3"}
        assert await pool.fetchval("SELECT count(*) FROM spool WHERE leased_until > now() AND leased_by IS NULL") == 1
    await somebody.close()
    await pool.execute("UPDATE spool SET leased_until = '-infinity'")
    loop._held._until_s.clear()
    await loop.run_once()
    assert await paid(pool) == set(ORDERS)
    assert (await parked(pool), await pool.fetchval("SELECT count(*) FROM spool")) == (0, 0)
    assert (await audit(pool, settled_until=NOON, now=NOON)).balances


async def test_events_of_a_held_order_wait_for_it_once_and_not_each_by_itself(pool, database, loop, monkeypatch):
    run = uuid4()
    more = [an_event(order_ref="O3", payment_ref=f"more-{i}") for i in range(40)]
    deliveries = tuple(a_delivery(event, run=run, number=i) for i, event in enumerate(more, start=1))
    await SpoolSender(pool).put(pack(Envelope(run=run, deliveries=deliveries)))
    tries = []

    async def counted(conn, deliveries, **how):
        tries.append(len(deliveries))
        return await apply_deliveries(conn, deliveries, **how)

    monkeypatch.setattr("tillkeeper.workers.hold_back.apply_deliveries", counted)
    somebody = await asyncpg.connect(database)
    async with somebody.transaction():
        await somebody.execute(LOCK_ORDER, "O3")
        assert await loop.run_once() == 2
    await somebody.close()
    assert await paid(pool) == set(ORDERS) - {"O3"}
    assert len(tries) < 20


@pytest.mark.parametrize("state", ["57014", "53200", "53400", "55P03"])
async def test_a_batch_that_is_too_much_at_once_is_applied_in_smaller_ones(pool, loop, state):
    await pool.execute(REFUSE.format(rows=2, times=1000, state=state))
    await loop.run_once()
    assert (await paid(pool), await parked(pool)) == (set(ORDERS), 0)
    assert loop._together <= 4


@pytest.mark.parametrize("state", ["08006", "25006", "42501", "53100", "53300", "57P03", "58030"])
async def test_an_outage_is_waited_out_and_nothing_is_parked_for_it(pool, loop, state):
    await pool.execute(REFUSE.format(rows=0, times=2, state=state))
    await loop.run_once()
    assert (await paid(pool), await parked(pool)) == (set(ORDERS), 0)
    assert await pool.fetchval("SELECT last_value FROM refusals") == 3


@pytest.mark.parametrize("state", ["P0001", "22003", "23514", "54000", "42804", "XX000"])
async def test_one_event_that_is_refused_for_itself_is_parked_and_its_neighbours_are_applied(pool, loop, state):
    await pool.execute(REFUSE_ORDER.format(state=state))
    await loop.run_once()
    assert (await paid(pool), await parked(pool)) == (set(ORDERS) - {"O3"}, 1)


async def test_one_event_that_is_always_contended_rests_in_the_spool(pool, loop):
    await pool.execute(REFUSE_ORDER.format(state="57014"))
    await loop.run_once()
    assert (await paid(pool), await parked(pool)) == (set(ORDERS) - {"O3"}, 0)
    assert await pool.fetchval("SELECT count(*) FROM spool WHERE leased_until > now()") == 1


async def test_void_numbers_of_a_message_that_rests_are_kept_all_the_same(pool, database, loop):
    run = uuid4()
    held = a_delivery(an_event(order_ref="O3", payment_ref="p-O3"), run=run, number=2)
    await pool.execute("TRUNCATE spool")
    await SpoolSender(pool).put(pack(Envelope(run=run, deliveries=(held,), void=(1,))))
    somebody = await asyncpg.connect(database)
    async with somebody.transaction():
        await somebody.execute(LOCK_ORDER, "O3")
        await loop.run_once()
        assert await pool.fetchval("SELECT number FROM void_numbers") == 1
    await somebody.close()


async def test_a_statement_that_takes_too_long_on_a_server_that_answers_is_tried_with_less(pool, loop, monkeypatch):
    refused = []

    async def slow(conn, deliveries, **how):
        if len(deliveries) > 2:
            refused.append(len(deliveries))
            raise TimeoutError
        return await apply_deliveries(conn, deliveries, **how)

    monkeypatch.setattr("tillkeeper.workers.hold_back.apply_deliveries", slow)
    await loop.run_once()
    assert (await paid(pool), refused[0]) == (set(ORDERS), 8)


async def test_more_references_than_the_lock_table_has_places_are_locked_in_buckets(pool):
    async with pool.acquire() as conn, conn.transaction():
        await lock(conn, appearing=[("order", f"many-{i}") for i in range(40_000)])
        held = await conn.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
    assert held <= 4096


@pytest.mark.parametrize("state", ["57014", "53200", "55P03", "25006", "53300"])
async def test_the_orders_api_has_the_caller_come_again_for_what_passes(pool, client, state):
    await pool.execute(REFUSE_REGISTRATION.format(state=state))
    an_order = {"amount": 100, "currency": "CNY", "accounts": ["stripe-main"]}
    async with client.put("/orders/NEW", json=an_order, headers=AUTHORIZED) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_the_orders_api_does_not_wait_for_whoever_holds_the_order(pool, client, database, monkeypatch):
    monkeypatch.setattr(repeat_on_conflict, "__kwdefaults__", {"lock_wait_s": 0.2})
    await register(pool, a_registration("A1", accounts=("stripe-main",)), policy=Policy(), now=NOON)
    somebody = await asyncpg.connect(database)
    async with somebody.transaction():
        await somebody.execute(LOCK_ORDER, "A1")
        body = {"account": "stripe-main", "amount": 50}
        async with client.put("/orders/A1/refunds/re_1", json=body, headers=AUTHORIZED) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert "hold" in (await answer.json())["error"]
    await somebody.close()


async def test_a_sweep_settles_all_but_the_order_that_somebody_holds_and_that_one_later(pool, database, monkeypatch):
    monkeypatch.setattr(repeat_on_conflict, "__kwdefaults__", {"lock_wait_s": 0.2})
    clock = Clock()
    gateways = Gateways(clock)
    sweep = a_sweep(pool, gateways, clock)
    for ref in ("A1", "A2", "A3"):
        await registered(pool, ref)
    clock.at += 4 * MINUTE
    somebody = await asyncpg.connect(database)
    in_turn = asyncio.Lock()

    async def query(_account, query):
        async with in_turn:
            if clock.at == NOON + 4 * MINUTE:  # it is held once the sweep has taken it, not before
                await somebody.execute("BEGIN")
                await somebody.execute(LOCK_ORDER, "A2")
        ref = query.order_ref
        event = an_event(evidence=Evidence.QUERY, event_id=f"q-{ref}", order_ref=ref, payment_ref=f"pi_{ref}")
        return Answer(found=True, events=(event,))

    gateways.query = query
    async with asyncio.timeout(30):
        await sweep.run_once()
    assert await paid(pool) == {"A1", "A3"}
    await somebody.execute("ROLLBACK")
    clock.at += 10 * MINUTE
    await sweep.run_once()
    assert await paid(pool) == {"A1", "A2", "A3"}
    await somebody.close()
