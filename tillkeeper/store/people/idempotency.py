"""Keeps what a program's act was answered with under its idempotency key: it is done once, however often it is sent.

A key is taken in the transaction of its act: of two requests at once, the second waits for the first, and is answered
with what that one was.  An act that fails leaves no key, and may be tried again with it.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.store.postgres.pool import Conn

KEY_LIVES: Final = timedelta(days=1)  # whoever repeats a request does so within minutes
KEYS_MAX: Final = 10_000  # of one token: the latest
KEY_CHARS_MAX: Final = 255  # as the database limits it
ANSWER_BYTES_MAX: Final = 64 * 1024  # likewise; what acts are answered with takes a few hundred
FORGOTTEN_AT_ONCE: Final = 20


class KeyReused(Exception):
    """The key stands for another request."""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and whose it is: each token has its own, and so has a person's browser."""

    person_id: int
    token: str  # its name; empty for a browser
    key: str


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request was answered with."""

    status: int
    body: bytes


TAKE = """
INSERT INTO idempotency_keys AS k (person_id, token, key, request, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (person_id, token, key) DO UPDATE
SET request = excluded.request, at = excluded.at, status = NULL, answer = NULL WHERE k.at <= $6
RETURNING 1
"""
KEPT = "SELECT request, status, answer FROM idempotency_keys WHERE person_id = $1 AND token = $2 AND key = $3"


async def take_key(conn: Conn, key: IdempotencyKey, *, request: bytes, now: datetime) -> StoredAnswer | None:
    """Takes a key for a request, which is named by its hash; returns what it was answered with if it was done before.

    Raises KeyReused.
    """
    whose = (key.person_id, key.token, key.key)
    if await conn.fetchval(TAKE, *whose, request, now, now - KEY_LIVES):
        return None
    row = await conn.fetchrow(KEPT, *whose)
    assert row is not None  # whoever removes keys takes none that is as young
    if row["request"] != request:
        raise KeyReused
    return StoredAnswer(status=row["status"], body=row["answer"])


KEEP = "UPDATE idempotency_keys SET status = $4, answer = $5 WHERE person_id = $1 AND token = $2 AND key = $3"
FORGET_OLD = """
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""
FORGET_BEYOND = """
DELETE FROM idempotency_keys WHERE person_id = $1 AND token = $2 AND at < (
    SELECT at FROM idempotency_keys WHERE person_id = $1 AND token = $2 ORDER BY at DESC OFFSET $3 LIMIT 1
)
"""


async def keep_answer(conn: Conn, key: IdempotencyKey, answer: StoredAnswer, *, now: datetime) -> None:
    """Keeps what the request was answered with, and forgets keys that are over, or more than a token may have."""
    await conn.execute(KEEP, key.person_id, key.token, key.key, answer.status, answer.body)
    await conn.execute(FORGET_OLD, now - KEY_LIVES, FORGOTTEN_AT_ONCE)
    await conn.execute(FORGET_BEYOND, key.person_id, key.token, KEYS_MAX - 1)
