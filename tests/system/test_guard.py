"""The guard on a real lane and database: an account is paused, what comes for it is held, and a person decides."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.delivery import Envelope, EnvelopeKeys, pack
from tillkeeper.domain.events import Kind
from tillkeeper.domain.guard import RULES, GuardSign
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.store.apply.registration import register
from tillkeeper.store.apply.try_held import try_held
from tillkeeper.store.guard.deciding import NotPaused, decide
from tillkeeper.store.guard.usual import fold_counts
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit, explain_missing
from tillkeeper.store.reports.continued_audit import audit_on
from tillkeeper.store.reports.recent_audit import audit_since
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.hold_back import HoldBack
from tillkeeper.workers.release import Release

RUN = uuid4()
LINE = RULES[GuardSign.FAILED].least
OTHER = "alipay-main"
MINUTE = timedelta(minutes=1)
KEYS = EnvelopeKeys()


class Till:
    """A worker of its own on the test's database, with a clock."""

    def __init__(self, pool, spool):
        self.pool, self.now, self.number = pool, NOON, 0
        retry = DatabaseRetry(asyncio.Event())
        given = {"pool": pool, "retry": retry, "now": lambda: self.now, "keys": KEYS}
        self.loops = [
            ApplyLoop(
                **given,
                lane=spool,
                policy=Policy,
                batch_events=50,
                hold_back=HoldBack(RULES, KEYS, now=lambda: self.now),
            )
            for _ in range(2)
        ]
        self.release = Release(**given)

    async def bring(self, *events, worker=0):
        """Has a worker apply deliveries of these events, one each, in one message."""
        deliveries = []
        for event in events:
            self.number += 1
            deliveries.append(a_delivery(event, run=RUN, number=self.number, account=event.account))
        await SpoolSender(self.pool).put(pack(Envelope(run=RUN, deliveries=tuple(deliveries))))
        await self.loops[worker].run_once()

    async def carry_out(self):
        """Carries decisions out to the end."""
        for _ in range(1000):
            moved = await self.release.run_once()
            applied = await self.loops[0].run_once() if moved else 0
            if not moved and not applied and not await self.pool.fetchval("SELECT count(*) FROM spool"):
                return
        raise AssertionError("it does not end")

    async def decide(self, decision, **fields):
        told = {"by": "mona", "note": "looked at it", "now": self.now, **fields}
        return await repeat_on_conflict(self.pool, lambda conn: decide(conn, "stripe-main", decision, **told))

    async def statuses(self):
        rows = await self.pool.fetch("SELECT status, count(*) AS n FROM orders GROUP BY 1")
        return {row["status"]: row["n"] for row in rows}

    async def held(self):
        return await self.pool.fetchval("SELECT count(*) FROM held_deliveries")

    async def books(self):
        """All three audits, which must agree that the books balance."""
        whole = await audit(self.pool, settled_until=self.now, now=self.now)
        recent = await audit_since(self.pool, NOON - MINUTE, settled_until=self.now, now=self.now)
        continued = await audit_on(self.pool, settled_until=self.now, now=self.now)
        assert (whole.balances, recent.balances, continued.balances) == (True, True, True)
        assert not whole.missing
        return whole


@pytest.fixture
async def till(pool, database):
    spool = await SpoolReceiver.open(pool, database)
    yield Till(pool, spool)
    await spool.close()


async def registered(pool, count, **fields):
    for n in range(count):
        await register(pool, a_registration(f"O{n}", **fields), policy=Policy(), now=NOON)


def failures(first, end, **fields):
    return [an_event(Kind.PAYMENT_FAILED, order_ref=f"O{n}", payment_ref=f"p{n}", **fields) for n in range(first, end)]


async def test_a_gateway_that_fails_everything_is_paused_at_the_line_and_no_batch_is_written_beyond_it(till, pool):
    await registered(pool, LINE + 10)
    await till.bring(*failures(0, LINE - 1))
    assert await till.statuses() == {"failed": LINE - 1, "unpaid": 11}
    await till.bring(*failures(LINE - 1, LINE + 10))
    assert await till.statuses() == {"failed": LINE - 1, "unpaid": 11}
    assert await till.held() == 11
    case = await pool.fetchrow("SELECT kind, account, closed_at, details FROM cases")
    assert (case["kind"], case["account"], case["closed_at"]) == ("account_paused", "stripe-main", None)
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE audience = 'ops'") == 1
    assert (await till.books()).held == 11


async def test_others_go_on_in_the_same_moment(till, pool):
    await registered(pool, LINE + 5)
    paid = an_event(order_ref="O3", payment_ref="q3", account=OTHER)
    await till.bring(*failures(4, LINE + 5), paid)
    assert await till.statuses() == {"unpaid": LINE + 4, "paid": 1}
    await till.bring(an_event(order_ref="O2", payment_ref="q2", account=OTHER), *failures(0, 1))
    assert (await till.statuses())["paid"] == 2
    await till.books()


async def test_two_workers_see_one_window_and_one_pause(till, pool):
    await registered(pool, LINE + 10)
    half = LINE // 2
    await till.bring(*failures(0, half), worker=0)
    await till.bring(*failures(half, LINE - 1), worker=1)
    await till.bring(*failures(LINE - 1, LINE), worker=0)
    await till.bring(*failures(LINE, LINE + 10), worker=1)
    assert (await till.statuses(), await till.held()) == ({"failed": LINE - 1, "unpaid": 11}, 11)
    assert await pool.fetchval("SELECT count(*) FROM account_pauses") == 1


async def test_a_go_applies_everything_in_order_and_the_rule_is_deaf_for_a_while(till, pool):
    await registered(pool, LINE + 30)
    await till.bring(*failures(0, LINE))
    await till.bring(*failures(LINE, LINE + 10))
    await till.decide("go", deaf_s=3600)
    await till.carry_out()
    assert (await till.statuses(), await till.held()) == ({"failed": LINE + 10, "unpaid": 20}, 0)
    assert await pool.fetchval("SELECT outcome FROM cases") == "go: nothing is held any more"
    await till.bring(*failures(LINE + 10, LINE + 20))
    assert (await till.statuses())["failed"] == LINE + 20
    await till.books()
    till.now = NOON + 2 * timedelta(hours=1)
    await till.bring(*failures(LINE + 20, LINE + 30))
    assert (await till.statuses())["failed"] == LINE + 30, "what came while it was deaf is not counted"


async def test_what_is_parked_instead_is_in_the_books_and_can_be_replayed(till, pool):
    await registered(pool, LINE)
    await till.bring(*failures(0, LINE))
    await till.decide("park")
    await till.carry_out()
    assert (await till.statuses(), await till.held()) == ({"unpaid": LINE}, 0)
    assert await pool.fetchval("SELECT count(*) FROM parked WHERE reason = 'held_by_guard'") == LINE
    assert (await till.books()).parked == LINE
    await till.bring(*failures(0, LINE))
    assert await till.held() == LINE, "the rule is not deaf after that"


async def test_of_two_people_at_once_one_decides_and_the_other_is_told(till, pool):
    await registered(pool, LINE)
    await till.bring(*failures(0, LINE))
    told = await asyncio.gather(till.decide("go"), till.decide("park", by="nils"), return_exceptions=True)
    refused = [each for each in told if isinstance(each, NotPaused)]
    assert len(refused) == 1
    assert "is not paused" in str(refused[0])
    with pytest.raises(NotPaused, match="still carrying that out"):
        await till.decide("go")
    await till.carry_out()
    with pytest.raises(NotPaused, match=r"mona|nils"):
        await till.decide("go")


async def test_a_lane_that_delivers_again_holds_nothing_twice_and_applies_nothing_twice(till, pool):
    await registered(pool, LINE)
    events = failures(0, LINE)
    await till.bring(*events)
    till.number = 0
    await till.bring(*events)
    assert await till.held() == LINE
    await till.decide("go")
    await till.carry_out()
    till.number = 0
    await till.bring(*events)
    books = await till.books()
    assert (books.accepted, books.outcomes) == (LINE, {"applied": LINE})


async def test_an_audit_reads_what_was_held_when_the_last_one_balanced(till, pool):
    await registered(pool, LINE + 1)
    await till.bring(*failures(0, LINE))
    await till.books()
    await till.bring(an_event(order_ref=f"O{LINE}", payment_ref="late", account=OTHER))
    await till.books()
    await till.decide("go")
    await till.carry_out()
    await pool.execute("DELETE FROM inbox WHERE event_id = (SELECT min(event_id) FROM inbox WHERE kind LIKE '%failed')")
    assert not (await audit_on(pool, settled_until=till.now, now=till.now)).balances


async def test_numbers_that_are_held_are_not_missing(till, pool):
    await registered(pool, LINE + 1)
    await till.bring(*failures(0, LINE))
    await till.bring(an_event(order_ref=f"O{LINE}", payment_ref="late", account=OTHER))
    assert await explain_missing(pool, RUN, by="mona", note="?", now=NOON) == 0


async def test_a_message_that_the_keys_do_not_open_any_more_is_parked_whole(till, pool):
    await registered(pool, LINE)
    await till.bring(*failures(0, LINE))
    await till.decide("go")
    till.release._keys = EnvelopeKeys(("another key of thirty-two characters",))
    await till.release.run_once()
    assert await pool.fetchval("SELECT count(*) FROM parked WHERE reason = 'not_authentic'") == LINE


async def test_what_is_usual_for_the_account_pauses_nothing(till, pool):
    await registered(pool, 3 * LINE)
    await till.bring(*failures(0, LINE - 1))
    till.now = NOON + timedelta(hours=3)
    async with pool.acquire() as conn:
        await fold_counts(conn, before=till.now - timedelta(hours=1), forget_before=NOON - timedelta(days=28))
    assert await pool.fetchval("SELECT failed FROM guard_usual") == LINE - 1
    assert await pool.fetchval("SELECT count(*) FROM guard_counts") == 0
    await till.bring(*failures(LINE, 3 * LINE - 3))
    assert await till.held() == 0
    await till.bring(*failures(3 * LINE - 3, 3 * LINE))
    assert await till.held() == 3


async def test_a_key_that_pays_everything_for_a_hundredth_is_paused(till, pool):
    few = RULES[GuardSign.FAR_OFF].least
    await registered(pool, few, amount=10_000)
    await till.bring(*(an_event(order_ref=f"O{n}", payment_ref=f"p{n}", amount=1) for n in range(few)))
    assert (await till.statuses(), await till.held()) == ({"unpaid": few}, few)
    assert await pool.fetchval("SELECT sign FROM account_pauses") == "far_off"


async def test_a_reversal_of_everything_is_paused_and_refunds_that_the_merchant_registered_are_not(till, pool):
    many = RULES[GuardSign.TAKEN_BACK].least
    await registered(pool, many)
    await till.bring(*(an_event(order_ref=f"O{n}", payment_ref=f"p{n}") for n in range(many)))
    till.now = NOON + 10 * MINUTE
    reversals = [
        an_event(Kind.PAYMENT_REVERSED, 60, order_ref=f"O{n}", payment_ref=f"p{n}", amount=100) for n in range(many)
    ]
    await till.bring(*reversals)
    assert (await till.statuses(), await till.held()) == ({"paid": many}, many)
    assert await pool.fetchval("SELECT sign FROM account_pauses") == "taken_back"


async def tried(till, **options):
    pause_id = await till.pool.fetchval("SELECT max(id) FROM account_pauses")
    return await try_held(till.pool, pause_id, **{"limit": 1000, "policy": Policy(), "now": till.now, **options})


async def test_a_trial_says_what_would_happen_and_leaves_everything_as_it_was(till, pool):
    few = RULES[GuardSign.FAR_OFF].least
    await registered(pool, few + 1, amount=10_000)
    events = [an_event(order_ref=f"O{n}", payment_ref=f"p{n}", amount=n + 1) for n in range(few)]
    await till.bring(*events, an_event(order_ref=f"O{few}", payment_ref="good", amount=10_000))
    before = await pool.fetch("SELECT * FROM orders ORDER BY id")
    trial = await tried(till)
    assert (trial.tried, trial.more, trial.outcomes) == (few + 1, False, {"applied": few + 1})
    assert trial.statuses == {"unpaid -> partially_paid": few, "unpaid -> paid": 1}
    [sums] = trial.sums
    assert (sums.currency, sums.captured, sums.refunded) == ("CNY", 10_000 + few * (few + 1) // 2, 0)
    assert [each.order_ref for each in trial.largest[:2]] == [f"O{few}", f"O{few - 1}"]
    assert trial.notices == {"merchant": few + 1}
    assert await pool.fetch("SELECT * FROM orders ORDER BY id") == before
    assert await till.held() == few + 1
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 0


async def test_a_trial_reads_the_oldest_so_many_and_says_that_there_are_more(till, pool):
    await registered(pool, LINE)
    await till.bring(*failures(0, LINE))
    trial = await tried(till, limit=3)
    assert (trial.tried, trial.more, trial.statuses) == (3, True, {"unpaid -> failed": 3})


async def test_a_trial_tells_what_cannot_be_applied_or_read(till, pool):
    await registered(pool, LINE)
    await till.bring(*failures(0, LINE))
    await pool.execute("UPDATE held_deliveries SET body = 'no envelope' WHERE number = 1")
    await pool.execute("ALTER TABLE payments ADD CONSTRAINT not_the_third CHECK (payment_ref <> 'p2'); ")
    trial = await tried(till)
    assert (trial.unreadable, trial.would_be_parked) == (1, 1)
    assert trial.statuses == {"unpaid -> failed": LINE - 2}
