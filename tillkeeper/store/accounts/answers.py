"""Keeps what receivers answered to deliveries, by spans of ten seconds, for two hours."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.store.postgres.pool import Conn, as_json

SPAN: Final = timedelta(seconds=10)
KEPT: Final = timedelta(hours=2)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver answered for an account within a span."""

    since: datetime
    account: str
    accepted: int = 0
    refused: int = 0
    put_off: int = 0
    accepted_at: datetime | None = None


# In one order, so that receivers wait for one another and never in a circle.
ADD = """
INSERT INTO answers_given AS g (since, account, accepted, refused, put_off, accepted_at)
SELECT since, account, accepted, refused, put_off, accepted_at
FROM json_populate_recordset(NULL::answers_given, $1::json) ORDER BY since, account
ON CONFLICT (since, account) DO UPDATE
SET accepted = g.accepted + excluded.accepted, refused = g.refused + excluded.refused,
    put_off = g.put_off + excluded.put_off, accepted_at = greatest(g.accepted_at, excluded.accepted_at)
"""
DROP = "DELETE FROM answers_given WHERE since < $1"


async def add_answers(conn: Conn, given: Sequence[Given], *, now: datetime) -> None:
    """Adds what a receiver answered, and removes what is old."""
    await conn.execute(ADD, as_json([msgspec.structs.asdict(each) for each in given]))
    await conn.execute(DROP, now - KEPT)
