"""Decides about a paused account, in two: one operator proposes what becomes of it, and another confirms or refuses."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, FormFields, form_of, id_in, number_in
from tillkeeper.desk.pages.accounts.one_pause import MINUTE_S, PauseMessage, show_pause
from tillkeeper.desk.paths import account_in, account_path
from tillkeeper.desk.proposals import why_undecided
from tillkeeper.desk.render import shower_for
from tillkeeper.store.guard.deciding import DEAF_MAX_S, Decision, NotPaused
from tillkeeper.store.guard.deciding_in_two import confirm_decision, propose_decision, refuse_decision, subject_of
from tillkeeper.store.people.approvals import AlreadyProposed, ProposalNotOpen, SamePerson
from tillkeeper.store.postgres.pool import Conn

CONFLICT: Final = 409
BAD: Final = 400
DIGITS_MAX: Final = 9


async def propose_to_go(request: web.Request) -> web.Response:
    """Answers POST /accounts/{name}/pause/go: proposes to have what is held applied."""
    return await _propose(request, "go")


async def propose_to_park(request: web.Request) -> web.Response:
    """Answers POST /accounts/{name}/pause/park: proposes to have what is held parked."""
    return await _propose(request, "park")


async def confirm(request: web.Request) -> web.Response:
    """Answers POST /accounts/{name}/pause/{id}/confirm: decides, in the names of both."""
    work = partial(confirm_decision, approval_id=id_in(request))
    return await _do(request, "confirm what becomes of a paused account", work)


async def refuse(request: web.Request) -> web.Response:
    """Answers POST /accounts/{name}/pause/{id}/refuse, of whoever proposed it or another."""
    work = partial(refuse_decision, approval_id=id_in(request))
    return await _do(request, "refuse what was proposed about a paused account", work)


async def _propose(request: web.Request, decision: Decision) -> web.Response:
    form = await form_of(request)
    sent = form.texts
    try:
        why = form.needed("reason", "guard.needs_reason")
        deaf_s = _deaf_s(request, form) if decision == "go" else 0
    except BadField as bad:
        message = shower_for(request).say(bad.word, most=DEAF_MAX_S // MINUTE_S)
        return await show_pause(request, PauseMessage(message=message, open_form=decision, sent=sent, status=BAD))
    seen = number_in(form.text("seen"))
    work = partial(propose_decision, decision=decision, note=why, deaf_s=deaf_s, seen=seen)
    return await _do(request, "propose about a paused account", work, why=why, open_form=decision, sent=sent)


def _deaf_s(request: web.Request, form: FormFields) -> int:
    """Returns for how long no rule may pause the account after it went on.  Raises BadField."""
    text = form.text("deaf_min")
    if not text:
        return desk_of(request).settings.guard.deaf_min * MINUTE_S
    if not text.isascii() or not text.isdecimal() or len(text) > DIGITS_MAX:
        raise BadField("guard.bad_deaf")
    seconds = int(text) * MINUTE_S
    if seconds > DEAF_MAX_S:
        raise BadField("guard.bad_deaf")
    return seconds


async def _do(
    request: web.Request,
    what: str,
    work: Callable[..., Awaitable[object]],
    *,
    why: str = "",
    open_form: str | None = None,
    sent: dict[str, str] | None = None,
) -> web.Response:
    """Does it and shows the pause; where it cannot be done, the pause as it is now says why."""
    account, shower = account_in(request), shower_for(request)

    async def bound(conn: Conn) -> None:
        await work(conn, account, by=actor(request).name, now=desk_of(request).now())

    try:
        await act(request, Deed(what=what, subject=subject_of(account), why=why), bound)
    except NotPaused:
        message = shower.say("guard.moved_on")
    except (AlreadyProposed, ProposalNotOpen, SamePerson) as refused:
        message = why_undecided(shower, refused)
    else:
        raise web.HTTPSeeOther(account_path(account, "pause"))
    return await show_pause(
        request, PauseMessage(message=message, open_form=open_form, sent=sent or {}, status=CONFLICT)
    )
