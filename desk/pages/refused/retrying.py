"""Taking refused deliveries in after all: first a page says which the present keys verify, and what is in them."""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from tillkeeper.desk.access.identity import note_act
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, FormFields, form_of, query_of
from tillkeeper.desk.pages.refused.all_refused import REFUSED
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.recovery.refused import RefusedAct, preview, retry
from tillkeeper.store.postgres.pool import Conn

BAD: Final = 400


async def show(request: web.Request) -> web.Response:
    """Answers GET /refused/retry?id=."""
    return await _show_plan(request, query_of(request))


async def _show_plan(request: web.Request, form: FormFields, *, message: str | None = None) -> web.Response:
    desk, ids = desk_of(request), form.ids("id")
    if not ids:
        return page(request, "refused/none_ticked.html")
    found = await preview(desk.pool, desk.gateways(), ids)
    return page(
        request,
        "refused/retry.html",
        status=200 if message is None else BAD,
        taken=[each for each in found if each.taken],
        left_out=[each for each in found if not each.taken],
        message=message,
    )


async def do_retry(request: web.Request) -> web.Response:
    """Answers POST /refused/retry."""
    desk, form = desk_of(request), await form_of(request)
    try:
        reason = form.needed("reason", "refused.needs_reason")
    except BadField as bad:
        return await _show_plan(request, form, message=shower_for(request).say(bad.word))

    async def note(conn: Conn, number: int) -> None:
        await note_act(conn, request, "take a refused delivery in", subject=f"refused {number}", why=reason)

    keys = EnvelopeKeys(desk.settings.envelope_keys)
    act = RefusedAct(by=f"{actor(request).name}: {reason}", keys=keys, also=note)
    results = await retry(desk.pool, desk.gateways(), form.ids("id"), act)
    taken = [("taken", str(each.id)) for each in results if each.taken]
    left = [("left", str(each.id)) for each in results if not each.taken]
    raise web.HTTPSeeOther(f"{REFUSED}/retried?{urlencode([*taken, *left])}")


async def show_done(request: web.Request) -> web.Response:
    """Answers GET /refused/retried?taken=&left=: of those that were left, why they are refused still."""
    desk, form = desk_of(request), query_of(request)
    left = await preview(desk.pool, desk.gateways(), form.ids("left"))
    return page(request, "refused/retried.html", taken=form.ids("taken"), left=left)
