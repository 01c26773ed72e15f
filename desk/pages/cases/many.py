"""What is done about many cases at once: a page says how many and what will happen, then a reason, then each is done.

Each is done in a transaction of its own, so that one that somebody else was quicker with holds up no other.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import ROWS_MAX, BadField, FormFields, form_of, number_in, query_of
from tillkeeper.desk.pages.cases.acts import (
    WantedCaseAct,
    do,
    wanted_escalation,
    wanted_resolution,
    wanted_taking,
)
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.order.cases import RESOLVED_BY_TWO
from tillkeeper.store.cases.acts import HighestLevel, MovedOn, TakesTwo
from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
from tillkeeper.store.reports.case_list import cases_named

MANY: Final = "/cases/many"
BAD: Final = 400
# By the act: the role that it takes, what its form must say, and the entry that it leaves.
ACTS: Final = {
    "take": (Role.SUPPORT, wanted_taking, "assigned"),
    "escalate": (Role.OPERATOR, wanted_escalation, "escalated"),
    "resolve": (Role.SUPPORT, wanted_resolution, "resolved"),
}


async def show(request: web.Request) -> web.Response:
    """Answers GET /cases/many?act=&id=: what would happen; and with `done`, what did."""
    form = query_of(request)
    if form.text("done"):
        return await _show_done(request, form)
    return await _show_plan(request, form)


async def _show_plan(request: web.Request, form: FormFields, *, message: str | None = None) -> web.Response:
    name, ids = _act_in(form), form.ids("id")
    if not ids:
        return page(request, "cases/none_ticked.html")
    if not is_enough(actor(request).role, ACTS[name][0]):
        raise web.HTTPForbidden
    levels = desk_of(request).policy().cases.levels
    async with desk_of(request).pool.acquire() as conn:
        cases = await cases_named(conn, ids)
    possible = [case for case in cases if _is_possible(name, case, levels)]
    return page(
        request,
        "cases/many.html",
        status=200 if message is None else BAD,
        act=name,
        cases=possible,
        left_out=[case for case in cases if case not in possible],
        by_two=any(case["kind"] in RESOLVED_BY_TWO for case in cases) and name == "resolve",
        message=message,
        sent=form.texts,
    )


def _is_possible(name: str, case: Mapping[str, Any], levels: int) -> bool:
    """Returns whether it can be done to this case here: one about money is resolved on its own page, in two."""
    if case["closed_at"] is not None:
        return False
    if name == "resolve":
        return case["kind"] not in RESOLVED_BY_TWO
    return name != "escalate" or bool(case["level"] < levels)


async def _show_done(request: web.Request, form: FormFields) -> web.Response:
    """Shows the cases as they are now: of each its last entry, whoever made it."""
    name = _act_in(form)
    async with desk_of(request).pool.acquire() as conn:
        cases = await cases_named(conn, form.ids("id"))
    mark = (ACTS[name][2], actor(request).name)
    done = [case for case in cases if (case["last_what"], case["last_by"]) == mark]
    return page(request, "cases/many_done.html", act=name, done=done, others=[c for c in cases if c not in done])


def _act_in(form: FormFields) -> str:
    name = form.text("act")
    if name not in ACTS:
        raise web.HTTPBadRequest
    return name


async def take(request: web.Request) -> web.Response:
    """Answers POST /cases/many/take."""
    return await _do(request, "take")


async def escalate(request: web.Request) -> web.Response:
    """Answers POST /cases/many/escalate."""
    return await _do(request, "escalate")


async def resolve(request: web.Request) -> web.Response:
    """Answers POST /cases/many/resolve."""
    return await _do(request, "resolve")


async def _do(request: web.Request, name: str) -> web.Response:
    """Does it to each; `case` holds each one's number with the last entry that the person saw."""
    form = await form_of(request)
    chosen = [_chosen(text) for text in form.fields.get("case", ())[:ROWS_MAX]]
    wanted: Callable[[web.Request, FormFields], WantedCaseAct] = ACTS[name][1]
    ids = tuple(str(case_id) for case_id, _ in chosen)
    try:
        does = wanted(request, form)
    except BadField as bad:
        asked = FormFields(fields={**form.fields, "act": (name,), "id": ids})
        return await _show_plan(request, asked, message=shower_for(request).say(bad.word))
    for case_id, seen in chosen:
        try:
            await do(request, case_id, does, seen=seen)
        except (NoSuchCase, MovedOn, ClosedCase, HighestLevel, TakesTwo):
            continue  # the page that follows shows each as it is
    query = urlencode([("done", "1"), ("act", name), *(("id", case_id) for case_id in ids)])
    raise web.HTTPSeeOther(f"{MANY}?{query}")


def _chosen(text: str) -> tuple[int, int]:
    """Reads 17-204: the case, and the last entry that was seen of it."""
    case_id, _, seen = text.partition("-")
    return number_in(case_id), number_in(seen)
