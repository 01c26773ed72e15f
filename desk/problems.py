"""Answers what went wrong with a page that says what and what to do, or with a problem where a program asked; and never
with a trace."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import hdrs, web

from tillkeeper.desk.access.csrf import READING
from tillkeeper.desk.address import BadAddress
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
    except BadAddress as bad:
        return page(request, "bad_address.html", status=400, bad=bad)
    except web.HTTPException as problem:
        return _page_about(request, problem)
    except DATABASE_ERRORS as error:
        log.warning("desk_without_database", error=repr(error))
        return page(request, "problem.html", status=503, kind="database")
    except Exception:
        log.exception("desk_failed", route=name_of_route(request))
        return page(request, "problem.html", status=500, kind="ours")


def _page_about(request: web.Request, problem: web.HTTPException) -> web.Response:
    """Returns a page that says what is wrong.  Raises the problem itself where it is none, or no person reads it."""
    if problem.status == web.HTTPBadRequest.status_code and request.method in READING and request.query:
        return page(request, "bad_address.html", status=problem.status, bad=None)  # a place that its list never wrote
    kind = EXPLAINED.get(problem.status)
    if kind is None or problem.content_type == "application/json":
        raise problem
    answer = page(request, "problem.html", status=problem.status, kind=kind)
    if isinstance(problem, web.HTTPMethodNotAllowed):
        answer.headers[hdrs.ALLOW] = ", ".join(sorted(problem.allowed_methods))
    return answer


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
