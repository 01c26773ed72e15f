"""The hand-over of a shift: what is new since the last one, what is open, and what is due next; made to be printed.

It is written down when somebody hands over: the next one begins there.
"""

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import form_of, moment_in, query_of
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.handover import hand_over

HANDOVER: Final = "/handover"
OPENED: Final = ("opened", "reopened")
SOLVED: Final = ("resolved", "closed")


async def show(request: web.Request) -> web.Response:
    """Answers GET /handover, with ?since= for what was new before the last one."""
    desk, shower = desk_of(request), shower_for(request)
    since = _since_in(query_of(request).text("since"))
    async with desk.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        told = await hand_over(conn, by=None, now=shower.now, since=since)
    return page(
        request,
        "handover.html",
        shower=shower,
        title=_title(shower, told),
        told=told,
        is_told=since is not None,
        may_act=is_enough(actor(request).role, Role.SUPPORT),
    )


def _since_in(text: str) -> datetime | None:
    return moment_in(text) if text else None


def _title(shower: Shower, told: dict[str, Any]) -> str:
    counts = told["new"]["counts"]
    opened, solved = (sum(counts.get(name, 0) for name in names) for names in (OPENED, SOLVED))
    parts = {
        "new": shower.say("handover.new_count", count=opened),
        "solved": shower.say("handover.solved_count", count=solved),
        "open": shower.say("handover.open_count", count=sum(told["open"]["by_level"].values())),
    }
    if told["since"] is None:
        return shower.say("handover.title_first", **parts)
    return shower.say("handover.title", since=shower.at(told["since"]), **parts)


async def do_hand_over(request: web.Request) -> web.Response:
    """Answers POST /handover: the next one begins from now."""
    now, by = desk_of(request).now(), actor(request).name

    async def work(conn: Conn) -> dict[str, Any]:
        return await hand_over(conn, by=by, now=now)

    told = await act(request, Deed(what="hand over", subject="shift"), work)
    since = _since_in((await form_of(request)).text("since")) if told is None else told["since"]
    raise web.HTTPSeeOther(HANDOVER if since is None else f"{HANDOVER}?{urlencode({'since': since.isoformat()})}")
