"""Notices as they are written: into the outbox, in the transaction of what they tell.  workers/notify.py sends them."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from tillkeeper.store.pool import Conn, as_json


class Audience(StrEnum):
    """Who is told."""

    MERCHANT = "merchant"  # the merchant's systems
    PAYER = "payer"
    OPS = "ops"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be told.  `key` names it: the same key is told once, whoever writes it and however often."""

    key: str
    audience: Audience
    topic: str
    payload: dict[str, object]
    order_id: int | None = None
    version: int | None = None


INSERT_OUTBOX = """
INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, due_at)
SELECT key, order_id, version, audience, topic, payload, $2, $2 FROM json_to_recordset($1::json) AS w (
    key text, order_id bigint, version bigint, audience text, topic text, payload jsonb
)
ON CONFLICT (key) DO NOTHING
"""


async def tell(conn: Conn, notices: Iterable[Notice], *, now: datetime) -> None:
    """Writes what is not written yet."""
    rows = sorted(notices, key=lambda it: it.key)
    if rows:
        await conn.execute(INSERT_OUTBOX, as_json(rows), now)
