"""The page of one payment that waits: what is known, the orders that it may be of, and binding it to one in two."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, FormFields, form_of, query_of
from tillkeeper.desk.pages.claim.binding import BINDING, propose_to_bind, subject_of
from tillkeeper.desk.pages.waiting.all_waiting import payment_path
from tillkeeper.desk.person import is_enough
from tillkeeper.desk.proposals import why_undecided
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.likely_orders import LIKENESS_WORDS
from tillkeeper.store.apply.bind_waiting import BindingRefused
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.people.approvals import AlreadyProposed, open_approval
from tillkeeper.store.search.waiting import show_waiting

CONFLICT: Final = 409
BAD: Final = 400


async def show(request: web.Request) -> web.Response:
    """Answers GET /waiting/payment?account=&payment=."""
    return await _show(request, query_of(request))


async def _show(
    request: web.Request, form: FormFields, *, message: str | None = None, status: int = 200
) -> web.Response:
    desk, shower, person = desk_of(request), shower_for(request), actor(request)
    account, payment_ref = form.text("account"), form.text("payment")
    async with desk.pool.acquire() as conn:
        found = await show_waiting(conn, account, payment_ref)
        proposal = await open_approval(conn, act=BINDING, subject=subject_of(account, payment_ref), now=shower.now)
    if found is None:
        return page(request, "waiting/gone.html", status=404, shower=shower, payment=payment_ref)
    return page(
        request,
        "waiting/one.html",
        status=status,
        shower=shower,
        payment=found,
        proposal=proposal,
        likeness=LIKENESS_WORDS,
        told=lambda words: words.zh if shower.locale == "zh" else words.en,
        may_bind=is_enough(person.role, role_for("bind")),
        name=person.name,
        message=message,
        sent=form.texts,
    )


async def propose(request: web.Request) -> web.Response:
    """Answers POST /waiting/bind: proposes to bind the payment to an order, and shows that it waits for another."""
    form, shower = await form_of(request), shower_for(request)
    account, payment_ref = form.text("account"), form.text("payment")
    try:
        order_ref = form.needed("order", "waiting.needs_order")
        why = form.needed("reason", "claim.needs_why")
        await propose_to_bind(request, account=account, payment_ref=payment_ref, order_ref=order_ref, why=why)
    except BadField as bad:
        return await _show(request, form, message=shower.say(bad.word), status=BAD)
    except NoSuchOrder:
        return await _show(
            request, form, message=shower.say("waiting.no_order", ref=shower.short(order_ref)), status=BAD
        )
    except BindingRefused:
        return await _show(request, form, status=CONFLICT)  # it says that the payment does not wait
    except AlreadyProposed as refused:
        return await _show(request, form, message=why_undecided(shower, refused), status=CONFLICT)
    raise web.HTTPSeeOther(payment_path(account, payment_ref))
