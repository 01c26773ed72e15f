"""Says who sent a request to the desk, and whether their role is enough."""

from typing import Final, Literal, Protocol, TypeAlias

from aiohttp import web

from tillkeeper.domain.people import Locale, Person, Role

__all__ = [
    "CSRF",
    "MAY_LOOK_ON",
    "PERSON",
    "Locale",
    "Needs",
    "Person",
    "Role",
    "csrf_of",
    "is_enough",
    "may_look_on",
    "may_see_contacts",
    "person_of",
]

Needs: TypeAlias = Role | Literal["anyone"]  # "anyone": also who has not signed in

# What the middleware of desk/access/ leaves in each request of somebody who is signed in.
PERSON: Final = web.RequestKey("person", Person)
CSRF: Final = web.RequestKey("csrf", str)  # the token of the session, for the hidden field of forms


class Looks(Protocol):
    """Says whether the request would be let in now: what is live goes on for longer than the look at its sender."""

    async def __call__(self) -> bool: ...


MAY_LOOK_ON: Final = web.RequestKey("may_look_on", Looks)


def person_of(request: web.Request) -> Person | None:
    """Returns who sent the request; None on pages for anyone."""
    return request.get(PERSON)


def csrf_of(request: web.Request) -> str:
    """Returns the token that forms on the page must carry."""
    token: str = request.get(CSRF, "")
    return token


def is_enough(role: Role, needed: Needs) -> bool:
    """Returns whether a person of this role may use what needs that one."""
    return needed == "anyone" or role.allows(needed)


def may_see_contacts(request: web.Request) -> bool:
    """Returns whether the reader may see contacts in texts, as whoever may look orders up by them."""
    person = person_of(request)
    return person is None or is_enough(person.role, Role.SUPPORT)  # who has not signed in sees what is their own alone


async def may_look_on(request: web.Request) -> bool:
    """Returns whether whoever sent the request is still signed in, with a role that is enough."""
    return await request[MAY_LOOK_ON]()
