"""Adds people, finds them, and changes what they may: whatever takes something from them ends their sessions."""

from datetime import datetime

import asyncpg
import msgspec

from tillkeeper.domain.people import Locale, Person, Role
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.postgres.pool import Conn


class NameTaken(Exception):
    """Somebody has this name, perhaps disabled: names are never given to another."""


class NoSuchPerson(Exception):
    """There is nobody of this name."""


class PersonAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A person with what decides whether they may sign in."""

    person: Person
    password_hash: str | None
    disabled_at: datetime | None


class ListedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person as a list shows them."""

    name: str
    display_name: str
    role: str
    locale: str
    has_password: bool
    has_account: bool  # of the company
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    last_seen_at: datetime | None
    sessions: int
    tokens: int


ADD = """
INSERT INTO people (name, display_name, role, locale, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) DO NOTHING RETURNING id
"""


async def add_person(
    conn: Conn, *, name: str, display_name: str, role: Role, locale: Locale, by: str, now: datetime
) -> Person:
    """Adds a person, who has no password yet.  Raises NameTaken."""
    person_id = await conn.fetchval(ADD, name, display_name, role, locale, now, by)
    if person_id is None:
        raise NameTaken
    await _log(conn, "person added", name, f"role {role}", by=by, now=now)
    return Person(id=person_id, name=name, display_name=display_name, role=role, locale=locale)


BY_NAME = "SELECT id, name, display_name, role, locale, password_hash, disabled_at FROM people WHERE name = $1"


async def account_of(conn: Conn, name: str) -> PersonAccount | None:
    """Finds a person by their folded name."""
    row = await conn.fetchrow(BY_NAME, name)
    if row is None:
        return None
    return PersonAccount(person=person_in(row), password_hash=row["password_hash"], disabled_at=row["disabled_at"])


def person_in(row: asyncpg.Record) -> Person:
    """Returns the person of a row that has their columns."""
    return Person(
        id=row["id"],
        name=row["name"],
        display_name=row["display_name"],
        role=Role(row["role"]),
        locale=row["locale"],
    )


LIST = """
SELECT p.name, p.display_name, p.role, p.locale, p.password_hash IS NOT NULL AS has_password,
       p.issuer IS NOT NULL AS has_account, p.created_at,
       p.created_by, p.disabled_at, (SELECT max(s.seen_at) FROM sessions s WHERE s.person_id = p.id) AS last_seen_at,
       (SELECT count(*) FROM sessions s WHERE s.person_id = p.id AND s.expires_at > $1) AS sessions,
       (SELECT count(*) FROM api_tokens t WHERE t.person_id = p.id AND t.ended_at IS NULL AND t.expires_at > $1)
       AS tokens
FROM people p ORDER BY p.disabled_at IS NOT NULL, p.name
"""


async def list_people(conn: Conn, *, now: datetime) -> list[ListedPerson]:
    """Lists everybody, disabled ones last."""
    return [ListedPerson(**dict(row)) for row in await conn.fetch(LIST, now)]


# What somebody of the company may, their sessions say.
OPERATORS = """
SELECT count(*) FROM people WHERE disabled_at IS NULL AND (role IN ('operator', 'admin') OR issuer IS NOT NULL)
"""


async def takes_two(conn: Conn) -> bool:
    """Returns whether more than one person is known who may decide: then nobody decides alone, at a terminal either."""
    return bool(await conn.fetchval(OPERATORS) > 1)


SET_ROLE = "UPDATE people SET role = $2 WHERE name = $1 AND role <> $2 RETURNING id"
KNOWN = "SELECT id FROM people WHERE name = $1 FOR NO KEY UPDATE"


async def set_role(conn: Conn, name: str, role: Role, *, by: str, why: str, now: datetime) -> bool:
    """Gives a person another role, for which they sign in again; returns False where they have it already.

    Raises NoSuchPerson.
    """
    await _lock(conn, name)
    person_id = await conn.fetchval(SET_ROLE, name, role)
    if person_id is None:
        return False
    await end_sessions(conn, person_id)
    await _log(conn, "role changed", name, f"role {role}: {why}" if why else f"role {role}", by=by, now=now)
    return True


DISABLE = "UPDATE people SET disabled_at = $2 WHERE name = $1 AND disabled_at IS NULL RETURNING id"
END_LINK = "DELETE FROM one_time_links WHERE person_id = $1"
ENABLE = "UPDATE people SET disabled_at = NULL WHERE name = $1 AND disabled_at IS NOT NULL RETURNING id"


async def disable(conn: Conn, name: str, *, by: str, why: str, now: datetime) -> bool:
    """Ends all that a person may, at once; returns False where it was done before.  Raises NoSuchPerson."""
    await _lock(conn, name)
    person_id = await conn.fetchval(DISABLE, name, now)
    if person_id is None:
        return False
    await end_sessions(conn, person_id)
    await conn.execute(END_LINK, person_id)
    await _log(conn, "person disabled", name, why, by=by, now=now)
    return True


async def enable(conn: Conn, name: str, *, by: str, why: str, now: datetime) -> bool:
    """Lets a disabled person sign in again; returns False where they may already.  Raises NoSuchPerson."""
    await _lock(conn, name)
    done = await conn.fetchval(ENABLE, name) is not None
    if done:
        await _log(conn, "person enabled", name, why, by=by, now=now)
    return done


SET_PASSWORD = "UPDATE people SET password_hash = $2 WHERE id = $1"  # noqa: S105 - a statement
REPLACE_HASH = "UPDATE people SET password_hash = $3 WHERE id = $1 AND password_hash = $2"


async def set_password(conn: Conn, person_id: int, password_hash: str) -> None:
    """Sets a new password, which ends all sessions."""
    await conn.execute(SET_PASSWORD, person_id, password_hash)
    await end_sessions(conn, person_id)


async def replace_hash(conn: Conn, person_id: int, *, old: str, new: str) -> None:
    """Stores the same password hashed as is usual now, unless it was changed meanwhile."""
    await conn.execute(REPLACE_HASH, person_id, old, new)


SET_LOCALE = "UPDATE people SET locale = $2 WHERE id = $1"


async def set_locale(conn: Conn, person_id: int, locale: Locale) -> None:
    """Sets the language that a person reads."""
    await conn.execute(SET_LOCALE, person_id, locale)


END_SESSIONS = "DELETE FROM sessions WHERE person_id = $1"


async def end_sessions(conn: Conn, person_id: int) -> None:
    """Signs a person out everywhere."""
    await conn.execute(END_SESSIONS, person_id)


async def _lock(conn: Conn, name: str) -> None:
    if await conn.fetchval(KNOWN, name) is None:
        raise NoSuchPerson


async def _log(conn: Conn, what: str, name: str, why: str, *, by: str, now: datetime) -> None:
    await write_log(conn, LogEntry(kind="access", person_id=None, person=by, what=what, subject=name, why=why), now=now)
