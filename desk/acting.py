"""Does what a person asked for by a form, in a transaction of its own, in that person's name."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.person import Person, person_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

Result = TypeVar("Result")


def actor(request: web.Request) -> Person:
    """Returns who acts."""
    person = person_of(request)
    assert person is not None  # no route of an act is for anyone
    return person


async def act(request: web.Request, work: Callable[[Conn], Awaitable[Result]]) -> Result:
    """Runs `work` in a transaction."""
    return await repeat_on_conflict(desk_of(request).pool, work)
