"""Makes what bodies hold of what the store and the domain return."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tillkeeper.desk.api.cursors import cursor_for
from tillkeeper.desk.api.types.common import Page

Row = TypeVar("Row")


def made(kind: type[Row], source: object, **more: object) -> Row:
    """Returns a body of this kind with the fields that a row or a struct has, and these."""
    fields = source if isinstance(source, Mapping) else _fields_of(source)
    wanted = {name: fields[name] for name in kind.__struct_fields__ if name in fields}  # type: ignore[attr-defined]
    return msgspec.convert(wanted | more, kind, from_attributes=True)


def _fields_of(source: Any) -> dict[str, Any]:
    return {name: getattr(source, name) for name in source.__struct_fields__}


def page_of(
    rows: Sequence[Any], limit: int, list_name: str, *, place: Callable[[Any], object], row: Callable[[Any], Row]
) -> Page[Row]:
    """Returns the first `limit` of the rows that were read, which are one more where the list goes on."""
    shown = rows[:limit]
    goes_on = len(rows) > limit
    return Page(items=[row(each) for each in shown], next=cursor_for(list_name, place(shown[-1])) if goes_on else None)
