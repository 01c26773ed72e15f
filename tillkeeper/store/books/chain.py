"""Seals rows into the chain (domain/books/chain.py) once nobody can add another below them.

Ids are given out before rows are committed, so a row may appear below one that is there.  So sealing first notes how
far ids have come, and its own transaction id, which is above that of everybody who writes; it seals up to there once
all of these have ended, and some time has passed, for a statement takes its id an instant before its transaction does.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from tillkeeper.domain.books.chain import SALT_BYTES, ChainedTable, Leaf, Link, fixed_leaf, new_link, note_leaf
from tillkeeper.store.postgres.pool import Conn

IDS_AT_ONCE: Final = 2000  # of a link
SETTLE: Final = timedelta(minutes=1)
TOO_OLD: Final = timedelta(hours=1)  # of a mark: a copy of the database in another server counts transactions anew

Sign = Callable[[bytes], bytes]

# What never changes in a row.  An event's outcome and order may: those are proven by `tillkeeper audit`.
FIXED: Final[dict[ChainedTable, tuple[str, ...]]] = {
    ChainedTable.EVENTS: (
        *("seq", "account", "event_id", "kind", "evidence", "run", "number", "order_ref", "payment_ref", "capture_ref"),
        *("refund_ref", "dispute_ref", "amount_minor", "total_minor", "currency", "discount_minor", "on_top_minor"),
        *("released_minor", "occurred_at", "digest"),
    ),
    ChainedTable.ACTS: ("id", "order_id", "what", "by", "at"),
    ChainedTable.CASE_ENTRIES: ("id", "case_id", "what", "by", "at"),
}
EVENTS = """
SELECT seq AS id, seq, account, event_id, kind, evidence, run::text, number, order_ref, payment_ref, capture_ref,
       refund_ref, dispute_ref, amount_minor, total_minor, currency, discount_minor, on_top_minor, released_minor,
       occurred_at, encode(digest, 'hex') AS digest, NULL AS note, NULL::bytea AS salt
FROM inbox WHERE seq BETWEEN $1 AND $2 ORDER BY seq
"""
ACTS = """
SELECT a.id, a.order_id, a.what, a.by, a.at, a.note, s.salt
FROM acts a LEFT JOIN chain_salts s ON s.subject = 'acts' AND s.id = a.id
WHERE a.id BETWEEN $1 AND $2 ORDER BY a.id
"""
CASE_ENTRIES = """
SELECT e.id, e.case_id, e.what, e.by, e.at, e.note, s.salt
FROM case_entries e LEFT JOIN chain_salts s ON s.subject = 'case_entries' AND s.id = e.id
WHERE e.id BETWEEN $1 AND $2 ORDER BY e.id
"""
ROWS: Final = {ChainedTable.EVENTS: EVENTS, ChainedTable.ACTS: ACTS, ChainedTable.CASE_ENTRIES: CASE_ENTRIES}

LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('tillkeeper chain', 0))"
LAST = "SELECT * FROM chain_links ORDER BY number DESC LIMIT 1"
SEALED_TO = "SELECT max(last_id) FROM chain_links WHERE subject = $1"
MARK = """
SELECT ceiling, noted_at, pg_snapshot_xmin(pg_current_snapshot()) > horizon AS is_over
FROM chain_marks WHERE subject = $1
"""
# How far ids were given out; max(seq) would read all events.
CEILINGS: Final = {
    ChainedTable.EVENTS: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM inbox_seq_seq",
    ChainedTable.ACTS: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM acts_id_seq",
    ChainedTable.CASE_ENTRIES: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM case_entries_id_seq",
}
NOTE_MARK = """
INSERT INTO chain_marks (subject, ceiling, horizon, noted_at)
VALUES ($1, $2, pg_current_xact_id(), $3)
ON CONFLICT (subject) DO UPDATE
SET ceiling = excluded.ceiling, horizon = excluded.horizon, noted_at = excluded.noted_at
"""
KEEP_SALTS = """
INSERT INTO chain_salts (subject, id, salt)
SELECT $1, w.id, w.salt FROM unnest($2::bigint[], $3::bytea[]) AS w (id, salt)
"""
KEEP_LINK = """
INSERT INTO chain_links (number, subject, first_id, last_id, leaves, sealed_at, previous, hash, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def seal_some(conn: Conn, *, sign: Sign | None, now: datetime) -> int:
    """Seals a link of each subject where it can, in the caller's transaction; returns how many links were made.

    One process does so at a time; the others find nothing to do.
    """
    if not await conn.fetchval(LOCK):
        return 0
    return sum([await _seal(conn, subject, sign=sign, now=now) for subject in ChainedTable])


async def _seal(conn: Conn, subject: ChainedTable, *, sign: Sign | None, now: datetime) -> int:
    mark = await conn.fetchrow(MARK, subject)
    first_id = (await conn.fetchval(SEALED_TO, subject) or 0) + 1
    if mark is None or mark["ceiling"] < first_id or (not mark["is_over"] and mark["noted_at"] < now - TOO_OLD):
        ceiling = await conn.fetchval(CEILINGS[subject])
        if ceiling >= first_id:
            await conn.execute(NOTE_MARK, subject, ceiling, now)
        return 0
    if not mark["is_over"] or mark["noted_at"] > now - SETTLE:
        return 0
    last_id = min(mark["ceiling"], first_id + IDS_AT_ONCE - 1)
    rows = await conn.fetch(ROWS[subject], first_id, last_id)
    salts = await _keep_salts(conn, subject, [row["id"] for row in rows if row["note"] is not None])
    leaves = [leaf_of(subject, row, salts.get(row["id"])) for row in rows]
    before = link_in(await conn.fetchrow(LAST))
    link = new_link(before, subject, first_id=first_id, last_id=last_id, leaves=leaves, now=now)
    signature = sign(link.hash) if sign is not None else None
    head = (link.number, subject, first_id, last_id, link.leaves, now, link.previous, link.hash, signature)
    await conn.execute(KEEP_LINK, *head)
    return 1


async def _keep_salts(conn: Conn, subject: ChainedTable, ids: Sequence[int]) -> dict[int, bytes]:
    salts = {row_id: secrets.token_bytes(SALT_BYTES) for row_id in ids}
    if salts:
        await conn.execute(KEEP_SALTS, subject, list(salts), list(salts.values()))
    return salts


def leaf_of(subject: ChainedTable, row: Any, salt: bytes | None) -> Leaf:
    """Returns the leaf of a row; a note without a salt, which erasure removed, has a leaf that fits no other."""
    note = b"" if row["note"] is None else note_leaf(salt or b"", row["note"])
    return Leaf(row["id"], fixed_leaf([row[name] for name in FIXED[subject]]), note)


def link_in(row: Any) -> Link | None:
    """Returns the link in a row, or None for no row."""
    return None if row is None else Link(**{**row, "subject": ChainedTable(row["subject"])})


async def last_link(pool: asyncpg.Pool) -> Link | None:
    """Returns the head of the chain."""
    async with pool.acquire() as conn:
        return link_in(await conn.fetchrow(LAST))


async def sealed_to(pool: asyncpg.Pool) -> dict[ChainedTable, int]:
    """Returns up to which id each subject is sealed."""
    async with pool.acquire() as conn:
        return {subject: await conn.fetchval(SEALED_TO, subject) or 0 for subject in ChainedTable}
