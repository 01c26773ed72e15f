"""Which of an account's keys are in use: told by the workers, asked by ops who want to take an old one out."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tillkeeper.store.pool import Conn, as_json


class KeyUse(msgspec.Struct, kw_only=True):
    """One key as gateways label it, and what it verified."""

    account: str
    key: str
    first_at: datetime
    last_at: datetime
    deliveries: int


NOTE = """
INSERT INTO key_use AS k (account, key, first_at, last_at, deliveries)
SELECT account, key, first_at, last_at, deliveries FROM json_populate_recordset(NULL::key_use, $1::json)
ORDER BY account, key
ON CONFLICT (account, key) DO UPDATE
SET first_at = least(k.first_at, excluded.first_at), last_at = greatest(k.last_at, excluded.last_at),
    deliveries = k.deliveries + excluded.deliveries
"""


async def note_uses(conn: Conn, uses: Sequence[KeyUse]) -> None:
    """Adds what was counted since the last time, each key once."""
    await conn.execute(NOTE, as_json(uses))


ALL = "SELECT account, key, first_at, last_at, deliveries FROM key_use ORDER BY account, last_at DESC, key"


async def key_uses(conn: Conn) -> list[KeyUse]:
    """All that were ever used."""
    return [KeyUse(**dict(row)) for row in await conn.fetch(ALL)]
