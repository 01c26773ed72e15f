"""Stands before every handler of the desk: who sends this, may they, and was it meant?

route for anyone ──> a visitor, whose forms carry a token, too
Authorization    ──> a program with a token of the desk: no cookie is looked at
cookie           ──> a session ─> a person ─> their role is enough ─> forms carry the session's token
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from tillkeeper.desk.access.cookies import (
    HTTPS,
    SESSION_COOKIE,
    VISITOR_COOKIE,
    Network,
    cookie_of,
    is_https,
    set_cookie,
)
from tillkeeper.desk.access.csrf import READING, carries, csrf_token, is_from_here
from tillkeeper.desk.access.identity import API_TOKEN, SESSION
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.json_problems import ApiProblem, is_api
from tillkeeper.desk.person import CSRF, MAY_LOOK_ON, PERSON, Needs, Role, is_enough
from tillkeeper.desk.render import page
from tillkeeper.desk.route import name_of_route, route_of
from tillkeeper.store.people.random_tokens import new_token
from tillkeeper.store.people.sessions import session_of
from tillkeeper.store.people.tokens import token_of
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

SIGN_IN_PATH: Final = "/sign-in"
BEARER: Final = "bearer "
JSON: Final = "application/json"
STREAM: Final = "text/event-stream"


def access(trusted_proxies: Sequence[Network]) -> Middleware:
    """Builds the middleware.  These proxies are believed when they say that the browser spoke https."""

    @web.middleware
    async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[HTTPS] = is_https(request, trusted_proxies)
        needed = _needed(request)
        if needed == "anyone":
            return await _serve_visitor(request, handler)
        if _comes_by_a_link_from_elsewhere(request) and not is_api(request):
            return page(request, "once_more.html")
        await _let_in(request, needed)
        request[MAY_LOOK_ON] = partial(_is_still_let_in, request, needed)
        return await handler(request)

    return let_in


async def _let_in(request: web.Request, needed: Needs) -> None:
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if authorization is not None:
        await _let_program_in(request, authorization, needed)
    else:
        await _let_person_in(request, needed)


async def _is_still_let_in(request: web.Request, needed: Needs) -> bool:
    """Looks again.  While the database is away nothing new is shown, so that whoever looks on sees nothing more."""
    try:
        await _let_in(request, needed)
    except (web.HTTPException, ApiProblem):
        return False
    except DATABASE_ERRORS:
        return True
    return True


def _needed(request: web.Request) -> Needs:
    """Returns the role that a request needs.  Which pages there are, only people learn; a route without a role is
    nobody's."""
    route = route_of(request)
    if route is not None:
        return route.role
    if request.match_info.http_exception is None:
        log.error("desk_route_without_role", path=request.path)
        raise web.HTTPForbidden
    return Role.VIEWER


async def _serve_visitor(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serves somebody without looking who it is."""
    known = cookie_of(request, VISITOR_COOKIE)
    secret = known or new_token()
    request[CSRF] = csrf_token(secret)
    route = route_of(request)
    if request.method not in READING and not (route is not None and route.is_from_elsewhere):
        await _refuse_foreign(request)
    response = await handler(request)
    if known is None and response.content_type == "text/html" and request.method in READING:
        set_cookie(request, response, VISITOR_COOKIE, secret)
    return response


async def _let_program_in(request: web.Request, authorization: str, needed: Needs) -> None:
    token = authorization[len(BEARER) :] if authorization.lower().startswith(BEARER) else ""
    desk = desk_of(request)
    async with desk.pool.acquire() as conn:
        found = await token_of(conn, token.strip(), now=desk.now())
    if found is None:
        raise _refusal(request, web.HTTPUnauthorized, "the bearer token is unknown, over or its person disabled")
    if not is_enough(found.person.role, needed):
        raise _refusal(request, web.HTTPForbidden, f"this takes the role {needed}; the token has {found.person.role}")
    if found.scope is not None and found.scope != getattr(route_of(request), "scope", None):
        raise _refusal(request, web.HTTPForbidden, f"the token is for {found.scope} alone")
    if is_act(request) and not found.may_act:
        raise _refusal(request, web.HTTPForbidden, "the token may read only; one that acts is made with --may-act")
    request[PERSON], request[CSRF], request[API_TOKEN] = found.person, "", found.name


async def _let_person_in(request: web.Request, needed: Needs) -> None:
    token = cookie_of(request, SESSION_COOKIE)
    desk = desk_of(request)
    session = None
    if token is not None:
        async with desk.pool.acquire() as conn:
            session = await session_of(conn, token, now=desk.now(), is_use=not _is_stream(request))
    if token is None or session is None:
        raise _to_sign_in(request)
    request[PERSON], request[CSRF], request[SESSION] = session.person, csrf_token(token), session.id
    if not is_enough(session.person.role, needed):
        log.info("desk_role_refused", person=session.person.name, route=name_of_route(request))
        why = f"this takes the role {needed}; you have {session.person.role}"
        raise ApiProblem(web.HTTPForbidden.status_code, why) if is_api(request) else web.HTTPForbidden
    if is_act(request):
        await _refuse_foreign(request)


def is_act(request: web.Request) -> bool:
    """Returns whether the request would change something; with a method that its path does not take, nothing can."""
    return request.method not in READING and route_of(request) is not None


async def _refuse_foreign(request: web.Request) -> None:
    if not is_from_here(request) or not await carries(request, request[CSRF]):
        log.warning("desk_foreign_form_refused", route=name_of_route(request))
        if is_api(request):
            why = "a session's cookie alone changes nothing"
            raise ApiProblem(
                web.HTTPForbidden.status_code, why, "Send the session's token in the header X-CSRF-Token too."
            )
        raise web.HTTPForbidden


def _comes_by_a_link_from_elsewhere(request: web.Request) -> bool:
    """Returns whether somebody followed a link in a chat or a mail.

    Browsers send no Strict cookie along then; they do when the page that they got loads the same address again.
    """
    site, mode = request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")
    is_known = cookie_of(request, SESSION_COOKIE) is not None
    return site == "cross-site" and mode == "navigate" and request.method == "GET" and not is_known


def _to_sign_in(request: web.Request) -> Exception:
    """Sends somebody to sign in, and then to the page that they wanted."""
    if is_api(request):
        return _refusal(request, web.HTTPUnauthorized, "there is neither a bearer token nor a session")
    location = SIGN_IN_PATH
    if request.method in READING and str(request.rel_url) != "/":
        location += f"?next={quote(str(request.rel_url), safe='')}"
    if "HX-Request" in request.headers:  # htmx would put the page into a part of this one
        return web.HTTPUnauthorized(headers={"HX-Redirect": SIGN_IN_PATH})
    if _is_stream(request) or JSON in request.headers.get(hdrs.ACCEPT, ""):
        return _refusal(request, web.HTTPUnauthorized, "sign in, or send a bearer token")
    return web.HTTPSeeOther(location)


def _is_stream(request: web.Request) -> bool:
    return STREAM in request.headers.get(hdrs.ACCEPT, "")


def _refusal(
    request: web.Request, kind: type[web.HTTPUnauthorized | web.HTTPForbidden], why: str
) -> ApiProblem | web.HTTPException:
    if is_api(request):
        return ApiProblem(kind.status_code, why)
    headers = {hdrs.WWW_AUTHENTICATE: "Bearer"} if kind is web.HTTPUnauthorized else {}
    return kind(text=json.dumps({"error": why}), content_type=JSON, headers=headers)
