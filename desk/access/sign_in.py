"""Signs people in with their password, or with a one-time link that sets one, and signs them out."""

from typing import Final

import msgspec
import structlog
from aiohttp import web

from tillkeeper.desk.access import passwords
from tillkeeper.desk.access.cookies import (
    KNOWN_COOKIE,
    KNOWN_LIVES,
    SESSION_COOKIE,
    cookie_of,
    remove_cookie,
    set_cookie,
)
from tillkeeper.desk.access.forms import field_of, see_other
from tillkeeper.desk.access.identity import SESSION, entry_of
from tillkeeper.desk.access.known_browser import known_browser, new_known_cookie
from tillkeeper.desk.access.middleware import SIGN_IN_PATH
from tillkeeper.desk.access.return_to import FIRST_PAGE, local_path
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.person import person_of
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.people import BadPassword, Person, folded, refuse_bad_password
from tillkeeper.oidc.paths import BEGIN_PATH
from tillkeeper.store.people.attempts import Buckets, TooManyTries, begin_try, forget_tries
from tillkeeper.store.people.links import LinkOver, use_link, whose_link
from tillkeeper.store.people.log import LogEntry, write_log
from tillkeeper.store.people.people import PersonAccount, account_of, replace_hash, set_password
from tillkeeper.store.people.sessions import Disabled, end_session, open_session
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

log = structlog.get_logger()

NAME_CHARS_READ: Final = 200  # no name is as long
WRONG: Final = 401  # a name or password that is not right
FORBIDDEN: Final = 403
TOO_MANY: Final = 429
BUSY: Final = 503
OVER: Final = 410
BAD: Final = 422
BUSY_RETRY_S: Final = 3


async def show_sign_in(request: web.Request) -> web.Response:
    """Answers GET /sign-in."""
    return _form(request, name="", wanted=local_path(request.query.get("next", FIRST_PAGE)))


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Answers POST /sign-in."""
    if not takes_passwords(request):
        return await _again(request, "", "passwords_off", status=FORBIDDEN)
    name = folded((await field_of(request, "name"))[:NAME_CHARS_READ])
    password = await field_of(request, "password")
    desk = desk_of(request)
    async with desk.pool.acquire() as conn:
        account = await account_of(conn, name)
    password_hash = account.password_hash if account is not None else None
    browser = known_browser(cookie_of(request, KNOWN_COOKIE), password_hash)
    buckets = Buckets.of_name(name) if browser is None else Buckets.of_browser(name, browser)
    try:
        await repeat_on_conflict(desk.pool, lambda conn: begin_try(conn, buckets, now=desk.now()))
        is_right = await passwords.is_right(password, password_hash)
    except TooManyTries as refused:
        seconds = int(refused.wait(desk.now()).total_seconds()) + 1
        return await _again(request, name, "too_many", status=TOO_MANY, wait_s=seconds)
    except passwords.Busy:
        return await _again(request, name, "busy", status=BUSY, wait_s=BUSY_RETRY_S)
    if not is_right or account is None or account.disabled_at is not None:
        log.info("sign_in_failed", person=account.person.name if account else None)
        return await _again(request, name, "wrong", status=WRONG)
    return await _welcome(request, account, password, buckets)


async def _welcome(request: web.Request, account: PersonAccount, password: str, buckets: Buckets) -> web.StreamResponse:
    """Opens the session of somebody whose password was right."""
    desk, person = desk_of(request), account.person
    password_hash = account.password_hash
    assert password_hash is not None  # it was right
    stronger = await passwords.hashed(password) if passwords.is_outdated(password_hash) else None

    async def work(conn: Conn) -> str:
        if stronger is not None:
            await replace_hash(conn, person.id, old=password_hash, new=stronger)
        await forget_tries(conn, buckets)
        return await _open(conn, request, person, "signed in")

    try:
        token = await repeat_on_conflict(desk.pool, work)
    except Disabled:
        return await _again(request, person.name, "wrong", status=WRONG)
    response = see_other(local_path(await field_of(request, "next")))
    set_cookie(request, response, SESSION_COOKIE, token)
    set_cookie(request, response, KNOWN_COOKIE, new_known_cookie(stronger or password_hash), lives=KNOWN_LIVES)
    return response


async def _again(
    request: web.Request, name: str, problem: str, *, status: int, wait_s: int | None = None
) -> web.Response:
    """Shows the form again, with what was wrong: never whether it was the name or the password."""
    wanted = local_path(await field_of(request, "next"))
    response = _form(request, status=status, name=name, wanted=wanted, problem=problem, wait_s=wait_s or 0)
    if wait_s is not None:
        response.headers["Retry-After"] = str(wait_s)
    return response


def _form(
    request: web.Request, *, status: int = 200, name: str, wanted: str, problem: str = "", wait_s: int = 0
) -> web.Response:
    """Shows the ways to sign in that there are."""
    provider = desk_of(request).provider
    return page(
        request,
        "sign_in.html",
        status=status,
        name=name,
        wanted=wanted,
        problem=problem,
        wait_s=wait_s,
        takes_passwords=takes_passwords(request),
        label=provider.settings.shown if provider is not None else "",
        begin_path=BEGIN_PATH,
    )


def takes_passwords(request: web.Request) -> bool:
    """Returns whether people may sign in with passwords here."""
    provider = desk_of(request).provider
    return provider is None or provider.settings.passwords


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Answers POST /sign-out."""
    desk, person = desk_of(request), person_of(request)
    assert person is not None  # the route needs one
    if (session := request.get(SESSION)) is not None:

        async def work(conn: Conn) -> None:
            await end_session(conn, session, person.id)
            await write_log(conn, entry_of(request, "access", "signed out"), now=desk.now())

        await repeat_on_conflict(desk.pool, work)
    response = see_other(SIGN_IN_PATH)
    remove_cookie(request, response, SESSION_COOKIE)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


async def show_link(request: web.Request) -> web.Response:
    """Answers GET /welcome/{token}, and leaves the link to be used: chats open links to show what is behind them."""
    if not takes_passwords(request):
        return _no_passwords(request)
    desk = desk_of(request)
    try:
        async with desk.pool.acquire() as conn:
            person = await whose_link(conn, request.match_info["token"], now=desk.now())
    except LinkOver:
        return page(request, "link_over.html", status=OVER)
    return _link(request, person)


async def use_the_link(request: web.Request) -> web.StreamResponse:
    """Answers POST /welcome/{token}: sets the password, and signs its person in."""
    if not takes_passwords(request):
        return _no_passwords(request)
    desk, token = desk_of(request), request.match_info["token"]
    try:
        async with desk.pool.acquire() as conn:
            person = await whose_link(conn, token, now=desk.now())
        password_hash = await new_hash(request, person)
        session = await repeat_on_conflict(
            desk.pool, lambda conn: _use(conn, request, token, password_hash=password_hash)
        )
    except (LinkOver, Disabled):
        return page(request, "link_over.html", status=OVER)
    except BadPassword as refused:
        return _link(request, person, status=BAD, problem=refused.code)
    except passwords.Busy:
        return _link(request, person, status=BUSY, problem="busy")
    response = see_other(FIRST_PAGE)
    set_cookie(request, response, SESSION_COOKIE, session)
    set_cookie(request, response, KNOWN_COOKIE, new_known_cookie(password_hash), lives=KNOWN_LIVES)
    return response


def _link(request: web.Request, person: Person, *, status: int = 200, problem: str = "") -> web.Response:
    """Asks for a password, in the language of the person whose link it is."""
    shower = msgspec.structs.replace(shower_for(request), locale=person.locale)
    return page(request, "link.html", status=status, shower=shower, whose=person.name, problem=problem)


def _no_passwords(request: web.Request) -> web.Response:
    """Says that a link signs nobody in where people sign in with their company's account alone."""
    return page(request, "no_passwords.html", status=FORBIDDEN)


async def _use(conn: Conn, request: web.Request, token: str, *, password_hash: str) -> str:
    person = await use_link(conn, token, now=desk_of(request).now())
    await set_password(conn, person.id, password_hash)
    await forget_tries(conn, Buckets((Buckets.of_name(person.name).numbers[-1],)))
    return await _open(conn, request, person, "password set with a link")


async def _open(conn: Conn, request: web.Request, person: Person, what: str) -> str:
    """Opens a session with a new token, whatever cookie the browser sent, and writes it down."""
    now = desk_of(request).now()
    token = await open_session(conn, person.id, now=now)
    entry = LogEntry(kind="access", person_id=person.id, person=person.name, what=what)
    await write_log(conn, entry, now=now)
    return token


async def new_hash(request: web.Request, person: Person) -> str:
    """Returns the hash of the new password in a form, which is typed twice.  Raises BadPassword or Busy."""
    password = await field_of(request, "password")
    if password != await field_of(request, "again"):
        raise BadPassword("differs", "the two are not the same")
    refuse_bad_password(password, name=person.name)
    return await passwords.hashed(password)
