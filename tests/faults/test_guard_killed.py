"""Workers that are killed while an account is paused and while it is let go on: nothing is lost, nothing twice."""

from uuid import uuid4

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import serving, toml, written
from tests.system.receiving import until
from tillkeeper import clock
from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.store.apply.registration import register
from tillkeeper.store.guard.deciding import decide
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit

RUN = uuid4()
ORDERS = 400
IN_MESSAGE = 20
LEASES_END = "UPDATE spool SET leased_until = '-infinity'"  # a minute after their worker died


async def test_workers_killed_between_lose_nothing_and_apply_nothing_twice(tmp_path, database, pool):
    config = written(tmp_path, toml(database))
    for n in range(ORDERS):
        await register(pool, a_registration(f"O{n}"), policy=Policy(), now=NOON)
    await bring_failures(pool)
    held, count = "SELECT count(*) FROM held_deliveries", "SELECT count(*) FROM inbox"

    async def killed_at(statement, number):
        async with serving("work", "--config", config) as worker:
            await until(lambda: reaches(pool, statement, number), within_s=120)
            worker.child.kill()
            await worker.child.wait()
        await pool.execute(LEASES_END)

    await killed_at(held, 100)
    async with serving("work", "--config", config):
        await until(lambda: reaches(pool, "SELECT (NOT EXISTS (SELECT FROM spool))::int", 1), within_s=120)
    before = await pool.fetchval(count)
    assert before + await pool.fetchval(held) == ORDERS
    assert before < 20, "what crosses the line is not written"
    told = {"by": "mona", "note": "true", "deaf_s": 3600, "now": clock.now()}
    await repeat_on_conflict(pool, lambda conn: decide(conn, "stripe-main", "go", **told))
    await killed_at(count, before + 1)
    await killed_at(count, ORDERS // 2)
    async with serving("work", "--config", config):
        over = "SELECT count(*) FROM account_pauses WHERE ended_at IS NOT NULL"
        await until(lambda: reaches(pool, over, 1), within_s=120)
        await until(lambda: reaches(pool, count, ORDERS), within_s=120)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'failed'") == ORDERS
    assert await pool.fetchval("SELECT count(*) FROM cases WHERE closed_at IS NULL") == 0
    books = await audit(pool, settled_until=clock.now(), now=clock.now())
    assert books.balances
    assert (books.accepted, books.outcomes, books.held) == (ORDERS, {"applied": ORDERS}, 0)


async def bring_failures(pool):
    """Each order's first payment fails, in messages of twenty."""
    sender = SpoolSender(pool)
    for first in range(0, ORDERS, IN_MESSAGE):
        deliveries = tuple(
            a_delivery(
                an_event(Kind.PAYMENT_FAILED, order_ref=f"O{n}", payment_ref=f"p{n}"),
                run=RUN,
                number=n + 1,
                received_at=clock.now(),
            )
            for n in range(first, first + IN_MESSAGE)
        )
        await sender.put(pack(Envelope(run=RUN, deliveries=deliveries)))


async def reaches(pool, statement, number):
    return await pool.fetchval(statement) >= number
