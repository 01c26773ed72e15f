"""Writes when the sweep advances each order next, and where an open one stands: one narrow row for each such order.

Whoever writes a row holds the lock of its order.  So a sweep that only looks changes these rows and no order, whose
rows are wide and have many indexes (docs/decisions/028-due-times-apart.md).  The row of an open order has its status
and phase besides, for lists of open orders (docs/decisions/043-lists-of-open-orders-apart.md); what moves an order
writes these (store/orders/writing.py).

0.1.0 reads and writes `orders.due_at`.  While it may serve, that column is never later than the row here: 0.1.0 then
looks too soon, finds nothing due, and goes on.  What 0.1.0 writes there comes here by a trigger, which stands back
where a statement says that its transaction writes these rows itself: `set_config('tillkeeper.due_orders', ...)`.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from tillkeeper.store.postgres.pool import Conn


def accounts_key(accounts: Collection[str]) -> str:
    """Joins the accounts of an order into one key, as in the column `accounts_key`."""
    return " ".join(sorted(accounts))


class DueOrder(msgspec.Struct, frozen=True):
    """What a look changes of a row: when the order is due; its accounts as a key are written with a new row."""

    order_id: int
    due_at: datetime
    accounts_key: str


SET_DUE = """
INSERT INTO due_orders AS d (order_id, due_at, accounts_key)
SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS w (order_id, due_at, accounts_key)
ORDER BY order_id
ON CONFLICT (order_id) DO UPDATE SET due_at = excluded.due_at WHERE d.due_at IS DISTINCT FROM excluded.due_at
"""


async def set_due(conn: Conn, due: Collection[DueOrder]) -> None:
    """Sets when each of the orders is due."""
    if due:
        columns = ([row.order_id for row in due], [row.due_at for row in due], [row.accounts_key for row in due])
        await conn.execute(SET_DUE, *columns)


# The row of an open order stays, for it is listed.
DROP_DUE = """
WITH finished AS (DELETE FROM due_orders WHERE order_id = ANY($1::bigint[]) AND status IS NULL)
UPDATE due_orders SET due_at = NULL WHERE order_id = ANY($1::bigint[]) AND status IS NOT NULL
"""


async def drop_due(conn: Conn, ids: Collection[int]) -> None:
    """Has the sweep look at these orders no more."""
    if ids:
        await conn.execute(DROP_DUE, sorted(ids))


SET_DUE_BY = """
INSERT INTO due_orders AS d (order_id, due_at, accounts_key)
SELECT o.id, w.at, array_to_string(o.accounts, ' ')
FROM unnest($1::bigint[], $2::timestamptz[]) AS w (id, at) JOIN orders o ON o.id = w.id
ORDER BY o.id
ON CONFLICT (order_id) DO UPDATE SET due_at = excluded.due_at
WHERE d.due_at IS NULL OR d.due_at > excluded.due_at
"""


async def set_due_by(conn: Conn, moments: Mapping[int, datetime]) -> None:
    """Makes each of the orders due at its moment at the latest.  The caller has locked them."""
    if moments:
        await conn.execute(SET_DUE_BY, list(moments), list(moments.values()))
        await bring_forward(conn, moments)


BRING_FORWARD = """
UPDATE orders AS o SET due_at = w.at FROM unnest($1::bigint[], $2::timestamptz[]) AS w (id, at)
WHERE (SELECT set_config('tillkeeper.due_orders', 'written', true)) = 'written'
  AND o.id = w.id AND o.id = ANY($1::bigint[]) AND (o.due_at > w.at OR o.due_at IS NULL)
"""


async def bring_forward(conn: Conn, moments: Mapping[int, datetime]) -> None:
    """Has 0.1.0 look at each of the orders at its moment at the latest; changes nothing where it does so anyway."""
    if moments:
        await conn.execute(BRING_FORWARD, list(moments), list(moments.values()))
