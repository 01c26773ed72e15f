"""Resolves cases about money, in two: one operator proposes it, and another one confirms or refuses."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, form_of, id_in, number_in
from tillkeeper.desk.pages.cases.acts import BAD, CONFLICT, why_not
from tillkeeper.desk.pages.cases.all_cases import CASES
from tillkeeper.desk.pages.cases.one_case import CaseMessage, show_case
from tillkeeper.desk.proposals import why_undecided
from tillkeeper.desk.render import shower_for
from tillkeeper.store.cases.acts import (
    MovedOn,
    confirm_resolution,
    propose_to_resolve,
    refuse_resolution,
    subject_of,
)
from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
from tillkeeper.store.people.approvals import AlreadyProposed, ProposalNotOpen, SamePerson
from tillkeeper.store.postgres.pool import Conn


async def propose(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/resolve/propose."""
    form = await form_of(request)
    sent = form.texts
    try:
        outcome = form.needed("outcome", "cases.needs_outcome")
    except BadField as bad:
        said = CaseMessage(message=shower_for(request).say(bad.word), open_form="resolve", sent=sent, status=BAD)
        return await show_case(request, id_in(request), said)
    work = partial(propose_to_resolve, outcome=outcome, text=form.text("reason"), seen=number_in(form.text("seen")))
    return await _do(request, "propose to resolve a case", work, why=outcome, sent=sent)


async def confirm(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/resolve/{proposal}/confirm."""
    form = await form_of(request)
    work = partial(confirm_resolution, approval_id=_proposal_in(request), seen=number_in(form.text("seen")))
    return await _do(request, "confirm resolving a case", work)


async def refuse(request: web.Request) -> web.Response:
    """Answers POST /cases/{id}/resolve/{proposal}/refuse, of whoever proposed it or another."""
    work = partial(refuse_resolution, approval_id=_proposal_in(request))
    return await _do(request, "refuse resolving a case", work)


def _proposal_in(request: web.Request) -> int:
    return number_in(request.match_info["proposal"])


async def _do(
    request: web.Request,
    what: str,
    work: Callable[..., Awaitable[object]],
    *,
    why: str = "",
    sent: dict[str, str] | None = None,
) -> web.Response:
    """Does it and shows the case; where it cannot be done, the case says why."""
    case_id, shower = id_in(request), shower_for(request)

    async def bound(conn: Conn) -> None:
        await work(conn, case_id, by=actor(request).name, now=desk_of(request).now())

    try:
        await act(request, Deed(what=what, subject=subject_of(case_id), why=why), bound)
    except NoSuchCase:
        raise web.HTTPNotFound from None
    except (AlreadyProposed, ProposalNotOpen, SamePerson) as refused:
        message = why_undecided(shower, refused)
    except (MovedOn, ClosedCase) as refused:
        message = why_not(shower, refused)
    else:
        raise web.HTTPSeeOther(f"{CASES}/{case_id}")
    return await show_case(
        request, case_id, CaseMessage(message=message, open_form="resolve", sent=sent or {}, status=CONFLICT)
    )
