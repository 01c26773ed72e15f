"""Claims due orders, advances them, and settles them once their gateways were queried.

take (one transaction)      claim due orders ─ domain/order/advancing.py ─ write ─ return the queries to make
(gateways are queried outside of any transaction; their answers are applied as any event)
settle (one transaction)    domain/order/answers.py ─ write: the order closes, or waits for its next step
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from tillkeeper.domain.order.advancing import advance
from tillkeeper.domain.order.answers import QueryOutcome
from tillkeeper.domain.order.answers import settle as settle_order
from tillkeeper.domain.order.changes import DueQuery
from tillkeeper.domain.policy import Policy
from tillkeeper.store.orders.loading import lock_whole_orders
from tillkeeper.store.orders.writing import write_changes
from tillkeeper.store.postgres.pool import Conn

# Sweepers share out the rows of due_orders among them.  An order that a worker holds just now stays due: waiting for it
# with its row in hand, which that worker may want to write, would be a deadlock.
CLAIM = """
SELECT id FROM orders
WHERE id = ANY (ARRAY (
    SELECT order_id FROM due_orders
    WHERE due_at <= $1 AND accounts_key <> ALL ($3::text[])
    ORDER BY due_at LIMIT $2
    FOR UPDATE SKIP LOCKED
))
FOR NO KEY UPDATE SKIP LOCKED
"""


async def take_due(
    conn: Conn, *, policy: Policy, limit: int, lease: timedelta, now: datetime, besides: Collection[str] = ()
) -> tuple[int, list[DueQuery]]:
    """Advances up to `limit` due orders, except those of the accounts `besides`, in the caller's transaction.

    Returns their number, and the steps for which gateways must be queried once it is committed.  Should their sweeper
    die, the orders are due again after `lease`.
    """
    ids = [row["id"] for row in await conn.fetch(CLAIM, now, limit, list(besides))]
    return len(ids), await _take(conn, ids, policy=policy, lease=lease, now=now)


CLAIM_ONE = """
SELECT id FROM orders WHERE id = $1 AND EXISTS (SELECT FROM due_orders WHERE order_id = $1 AND due_at <= $2)
FOR NO KEY UPDATE SKIP LOCKED
"""


async def take_one(conn: Conn, order_id: int, *, policy: Policy, lease: timedelta, now: datetime) -> list[DueQuery]:
    """Advances one order, if it is due and not locked."""
    ids = [row["id"] for row in await conn.fetch(CLAIM_ONE, order_id, now)]
    return await _take(conn, ids, policy=policy, lease=lease, now=now)


DUE_NOW = """
SELECT order_id FROM due_orders WHERE due_at <= $1 AND accounts_key <> ALL ($3::text[]) ORDER BY due_at LIMIT $2
"""


async def due_now(conn: Conn, *, limit: int, now: datetime, besides: Collection[str] = ()) -> list[int]:
    """Returns the due orders, without claiming them."""
    return [row["order_id"] for row in await conn.fetch(DUE_NOW, now, limit, list(besides))]


POSTPONE = "UPDATE due_orders SET due_at = $2 WHERE order_id = $1"


async def postpone(conn: Conn, order_id: int, *, until: datetime) -> None:
    """Postpones an order that no sweep can advance, so that it holds up no other."""
    await conn.execute(POSTPONE, order_id, until)


async def _take(conn: Conn, ids: Collection[int], *, policy: Policy, lease: timedelta, now: datetime) -> list[DueQuery]:
    if not ids:
        return []
    orders = await lock_whole_orders(conn, ids)
    changes = [advance(order, policy=policy, lease=lease, now=now) for order in orders.values() if order.is_due(now)]
    await write_changes(conn, changes, policy=policy.cases, now=now)
    return [change.query for change in changes if change.query is not None]


async def settle(conn: Conn, outcomes: Sequence[QueryOutcome], *, policy: Policy, now: datetime) -> int:
    """Writes the results of queries, once the answers are applied; returns how many orders it closed."""
    if not outcomes:
        return 0
    orders = await lock_whole_orders(conn, {outcome.query.order.id for outcome in outcomes})
    assert len(orders) == len(outcomes), "an order is settled once at a time"
    changes = [settle_order(orders[outcome.query.order.id], outcome, policy=policy, now=now) for outcome in outcomes]
    await write_changes(conn, changes, policy=policy.cases, now=now)
    return sum(change.has_closed for change in changes)
