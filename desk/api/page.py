"""The page that shows the API to people: every operation, its fields, and what may be wrong, from the document."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web

from tillkeeper.desk.api.document import document
from tillkeeper.desk.json_problems import KINDS
from tillkeeper.desk.render import page
from tillkeeper.openapi import JSON, Json, operations

PROBLEM_NAMES: Final = {str(kind.status): kind.name for kind in KINDS}
VALUES_SHOWN: Final = 12  # of an enumeration


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter, or a field of a body: its type in words, and the body that it holds, where it is one."""

    name: str
    type: str
    body: str | None
    is_needed: bool
    says: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as the page shows it."""

    name: str
    method: str
    path: str
    summary: str
    says: str
    parameters: tuple[Field, ...]
    takes: str | None
    status: str
    answers: str
    problems: tuple[str, ...]


async def show(request: web.Request) -> web.Response:
    """Answers GET /api/docs."""
    return page(request, "api.html", parts=_parts(), schemas=_schemas(), kinds=KINDS, problem_names=PROBLEM_NAMES)


@cache
def _parts() -> Mapping[str, list[Shown]]:
    """Returns the operations by what they are of."""
    found: dict[str, list[Shown]] = {}
    described = document()
    for method, path, operation in operations(described):
        of_path = described["paths"][path]["parameters"]
        found.setdefault(operation["tags"][0], []).append(_shown(method, path, operation, of_path))
    return found


def _shown(method: str, path: str, operation: Json, of_path: list[Json]) -> Shown:
    parameters = [*of_path, *operation.get("parameters", ())]
    done, *wrong = sorted(operation["responses"])
    takes = operation.get("requestBody")
    return Shown(
        name=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        says=operation["description"],
        parameters=tuple(
            _field(each["name"], {**each["schema"], "description": each["description"]}, is_needed=each["required"])
            for each in parameters
        ),
        takes=None if takes is None else _name(takes["content"][JSON]["schema"]),
        status=done,
        answers=_name(operation["responses"][done]["content"][JSON]["schema"]),
        problems=tuple(wrong),
    )


@cache
def _schemas() -> Mapping[str, tuple[str, tuple[Field, ...], str]]:
    """Returns of each body what it is, its fields, and what a list is of."""
    schemas = document()["components"]["schemas"]
    return {
        name: (schema.get("description", ""), tuple(_fields(schema)), _item(schema) or "")
        for name, schema in schemas.items()
        if "properties" in schema or "items" in schema
    }


def _fields(schema: Json) -> Iterator[Field]:
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield _field(name, field, is_needed=name in needed)


def _field(name: str, schema: Json, *, is_needed: bool) -> Field:
    body = next(_bodies(schema), None)
    return Field(name=name, type=_type(schema), body=body, is_needed=is_needed, says=schema.get("description", ""))


def _bodies(schema: Json) -> Iterator[str]:
    """Yields the names of bodies that a field holds, which have rows of their own."""
    if "$ref" in schema and "properties" in document()["components"]["schemas"][_name(schema)]:
        yield _name(schema)
    for each in (*schema.get("anyOf", ()), *filter(None, (schema.get("items"), schema.get("additionalProperties")))):
        if isinstance(each, dict):
            yield from _bodies(each)


def _item(schema: Json) -> str | None:
    return _name(schema["items"]) if "items" in schema else None


def _name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _type(schema: Json) -> str:
    """Says a type in words."""
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "$ref" in schema:
        known: Any = document()["components"]["schemas"][_name(schema)]
        return _values(known["enum"]) if "enum" in known else _name(schema)
    if "enum" in schema:
        return _values(schema["enum"])
    return f"list of {_type(schema['items'])}" if "items" in schema else _plain_type(schema)


def _plain_type(schema: Json) -> str:
    if schema.get("type") == "string":
        return "time" if schema.get("format") == "date-time" else "text"
    return str(schema.get("type", "anything"))


def _values(values: list[object]) -> str:
    shown = ", ".join(map(str, values[:VALUES_SHOWN]))
    return f"{shown}, …" if len(values) > VALUES_SHOWN else shown
