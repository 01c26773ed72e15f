"""Says how a request came in, for what is written down about it."""

from typing import Final, Literal

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.person import PERSON
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.postgres.pool import Conn

SESSION: Final = web.RequestKey("session", int)  # the session's number
API_TOKEN: Final = web.RequestKey("api_token", str)  # the token's name, where a program sent it


def entry_of(
    request: web.Request, kind: Literal["act", "look", "access"], what: str, *, subject: str = "", why: str = ""
) -> LogEntry:
    """Returns the entry of the access log for what a person does with this request."""
    person = request[PERSON]
    token: str | None = request.get(API_TOKEN)
    return LogEntry(
        kind=kind, person_id=person.id, person=person.name, token=token, what=what, subject=subject, why=why
    )


async def note_act(conn: Conn, request: web.Request, what: str, *, subject: str, why: str) -> None:
    """Writes down an act, in the transaction that does it."""
    await write_log(conn, entry_of(request, "act", what, subject=subject, why=why), now=desk_of(request).now())


async def note_look(request: web.Request, what: str, *, subject: str, why: str = "") -> None:
    """Writes down that somebody looks at personal data, before they see it."""
    desk = desk_of(request)
    async with desk.pool.acquire() as conn:
        await write_log(conn, entry_of(request, "look", what, subject=subject, why=why), now=desk.now())
