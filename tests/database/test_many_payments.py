"""What is remembered of orders with many payments is true, whoever else changes them, and is not read again."""

import asyncpg
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.facts import PaymentFacts
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.orders import many_payments
from tillkeeper.store.orders.loading import FACTS, lock_orders
from tillkeeper.store.orders.many_payments import MANY, ManyPayments
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit

CAPTURED = "SELECT captured_minor FROM orders"
SUM = "SELECT sum(captured_minor)::int FROM payments"


@pytest.fixture
async def workers(database):
    """Two workers, each with a pool of its own."""
    async with await open_pool(database, max_size=2) as one, await open_pool(database, max_size=2) as other:
        await register(one, a_registration(amount=10_000), policy=Policy(), now=NOON)
        await told(one, *(paid(number) for number in range(MANY)))
        yield one, other


class Watched:
    """A connection that keeps how many rows of facts each reading brought."""

    def __init__(self, conn):
        self.conn = conn
        self.read = []

    def __getattr__(self, name):
        return getattr(self.conn, name)

    async def fetch(self, query, *args):
        rows = await self.conn.fetch(query, *args)
        if query == FACTS:
            self.read.append(sum(row["object"] == "payment" for row in rows))
        return rows


def paid(number, amount=10, **fields):
    return an_event(payment_ref=f"pi_{number}", amount=amount, **fields)


async def told(pool, *events):
    """Applies the events; returns how many payments were read for that."""
    read = []

    async def work(conn):
        watched = Watched(conn)
        await apply_deliveries(watched, [a_delivery(*events)], policy=Policy(), now=NOON)
        read.extend(watched.read)

    await repeat_on_conflict(pool, work)
    return read


async def test_they_are_read_once_and_then_no_more(workers):
    one, _ = workers
    assert await told(one, paid("x")) == [0]  # what it wrote last is known
    assert await told(one, paid("y"), paid(1, amount=20, capture_ref="more")) == [0]
    assert await one.fetchval(CAPTURED) == await one.fetchval(SUM) == (MANY + 2) * 10 + 20


async def test_what_another_worker_changed_is_read_anew(workers):
    one, other = workers
    for number in range(3):
        assert await told(one, paid(f"one {number}")) == [0 if number == 0 else MANY + 2 * number]
        assert await told(other, paid(f"other {number}")) == [MANY + 2 * number + 1]
    assert await one.fetchval(CAPTURED) == await one.fetchval(SUM) == (MANY + 6) * 10
    assert (await audit(one, settled_until=NOON, now=NOON)).misjudged == []


async def test_what_was_rolled_back_is_not_remembered(workers):
    one, _ = workers

    async def fail(conn):
        await apply_deliveries(conn, [a_delivery(paid("x"))], policy=Policy(), now=NOON)
        await conn.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await repeat_on_conflict(one, fail)
    assert await told(one, paid("y")) == [MANY]
    assert await one.fetchval(CAPTURED) == await one.fetchval(SUM) == (MANY + 1) * 10


async def test_a_change_of_the_order_alone_has_them_read_anew(workers):
    one, _ = workers
    await one.execute("UPDATE orders SET ask_at = $1", NOON)
    assert await told(one, paid("x")) == [MANY]


async def test_a_new_connection_knows_nothing_for_it_may_lead_to_another_server(workers):
    one, _ = workers
    await one.expire_connections()
    assert await told(one, paid("x")) == [MANY]


async def test_refunds_of_them_are_known_all_the_same(workers):
    one, _ = workers
    refund = an_event(Kind.REFUND_SUCCEEDED, payment_ref="pi_1", refund_ref="re_1", amount=10)
    assert await told(one, refund) == [0]
    assert await told(one, paid("x")) == [0]
    assert await one.fetchval("SELECT (captured_minor, refunded_minor) FROM orders") == ((MANY + 1) * 10, 10)


async def test_who_only_locks_remembers_as_well(workers):
    _, other = workers
    order_id = await other.fetchval("SELECT id FROM orders")
    async with other.acquire() as conn, conn.transaction():
        await lock_orders(conn, [order_id])
    assert await told(other, paid("x")) == [0]


def test_so_many_are_remembered_and_the_ones_used_longest_ago_go(monkeypatch):
    monkeypatch.setattr(many_payments, "REMEMBERED_MAX", 5)
    known = ManyPayments()
    payments = {("stripe-main", "pi_1"): PaymentFacts(), ("stripe-main", "pi_2"): PaymentFacts()}
    for order_id in (1, 2, 1, 3):
        known.remember(order_id, (7, order_id), payments)
    assert [known.of(order_id, (7, order_id)) is not None for order_id in (1, 2, 3)] == [True, False, True]
    assert known.of(1, (8, 1)) is None
