"""While an account is paused, time passes for its orders, and nothing is concluded, told or closed (law 11)."""

from datetime import timedelta

import pytest

from tests.database import fetching
from tests.database.factories import NOON, an_event
from tests.database.sweeps import HOUR, MINUTE, SHIPPED, a_sweep, registered, told, topics, until
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.guard import GuardSign, PauseReason
from tillkeeper.domain.order.acts import ActRefused
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.guard.deciding import decide
from tillkeeper.store.guard.pausing import pause
from tillkeeper.store.guard.releasing import claim_decided, end
from tillkeeper.store.orders.acts import close
from tillkeeper.store.outbox.sending import Audience, claim, lock_order
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import show

FINDING = PauseReason(sign=GuardSign.FAILED, orders=50, paid=0, line=20, share=1.0, usual_most=0, open_orders=80)


async def paused(pool, account="stripe-main", now=NOON):
    await repeat_on_conflict(pool, lambda conn: pause(conn, {account: FINDING}, policy=CasePolicy(), now=now))


async def let_go(pool, now):
    async def work(conn):
        await decide(conn, "stripe-main", "go", by="mona", note="true", deaf_s=3600, now=now)
        await end(conn, await claim_decided(conn), now=now)

    await repeat_on_conflict(pool, work)


async def test_nothing_is_asked_reminded_or_closed_until_somebody_has_decided(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + HOUR)
    await paused(pool)
    await until(sweep, clock, 5 * HOUR, step=10 * MINUTE)
    assert (gateways.asked, await topics(pool, "payer")) == ([], [])
    assert (await show(pool, "A1"))["closed_at"] is None
    await let_go(pool, clock.at)
    await until(sweep, clock, 7 * HOUR, step=10 * MINUTE)
    assert gateways.asked
    assert (await show(pool, "A1"))["closed_at"] is not None


async def test_orders_of_other_accounts_are_swept_as_ever(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + HOUR, accounts=("alipay-main",))
    await paused(pool)
    await until(sweep, clock, 3 * HOUR, step=10 * MINUTE)
    assert (await show(pool, "A1"))["closed_at"] is not None


async def test_a_mail_that_was_written_before_waits(pool, sweep, clock):
    await registered(pool)
    await told(pool, an_event())
    await paused(pool)
    async with pool.acquire() as conn, conn.transaction():
        [mail] = await claim(conn, audiences=[Audience.PAYER], limit=9, leased_until=clock.at + MINUTE, now=clock.at)
        assert mail.order.paused
        assert (await lock_order(conn, mail, now=clock.at)).paused


async def test_no_person_closes_an_order_in_that_doubt_unless_they_force_it(pool):
    await registered(pool)
    await paused(pool)

    async def closing(conn, *, force):
        await close(conn, "A1", force=force, by="mona", note="old", now=NOON)

    with pytest.raises(ActRefused, match="guard list"):
        await repeat_on_conflict(pool, lambda conn: closing(conn, force=False))
    await repeat_on_conflict(pool, lambda conn: closing(conn, force=True))


async def test_a_query_that_ends_after_the_pause_began_concludes_nothing(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + HOUR)
    await until(sweep, clock, 59 * MINUTE)
    clock.at = NOON + 75 * MINUTE
    taken = [await sweep.take()]
    while taken[-1][0]:
        taken.append(await sweep.take())
    queries = [query for _, due in taken for query in due]
    assert queries
    await paused(pool)
    answered = [(query, await sweep.ask(query)) for query in queries]
    await sweep.apply([responses for _, responses in answered])
    await sweep.settle(answered)
    assert (await show(pool, "A1"))["closed_at"] is None
    results = [row["result"] for row in await pool.fetch("SELECT result FROM steps WHERE retry_at IS NOT NULL")]
    assert results == ["no answer: account_paused"] * len(queries)
    assert await pool.fetchval("SELECT count(*) FROM cases WHERE kind <> 'account_paused'") == 0


def an_answer_of_failure(_account, query):
    ref = query.order_ref
    event = an_event(
        Kind.PAYMENT_FAILED,
        order_ref=ref,
        payment_ref=f"p-{ref}",
        event_id=f"query:{ref}",
        evidence=Evidence.QUERY,
    )
    return Answer(found=True, events=(event,))


async def test_answers_that_fail_everything_pause_the_account_and_are_not_applied(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock)
    for n in range(30):
        await registered(pool, f"A{n}")
    gateways.says = an_answer_of_failure
    await until(sweep, clock, 3 * MINUTE)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'unpaid'") == 30
    assert await pool.fetchval("SELECT sign FROM account_pauses") == "failed"
    assert await pool.fetchval("SELECT count(*) FROM cases") == 1
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 0
    await let_go(pool, clock.at)
    await until(sweep, clock, 40 * MINUTE)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'failed'") == 30, "they are asked again"


async def test_an_answer_to_a_webhooks_query_is_asked_for_again_once_the_account_goes_on(pool, clock):
    gateways = fetching.Gateways(clock)
    loop = fetching.a_loop(pool, gateways, clock)
    await fetching.registered(pool)
    await fetching.requested(pool, fetching.PAYMENT)
    await paused(pool)
    gateways.says = lambda *_: fetching.paid()
    assert await loop.run_once() == 1
    row = await pool.fetchrow("SELECT due_at, found, result FROM fetches")
    assert (row["found"], row["result"]) == (0, "no answer: the guard has its account paused")
    assert row["due_at"] is not None
    await let_go(pool, clock.at)
    clock.at += timedelta(hours=1)
    assert await loop.run_once() == 1
    assert (await show(pool, "A1"))["status"] == "paid"
    assert (await fetching.books(pool)).balances
