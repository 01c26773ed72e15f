"""What people do to an order, and the policy in their stead: part of its history."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from tillkeeper.store.pool import Conn, as_json


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to an order, when and why."""

    order_id: int
    what: Literal["hold", "release", "close", "reopen", "ask"]
    by: str
    note: str
    at: datetime


INSERT_ACTS = """
INSERT INTO act (order_id, what, by, note, at)
SELECT order_id, what, by, note, at FROM json_populate_recordset(NULL::act, $1::json)
"""


async def write_acts(conn: Conn, acts: Sequence[Act]) -> None:
    """Adds to the orders' histories."""
    if acts:
        await conn.execute(INSERT_ACTS, as_json(acts))
