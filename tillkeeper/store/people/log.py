"""Writes down what people did and which personal data they looked at, and reads it again."""

from datetime import datetime
from typing import Literal

import msgspec

from tillkeeper.domain.masking import without_any_contacts
from tillkeeper.store.postgres.pool import Conn


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did, looked at, or came in with."""

    kind: Literal["act", "look", "access"]
    person_id: int | None  # None: at a terminal
    person: str
    token: str | None = None
    what: str
    subject: str = ""
    why: str = ""


class Logged(LogEntry, frozen=True, kw_only=True):
    """An entry with its time."""

    id: int
    at: datetime


ACT_AS = "SELECT set_config('tillkeeper.person_id', $1, true), set_config('tillkeeper.token', $2, true)"


async def act_as(conn: Conn, person_id: int, token: str | None) -> None:
    """Has every entry of this transaction say who it was and by which token, also those that an act writes itself."""
    await conn.execute(ACT_AS, str(person_id), token or "")


WRITE_LOG = """
INSERT INTO access_log (at, kind, person_id, person, token, what, subject, why)
VALUES ($1, $2, coalesce($3, nullif(current_setting('tillkeeper.person_id', true), '')::bigint), $4,
        coalesce($5, nullif(current_setting('tillkeeper.token', true), '')), $6, $7, $8)
"""


async def write_log(conn: Conn, entry: LogEntry, *, now: datetime) -> None:
    """Writes an entry, in the transaction of what it tells of; its reason without contacts."""
    why = without_any_contacts(entry.why)
    await conn.execute(
        WRITE_LOG, now, entry.kind, entry.person_id, entry.person, entry.token, entry.what, entry.subject, why
    )


READ_LOG = """
SELECT id, at, kind, person_id, person, token, what, subject, why FROM access_log
WHERE ($1::text IS NULL OR person = $1) AND ($2::text IS NULL OR subject = $2) AND id < $3 ORDER BY id DESC LIMIT $4
"""
NEWEST = 2**63 - 1


async def read_log(
    conn: Conn, *, person: str | None = None, subject: str | None = None, before: int = NEWEST, limit: int
) -> list[Logged]:
    """Reads entries, the newest first: those of a person, or about a subject, older than one of this number."""
    return [Logged(**dict(row)) for row in await conn.fetch(READ_LOG, person, subject, before, limit)]
