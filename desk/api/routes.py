"""Makes the routes of the API: those of the table, the document, and the page that shows it to people."""

import re
from typing import Final

import orjson
from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.api import page as api_page
from tillkeeper.desk.api.answering import handler_of
from tillkeeper.desk.api.document import document
from tillkeeper.desk.api.table import OPERATIONS
from tillkeeper.desk.json_problems import API
from tillkeeper.desk.route import Route
from tillkeeper.openapi import JSON


async def describe(_request: web.Request) -> web.Response:
    """Answers GET /api/openapi.json."""
    return web.Response(body=orjson.dumps(document()), content_type=JSON)


def _pattern(path: str) -> str:
    """Writes a path as the router takes it: anything may stand between two slashes."""
    return re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", path)


API_ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path=f"{API}/openapi.json", role=role_for("look"), handler=describe),
    Route(method="GET", path=f"{API}/docs", role=role_for("look"), handler=api_page.show),
    *(
        Route(
            method=operation.method,
            path=_pattern(operation.path),
            role=role_for(operation.right),
            handler=handler_of(operation),
            scope=operation.scope,
        )
        for operation in OPERATIONS
    ),
)
