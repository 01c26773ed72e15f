"""Makes the parts that OpenAPI 3.1 documents share: schemas of the types that decode requests and encode answers, and
references to them.

ingest/openapi.py describes the receiver with them, desk/api/document.py the desk.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/{name}"
JSON: Final = "application/json"


def reference(name: str) -> Json:
    """Returns a reference to the schema of this name."""
    return {"$ref": SCHEMAS.format(name=name)}


def received(types: Iterable[Any]) -> Json:
    """Returns the schemas of bodies that are decoded, and of what is in them."""
    _, schemas = msgspec.json.schema_components(types, ref_template=SCHEMAS)
    return schemas


def sent(types: Iterable[Any]) -> Json:
    """Returns the schemas of bodies that are encoded, and of what is in them: each is sent with all of its fields."""
    _, schemas = msgspec.json.schema_components(types, ref_template=SCHEMAS)
    return {name: _always_whole(schema) for name, schema in schemas.items()}


def merged(title: str, description: str, schemas: Iterable[Json]) -> Json:
    """Returns the schema of an object that has the fields of all of these."""
    parts = list(schemas)
    return {
        "title": title,
        "description": description,
        "type": "object",
        "properties": {name: field for part in parts for name, field in part["properties"].items()},
        "required": [name for part in parts for name in part["required"]],
    }


def fixed_headers(headers: Mapping[str, str]) -> Json:
    """Describes headers that an answer always has, with the one value of each."""
    return {name: {"required": True, "schema": {"type": "string", "enum": [value]}} for name, value in headers.items()}


def operations(document: Json) -> Iterable[tuple[str, str, Json]]:
    """Yields (method, path, operation) for each operation of a document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield method.upper(), path, operation


def _always_whole(schema: Json) -> Json:
    """Returns the schema of an object that is sent with every field, whatever defaults its type has."""
    if "properties" not in schema:
        return schema
    properties = {
        name: {key: value for key, value in each.items() if key != "default"}
        for name, each in schema["properties"].items()
    }
    return {**schema, "properties": properties, "required": list(properties)}
