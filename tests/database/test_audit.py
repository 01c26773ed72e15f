"""What the audit sees beside the books of events: orders and cases that nobody looks after, and what is overdue."""

from uuid import uuid4

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, an_event
from tests.database.sweeps import HOUR, MINUTE, POLICY, Gateways, a_sweep, registered, until
from tests.virtual_time import Clock
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.fetching import Fetch
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show
from tillkeeper.store.reports.overdue import OVERDUE_AFTER
from tillkeeper.store.reports.recent_audit import audit_since
from tillkeeper.workers.apply_or_park import apply_or_park, park_delivery

NO_LADDERS = Policy()


async def told(pool, *events, policy=POLICY, now=NOON):
    """Each time by a receiver of its own, so that no number is missing."""
    delivery = a_delivery(*events, run=uuid4(), number=1)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=policy, now=now))


async def books(pool, now=NOON):
    """Proven whole; what came since before the first of it proves the same."""
    whole = await audit(pool, settled_until=now, now=now)
    recent = await audit_since(pool, NOON - HOUR, settled_until=now, now=now)
    left_out = {"fetches": whole.fetches, "unfetched": whole.unfetched, "orders": whole.orders, "since": None}
    assert msgspec.structs.replace(recent, **left_out) == whole
    return whole


async def act(pool, what, **more):
    await repeat_on_conflict(pool, lambda conn: what(conn, "A1", by="mei", note="because", now=NOON, **more))


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([an_event(Kind.PAYMENT_PENDING)], "processing"),
        ([an_event(), an_event(Kind.REFUND_PENDING, refund_ref="re_1", amount=10)], "refunding"),
    ],
)
async def test_an_order_whose_money_is_on_its_way_and_that_nobody_will_look_at_is_told(pool, events, status):
    await registered(pool, policy=NO_LADDERS)
    await told(pool, *events, policy=NO_LADDERS)
    found = await books(pool)
    assert found.unattended == [{"order_ref": "A1", "status": status, "since": NOON}]
    assert not found.balances


@pytest.mark.parametrize(
    "kind", [Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED, Kind.PAYMENT_SUCCEEDED, Kind.PAYMENT_PENDING]
)
async def test_an_order_that_is_settled_or_that_the_sweep_will_look_at_is_not(pool, kind):
    policy = POLICY if kind is Kind.PAYMENT_PENDING else NO_LADDERS
    await registered(pool, policy=policy)
    await told(pool, an_event(kind), policy=policy)
    assert (await books(pool)).balances


async def test_an_order_that_is_held_closed_or_has_an_open_case_is_looked_after(pool):
    await registered(pool, policy=NO_LADDERS)
    await told(pool, an_event(Kind.PAYMENT_PENDING), policy=NO_LADDERS)
    await act(pool, order_acts.hold, until=NOON + HOUR)
    assert (await books(pool)).balances
    await pool.execute("UPDATE orders SET held_until = NULL")
    await pool.execute("UPDATE due_orders SET due_at = NULL")
    assert not (await books(pool)).balances
    await told(pool, an_event(Kind.DISPUTE_OPENED, dispute_ref="dp_1"), policy=NO_LADDERS)
    assert (await books(pool)).balances
    await pool.execute("UPDATE cases SET closed_at = $1, closed_by = 'mei', outcome = 'x', follow_up_at = NULL", NOON)
    await pool.execute("UPDATE due_orders SET due_at = NULL")  # it was to be asked about the dispute
    assert not (await books(pool)).balances
    await act(pool, order_acts.close, force=True)
    assert (await books(pool)).balances


async def test_a_dispute_that_is_won_closes_its_case_although_no_sum_moves(pool):
    await registered(pool)
    await told(pool, an_event(), an_event(Kind.DISPUTE_OPENED, 1, dispute_ref="dp_1"))
    assert (await show(pool, "A1"))["cases"][0]["closed_at"] is None
    await told(pool, an_event(Kind.DISPUTE_WON, 2, dispute_ref="dp_1"))
    assert (await show(pool, "A1"))["cases"][0]["closed_by"] == "system"
    assert (await books(pool)).balances


async def test_a_stuck_orders_case_stays_open_while_only_its_dispute_is_settled(pool):
    clock = Clock()
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING), an_event(Kind.DISPUTE_OPENED, 1, dispute_ref="dp_1"))
    await until(a_sweep(pool, Gateways(clock), clock), clock, 31 * MINUTE)
    await told(pool, an_event(Kind.DISPUTE_WON, 2, dispute_ref="dp_1"), now=clock.at)
    cases = {case["kind"]: case["closed_by"] for case in (await show(pool, "A1"))["cases"]}
    assert cases == {"disputed": "system", "stuck": None}
    assert (await books(pool, clock.at)).stale == []


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("overpaid", "order:A1"),
        ("disputed", "dispute:stripe-main/dp_1"),
        ("stuck", "order:A1/phase:1"),
        ("paid_after_closing", "order:A1"),
    ],
)
async def test_an_open_case_whose_cause_is_gone_is_told(pool, kind, subject):
    await registered(pool)
    await told(pool, an_event())
    await pool.execute(
        "INSERT INTO cases (kind, subject, order_id, details, opened_at, follow_up_at) "
        "SELECT $1, $2, id, '{}', $3, $3 FROM orders",
        kind,
        subject,
        NOON,
    )
    found = await books(pool)
    assert [(each["kind"], each["subject"], each["order_ref"]) for each in found.stale] == [(kind, subject, "A1")]
    assert not found.balances


async def test_a_case_that_doubts_the_closing_of_an_order_is_done_with_when_it_is_closed(pool):
    await registered(pool)
    await pool.execute(
        "INSERT INTO cases (kind, subject, order_id, details, opened_at, follow_up_at) "
        "SELECT 'close_in_doubt', 'order:A1', id, '{}', $1, $1 FROM orders",
        NOON,
    )
    assert (await books(pool)).stale == []
    await pool.execute("UPDATE orders SET closed_at = $1", NOON)
    assert len((await books(pool)).stale) == 1


async def test_open_cases_whose_cause_holds_are_as_they_should_be(pool):
    clock = Clock()
    for order_ref in ("A1", "A2", "A3"):
        await registered(pool, order_ref)
    await told(pool, an_event(amount=150))
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A2", payment_ref="pi_2"))
    await act(pool, lambda conn, _, **more: order_acts.close(conn, "A3", force=False, **more))
    await told(pool, an_event(order_ref="A3", payment_ref="pi_3"))
    await told(pool, an_event(order_ref="A1", payment_ref="pi_9", currency="EUR", second=1))
    await until(a_sweep(pool, Gateways(clock), clock), clock, 31 * MINUTE)
    kinds = await pool.fetch("SELECT kind FROM cases WHERE closed_at IS NULL ORDER BY kind")
    assert [row["kind"] for row in kinds] == ["overpaid", "paid_after_closing", "stuck", "wrong_currency"]
    found = await books(pool, clock.at)
    assert (found.stale, found.balances) == ([], True)


async def test_what_is_overdue_is_told_and_breaks_no_book(pool):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    soon = await books(pool, NOON + OVERDUE_AFTER)
    assert (soon.overdue_notices.count, soon.overdue_orders.count) == (1, 0)
    late = await books(pool, NOON + 2 * OVERDUE_AFTER)
    assert (late.overdue_notices.oldest, late.overdue_orders.oldest) == (NOON, NOON + 2 * MINUTE)
    assert late.balances


async def test_what_a_query_or_a_person_told_has_no_delivery_and_does_not_disturb_the_books(pool):
    clock = Clock()
    gateways = Gateways(clock)
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    answer = an_event(evidence=Evidence.QUERY, event_id="query:pi_1", second=1)
    gateways.says = lambda *_: Answer(found=True, events=(answer,))
    await until(a_sweep(pool, gateways, clock), clock, 3 * MINUTE)
    found = await books(pool, clock.at)
    assert (found.accepted, found.outcomes, found.balances) == (1, {"applied": 1}, True)
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 2


async def test_an_event_that_a_parked_delivery_brings_twice_is_parked_once_and_a_duplicate(pool):
    event = an_event()
    delivery = a_delivery(event, event, run=uuid4(), number=1)
    await park_delivery(pool, delivery, reason="delivery_limit", error="-", now=NOON)
    found = await books(pool)
    assert (found.accepted, found.parked, found.duplicates, found.balances) == (2, 1, 1, True)


async def test_what_could_not_be_kept_and_comes_again_whole_balances(pool):
    """So with its questions, and with one that was replayed while the others are parked."""
    await registered(pool)
    events = an_event(), an_event(Kind.PAYMENT_PENDING, second=-1)
    fetches = (Fetch(about="payment", payment_ref="pi_1"),)
    bad = a_delivery(*events, run=uuid4(), number=1, key="\x00", fetches=fetches)
    await apply_or_park(pool, bad, policy=Policy(), now=NOON)
    found = await books(pool)
    assert (found.parked, found.balances) == (3, True)
    mended = msgspec.structs.replace(bad, key="k")
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [mended], policy=Policy(), now=NOON))
    found = await books(pool)
    assert (found.accepted, found.parked, sum(found.outcomes.values()), found.balances) == (2, 0, 2, True)


# --- the list of open orders ------------------------------------------------------------------------------------------

# What differs, and how it is told: (stands, listed).
DIFFERENT = {
    "its row is gone": ("DELETE FROM due_orders", ("processing", "not there")),
    "the row is of another status": ("UPDATE due_orders SET status = 'refunding'", ("processing", "refunding")),
    "the row says that it is not open": (
        "UPDATE due_orders SET status = NULL, phase_since = NULL",
        ("processing", "not open"),
    ),
    "the row is of another phase": (
        "UPDATE due_orders SET phase_since = phase_since - interval '1 hour'",
        ("processing", "processing"),
    ),
    "the row names other accounts": ("UPDATE due_orders SET accounts_key = 'x'", ("processing", "processing")),
    "the row has another deadline": ("UPDATE due_orders SET expires_at = now()", ("processing", "processing")),
}


@pytest.mark.parametrize("name", DIFFERENT)
async def test_an_order_that_stands_otherwise_in_the_list_of_open_ones_is_seen_by_every_audit(pool, name):
    statement, told_so = DIFFERENT[name]
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    assert (await books(pool)).balances
    await pool.execute(statement)
    whole = await audit(pool, settled_until=NOON + HOUR, now=NOON + HOUR)
    recent = await audit_since(pool, NOON - HOUR, settled_until=NOON + HOUR, now=NOON + HOUR)
    for audited in (whole, recent):
        assert not audited.balances
        assert [(row["stands"], row["listed"]) for row in audited.mislisted] == [told_so]


async def test_an_order_that_is_over_and_stands_as_open_is_seen(pool):
    await registered(pool)
    await told(pool, an_event())
    listed = (
        "INSERT INTO due_orders (order_id, accounts_key, status, phase_since) SELECT id, $1, 'failed', $2 FROM orders"
    )
    await pool.execute(listed, "stripe-main", NOON)
    whole = await books(pool)
    assert [(row["stands"], row["listed"]) for row in whole.mislisted] == [("paid", "failed")]
    assert not whole.balances


async def test_the_audit_of_a_part_sees_what_moves_however_old_it_is(pool):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    # As a program would that says it writes both, and does not.
    says = "SELECT set_config('tillkeeper.due_orders', 'written', false)"
    async with pool.acquire() as conn:
        await conn.execute(says)
        await conn.execute("UPDATE orders SET status = 'paid', captured_minor = amount_minor")
        await conn.execute("RESET tillkeeper.due_orders")
    late = NOON + 100 * HOUR
    recent = await audit_since(pool, late, settled_until=late, now=late)
    assert [(row["stands"], row["listed"]) for row in recent.mislisted] == [("paid", "processing")]
