"""The list of notices that are not sent: dead ones first, then those that are to be sent."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import FormFields, list_path, moment_in, query_of
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.notices import Audience
from tillkeeper.store.reports.outbox import Counted, NoticePlace, Unsent, count_unsent, list_unsent

OUTBOX: Final = "/outbox"
ROWS: Final = 50  # of one page


async def show(request: web.Request) -> web.Response:
    """Answers GET /outbox, with ?state=pending for those that are to be sent, and ?audience=."""
    desk, shower, form = desk_of(request), shower_for(request), query_of(request)
    state: Unsent = "pending" if form.text("state") == "pending" else "dead"
    audience = form.text("audience") or None
    if audience is not None and audience not in set(Audience):
        raise web.HTTPBadRequest
    async with desk.pool.acquire() as conn:
        counts = await count_unsent(conn)
        found = await list_unsent(conn, state, audience=audience, limit=ROWS + 1, after=_place(form))
    rows = found[:ROWS]
    return page(
        request,
        "outbox/all.html",
        shower=shower,
        title=_title(shower, counts),
        tone=_tone(counts),
        state=state,
        audience=audience,
        tabs=_tabs(counts, state, audience),
        rows=rows,
        next_page=_address(state, audience, _written(rows[-1])) if len(found) > ROWS else None,
        first_page=_address(state, audience) if form.text("after") else None,
        may_act=state == "dead" and is_enough(actor(request).role, Role.OPERATOR),
    )


def _total(counts: Iterable[Counted], state: Unsent) -> int:
    return sum(counted.count for counted in counts if counted.state == state)


def _title(shower: Shower, counts: list[Counted]) -> str:
    dead, pending = _total(counts, "dead"), _total(counts, "pending")
    if dead:
        return shower.say("outbox.title_dead", count=dead)
    failing = sum(counted.failing for counted in counts)
    if failing:
        return shower.say("outbox.title_failing", count=failing)
    return shower.say("outbox.title_pending", count=pending) if pending else shower.say("outbox.title_none")


def _tone(counts: list[Counted]) -> str:
    """Returns how urgent it is: who was not told does not know; what fails is tried again."""
    if _total(counts, "dead"):
        return "act"
    return "look" if any(counted.failing for counted in counts) else "calm"


Cut: TypeAlias = tuple[str, str | None, int, str, bool]


def _tabs(counts: list[Counted], state: Unsent, audience: str | None) -> list[Cut]:
    """Returns (state, audience, count, address, whether it is shown) of each cut of the list."""
    states: tuple[Unsent, ...] = ("dead", "pending")
    cuts = [
        cut
        for name in states
        for cut in (
            (name, None, _total(counts, name)),
            *((name, each.audience, each.count) for each in counts if each.state == name),
        )
    ]
    return [(name, to, count, _address(name, to), (name, to) == (state, audience)) for name, to, count in cuts]


def _address(state: Unsent, audience: str | None, after: str = "") -> str:
    return list_path(OUTBOX, state="" if state == "dead" else state, audience=audience or "", after=after)


def _place(form: FormFields) -> NoticePlace | None:
    """Reads the place after which this page begins.  Raises HTTPBadRequest."""
    text = form.text("after")
    if not text:
        return None
    at, _, key = text.partition("~")
    return NoticePlace(at=moment_in(at), key=key)


def _written(notice: dict[str, Any]) -> str:
    return f"{(notice['finished_at'] or notice['due_at']).isoformat()}~{notice['key']}"
