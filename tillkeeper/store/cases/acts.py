"""Writes what people do to cases: assign, note, resolve.  Each act is an entry of the case's history."""

from datetime import datetime

from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase, write_entries
from tillkeeper.store.due_orders import set_due_by
from tillkeeper.store.postgres.pool import Conn

LOCK_CASE = "SELECT closed_at FROM cases WHERE id = $1 FOR UPDATE"


async def _lock(conn: Conn, case_id: int, *, closed_too: bool = False) -> None:
    row = await conn.fetchrow(LOCK_CASE, case_id)
    if row is None:
        raise NoSuchCase
    if row["closed_at"] is not None and not closed_too:
        raise ClosedCase


ASSIGN = "UPDATE cases SET owner = $2 WHERE id = $1"


async def assign(conn: Conn, case_id: int, *, owner: str, by: str, now: datetime) -> None:
    """Assigns the case to a person, who is reminded when it is due, instead of the next level.

    Raises NoSuchCase or ClosedCase.
    """
    await _lock(conn, case_id)
    await conn.execute(ASSIGN, case_id, owner)
    await write_entries(conn, [(case_id, "assigned", by, owner)], now=now)


async def note(conn: Conn, case_id: int, *, text: str, by: str, now: datetime) -> None:
    """Adds a person's note, also to a closed case.  Raises NoSuchCase."""
    await _lock(conn, case_id, closed_too=True)
    await write_entries(conn, [(case_id, "noted", by, text)], now=now)


# A case about sums keeps those that it was resolved with: only greater ones open it again (INSERT_CASES in writing.py).
RESOLVE = """
UPDATE cases AS c
SET closed_at = $2, closed_by = $3, outcome = $4, follow_up_at = NULL,
    details = c.details || coalesce(
        (SELECT jsonb_build_object('captured', o.captured_minor, 'refunded', o.refunded_minor)
         FROM orders o WHERE o.id = c.order_id AND c.details ? 'captured'), '{}')
WHERE c.id = $1
"""


# What an open case held back may be due now.  Decisions about an order rely on its cases as they are, so that a closed
# one is locked as well.
LOCK_ITS_ORDER = """
SELECT id, closed_at, greatest($2::timestamptz, held_until) AS look_at
FROM orders WHERE id = (SELECT order_id FROM cases WHERE id = $1) FOR NO KEY UPDATE
"""


async def resolve(conn: Conn, case_id: int, *, outcome: str, text: str, by: str, now: datetime) -> None:
    """Closes the case for good: the same cause with the same sums does not open it again.

    Raises NoSuchCase or ClosedCase.
    """
    order = await conn.fetchrow(LOCK_ITS_ORDER, case_id, now)  # orders are locked before cases, as everywhere
    if order is not None and order["closed_at"] is None:
        await set_due_by(conn, {order["id"]: order["look_at"]})
    await _lock(conn, case_id)
    await conn.execute(RESOLVE, case_id, now, by, outcome)
    await write_entries(conn, [(case_id, "resolved", by, f"{outcome}: {text}" if text else outcome)], now=now)
