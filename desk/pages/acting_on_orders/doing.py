"""Does what a person asked for on the page of a plan, where the order is still as that page showed it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, FormFields, form_of, number_in
from tillkeeper.desk.pages.acting_on_orders.planning import (
    FORMAT,
    HOLD_MAX,
    OrderMessage,
    Page,
    show_plan,
    why_not,
)
from tillkeeper.desk.paths import order_path, order_ref_in
from tillkeeper.desk.proposals import why_undecided
from tillkeeper.desk.render import shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.acts import ActRefused, Refusal, WantedAct, What
from tillkeeper.store.orders import closing_in_two
from tillkeeper.store.orders.acts import NoSuchOrder, OrderMovedOn, Seen, carry_out
from tillkeeper.store.people.approvals import AlreadyProposed, ProposalNotOpen, SamePerson
from tillkeeper.store.postgres.pool import Conn

CONFLICT: Final = 409
BAD: Final = 400
# What is written down of each act.
DEEDS: Final = {
    What.HOLD: "hold an order",
    What.RELEASE: "release an order",
    What.CLOSE: "close an order",
    What.ASK: "ask the gateways",
    What.REMIND: "remind a payer",
    What.CLAIM: "open a case of who says they paid",
}
Work = Callable[..., Awaitable[object]]


def done(what: What) -> Page:
    """Returns what answers POST /orders/{ref}/WHAT."""

    async def do(request: web.Request) -> web.Response:
        form = await form_of(request)
        try:
            wanted, reason = _wanted(request, what, form), _reason(what, form)
        except BadField as bad:
            return await _refused(request, what, form, shower_for(request).say(bad.word), BAD)
        cases = desk_of(request).policy().cases
        work = partial(carry_out, wanted=wanted, note=reason, seen=_seen(form), policy=cases)
        return await _do(request, what, work, form, why=reason)

    return do


async def propose(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/close/propose: proposes to a second person to close an order in doubt."""
    form = await form_of(request)
    try:
        reason = _reason(What.CLOSE, form)
    except BadField as bad:
        return await _refused(request, What.CLOSE, form, shower_for(request).say(bad.word), BAD)
    work = partial(closing_in_two.propose_closing, note=reason, seen=_seen(form))
    return await _do(request, What.CLOSE, work, form, what_is_noted="propose to close an order", why=reason)


async def confirm(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/close/{id}/confirm: closes it, in the names of both."""
    number = number_in(request.match_info["id"])
    work = partial(closing_in_two.confirm_closing, approval_id=number)
    return await _do(request, What.CLOSE, work, await form_of(request), what_is_noted="confirm closing an order")


async def refuse(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/close/{id}/refuse: by whoever proposed it, or another."""
    number = number_in(request.match_info["id"])
    work = partial(closing_in_two.refuse_closing, approval_id=number)
    return await _do(request, What.CLOSE, work, await form_of(request), what_is_noted="refuse closing an order")


def _wanted(request: web.Request, what: What, form: FormFields) -> WantedAct:
    if what is not What.HOLD:
        return WantedAct(what=what)
    desk = desk_of(request)
    try:
        until = datetime.strptime(form.text("until"), FORMAT).replace(tzinfo=desk.zone)
    except ValueError:
        raise BadField("doing.needs_time") from None
    if not desk.now() < until <= desk.now() + HOLD_MAX:
        raise BadField("doing.bad_time")
    return WantedAct(what=what, until=until)


def _reason(what: What, form: FormFields) -> str:
    """Returns why; who has a gateway asked needs to say no more.  Raises BadField."""
    return form.text("reason") if what is What.ASK else form.needed("reason", "doing.needs_reason")


def _seen(form: FormFields) -> Seen:
    version, _, last_act = form.text("seen").partition("-")
    return Seen(version=number_in(version), act=number_in(last_act))


async def _do(
    request: web.Request, what: What, work: Work, form: FormFields, *, what_is_noted: str | None = None, why: str = ""
) -> web.Response:
    """Does it and goes back to where the person came from; where it cannot be done, the plan as it is now says why."""
    order_ref, shower = order_ref_in(request), shower_for(request)

    async def bound(conn: Conn) -> None:
        await work(conn, order_ref, by=actor(request).name, now=desk_of(request).now())

    deed = Deed(what=what_is_noted or DEEDS[what], subject=closing_in_two.subject_of(order_ref), why=why)
    try:
        await act(request, deed, bound)
    except NoSuchOrder:
        raise web.HTTPNotFound from None
    except OrderMovedOn as moved_on:
        message = _moved_on(shower, moved_on)
    except ActRefused as refused:
        is_in_doubt = refused.why is Refusal.IN_DOUBT
        message = shower.say("doing.more_doubts") if is_in_doubt else why_not(shower, refused)
    except (AlreadyProposed, ProposalNotOpen, SamePerson) as refused:
        message = why_undecided(shower, refused)
    else:
        raise web.HTTPSeeOther(_next_page(order_ref, form, is_proposal=what_is_noted is not None))
    return await _refused(request, what, form, message, CONFLICT)


async def _refused(request: web.Request, what: What, form: FormFields, message: str, status: int) -> web.Response:
    sent = form.texts
    return await show_plan(request, what, OrderMessage(message=message, sent=sent, status=status))


def _moved_on(shower: Shower, moved_on: OrderMovedOn) -> str:
    if moved_on.entry is None:
        return shower.say("doing.news")
    entry = moved_on.entry
    what = shower.word("act", entry["what"])
    return shower.say("doing.moved_on", by=shower.who(entry["by"]), what=what, at=shower.clock(entry["at"]))


def _next_page(order_ref: str, form: FormFields, *, is_proposal: bool) -> str:
    """Returns the page that shows the effect."""
    return order_path(order_ref, "claim") if form.text("from") == "claim" and not is_proposal else order_path(order_ref)
