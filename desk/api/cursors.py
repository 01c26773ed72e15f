"""Writes where a list goes on as an opaque word, and reads it again.

A cursor holds the key of the last row, so that rows that come or go meanwhile shift nothing; and its list, so that
none is taken for another's.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from tillkeeper.desk.json_problems import ApiProblem

YEARS: Final = range(1970, 9999)  # the database and every time zone can express these
NUMBER_MAX: Final = 2**63 - 1
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")

Place = TypeVar("Place")


def cursor_for(list_name: str, place: object) -> str:
    """Writes a place of a list."""
    return urlsafe_b64encode(msgspec.msgpack.encode((list_name, place))).rstrip(b"=").decode()


def place_in(cursor: str | None, list_name: str, kind: type[Place]) -> Place | None:
    """Reads a place of this list.  Raises Problem for a cursor that it never wrote."""
    if cursor is None:
        return None
    if not _WORD.fullmatch(cursor):
        raise _bad()
    try:
        packed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found: Any = msgspec.msgpack.decode(packed, type=tuple[str, kind])  # type: ignore[valid-type]
    except (ValueError, msgspec.MsgspecError):
        raise _bad() from None
    place: Place = found[1]
    if found[0] != list_name or not all(map(_is_keepable, msgspec.structs.astuple(place))):  # type: ignore[arg-type]
        raise _bad()
    return place


def _is_keepable(value: object) -> bool:
    """Returns whether the database can hold a part of a place."""
    match value:
        case datetime():
            return value.tzinfo is not None and value.year in YEARS
        case int():
            return 0 <= value <= NUMBER_MAX
        case str():
            return "\0" not in value
        case _:
            return value is None


def _bad() -> ApiProblem:
    return ApiProblem(
        400, "after: no list here goes on there", "Take `next` of the answer before as it is, or leave it out."
    )
