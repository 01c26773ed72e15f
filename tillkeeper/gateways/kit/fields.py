"""Reads typed values out of parsed JSON: a value of another type is a BadPayload that names the path."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from tillkeeper.gateways.errors import BadPayload

UNIX_S_MAX: Final = 253_402_300_799  # the last second of the year 9999, where datetime ends
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def at(content: object, path: Sequence[str]) -> object:
    """Returns the value at a path; None where it, or anything on the way to it, is absent or null."""
    for name in path:
        if content is None:
            return None
        if not isinstance(content, dict):
            raise BadPayload(f"{'.'.join(path)} leads through something that is no object")
        content = content.get(name)
    return content


def member(content: object, name: str) -> object:
    """Returns the value of a member, as `at` does with a path of one name."""
    return content.get(name) if type(content) is dict else at(content, (name,))


def text_or_none(content: object, name: str, *more: str) -> str | None:
    """Returns the text at a path of one name or more; None where it is absent, null or empty."""
    value = content.get(name) if type(content) is dict and not more else at(content, (name, *more))
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadPayload(f"{'.'.join((name, *more))} is not text")
    return value


def text(content: object, name: str, *more: str) -> str:
    """Returns the text at a path of one name or more, which must be there."""
    if type(content) is dict and not more and type(value := content.get(name)) is str and value:
        return value  # as nearly always
    value = text_or_none(content, name, *more)
    if value is None:
        raise BadPayload(f"{'.'.join((name, *more))} is missing")
    return value


def reference_or_none(value: object) -> str | None:
    """Returns a reference in the narrow form that gateways and nearly all shops use, out of a source that is not
    trusted."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def written_or_none(value: object) -> str | None:
    """Returns what a merchant wrote down as its reference: text, or a whole number as text; anything else names
    nothing."""
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) and value else None


def integer(content: object, name: str, *more: str) -> int:
    """Returns the whole number at a path of one name or more, which must be there; true and false are none."""
    value = content.get(name) if type(content) is dict and not more else at(content, (name, *more))
    if type(value) is not int:
        raise BadPayload(f"{'.'.join((name, *more))} is not a whole number")
    return value


def number_or_none(content: object, name: str) -> str | None:
    """Returns an id as text, from gateways that write it as a number or as text."""
    value = at(content, [name])
    return str(value) if type(value) is int else text_or_none(content, name)


def number(content: object, name: str) -> str:
    """Returns an id as text, however it is written.  Raises BadPayload where it is missing."""
    value = number_or_none(content, name)
    if value is None:
        raise BadPayload(f"{name} is missing")
    return value


def moment_from_unix(seconds: int) -> datetime:
    """Returns a time in seconds since 1970, in UTC."""
    if not 0 <= seconds <= UNIX_S_MAX:
        raise BadPayload("a time is outside the years 1970 to 9999")
    return datetime.fromtimestamp(seconds, UTC)


def moment_from_rfc3339(written: str) -> datetime:
    """Returns a time like 2026-10-05T12:00:00+08:00, in UTC, cut to whole seconds."""
    if not _RFC_3339.fullmatch(written):
        raise BadPayload("a time is not written as RFC 3339 says")
    try:
        return datetime.fromisoformat(written).replace(microsecond=0).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadPayload("a time names a day or an hour that does not exist") from None
