"""Signs people in with their company's account: sends them to its provider, and lets in who comes back.

/sign-in/company ──> the provider ──> /sign-in/company/back ──> claims ─ member ─ role ──> a session
they sign out there ──> the provider posts a logout token to /sign-in/company/out ──> that session ends
"""

import asyncio
from typing import Final

import structlog
from aiohttp import web

from tillkeeper.desk.access.cookies import FLOW_COOKIE, SESSION_COOKIE, cookie_of, remove_cookie, set_cookie
from tillkeeper.desk.access.forms import field_of, see_other
from tillkeeper.desk.access.return_to import FIRST_PAGE, local_path
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.render import locale_of, page
from tillkeeper.domain.company_account import Member, NoMember, member_in
from tillkeeper.domain.people import Role
from tillkeeper.oidc.errors import ProviderAway, ProviderRefuses, SignInRefused
from tillkeeper.oidc.flow import FLOW_LIVES, SignInFlow, flow_in, new_flow
from tillkeeper.oidc.provider import Provider
from tillkeeper.store.people.members import NotAdded, keep_out, let_in
from tillkeeper.store.people.members import sign_out as sign_out_of
from tillkeeper.store.people.people import NameTaken
from tillkeeper.store.people.sessions import Disabled, FlowUsed
from tillkeeper.store.postgres.transactions import repeat_on_conflict

log = structlog.get_logger()

ASK_S: Final = 4.0  # for all calls to the provider; a page has ANSWER_S of desk/problems.py
STATUSES: Final = {"away": 503, "misfit": 502, "again": 400}
REFUSED: Final = 403


async def begin(request: web.Request) -> web.StreamResponse:
    """Answers GET /sign-in/company: sends the browser to the provider.  Nothing is signed in by it, so that it needs
    no form's token, and a start page of the provider's may lead here."""
    provider = _provider(request)
    flow = new_flow(local_path(request.query.get("next", FIRST_PAGE)))
    try:
        async with asyncio.timeout(ASK_S):
            response = see_other(await provider.authorization_url(flow))
    except (ProviderAway, ProviderRefuses, TimeoutError) as error:
        return _problem(request, provider, error)
    set_cookie(request, response, FLOW_COOKIE, flow.cookie, lives=FLOW_LIVES, samesite="Lax")
    return response


async def come_back(request: web.Request) -> web.StreamResponse:
    """Answers GET /sign-in/company/back: whom the provider sends back with a code that it took from this browser."""
    response = await _come_back(request, _provider(request))
    remove_cookie(request, response, FLOW_COOKIE)  # each begins anew
    return response


async def _come_back(request: web.Request, provider: Provider) -> web.StreamResponse:
    answer = {name: request.query.getall(name) for name in request.query}
    try:
        flow = _begun(request)
        async with asyncio.timeout(ASK_S):
            claims = await provider.claims(flow, answer)
        member = member_in(claims, provider.settings.rules, issuer=provider.settings.issuer)
    except (ProviderAway, ProviderRefuses, SignInRefused, TimeoutError) as error:
        return _problem(request, provider, error)
    except NoMember as error:
        log.info("company_sign_in_refused", reason=str(error))
        return _refused(request, provider, error.code)
    if member.role is None:
        return await _keep_out(request, provider, member, "no_role")
    return await _let_in(request, provider, member, member.role, flow)


async def _let_in(
    request: web.Request, provider: Provider, member: Member, role: Role, flow: SignInFlow
) -> web.StreamResponse:
    desk, locale = desk_of(request), locale_of(request)
    try:
        token = await repeat_on_conflict(
            desk.pool,
            lambda conn: let_in(
                conn,
                member,
                role,
                may_add=provider.settings.adds_people,
                flow=flow.number,
                locale=locale,
                now=desk.now(),
            ),
        )
    except NotAdded:
        return await _keep_out(request, provider, member, "not_added")
    except Disabled:
        return await _keep_out(request, provider, member, "disabled")
    except NameTaken:
        return await _keep_out(request, provider, member, "name_taken")
    except FlowUsed:
        return _problem(request, provider, SignInRefused("this sign-in has opened a session already"))
    response = see_other(local_path(flow.wanted))
    set_cookie(request, response, SESSION_COOKIE, token)
    return response


async def _keep_out(request: web.Request, provider: Provider, member: Member, why: str) -> web.Response:
    desk = desk_of(request)
    log.info("company_sign_in_refused", reason=why)
    await repeat_on_conflict(desk.pool, lambda conn: keep_out(conn, member, why, now=desk.now()))
    return _refused(request, provider, why, name=member.name)


async def sign_out(request: web.Request) -> web.Response:
    """Answers POST /sign-in/company/out, by which the provider tells who signed out there: their sessions end."""
    provider, desk = _provider(request), desk_of(request)
    token = await field_of(request, "logout_token")
    try:
        async with asyncio.timeout(ASK_S):
            subject = await provider.signed_out(token)
    except SignInRefused as error:
        log.warning("company_sign_out_refused", reason=str(error))
        return web.json_response({"error": "invalid_request"}, status=web.HTTPBadRequest.status_code)
    except (ProviderAway, ProviderRefuses, TimeoutError) as error:
        log.warning("company_provider_away", reason=str(error) or type(error).__name__)
        return web.json_response({"error": "temporarily_unavailable"}, status=web.HTTPServiceUnavailable.status_code)
    issuer = provider.settings.issuer
    ended = await repeat_on_conflict(desk.pool, lambda conn: sign_out_of(conn, issuer, subject, now=desk.now()))
    log.info("company_signed_out", sessions=ended)
    return web.Response()


def _begun(request: web.Request) -> SignInFlow:
    """Returns the sign-in that this browser began.  Raises SignInRefused."""
    flow = flow_in(cookie_of(request, FLOW_COOKIE))
    if flow is None:
        raise SignInRefused("this browser has begun no sign-in, or too long ago")
    return flow


def _provider(request: web.Request) -> Provider:
    provider = desk_of(request).provider
    if provider is None:
        raise web.HTTPNotFound
    return provider


def _refused(request: web.Request, provider: Provider, why: str, *, name: str = "") -> web.Response:
    """Says why somebody may not come in, and whom to ask."""
    return page(request, "company_refused.html", status=REFUSED, why=why, whose=name, ask=provider.settings.ask or "")


def _problem(request: web.Request, provider: Provider, error: Exception) -> web.Response:
    """Says that it did not work, and what to do; why exactly stands in the log."""
    match error:
        case SignInRefused():
            kind = "again"
            log.warning("company_sign_in_failed", reason=str(error))
        case ProviderRefuses():
            kind = "misfit"
            log.error("company_provider_refuses", reason=str(error))
        case _:
            kind = "away"
            log.warning("company_provider_away", reason=str(error) or type(error).__name__)
    settings = provider.settings
    return page(
        request,
        "company_problem.html",
        status=STATUSES[kind],
        kind=kind,
        label=settings.shown,
        takes_passwords=settings.passwords,
    )
