"""Paths into a payload, as an account's mapping writes them: names with dots between them, or = and a fixed value."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson

FIXED: Final = "="  # begins a value that stands in the configuration instead of a path
INDEX_DIGITS_MAX: Final = 9  # of a place in a list


def _check_path(path: str) -> str:
    if not path or (not path.startswith(FIXED) and "" in path.split(".")):
        raise ValueError("a path is names with dots between them, such as data.object.id, or = and a fixed value")
    return path


Path = Annotated[str, AfterValidator(_check_path)]
Paths = Path | tuple[Path, ...]  # several: the first that leads somewhere


def each(paths: Paths | None) -> Sequence[str]:
    """Returns the paths of a setting that holds none, one or several."""
    if paths is None:
        return ()
    return (paths,) if isinstance(paths, str) else paths


def value_at(content: object, path: str) -> object:
    """Returns what stands at a path; None where it, or anything on the way to it, is absent, null or empty.

    A field whose own name is the whole path comes first: in a form, a name may hold dots.
    """
    if path.startswith(FIXED):
        return path.removeprefix(FIXED)
    for name in (path,) if isinstance(content, dict) and path in content else path.split("."):
        content = _child(content, name)
    return None if content == "" else content


def _child(content: object, name: str) -> object:
    if isinstance(content, dict):
        return content.get(name)
    if isinstance(content, list) and name.isascii() and name.isdigit():
        index = int(name[:INDEX_DIGITS_MAX])
        return content[index] if index < len(content) else None
    return None


def first_value(content: object, paths: Paths | None) -> object:
    """Returns what the first path that leads somewhere leads to, else None."""
    values = (value_at(content, path) for path in each(paths))
    return next((value for value in values if value is not None), None)


def text_at(content: object, path: str) -> str | None:
    """Returns the text at a path; numbers are written out, for ids are numbers at some providers."""
    value = value_at(content, path)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise BadPayload(f"{path} is neither text nor a whole number")


def first_text(content: object, paths: Paths | None) -> str | None:
    """Returns the text that the first path that leads somewhere leads to, else None."""
    texts = (text_at(content, path) for path in each(paths))
    return next((text for text in texts if text is not None), None)


def whole_number(value: object) -> int:
    """Returns a whole number, or text that is one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= strictjson.INTEGER_DIGITS_MAX:
        return int(value)
    if type(value) is not int:
        raise BadPayload("an amount or a time is not a whole number")
    return value
