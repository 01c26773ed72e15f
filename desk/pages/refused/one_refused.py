"""The page of one refused delivery: at which step, why, what to do, and the request itself, masked."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.access.identity import note_look
from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import id_in
from tillkeeper.desk.person import is_enough
from tillkeeper.desk.render import page
from tillkeeper.domain.personal_fields import without_personal_fields
from tillkeeper.store.deliveries.refused import show_refused

RAW_BYTES: Final = 64 * 1024  # of a body on a page: more nobody reads there


async def show(request: web.Request) -> web.Response:
    """Answers GET /refused/{id}."""
    async with desk_of(request).pool.acquire() as conn:
        found = await show_refused(conn, id_in(request))
    if found is None:
        raise web.HTTPNotFound
    role = actor(request).role
    shows_raw = is_enough(role, role_for("look_raw"))
    if shows_raw:
        await note_look(request, "raw delivery", subject=f"refused {found.id}")
    body = None if found.body is None else found.body[:RAW_BYTES].decode("utf-8", "replace")
    return page(
        request,
        "refused/one.html",
        row=found,
        shows_raw=shows_raw,
        headers=[(name, without_personal_fields(value)) for name, value in found.headers],
        query=without_personal_fields(found.query),
        body=None if body is None else without_personal_fields(body),
        may_act=is_enough(role, role_for("replay")),
    )
