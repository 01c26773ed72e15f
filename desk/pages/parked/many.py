"""What is done about parked events, one or many, after a page that says what it would do to which orders.

What would happen is no guess: it is done and rolled back.  Then each is done in a transaction of its own.
"""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from tillkeeper.desk.access.identity import note_act
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import BadField, FormFields, form_of, query_of
from tillkeeper.desk.pages.parked.all_parked import PARKED
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.recovery.parked import ParkedAct, discard, preview, replay
from tillkeeper.store.deliveries.parked import parked_named
from tillkeeper.store.postgres.pool import Conn

BAD: Final = 400
ACTS: Final = frozenset({"replay", "discard"})


async def show(request: web.Request) -> web.Response:
    """Answers GET /parked/many?act=&id=: what would happen; and with `done`, what did."""
    form = query_of(request)
    return await (_show_done(request, form) if form.text("done") else _show_plan(request, form))


async def _show_plan(request: web.Request, form: FormFields, *, message: str | None = None) -> web.Response:
    desk, name, ids = desk_of(request), _act_in(form), form.ids("id")
    if not ids:
        return page(request, "parked/none_ticked.html")
    async with desk.pool.acquire() as conn:
        rows = await parked_named(conn, ids)
    opened = [row for row in rows if row["outcome"] is None]
    told = {}
    if name == "replay":
        act, keys = ParkedAct(by=actor(request).name, note=""), EnvelopeKeys(desk.settings.envelope_keys)
        ids = [row["id"] for row in opened]
        told = {each["id"]: each for each in await preview(desk.pool, ids, act, desk.policy(), keys)}
    possible = [row for row in opened if name == "discard" or told[row["id"]]["error"] is None]
    effects = [told[row["id"]]["effects"] for row in possible if row["id"] in told]
    orders = {event["order_ref"] for effect in effects for event in effect["events"] if event["order_ref"]}
    return page(
        request,
        "parked/many.html",
        status=200 if message is None else BAD,
        act=name,
        rows=possible,
        left_out=[row for row in rows if row not in possible],
        told=told,
        orders=len(orders),
        message=message,
        reason=form.text("reason"),
    )


def _act_in(form: FormFields) -> str:
    name = form.text("act")
    if name not in ACTS:
        raise web.HTTPBadRequest
    return name


async def _show_done(request: web.Request, form: FormFields) -> web.Response:
    """Shows the rows as they are now, whoever closed them; of those that are open still, why."""
    desk, name = desk_of(request), _act_in(form)
    async with desk.pool.acquire() as conn:
        rows = await parked_named(conn, form.ids("id"))
    by = actor(request).name
    done = [row for row in rows if row["closed_by"] == by]
    opened = [row["id"] for row in rows if row["outcome"] is None]
    keys = EnvelopeKeys(desk.settings.envelope_keys)
    told = await preview(desk.pool, opened, ParkedAct(by=by, note=""), desk.policy(), keys)
    return page(
        request,
        "parked/many_done.html",
        act=name,
        done=done,
        others=[row for row in rows if row not in done],
        told={each["id"]: each for each in told},
    )


async def do_replay(request: web.Request) -> web.Response:
    """Answers POST /parked/many/replay."""
    return await _do(request, "replay")


async def do_discard(request: web.Request) -> web.Response:
    """Answers POST /parked/many/discard."""
    return await _do(request, "discard")


async def _do(request: web.Request, name: str) -> web.Response:
    desk, form = desk_of(request), await form_of(request)
    ids = form.ids("id")
    try:
        reason = form.needed("reason", "parked.needs_reason")
    except BadField as bad:
        asked = FormFields(fields={**form.fields, "act": (name,)})
        return await _show_plan(request, asked, message=shower_for(request).say(bad.word))

    async def note(conn: Conn, parked_id: int) -> None:
        await note_act(conn, request, f"{name} a parked event", subject=f"parked {parked_id}", why=reason)

    act = ParkedAct(by=actor(request).name, note=reason, also=note)
    if name == "replay" and ids:
        await replay(desk.pool, ids, act, desk.policy(), EnvelopeKeys(desk.settings.envelope_keys))
    else:
        await discard(desk.pool, ids, act)
    query = urlencode([("done", "1"), ("act", name), *(("id", str(each)) for each in ids)])
    raise web.HTTPSeeOther(f"{PARKED}/many?{query}")
