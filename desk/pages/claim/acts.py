"""What people do when a customer says they paid: have the gateways asked, and bind money that waits, in two."""

from functools import partial
from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, form_of, id_in
from tillkeeper.desk.pages.claim.binding import BINDING, propose_to_bind
from tillkeeper.desk.pages.claim.one_claim import show_claim
from tillkeeper.desk.paths import order_path, order_ref_in
from tillkeeper.desk.proposals import why_undecided
from tillkeeper.desk.render import shower_for
from tillkeeper.domain.order.acts import ActRefused
from tillkeeper.store.apply.bind_waiting import BindingRefused, bind_as_approved
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.people.approvals import AlreadyProposed, ProposalNotOpen, SamePerson, confirm, refuse
from tillkeeper.store.postgres.pool import Conn

CONFLICT: Final = 409
BAD: Final = 400


async def ask(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/claim/ask: the sweep asks within seconds, and the page follows."""
    order_ref, now = order_ref_in(request), desk_of(request).now()
    work = partial(order_acts.ask_gateway, order_ref=order_ref, by=actor(request).name, note="", now=now)
    try:
        await act(request, Deed(what="ask the gateways", subject=f"order {order_ref}"), work)
    except NoSuchOrder:
        raise web.HTTPNotFound from None
    except ActRefused:
        return await show_claim(request, order_ref, message=shower_for(request).say("claim.held"), status=CONFLICT)
    raise web.HTTPSeeOther(order_path(order_ref, "claim"))


async def propose_binding(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/claim/bind: proposes it to a second person."""
    order_ref, form, shower = order_ref_in(request), await form_of(request), shower_for(request)
    try:
        why = form.needed("reason", "claim.needs_why")
    except BadField as bad:
        return await show_claim(request, order_ref, message=shower.say(bad.word), status=BAD)
    money = {"account": form.text("account"), "payment_ref": form.text("payment")}
    try:
        await propose_to_bind(request, **money, order_ref=order_ref, why=why)
    except NoSuchOrder:
        raise web.HTTPNotFound from None
    except AlreadyProposed as refused:
        message = why_undecided(shower, refused)
    except BindingRefused as refused:
        message = shower.say("claim.not_bound", why=shower.cut(str(refused)))
    else:
        raise web.HTTPSeeOther(order_path(order_ref, "claim"))
    return await show_claim(request, order_ref, message=message, status=CONFLICT)


async def confirm_binding(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/claim/bind/{id}/confirm: binds the money, in the names of both."""
    order_ref, shower = order_ref_in(request), shower_for(request)
    work = partial(_confirm, request=request, approval_id=id_in(request))
    try:
        await act(request, Deed(what="confirm a binding", subject=f"order {order_ref}"), work)
    except (ProposalNotOpen, SamePerson) as refused:
        message = why_undecided(shower, refused)
    except (BindingRefused, NoSuchOrder) as refused:
        message = shower.say("claim.not_bound", why=shower.cut(str(refused)))
    else:
        raise web.HTTPSeeOther(order_path(order_ref, "claim"))
    return await show_claim(request, order_ref, message=message, status=CONFLICT)


async def _confirm(conn: Conn, *, request: web.Request, approval_id: int) -> None:
    desk, person = desk_of(request), actor(request)
    now = desk.now()
    approval = await confirm(conn, approval_id, by=person.name, now=now)
    if approval.act != BINDING or approval.content["order_ref"] != order_ref_in(request):
        raise ProposalNotOpen
    await bind_as_approved(conn, approval, confirmed_by=person.name, policy=desk.policy(), now=now)


async def refuse_binding(request: web.Request) -> web.Response:
    """Answers POST /orders/{ref}/claim/bind/{id}/refuse: by whoever proposed it, or another."""
    order_ref, number = order_ref_in(request), id_in(request)

    async def work(conn: Conn) -> None:
        approval = await refuse(conn, number, by=actor(request).name, now=desk_of(request).now())
        if approval.act != BINDING or approval.content["order_ref"] != order_ref:
            raise ProposalNotOpen

    try:
        await act(request, Deed(what="refuse a binding", subject=f"order {order_ref}"), work)
    except ProposalNotOpen as refused:
        message = why_undecided(shower_for(request), refused)
        return await show_claim(request, order_ref, message=message, status=CONFLICT)
    raise web.HTTPSeeOther(order_path(order_ref, "claim"))
