"""Answers what went wrong with a page that says what and what to do, and never with a trace."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from tillkeeper.desk.render import page
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

NOT_FOUND: Final = 404
EXPLAINED: Final = {400: "bad", 403: "forbidden", 404: "not_found", 405: "method", 413: "too_large"}


@web.middleware
async def show_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turns errors into pages.  Redirects, and what an inner middleware made itself, pass."""
    try:
        return await handler(request)
    except web.HTTPException as problem:
        kind = EXPLAINED.get(problem.status)
        if kind is None or problem.content_type == "application/json":
            raise
        return page(request, "problem.html", status=problem.status, kind=kind)
    except DATABASE_ERRORS as error:
        log.warning("desk_without_database", error=repr(error))
        return page(request, "problem.html", status=503, kind="database")
    except Exception:
        log.exception("desk_failed", path=request.path)
        return page(request, "problem.html", status=500, kind="ours")
