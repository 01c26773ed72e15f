"""Describes the API as OpenAPI 3.1, made of the table of operations and the types of queries, bodies and answers.

tests/system/desk/test_api_document.py holds a running desk to it.
"""

from functools import cache
from typing import Any, Final

import msgspec

from tillkeeper import __version__
from tillkeeper.desk.access.roles import right_of
from tillkeeper.desk.api.acting import KEY
from tillkeeper.desk.api.operation import Operation, by_path
from tillkeeper.desk.api.table import LISTS, OPERATIONS
from tillkeeper.desk.json_problems import KIND, PROBLEM_JSON, ProblemBody
from tillkeeper.domain.events import REF_CHARS_MAX
from tillkeeper.domain.order.view import OrderView
from tillkeeper.openapi import JSON, Json, fixed_headers, merged, received, reference, sent
from tillkeeper.store.people.idempotency import KEY_CHARS_MAX
from tillkeeper.store.reports.shown_order import HistoryEntry, OrderDetails

TOKEN: Final = "token"  # noqa: S105 - the scheme's name within the document
SESSION: Final = "session"

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": REF_CHARS_MAX, "pattern": "^[^\\u0000]*$"}
IDEMPOTENCY_KEY: Final[Json] = {
    "name": KEY,
    "in": "header",
    "required": False,
    "description": "Names the act, so that it is done once however often the request is sent: for a day a repeated "
    "request is answered as the first was, with `Idempotent-Replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": "^[ -~]+$"},
}
PARTS: Final[dict[str, Json]] = {
    "order_ref": {
        "description": "The order's reference, percent-encoded UTF-8; a slash in it is %2F.",
        "schema": _TEXT,
        "example": "A-1001",
    },
    "payment_ref": {
        "description": "The gateway's name for the payment, percent-encoded.",
        "schema": _TEXT,
        "example": "2026112822001422",
    },
    "account": {"description": "The name of the account.", "schema": _TEXT, "example": "alipay-main"},
    "id": {
        "description": "The number of the row.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "example": 42,
    },
}


@cache
def document() -> Json:
    """Returns the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillkeeper's desk",
            "version": __version__,
            "description": "All that the desk's pages show and do.  Amounts are whole numbers of a currency's minor "
            "unit; times are RFC 3339.  Lists are read in parts: send `next` as `after`.  Every error has a body of "
            "the schema ProblemBody (RFC 9457), with what would be right.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This desk."}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.of for operation in OPERATIONS)],
        "paths": {
            path: {"parameters": _parts(path), **{each.method.lower(): _operation(each) for each in operations}}
            for path, operations in by_path(OPERATIONS).items()
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Of `tillkeeper user token`; one that acts is made with --may-act.",
                },
                SESSION: {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "tk_session",
                    "description": "Of a browser that is signed in.  Acts carry the session's X-CSRF-Token, too.",
                },
            },
        },
    }


def _parts(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, **PARTS[name]} for name in names]


def _operation(operation: Operation) -> Json:
    right = right_of(operation.right)
    role = f"  It takes the role {right.role}" + (", and a second person of it." if right.takes_two else ".")
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.of],
        "summary": operation.summary,
        "description": operation.description + role,
        "security": [{TOKEN: []}, {SESSION: []}],
        "responses": {
            str(operation.status): {"description": "Done.", "content": {JSON: {"schema": _answer(operation.answers)}}},
            **{str(status): _problem(status) for status in operation.problems},
        },
    }
    parameters = [] if operation.query is None else _parameters(operation.query)
    parameters += [IDEMPOTENCY_KEY] if operation.is_act else []
    if parameters:
        described["parameters"] = parameters
    if operation.takes is not None:
        schema = reference(operation.takes.__name__)
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return described


def _answer(answers: Any) -> Json:
    return reference(answers) if isinstance(answers, str) else reference(_name_of(answers))


def _name_of(kind: Any) -> str:
    """Returns the name that the schema of a type has."""
    [shape], _ = msgspec.json.schema_components([kind], ref_template="{name}")
    return str(shape["$ref"])


def _problem(status: int) -> Json:
    kind = KIND[status]
    described: Json = {
        "description": f"{kind.title}.  {kind.remedy}",
        "content": {PROBLEM_JSON: {"schema": reference(ProblemBody.__name__)}},
    }
    if status == 401:  # noqa: PLR2004 - the one that names its scheme
        described["headers"] = fixed_headers({"WWW-Authenticate": "Bearer"})
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return described


def _parameters(query: type[Any]) -> list[Json]:
    """Describes the parameters of an address; one that may be left out is never null."""
    schema = received([query])[query.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "description": field["description"],
            "schema": _without_null(field),
        }
        for name, field in schema["properties"].items()
    ]


def _without_null(field: Json) -> Json:
    kept = {key: value for key, value in field.items() if key not in ("description", "anyOf", "default")}
    if "anyOf" not in field:
        return {**kept, **({"default": field["default"]} if "default" in field else {})}
    [shape] = [each for each in field["anyOf"] if each.get("type") != "null"]
    return {**kept, **shape}


def _schemas() -> Json:
    """Returns the schema of each body, and of what is in it."""
    answers = [operation.answers for operation in OPERATIONS if not isinstance(operation.answers, str)]
    rows = [row for row, _ in LISTS.values()]
    encoded = sent([*answers, *rows, ProblemBody, OrderView, OrderDetails, HistoryEntry])
    parts = [encoded["OrderView"], encoded.pop("OrderDetails")]
    history = {"description": "The oldest first.", "type": "array", "items": reference("HistoryEntry")}
    lists = {
        name: {"description": says, "type": "array", "items": reference(row.__name__)}
        for name, (row, says) in LISTS.items()
    }
    queried = received([operation.query for operation in OPERATIONS if operation.query is not None])
    bodies = received([operation.takes for operation in OPERATIONS if operation.takes is not None])
    queries = {operation.query.__name__ for operation in OPERATIONS if operation.query is not None}
    return {
        **{name: schema for name, schema in queried.items() if name not in queries},
        **bodies,
        "Order": merged("Order", "An order as it stands.  Amounts are in minor units of `currency`.", parts),
        "History": history,
        **encoded,
        **lists,
    }
