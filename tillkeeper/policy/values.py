"""Reads the values of a policy's file: tables, names and spans, with a line for each problem."""

import difflib
from collections.abc import Collection, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from tillkeeper.policy.spans import BadSpan, parse_span, short

NAME_CHARS_MAX: Final = 64  # of an account or method
_Named = TypeVar("_Named", bound=StrEnum)


def read_table(tree: dict[str, Any], key: tuple[str], names: tuple[str, ...], problems: list[str]) -> dict[str, Any]:
    """Returns the table under `key`, which may hold `names` and nothing else; empty where there is no table."""
    table = tree[key[0]]  # the default policy has one
    if not is_table(table, key, problems):
        return {}
    problems.extend(
        f"{dotted((*key, name))}: is not a key here; {known_names(name, names)}" for name in table if name not in names
    )
    return cast("dict[str, Any]", table)


def is_table(value: Any, key: tuple[str, ...], problems: list[str]) -> bool:
    """Returns whether it is a table, and reports a problem if not."""
    if isinstance(value, dict):
        return True
    problems.append(f"{dotted(key)}: is a table: [{dotted(key)}]")
    return False


def named_tables(tree: Any, key: tuple[str, ...], problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the tables in a table whose keys are the user's own names."""
    if not is_table(tree, key, problems):
        return
    for name, table in tree.items():
        if len(name) > NAME_CHARS_MAX:
            problems.append(f"{dotted((*key, name[:20]))}...: a name has {NAME_CHARS_MAX} characters at most")
        elif is_table(table, (*key, name), problems):
            yield name, table


def read_span(
    value: Any, key: tuple[str, ...], problems: list[str], *, least: timedelta = timedelta(), less: str = "too often"
) -> timedelta:
    """Reads a span of `least` or more; returns `least` where it cannot be read."""
    if not isinstance(value, str):
        problems.append(f'{dotted(key)}: is one span of time in quotes, such as "24h"')
        return least
    try:
        span = parse_span(value)
    except BadSpan as error:
        problems.append(f"{dotted(key)}: {error}")
        return least
    if span < least:
        problems.append(f"{dotted(key)}: {value!r} is {less}; {short(least)} is the least")
    return span


def read_name(kind: type[_Named], name: str, key: tuple[str, ...], problems: list[str]) -> _Named | None:
    """Returns the member of `kind` with this name; reports a problem and returns None where there is none."""
    if name in set(kind):
        return kind(name)
    known = [str(member) for member in kind]
    problems.append(f"{dotted((*key, name))}: is no {kind.__name__.lower()}; {known_names(name, known)}")
    return None


def known_names(name: str, known: Collection[str]) -> str:
    """Suggests the known names that resemble it, or lists all."""
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(known) or 'none'}"


def dotted(key: tuple[str, ...]) -> str:
    """Writes the key with dots, safe for a terminal and on one line."""
    return ".".join(name if name.isprintable() else ascii(name)[1:-1] for name in key)
