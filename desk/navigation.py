"""Lists what the frame of each page leads to, with the key that opens it after `g`.  A page that is not in the table of
routes, or that the person may not see, is not offered."""

from typing import Final

import msgspec
from aiohttp import web

from tillkeeper.desk.person import Person, is_enough
from tillkeeper.desk.route import ROUTE_BY_PLACE


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the navigation; `word` is its key in the catalogue."""

    path: str
    word: str
    key: str


NAVIGATION: Final = (
    Destination(path="/", word="nav.now", key="n"),
    Destination(path="/stuck", word="nav.stuck", key="s"),
    Destination(path="/cases", word="nav.cases", key="c"),
    Destination(path="/waiting", word="nav.waiting", key="w"),
    Destination(path="/parked", word="nav.parked", key="p"),
    Destination(path="/refused", word="nav.refused", key="r"),
    Destination(path="/outbox", word="nav.outbox", key="o"),
    Destination(path="/accounts", word="nav.accounts", key="a"),
    Destination(path="/books", word="nav.books", key="b"),
    Destination(path="/reports", word="nav.reports", key="m"),
    Destination(path="/handover", word="nav.handover", key="h"),
)


def navigation_for(app: web.Application, person: Person | None) -> tuple[Destination, ...]:
    """Returns where this person may go."""
    return tuple(destination for destination in NAVIGATION if is_open_to(app, person, destination.path))


def is_open_to(app: web.Application, person: Person | None, path: str) -> bool:
    """Returns whether there is such a page, and this person may see it."""
    route = app[ROUTE_BY_PLACE].get(("GET", path))
    return route is not None and person is not None and is_enough(person.role, route.role)
