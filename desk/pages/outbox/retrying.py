"""Trying dead notices again: a page says which and to whom, then a reason."""

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from tillkeeper.desk.acting import Deed, act
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import ROWS_MAX, BadField, FormFields, form_of, query_of
from tillkeeper.desk.pages.outbox.unsent import OUTBOX
from tillkeeper.desk.render import page, shower_for
from tillkeeper.store.outbox.retrying import retry_dead
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.outbox import notices_named

BAD: Final = 400


async def show(request: web.Request) -> web.Response:
    """Answers GET /outbox/retry?key=."""
    return await _show_plan(request, query_of(request))


def _keys_in(form: FormFields) -> list[str]:
    return list(dict.fromkeys(form.fields.get("key", ())[:ROWS_MAX]))


async def _read(request: web.Request, keys: list[str]) -> list[dict[str, Any]]:
    async with desk_of(request).pool.acquire() as conn:
        return await notices_named(conn, keys)


async def _show_plan(request: web.Request, form: FormFields, *, message: str | None = None) -> web.Response:
    keys = _keys_in(form)
    if not keys:
        return page(request, "outbox/none_ticked.html")
    rows = await _read(request, keys)
    dead = [row for row in rows if row["state"] == "dead"]
    return page(
        request,
        "outbox/retry.html",
        status=200 if message is None else BAD,
        rows=dead,
        left_out=[row for row in rows if row not in dead],
        message=message,
    )


async def do_retry(request: web.Request) -> web.Response:
    """Answers POST /outbox/retry: each in a transaction of its own."""
    form = await form_of(request)
    keys = _keys_in(form)
    try:
        reason = form.needed("reason", "outbox.needs_reason")
    except BadField as bad:
        return await _show_plan(request, form, message=shower_for(request).say(bad.word))
    retried = [key for key in keys if await _retry_one(request, key, reason)]
    left = [key for key in keys if key not in retried]
    query = urlencode([*(("retried", key) for key in retried), *(("left", key) for key in left)])
    raise web.HTTPSeeOther(f"{OUTBOX}/retried?{query}")


class _NotDead(Exception):
    """It is not dead any more: somebody else was quicker."""


async def _retry_one(request: web.Request, key: str, reason: str) -> bool:
    async def work(conn: Conn) -> None:
        if not await retry_dead(conn, [key], now=desk_of(request).now()):
            raise _NotDead

    try:
        await act(request, Deed(what="retry a notice", subject=key, why=reason), work)
    except _NotDead:
        return False
    return True


async def show_done(request: web.Request) -> web.Response:
    """Answers GET /outbox/retried?retried=&left=: the notices as they are now."""
    form = query_of(request)
    names = ("retried", "left")
    read = {name: await _read(request, list(form.fields.get(name, ())[:ROWS_MAX])) for name in names}
    return page(request, "outbox/retried.html", retried=read["retried"], left=read["left"])
