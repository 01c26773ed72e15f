"""Makes one-time links, with which a person sets a password, and takes each once."""

from datetime import datetime
from typing import Literal

from tillkeeper.domain.people import Person
from tillkeeper.domain.sign_in import LINK_LIVES
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.people.people import NoSuchPerson, person_in
from tillkeeper.store.people.random_tokens import hash_of, new_token
from tillkeeper.store.postgres.pool import Conn

Purpose = Literal["first_sign_in", "password_reset"]


class LinkOver(Exception):
    """The link was used, replaced or is too old, or there never was one."""


FIND = "SELECT id, password_hash IS NULL AS first FROM people WHERE name = $1 AND disabled_at IS NULL"
MAKE = """
INSERT INTO one_time_links AS l (person_id, token_hash, purpose, created_at, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (person_id) DO UPDATE
SET token_hash = excluded.token_hash, purpose = excluded.purpose, created_at = excluded.created_at,
    created_by = excluded.created_by, expires_at = excluded.expires_at, used_at = NULL
"""


async def make_link(conn: Conn, name: str, *, by: str, now: datetime) -> str:
    """Makes a link in the last one's place, and returns its token.  Raises NoSuchPerson, also for a disabled one."""
    row = await conn.fetchrow(FIND, name)
    if row is None:
        raise NoSuchPerson
    purpose: Purpose = "first_sign_in" if row["first"] else "password_reset"
    token = new_token()
    await conn.execute(MAKE, row["id"], hash_of(token), purpose, now, by, now + LINK_LIVES)
    entry = LogEntry(kind="access", person_id=None, person=by, what="link made", subject=name, why=purpose)
    await write_log(conn, entry, now=now)
    return token


WHOSE_LINK = """
SELECT p.id, p.name, p.display_name, p.role, p.locale FROM one_time_links l JOIN people p ON p.id = l.person_id
WHERE l.token_hash = $1 AND l.used_at IS NULL AND l.expires_at > $2 AND p.disabled_at IS NULL
"""


async def whose_link(conn: Conn, token: str, *, now: datetime) -> Person:
    """Returns whose a link is, and leaves it to be used.  Raises LinkOver."""
    row = await conn.fetchrow(WHOSE_LINK, hash_of(token), now)
    if row is None:
        raise LinkOver
    return person_in(row)


USE = """
UPDATE one_time_links SET used_at = $2
WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
  AND EXISTS (SELECT FROM people p WHERE p.id = person_id AND p.disabled_at IS NULL)
RETURNING person_id
"""
PERSON = "SELECT id, name, display_name, role, locale FROM people WHERE id = $1"


async def use_link(conn: Conn, token: str, *, now: datetime) -> Person:
    """Takes a link, for the caller's transaction alone.  Raises LinkOver."""
    person_id = await conn.fetchval(USE, hash_of(token), now)
    if person_id is None:
        raise LinkOver
    row = await conn.fetchrow(PERSON, person_id)
    assert row is not None  # the link refers to it
    return person_in(row)
