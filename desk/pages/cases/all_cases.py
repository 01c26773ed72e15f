"""The list of cases: whose they are, what is due, and what is nobody's."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import FormFields, list_path, moment_in, number_in, query_of
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.case_kinds import CASE_KINDS
from tillkeeper.store.reports.case_list import CasePlace, Filters, OpenCases, count_open, list_cases

CASES: Final = "/cases"
ROWS: Final = 50  # of one page
NOBODY: Final = "-"
LEVEL_MAX: Final = 9  # as the database limits it
URGENT_LEVEL: Final = 2  # a case that went up once was not dealt with in time
DUE_TODAY: Final = "today"


async def show(request: web.Request) -> web.Response:
    """Answers GET /cases."""
    desk, person, shower, form = desk_of(request), actor(request), shower_for(request), query_of(request)
    filters, today_ends = _filters(form, shower), _end_of_day(shower)
    async with desk.pool.acquire() as conn:
        counts = await count_open(conn, owner=person.name, until=today_ends)
        found = await list_cases(conn, filters, limit=ROWS + 1, after=_place(form))
    rows = found[:ROWS]
    return page(
        request,
        "cases/all.html",
        shower=shower,
        title=title_of(shower, counts),
        tone=tone_of(counts),
        counts=counts,
        chosen=form,
        tabs=_tabs(person.name, counts, form),
        kinds=sorted(CASE_KINDS),
        accounts=sorted(desk.settings.accounts),
        levels=range(1, desk.policy().cases.levels + 1),
        is_filtered=filters != Filters(),
        rows=rows,
        next_page=_path(form, after=_written(rows[-1])) if len(found) > ROWS else None,
        first_page=_path(form) if form.text("after") else None,
        may_act=is_enough(person.role, Role.SUPPORT),
        may_escalate=is_enough(person.role, Role.OPERATOR),
        urgent_level=URGENT_LEVEL,
    )


def title_of(shower: Shower, counts: OpenCases) -> str:
    """Returns the sentence that the page begins with."""
    if not counts.open:
        return shower.say("cases.title_none")
    said = [(counts.yours, "cases.are_yours"), (counts.due, "cases.are_due"), (counts.nobodys, "cases.are_nobodys")]
    parts = [shower.say(word, count=count) for count, word in said if count]
    comma = shower.say("cases.comma")
    return shower.say("cases.title", parts=comma.join(parts or [shower.say("cases.are_others", count=counts.open)]))


def tone_of(counts: OpenCases) -> str:
    """Returns how urgent the open cases are."""
    return "act" if counts.urgent else "look" if counts.open else "calm"


def _end_of_day(shower: Shower) -> datetime:
    """Returns the midnight that the reader's day ends at."""
    today = shower.now.astimezone(shower.zone).date()
    return datetime.combine(today + timedelta(days=1), datetime.min.time(), tzinfo=shower.zone)


def _filters(form: FormFields, shower: Shower) -> Filters:
    level = number_in(form.text("level")) if form.text("level") else None
    if level is not None and level > LEVEL_MAX:
        raise web.HTTPBadRequest
    owner = form.text("owner")
    return Filters(
        closed_too=form.text("closed") == "too",
        level=level,
        owner="" if owner == NOBODY else owner or None,
        kind=form.text("kind") or None,
        account=form.text("account") or None,
        due_before=_end_of_day(shower) if form.text("due") == DUE_TODAY else None,
    )


def _place(form: FormFields) -> CasePlace | None:
    """Reads the place after which this page begins.  Raises HTTPBadRequest."""
    text = form.text("after")
    if not text:
        return None
    try:
        closed, level, at, number = text.split("~")
    except ValueError:
        raise web.HTTPBadRequest from None
    if (size := number_in(level)) > LEVEL_MAX:
        raise web.HTTPBadRequest
    return CasePlace(is_closed=closed == "1", level=size, opened_at=moment_in(at), id=number_in(number))


def _written(case: dict[str, Any]) -> str:
    """Writes the place of a case in the list."""
    is_closed = int(case["closed_at"] is not None)
    return f"{is_closed}~{case['level']}~{case['opened_at'].isoformat()}~{case['id']}"


FILTERS: Final = ("owner", "due", "kind", "level", "account", "closed")


def _path(form: FormFields, **changes: str) -> str:
    """Returns the address of the list with these filters."""
    return list_path(CASES, **({name: form.text(name) for name in FILTERS} | changes))


class Tab(msgspec.Struct, frozen=True, kw_only=True):
    """A cut of the list that people want often."""

    word: str
    count: int | None
    path: str
    is_current: bool


def _tabs(name: str, counts: OpenCases, form: FormFields) -> list[Tab]:
    """Returns the cuts that the title names; other filters stay as they are."""
    cuts = (
        ("all", counts.open, {"owner": "", "due": "", "closed": ""}),
        ("yours", counts.yours, {"owner": name, "due": "", "closed": ""}),
        ("due", counts.due, {"owner": "", "due": DUE_TODAY, "closed": ""}),
        ("nobodys", counts.nobodys, {"owner": NOBODY, "due": "", "closed": ""}),
        ("closed", None, {"owner": "", "due": "", "closed": "too"}),
    )
    return [
        Tab(
            word=word,
            count=count,
            path=_path(form, **cut),
            is_current=all(form.text(field) == value for field, value in cut.items()),
        )
        for word, count, cut in cuts
    ]
