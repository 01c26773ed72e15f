"""Shows people where they are signed in, and lets them end that, change their password, and choose their language."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.access import passwords
from tillkeeper.desk.access.cookies import KNOWN_COOKIE, KNOWN_LIVES, SESSION_COOKIE, set_cookie
from tillkeeper.desk.access.forms import field_of, see_other
from tillkeeper.desk.access.identity import SESSION, entry_of
from tillkeeper.desk.access.known_browser import new_known_cookie
from tillkeeper.desk.access.sign_in import BAD, BUSY, TOO_MANY, new_hash, takes_passwords
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.person import Person, person_of
from tillkeeper.desk.render import page
from tillkeeper.domain.people import BadPassword
from tillkeeper.store.people.attempts import Buckets, TooManyTries, begin_try, forget_tries
from tillkeeper.store.people.log import write_log
from tillkeeper.store.people.people import account_of, set_locale, set_password
from tillkeeper.store.people.sessions import end_session, list_sessions, open_session
from tillkeeper.store.people.tokens import list_tokens
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

ME_PATH: Final = "/me"
LOCALES: Final = {"en": "en", "zh": "zh"}
SESSION_DIGITS_MAX: Final = 18  # of a number that the database can hold


async def show_me(request: web.Request) -> web.Response:
    """Answers GET /me."""
    return await _me(request)


async def _me(request: web.Request, *, status: int = 200, problem: str = "") -> web.Response:
    desk, person = desk_of(request), _person(request)
    async with desk.pool.acquire() as conn:
        sessions = await list_sessions(conn, person.id, now=desk.now())
        tokens = [token for token in await list_tokens(conn, person.name) if token.ended_at is None]
        account = await account_of(conn, person.name)
    return page(
        request,
        "me.html",
        status=status,
        sessions=sessions,
        current=request.get(SESSION),
        tokens=tokens,
        has_password=takes_passwords(request) and account is not None and account.password_hash is not None,
        problem=problem,
    )


async def end_one(request: web.Request) -> web.StreamResponse:
    """Answers POST /me/sessions/{id}/end."""
    desk, person, number = desk_of(request), _in_person(request), request.match_info["id"]
    if not number.isascii() or not number.isdigit() or len(number) > SESSION_DIGITS_MAX:
        raise web.HTTPNotFound

    async def work(conn: Conn) -> None:
        if await end_session(conn, int(number), person.id):
            await write_log(conn, entry_of(request, "access", "session ended"), now=desk.now())

    await repeat_on_conflict(desk.pool, work)
    return see_other(ME_PATH)


async def choose_language(request: web.Request) -> web.StreamResponse:
    """Answers POST /me/language."""
    person, locale = _in_person(request), await field_of(request, "locale")
    if locale not in LOCALES:
        raise web.HTTPBadRequest
    async with desk_of(request).pool.acquire() as conn:
        await set_locale(conn, person.id, "zh" if locale == "zh" else "en")
    return see_other(ME_PATH)


async def change_password(request: web.Request) -> web.StreamResponse:
    """Answers POST /me/password: all sessions end, and this browser gets a new one."""
    desk, person = desk_of(request), _in_person(request)
    if not takes_passwords(request):
        raise web.HTTPForbidden
    buckets = Buckets.of_browser(person.name, "changing the password")  # a session that was left open lets nobody guess
    try:
        await repeat_on_conflict(desk.pool, lambda conn: begin_try(conn, buckets, now=desk.now()))
        async with desk.pool.acquire() as conn:
            account = await account_of(conn, person.name)
        old = account.password_hash if account is not None else None
        await _refuse_wrong(await field_of(request, "old"), old)
        password_hash = await new_hash(request, person)
    except TooManyTries:
        return await _me(request, status=TOO_MANY, problem="too_many")
    except passwords.Busy:
        return await _me(request, status=BUSY, problem="busy")
    except BadPassword as refused:
        return await _me(request, status=BAD, problem=refused.code)

    async def work(conn: Conn) -> str:
        await forget_tries(conn, buckets)
        await set_password(conn, person.id, password_hash)
        await write_log(conn, entry_of(request, "access", "password changed"), now=desk.now())
        return await open_session(conn, person.id, now=desk.now())

    token = await repeat_on_conflict(desk.pool, work)
    response = see_other(ME_PATH)
    set_cookie(request, response, SESSION_COOKIE, token)
    set_cookie(request, response, KNOWN_COOKIE, new_known_cookie(password_hash), lives=KNOWN_LIVES)
    return response


async def _refuse_wrong(password: str, password_hash: str | None) -> None:
    if not await passwords.is_right(password, password_hash):
        raise BadPassword("wrong", "the old password is not right")


def _person(request: web.Request) -> Person:
    person = person_of(request)
    assert person is not None  # the routes need one
    return person


def _in_person(request: web.Request) -> Person:
    """Returns who sits before the browser.  A program has no session, password or language to see to."""
    if SESSION not in request:
        raise web.HTTPForbidden
    return _person(request)
