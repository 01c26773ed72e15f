"""Defines who uses the desk: a person with a role, and the order of the roles."""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec
from aiohttp import web

Locale: TypeAlias = Literal["zh", "en"]


class Role(StrEnum):
    """What a person may do: each role may all that the ones before it may."""

    VIEWER = "viewer"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"


_RANK: Final = {role: rank for rank, role in enumerate(Role)}

Needs: TypeAlias = Role | Literal["anyone"]  # "anyone": also who has not signed in


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in."""

    id: int
    name: str
    role: Role
    locale: Locale


# What the middleware of desk/access/ leaves in each request of somebody who is signed in.
PERSON: Final = web.RequestKey("person", Person)
CSRF: Final = web.RequestKey("csrf", str)  # the token of the session, for the hidden field of forms


def person_of(request: web.Request) -> Person | None:
    """Returns who sent the request; None on pages for anyone."""
    return request.get(PERSON)


def csrf_of(request: web.Request) -> str:
    """Returns the token that forms on the page must carry."""
    token: str = request.get(CSRF, "")
    return token


def is_enough(role: Role, needed: Needs) -> bool:
    """Returns whether a person of this role may use what needs that one."""
    return needed == "anyone" or _RANK[role] >= _RANK[needed]
