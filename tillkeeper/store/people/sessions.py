"""Opens the sessions of browsers, says whose a token is, and ends them."""

from datetime import datetime

import msgspec

from tillkeeper.domain.people import Person, Role
from tillkeeper.domain.sign_in import SEEN_EVERY, SESSION_IDLE, SESSION_LONGEST, SESSIONS_MAX
from tillkeeper.store.people.people import person_in
from tillkeeper.store.people.random_tokens import hash_of, new_token
from tillkeeper.store.postgres.pool import Conn


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in, and who sits before it."""

    id: int
    person: Person


class ListedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its person sees it."""

    id: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


# The oldest beyond the limit end, and those that are over go with them.
MAKE_ROOM = """
DELETE FROM sessions WHERE person_id = $1 AND (expires_at <= $2 OR seen_at <= $3 OR id IN (
    SELECT id FROM sessions WHERE person_id = $1 ORDER BY id DESC OFFSET $4
))
"""
OPEN = """
INSERT INTO sessions (token_hash, person_id, created_at, seen_at, expires_at, role, flow)
VALUES ($1, $2, $3, $3, $4, $5, $6) ON CONFLICT (flow) DO NOTHING RETURNING id
"""
LOCK_PERSON = "SELECT id FROM people WHERE id = $1 AND disabled_at IS NULL FOR NO KEY UPDATE"


class Disabled(Exception):
    """The person was disabled meanwhile."""


class FlowUsed(Exception):
    """The sign-in at the provider has opened a session already."""


async def open_session(
    conn: Conn, person_id: int, *, now: datetime, role: Role | None = None, flow: bytes | None = None
) -> str:
    """Opens a session and returns its token, which nobody can read again.

    `role` is what the provider of the company's accounts gave, by the sign-in `flow`; None is the person's own.  Raises
    Disabled or FlowUsed.
    """
    if await conn.fetchval(LOCK_PERSON, person_id) is None:
        raise Disabled
    await conn.execute(MAKE_ROOM, person_id, now, now - SESSION_IDLE, SESSIONS_MAX - 1)
    token = new_token()
    opened = await conn.fetchval(OPEN, hash_of(token), person_id, now, now + SESSION_LONGEST, role, flow)
    if opened is None:
        raise FlowUsed
    return token


WHOSE = """
SELECT s.id AS session_id, s.seen_at, p.id, p.name, p.display_name, coalesce(s.role, p.role) AS role, p.locale
FROM sessions s JOIN people p ON p.id = s.person_id
WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND p.disabled_at IS NULL
"""
SEEN = "UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2"


async def session_of(conn: Conn, token: str, *, now: datetime, is_use: bool = True) -> Session | None:
    """Returns the session of a token, and notes that it was used; None where it is over or never was.

    A page that loads something by itself is no use: nobody may sit before it.
    """
    row = await conn.fetchrow(WHOSE, hash_of(token), now, now - SESSION_IDLE)
    if row is None:
        return None
    if is_use and row["seen_at"] <= now - SEEN_EVERY:
        await conn.execute(SEEN, row["session_id"], now)
    return Session(id=row["session_id"], person=person_in(row))


LIVE = """
SELECT id, created_at, seen_at, expires_at FROM sessions
WHERE person_id = $1 AND expires_at > $2 AND seen_at > $3 ORDER BY seen_at DESC, id DESC
"""


async def list_sessions(conn: Conn, person_id: int, *, now: datetime) -> list[ListedSession]:
    """Lists a person's sessions that go on, the last used first."""
    return [ListedSession(**dict(row)) for row in await conn.fetch(LIVE, person_id, now, now - SESSION_IDLE)]


END = "DELETE FROM sessions WHERE id = $1 AND person_id = $2 RETURNING id"


async def end_session(conn: Conn, session_id: int, person_id: int) -> bool:
    """Ends a session of this person; returns False where they have none of this number."""
    return await conn.fetchval(END, session_id, person_id) is not None
