"""The page of one parked event: why it was parked, what it says, and the delivery that brought it, masked."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from tillkeeper.desk.access.identity import note_look
from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import id_in
from tillkeeper.desk.pages.parked.all_parked import key_of
from tillkeeper.desk.person import is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.personal_fields import without_personal_fields
from tillkeeper.store.deliveries.parked import show_parked

RAW_CHARS: Final = 64 * 1024  # of a body on a page: more nobody reads there


async def show(request: web.Request) -> web.Response:
    """Answers GET /parked/{id}."""
    desk, role = desk_of(request), actor(request).role
    async with desk.pool.acquire() as conn:
        found = await show_parked(conn, id_in(request))
    if found is None:
        raise web.HTTPNotFound
    delivery = found["delivery"] or {}
    shows_raw = bool(delivery) and is_enough(role, role_for("look_raw"))
    if shows_raw:
        await note_look(request, "raw delivery", subject=f"parked {found['id']}")
    return page(
        request,
        "parked/one.html",
        shower=shower_for(request),
        row=found,
        key=key_of(found["reason"]),
        tone="calm" if found["outcome"] else "act",
        events=delivery.get("events", ()),
        raw=_masked(delivery) if shows_raw else None,
        may_act=is_enough(role, role_for("replay")),
    )


def _masked(delivery: Mapping[str, Any]) -> dict[str, Any]:
    """Returns headers and body without contacts."""
    body = b64decode(delivery["body"]).decode("utf-8", "replace")
    return {
        "headers": [(name, without_personal_fields(value)) for name, value in delivery["headers"]],
        "body": without_personal_fields(body[:RAW_CHARS]),
        "is_cut": len(body) > RAW_CHARS,
    }
