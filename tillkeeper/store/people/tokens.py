"""Makes the tokens of programs, says whose one is, and ends them."""

from datetime import datetime

import asyncpg
import msgspec

from tillkeeper.domain.people import Person, Role, Scope, lesser
from tillkeeper.domain.sign_in import SEEN_EVERY, TOKENS_MAX
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.people.people import NoSuchPerson, person_in
from tillkeeper.store.people.random_tokens import hash_of, new_api_token
from tillkeeper.store.postgres.pool import Conn


class TokenNameTaken(Exception):
    """The person has a token of this name, perhaps an ended one."""


class TooManyTokens(Exception):
    """The person has as many tokens as anybody may have."""


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was sent, and for whom: with the lesser role of the token's and the person's."""

    name: str
    person: Person
    may_act: bool
    scope: Scope | None = None  # it is for this alone


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as a list shows it."""

    person: str
    name: str
    role: str
    may_act: bool
    scope: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    ended_at: datetime | None


OWNER = "SELECT id FROM people WHERE name = $1 AND disabled_at IS NULL FOR NO KEY UPDATE"
IN_USE = "SELECT count(*) FROM api_tokens WHERE person_id = $1 AND ended_at IS NULL AND expires_at > $2"
MAKE = """
INSERT INTO api_tokens (token_hash, person_id, name, role, may_act, created_at, created_by, expires_at, scope)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def make_token(
    conn: Conn,
    person: str,
    *,
    name: str,
    role: Role,
    may_act: bool,
    expires_at: datetime,
    by: str,
    now: datetime,
    scope: Scope | None = None,
) -> str:
    """Makes a token for a person and returns it, which nobody can read again.

    Raises NoSuchPerson, TokenNameTaken or TooManyTokens.
    """
    person_id = await conn.fetchval(OWNER, person)
    if person_id is None:
        raise NoSuchPerson
    if await conn.fetchval(IN_USE, person_id, now) >= TOKENS_MAX:
        raise TooManyTokens
    token = new_api_token()
    try:
        async with conn.transaction():
            await conn.execute(MAKE, hash_of(token), person_id, name, role, may_act, now, by, expires_at, scope)
    except asyncpg.UniqueViolationError:
        raise TokenNameTaken from None
    await _log(conn, "token made", person, name, by=by, now=now)
    return token


WHOSE = """
SELECT t.id AS token_id, t.name AS token_name, t.role AS token_role, t.may_act, t.scope, t.last_used_at,
       p.id, p.name, p.display_name, p.role, p.locale
FROM api_tokens t JOIN people p ON p.id = t.person_id
WHERE t.token_hash = $1 AND t.ended_at IS NULL AND t.expires_at > $2 AND p.disabled_at IS NULL
"""
USED = "UPDATE api_tokens SET last_used_at = $2 WHERE id = $1"


async def token_of(conn: Conn, token: str, *, now: datetime) -> ApiToken | None:
    """Returns for whom a token stands, and notes that it was used; None where it is over or never was."""
    row = await conn.fetchrow(WHOSE, hash_of(token), now)
    if row is None:
        return None
    if row["last_used_at"] is None or row["last_used_at"] <= now - SEEN_EVERY:
        await conn.execute(USED, row["token_id"], now)
    person = person_in(row)
    role = lesser(person.role, Role(row["token_role"]))
    return ApiToken(
        name=row["token_name"],
        person=msgspec.structs.replace(person, role=role),
        may_act=row["may_act"],
        scope=row["scope"],
    )


LIST = """
SELECT p.name AS person, t.name, t.role, t.may_act, t.scope, t.created_at, t.created_by, t.expires_at, t.last_used_at,
       t.ended_at
FROM api_tokens t JOIN people p ON p.id = t.person_id
WHERE $1::text IS NULL OR p.name = $1 ORDER BY t.ended_at IS NOT NULL, p.name, t.name
"""


async def list_tokens(conn: Conn, person: str | None = None) -> list[ListedToken]:
    """Lists all tokens, or a person's; ended ones last."""
    return [ListedToken(**dict(row)) for row in await conn.fetch(LIST, person)]


END = """
UPDATE api_tokens t SET ended_at = $3 FROM people p
WHERE p.id = t.person_id AND p.name = $1 AND t.name = $2 AND t.ended_at IS NULL RETURNING t.id
"""


async def end_token(conn: Conn, person: str, name: str, *, by: str, now: datetime) -> bool:
    """Ends a token; returns False where the person has none of this name that goes on."""
    done = await conn.fetchval(END, person, name, now) is not None
    if done:
        await _log(conn, "token ended", person, name, by=by, now=now)
    return done


async def _log(conn: Conn, what: str, person: str, name: str, *, by: str, now: datetime) -> None:
    await write_log(
        conn, LogEntry(kind="access", person_id=None, person=by, what=what, subject=person, why=name), now=now
    )
