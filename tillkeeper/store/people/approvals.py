"""Keeps what one person proposes until another decides: confirmed once, in the transaction of the act itself."""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from tillkeeper.domain.masking import without_any_contacts
from tillkeeper.domain.sign_in import APPROVAL_LIVES
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.postgres.pool import Conn


class AlreadyProposed(Exception):
    """The same is proposed already, and nobody has decided yet."""


class ProposalNotOpen(Exception):
    """Somebody has decided, it is too old, or there never was one."""


class SamePerson(Exception):
    """Whoever proposed it cannot confirm it."""


class MayBeSamePerson(SamePerson):
    """One of the two signs in with the company's account and the other does not: nobody has said that they are two."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody proposed: an act, its subject, and what exactly would be done."""

    id: int
    act: str
    subject: str
    content: dict[str, Any]
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime


EXPIRE = """
UPDATE approvals SET decision = 'expired', decided_by = 'system', decided_at = $3
WHERE act = $1 AND subject = $2 AND decision IS NULL AND expires_at <= $3
"""
PROPOSE = """
INSERT INTO approvals (act, subject, content, reason, proposed_by, proposed_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (act, subject) WHERE decision IS NULL DO NOTHING
RETURNING id, act, subject, content, reason, proposed_by, proposed_at, expires_at
"""


async def propose(
    conn: Conn, *, act: str, subject: str, content: dict[str, Any], reason: str, by: str, now: datetime
) -> Approval:
    """Proposes an act, in the folded name of a person.  Raises AlreadyProposed."""
    await conn.execute(EXPIRE, act, subject, now)
    text = msgspec.json.encode(content, order="deterministic").decode()
    why = without_any_contacts(reason)
    row = await conn.fetchrow(PROPOSE, act, subject, text, why, by, now, now + APPROVAL_LIVES)
    if row is None:
        raise AlreadyProposed
    await _log(conn, f"{act} proposed", subject, reason, by=by, now=now)
    return _approval(row)


LOCK = """
SELECT id, act, subject, content, reason, proposed_by, proposed_at, expires_at FROM approvals
WHERE id = $1 AND decision IS NULL AND expires_at > $2 FOR UPDATE
"""
DECIDE = "UPDATE approvals SET decision = $2, decided_by = $3, decided_at = $4 WHERE id = $1"


# Somebody who has a password here, and whom the company's provider names otherwise, is two rows of this table.  Those
# whom it names are told apart by it, the others by the admin who added them; one of each is told apart by nobody.
MAY_BE_ONE = """
SELECT count(DISTINCT issuer IS NULL) > 1 FROM people WHERE name = ANY($1::text[])
"""


async def confirm(conn: Conn, approval_id: int, *, by: str, now: datetime) -> Approval:
    """Takes an approval; the caller does exactly what it says, in the same transaction.

    Raises NotOpen, SamePerson or MayBeSamePerson.
    """
    approval = await _open(conn, approval_id, now)
    if by == approval.proposed_by:
        raise SamePerson
    if await conn.fetchval(MAY_BE_ONE, [by, approval.proposed_by]):
        raise MayBeSamePerson
    await _decide(conn, approval, "confirmed", by=by, now=now)
    return approval


async def refuse(conn: Conn, approval_id: int, *, by: str, now: datetime) -> Approval:
    """Ends a proposal without doing it: one's own is withdrawn, another's refused.  Raises NotOpen."""
    approval = await _open(conn, approval_id, now)
    await _decide(conn, approval, "withdrawn" if by == approval.proposed_by else "refused", by=by, now=now)
    return approval


LIST_OPEN = """
SELECT id, act, subject, content, reason, proposed_by, proposed_at, expires_at FROM approvals
WHERE decision IS NULL AND expires_at > $1 ORDER BY id LIMIT $2
"""


async def open_approvals(conn: Conn, *, now: datetime, limit: int) -> list[Approval]:
    """Reads what waits for a second person, the oldest first."""
    return [_approval(row) for row in await conn.fetch(LIST_OPEN, now, limit)]


COUNT_OPEN = "SELECT count(*), min(proposed_at) FROM approvals WHERE decision IS NULL AND expires_at > $1"


async def count_open_approvals(conn: Conn, *, now: datetime) -> tuple[int, datetime | None]:
    """Counts what waits for a second person, and says since when the first does."""
    row = await conn.fetchrow(COUNT_OPEN, now)
    assert row is not None
    return row[0], row[1]


READ_OPEN = """
SELECT id, act, subject, content, reason, proposed_by, proposed_at, expires_at FROM approvals
WHERE act = $1 AND subject = $2 AND decision IS NULL AND expires_at > $3
"""


async def open_approval(conn: Conn, *, act: str, subject: str, now: datetime) -> Approval | None:
    """Reads what waits for a second person about one subject; None where nothing does."""
    row = await conn.fetchrow(READ_OPEN, act, subject, now)
    return None if row is None else _approval(row)


async def open_number(conn: Conn, approval_id: int | None, *, act: str, subject: str, now: datetime) -> int:
    """Returns the number of what waits about this subject, which must be the one named, if any.  Raises NotOpen."""
    found = await open_approval(conn, act=act, subject=subject, now=now)
    if found is None or approval_id not in {None, found.id}:
        raise ProposalNotOpen
    return found.id


async def _open(conn: Conn, approval_id: int, now: datetime) -> Approval:
    row = await conn.fetchrow(LOCK, approval_id, now)
    if row is None:
        raise ProposalNotOpen
    return _approval(row)


async def _decide(conn: Conn, approval: Approval, decision: str, *, by: str, now: datetime) -> None:
    await conn.execute(DECIDE, approval.id, decision, by, now)
    await _log(conn, f"{approval.act} {decision}", approval.subject, approval.reason, by=by, now=now)


def _approval(row: asyncpg.Record) -> Approval:
    return Approval(**{**dict(row), "content": msgspec.json.decode(row["content"])})


async def _log(conn: Conn, what: str, subject: str, why: str, *, by: str, now: datetime) -> None:
    await write_log(conn, LogEntry(kind="act", person_id=None, person=by, what=what, subject=subject, why=why), now=now)
