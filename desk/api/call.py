"""Defines a call of the API: who makes it, what it asks for, and how its act is done once."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.api.cursors import place_in
from tillkeeper.desk.context import Desk, desk_of
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.person import Person
from tillkeeper.domain.events import REF_CHARS_MAX

Wanted = TypeVar("Wanted")


class CheckedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose sender may make it, with its parameters and its body read and checked."""

    request: web.Request
    query: Any = None
    body: Any = None
    raw_body: bytes = b""
    parts: Mapping[str, str] = {}

    @property
    def desk(self) -> Desk:
        """Returns what the desk holds."""
        return desk_of(self.request)

    @property
    def person(self) -> Person:
        """Returns whose token or session it is."""
        return actor(self.request)

    @property
    def order_ref(self) -> str:
        """Returns the order that the path names."""
        return self.parts["order_ref"]

    @property
    def id(self) -> int:
        """Returns the number that the path names.  Raises Problem for what no row has."""
        return number_in(self.parts["id"])

    def after(self, list_name: str, kind: type[Wanted]) -> Wanted | None:
        """Returns where the list goes on, if it is asked to."""
        return place_in(self.query.after, list_name, kind)


NUMBER_MAX = 2**63 - 1


def number_in(text: str) -> int:
    """Reads a row's number."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(NUMBER_MAX)) and int(text) <= NUMBER_MAX):
        raise ApiProblem(404, "a number in the path is none that a row can have")
    return int(text)


def parts_of(request: web.Request, pattern: str) -> dict[str, str]:
    """Reads the named parts of the path as they came over the wire: the router would not tell / from %2F.

    Raises Problem for what no reference can be.
    """
    raw = request.rel_url.raw_path.split("/")
    names = [(place, part[1:-1]) for place, part in enumerate(pattern.split("/")) if part.startswith("{")]
    return {name: _part(raw[place]) for place, name in names}


def _part(raw: str) -> str:
    try:
        part = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise ApiProblem(404, "a part of the path is no UTF-8", "Percent-encode each part as UTF-8.") from None
    if not 1 <= len(part) <= REF_CHARS_MAX or "\x00" in part:
        raise ApiProblem(
            404, f"a part of the path is not of 1 to {REF_CHARS_MAX} characters", "Take it from an answer."
        )
    return part
