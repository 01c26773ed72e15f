"""Stores which of an account's keys are in use, and keys that were fetched."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.store.postgres.pool import Conn, as_json

LEARNT_MAX: Final = 64  # of an account; PayPal signs with two at most, each under a few ways to write its address


class KeyUse(msgspec.Struct, kw_only=True):
    """A key by its label, and what it verified."""

    account: str
    key: str
    first_at: datetime
    last_at: datetime
    deliveries: int


NOTE = """
INSERT INTO key_uses AS k (account, key, first_at, last_at, deliveries)
SELECT account, key, first_at, last_at, deliveries FROM json_populate_recordset(NULL::key_uses, $1::json)
ORDER BY account, key
ON CONFLICT (account, key) DO UPDATE
SET first_at = least(k.first_at, excluded.first_at), last_at = greatest(k.last_at, excluded.last_at),
    deliveries = k.deliveries + excluded.deliveries
"""


async def note_uses(conn: Conn, uses: Sequence[KeyUse]) -> None:
    """Adds the counts since the last write, each key once."""
    await conn.execute(NOTE, as_json(uses))


ALL = "SELECT account, key, first_at, last_at, deliveries FROM key_uses ORDER BY account, last_at DESC, key"


async def key_uses(conn: Conn) -> list[KeyUse]:
    """Reads all keys that were ever used."""
    return [KeyUse(**dict(row)) for row in await conn.fetch(ALL)]


class LearntKey(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an address, and when the gateway's code last accepted it."""

    url: str
    content: bytes
    learnt_at: datetime


KEEP_LEARNT = """
INSERT INTO learnt_keys AS k (account, url, content, learnt_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, url) DO UPDATE SET content = excluded.content, learnt_at = excluded.learnt_at
WHERE k.learnt_at < excluded.learnt_at
"""

DROP_OLDEST_LEARNT = """
DELETE FROM learnt_keys WHERE account = $1 AND url IN (
    SELECT url FROM learnt_keys WHERE account = $1 ORDER BY learnt_at DESC, url OFFSET $2)
"""


async def keep_learnt(conn: Conn, account: str, key: LearntKey) -> None:
    """Stores a key, and deletes the account's oldest ones beyond LEARNT_MAX."""
    await conn.execute(KEEP_LEARNT, account, key.url, key.content, key.learnt_at)
    await conn.execute(DROP_OLDEST_LEARNT, account, LEARNT_MAX)


LEARNT = "SELECT url, content, learnt_at FROM learnt_keys WHERE account = $1 ORDER BY learnt_at, url"


async def learnt_keys(conn: Conn, account: str) -> list[LearntKey]:
    """Reads an account's stored keys, the oldest first."""
    return [LearntKey(**dict(row)) for row in await conn.fetch(LEARNT, account)]
