"""Lets in whom the provider of a company's accounts names: finds them by its number of them, or adds them; and ties
an account to somebody who is here already."""

from datetime import datetime

import asyncpg

from tillkeeper.domain.company_account import Member
from tillkeeper.domain.people import Locale, Person, Role
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.people.people import NameTaken, NoSuchPerson, person_in
from tillkeeper.store.people.sessions import open_session
from tillkeeper.store.postgres.pool import Conn, rows_of

FIND = "SELECT id, name, display_name, role, locale FROM people WHERE issuer = $1 AND subject = $2"
# Without a role: the table gives the lowest, and the desk has no right to give another (deploy/roles.sql).
ADD = """
INSERT INTO people (name, display_name, locale, created_at, created_by, issuer, subject)
VALUES ($1, $2, $3, $4, $5, $5, $6) ON CONFLICT DO NOTHING RETURNING id, name, display_name, role, locale
"""
END_OTHER_ROLES = "DELETE FROM sessions WHERE person_id = $1 AND role <> $2"


class NotAdded(Exception):
    """Nobody here has this account, and nobody is added for it."""


async def let_in(
    conn: Conn, member: Member, role: Role, *, may_add: bool, flow: bytes, locale: Locale, now: datetime
) -> str:
    """Opens a session in the role that the provider gave, and returns its token.  Sessions with another role that it
    gave before end.

    Raises NotAdded, NameTaken, Disabled or FlowUsed.
    """
    row = await conn.fetchrow(FIND, member.issuer, member.subject)
    if row is None and not may_add:
        raise NotAdded
    person = person_in(row) if row is not None else await _added(conn, member, locale, now)
    await conn.execute(END_OTHER_ROLES, person.id, role)
    token = await open_session(conn, person.id, now=now, role=role, flow=flow)
    what = f"signed in with the company's account, as {role}"
    await write_log(conn, LogEntry(kind="access", person_id=person.id, person=person.name, what=what), now=now)
    return token


END_GIVEN = "DELETE FROM sessions WHERE person_id = $1 AND role IS NOT NULL"


async def keep_out(conn: Conn, member: Member, why: str, *, now: datetime) -> None:
    """Writes down that the provider names somebody who may not come in.  What it let them in for before is over."""
    row = await conn.fetchrow(FIND, member.issuer, member.subject)
    if row is not None:
        await conn.execute(END_GIVEN, row["id"])
    entry = LogEntry(
        kind="access",
        person_id=row["id"] if row is not None else None,
        person=row["name"] if row is not None else member.name,
        what="sign-in with the company's account refused",
        subject=member.subject,
        why=why,
    )
    await write_log(conn, entry, now=now)


async def sign_out(conn: Conn, issuer: str, subject: str, *, now: datetime) -> int:
    """Ends the sessions that the provider opened for somebody, who signed out there; returns their number."""
    row = await conn.fetchrow(FIND, issuer, subject)
    if row is None:
        return 0
    ended = rows_of(await conn.execute(END_GIVEN, row["id"]))
    what = "signed out at the company"
    await write_log(conn, LogEntry(kind="access", person_id=row["id"], person=row["name"], what=what), now=now)
    return ended


async def _added(conn: Conn, member: Member, locale: Locale, now: datetime) -> Person:
    added = await conn.fetchrow(ADD, member.name, member.display_name, locale, now, member.issuer, member.subject)
    if added is None:  # somebody has the name, or the same person came in by another window just now
        return _or_taken(await conn.fetchrow(FIND, member.issuer, member.subject))
    person = person_in(added)
    entry = LogEntry(
        kind="access", person_id=person.id, person=person.name, what="person added", subject=member.subject
    )
    await write_log(conn, entry, now=now)
    return person


def _or_taken(row: asyncpg.Record | None) -> Person:
    if row is None:
        raise NameTaken
    return person_in(row)


class SubjectTaken(Exception):
    """Somebody else comes in with this account."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


KNOWN = "SELECT id, issuer, subject FROM people WHERE name = $1 FOR NO KEY UPDATE"
WHOSE = "SELECT name FROM people WHERE issuer = $1 AND subject = $2 AND name <> $3"
SET_ACCOUNT = "UPDATE people SET issuer = $2, subject = $3 WHERE id = $1"


async def link_account(conn: Conn, name: str, issuer: str, subject: str, *, by: str, why: str, now: datetime) -> bool:
    """Ties an account to somebody who is here already; returns False where it is theirs.  Raises NoSuchPerson,
    SubjectTaken."""
    row = await _known(conn, name)
    if (row["issuer"], row["subject"]) == (issuer, subject):
        return False
    other = await conn.fetchval(WHOSE, issuer, subject, name)
    if other is not None:
        raise SubjectTaken(other)
    await _set_account(conn, row["id"], issuer, subject)
    await _log(conn, "account linked", name, f"{subject}: {why}" if why else subject, by=by, now=now)
    return True


async def unlink_account(conn: Conn, name: str, *, by: str, why: str, now: datetime) -> bool:
    """Takes the account from a person; returns False where they had none.  Raises NoSuchPerson."""
    row = await _known(conn, name)
    if row["issuer"] is None:
        return False
    await _set_account(conn, row["id"], None, None)
    await _log(conn, "account unlinked", name, why, by=by, now=now)
    return True


async def _known(conn: Conn, name: str) -> asyncpg.Record:
    row = await conn.fetchrow(KNOWN, name)
    if row is None:
        raise NoSuchPerson
    return row


async def _set_account(conn: Conn, person_id: int, issuer: str | None, subject: str | None) -> None:
    await conn.execute(SET_ACCOUNT, person_id, issuer, subject)
    await conn.execute(END_GIVEN, person_id)


async def _log(conn: Conn, what: str, name: str, why: str, *, by: str, now: datetime) -> None:
    await write_log(conn, LogEntry(kind="access", person_id=None, person=by, what=what, subject=name, why=why), now=now)
