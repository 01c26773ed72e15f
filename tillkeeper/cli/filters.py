"""Refuses filters that name nothing known, for an empty list would read as good news."""

from collections.abc import Collection, Iterable
from typing import Final

from tillkeeper.cli.errors import WRONG, CommandError

NAMES_SHOWN: Final = 30


def refuse_unknown(what: str, name: str | None, known: Iterable[str], *, found: Collection[object]) -> None:
    """Raises CommandError where nothing was found and the filter names nothing that is known."""
    names = sorted(set(known))
    if name is None or found or name in names:
        return
    there_are = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
    raise CommandError(f"there is no {what} {name!r}; there are: {there_are or 'none'}", code=WRONG)
