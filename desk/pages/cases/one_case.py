"""The page of one case: what this kind means, what to do, the evidence, and what was done so far."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import id_in
from tillkeeper.desk.pages.order_timeline import lines_of
from tillkeeper.desk.person import Role, is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.case_kinds import AMOUNTS
from tillkeeper.domain.order.cases import FOLLOW_UP_MAX, RESOLVED_BY_TWO
from tillkeeper.store.cases.acts import proposal_to_resolve
from tillkeeper.store.cases.writing import TILLKEEPER
from tillkeeper.store.reports.case_files import BriefCase, read_case
from tillkeeper.store.reports.whole_order import read_whole_order

EVENTS: Final = 10  # of its order; the order's own page has them all
MORNING: Final = 9  # the hour of the next day that is proposed for following up
OURS: Final = frozenset({TILLKEEPER, "system"})  # who acts where no person did
OPENING: Final = frozenset({"opened", "reopened"})
TIMES: Final = frozenset({"occurred_at", "since"})  # among the details
FORMAT: Final = "%Y-%m-%dT%H:%M"  # of a field for a time


class CaseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says about an act that was not done: `open_form` is the one that it was asked for by."""

    message: str
    open_form: str
    sent: Mapping[str, str]
    status: int


async def show(request: web.Request) -> web.Response:
    """Answers GET /cases/{id}."""
    return await show_case(request, id_in(request))


async def show_case(request: web.Request, case_id: int, said: CaseMessage | None = None) -> web.Response:
    """Answers with the case as it is now.  Raises HTTPNotFound."""
    desk, person, shower = desk_of(request), actor(request), shower_for(request)
    async with desk.pool.acquire() as conn:
        found = await read_case(conn, case_id)
        proposal = await proposal_to_resolve(conn, case_id, now=shower.now)
    if found is None:
        raise web.HTTPNotFound
    case = found.case
    whole = await read_whole_order(desk.pool, case["order_ref"], limit=EVENTS) if case["order_ref"] else None
    levels = desk.policy().cases.levels
    return page(
        request,
        "cases/one.html",
        status=200 if said is None else said.status,
        shower=shower,
        case=case,
        title=_title(shower, case),
        tone="calm" if case["closed_at"] else "act" if case["level"] > 1 else "look",
        details=details_of(case["details"]),
        amounts=AMOUNTS,
        entries=found.entries[::-1],
        ours=OURS,
        seen=last_seen(found),
        order=whole.shown if whole else None,
        lines=lines_of(whole.timeline) if whole else [],
        has_older=whole is not None and whole.older is not None,
        events=found.events,
        said=said,
        sent={} if said is None else said.sent,
        open_form=None if said is None else said.open_form,
        may_act=is_enough(person.role, Role.SUPPORT),
        may_escalate=is_enough(person.role, Role.OPERATOR) and case["level"] < levels,
        is_mine=case["owner"] == person.name,
        proposal=proposal if case["closed_at"] is None else None,
        takes_two=case["kind"] in RESOLVED_BY_TWO,
        may_decide=is_enough(person.role, role_for("resolve_mismatch")),
        name=person.name,
        proposed=_proposed(shower).strftime(FORMAT),
        soonest=shower.now.astimezone(shower.zone).strftime(FORMAT),
        latest=(shower.now + FOLLOW_UP_MAX).astimezone(shower.zone).strftime(FORMAT),
    )


def last_seen(found: BriefCase) -> int:
    """Returns the number of the last entry that is more than a reminder, which who acts has seen."""
    told = [entry["id"] for entry in found.entries if (entry["what"], entry["by"]) != ("followed_up", TILLKEEPER)]
    return max(told, default=0)


def details_of(details: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the details that say something to people, lists as one text."""
    told = {name: value for name, value in details.items() if value not in (None, "", []) and name != "currency"}
    return {name: _readable(name, value) for name, value in told.items()}


def _readable(name: str, value: object) -> object:
    if name in TIMES and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:  # a later version may write something else there
            return value
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _title(shower: Shower, case: Mapping[str, Any]) -> str:
    kind = shower.word("case", case["kind"])
    if case["closed_at"] is not None:
        by = shower.say("cases.tillkeeper") if case["closed_by"] in OURS else shower.who(case["closed_by"])
        return shower.say("cases.title_closed", kind=kind, by=by)
    span = shower.lasting(shower.now - case["opened_at"])
    if case["owner"] is None:
        return shower.say("cases.title_nobodys", kind=kind, span=span)
    return shower.say("cases.title_owned", kind=kind, span=span, owner=shower.who(case["owner"]))


def _proposed(shower: Shower) -> datetime:
    """Returns the next morning in the reader's zone."""
    tomorrow = shower.now.astimezone(shower.zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, datetime.min.time(), tzinfo=shower.zone).replace(hour=MORNING)
