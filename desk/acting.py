"""Does what a person asked for by a form, in a transaction of its own, in that person's name.

Who did what, and why, is written down in the same transaction."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from tillkeeper.desk.access.identity import API_TOKEN, note_act
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.person import Person, person_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

Result = TypeVar("Result")


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down of an act: what was done, to what, and why."""

    what: str
    subject: str
    why: str = ""


def actor(request: web.Request) -> Person:
    """Returns who acts."""
    person = person_of(request)
    assert person is not None  # no route of an act is for anyone
    return person


def by_of(request: web.Request) -> str:
    """Returns the name that an act is written down under: a token's stands behind its person's."""
    token = request.get(API_TOKEN)
    return actor(request).name if token is None else f"{actor(request).name}/{token}"


async def act(request: web.Request, deed: Deed, work: Callable[[Conn], Awaitable[Result]]) -> Result:
    """Runs `work` in a transaction, and notes it."""

    async def work_and_note(conn: Conn) -> Result:
        done = await work(conn)
        await note_act(conn, request, deed.what, subject=deed.subject, why=deed.why)
        return done

    return await repeat_on_conflict(desk_of(request).pool, work_and_note)
