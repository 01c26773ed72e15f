"""Answers what went wrong with a page that says what and what to do, or with a problem where a program asked; and never
with a trace."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from tillkeeper.desk.json_problems import RETRY_AFTER_S, ApiProblem, is_api, problem_of, problem_response
from tillkeeper.desk.render import page
from tillkeeper.desk.route import name_of_route, route_of
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

ANSWER_S: Final = 5.0  # and so the longest that a page holds a snapshot of the database: others pay for long ones
EXPLAINED: Final = {400: "bad", 403: "forbidden", 404: "not_found", 405: "method", 413: "too_large"}


@web.middleware
async def show_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turns errors into pages.  Redirects, and what an inner middleware made itself, pass."""
    if is_api(request):
        return await _answer_program(request, handler)
    route = route_of(request)
    try:
        async with asyncio.timeout(None if route is not None and route.is_stream else ANSWER_S):
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
        log.exception("desk_failed", route=name_of_route(request))
        return page(request, "problem.html", status=500, kind="ours")


async def _answer_program(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await handler(request)
    except ApiProblem as problem:
        return problem_response(problem)
    except web.HTTPException as error:
        return problem_response(problem_of(error))
    except DATABASE_ERRORS as error:
        log.warning("desk_without_database", error=repr(error))
        return problem_response(
            ApiProblem(503, "the database does not answer, or is busy", retry_after_s=RETRY_AFTER_S)
        )
    except Exception:
        log.exception("desk_failed", route=name_of_route(request))
        return problem_response(ApiProblem(500, "the request met an error that nobody foresaw"))
