"""The page before an act on an order: what would change, or why it cannot be done; nothing is changed by looking."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.paths import order_path, order_ref_in
from tillkeeper.desk.person import is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.acts import ActRefused, Refusal, WantedAct, What
from tillkeeper.store.orders.acts import NoSuchOrder, Seen, plan
from tillkeeper.store.orders.closing_in_two import proposal_to_close

FORMAT: Final = "%Y-%m-%dT%H:%M"  # of a field for a time
HOLD_MAX: Final = timedelta(days=90)  # a longer one is forgotten
PROPOSED_FOR: Final = timedelta(hours=24)
RIGHTS: Final[Mapping[What, str]] = {
    What.HOLD: "hold",
    What.RELEASE: "hold",
    What.CLOSE: "close",
    What.ASK: "ask",
    What.REMIND: "remind",
    What.CLAIM: "case",
}
Page = Callable[[web.Request], Awaitable[web.Response]]


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says about an act that was not done, and what the person had written."""

    message: str
    sent: Mapping[str, str]
    status: int


def planned(what: What) -> Page:
    """Returns what answers GET /orders/{ref}/WHAT."""

    async def show(request: web.Request) -> web.Response:
        return await show_plan(request, what)

    return show


async def show_plan(request: web.Request, what: What, said: OrderMessage | None = None) -> web.Response:
    """Answers with what the act would do now."""
    desk, shower, person, order_ref = desk_of(request), shower_for(request), actor(request), order_ref_in(request)
    until = _proposed(shower)
    try:
        async with desk.pool.acquire() as conn:
            wanted = WantedAct(what=what, until=until if what is What.HOLD else None)
            found = await plan(conn, order_ref, wanted, by=person.name, now=shower.now)
            proposal = await proposal_to_close(conn, order_ref, now=shower.now) if what is What.CLOSE else None
    except NoSuchOrder:
        return page(request, "no_order.html", status=404, shower=shower, ref=order_ref)
    refused = found.refused
    return page(
        request,
        "orders/plan.html",
        status=200 if said is None else said.status,
        shower=shower,
        what=what,
        action=order_path(order_ref, part_of(what)),
        ref=order_ref,
        order=found.order,
        seen=written(found.seen),
        effects=found.effects,
        accounts=sorted(found.order.order.accounts),
        after_close=desk.policy().after_close,
        refused=refused,
        why=why_not(shower, refused) if refused is not None and refused.why is not Refusal.IN_DOUBT else None,
        proposal=proposal,
        may_decide=is_enough(person.role, role_for("close_in_doubt")),
        name=person.name,
        came_from=origin_in(request),
        message=None if said is None else said.message,
        sent={} if said is None else said.sent,
        until=until.astimezone(shower.zone).strftime(FORMAT),
        soonest=shower.now.astimezone(shower.zone).strftime(FORMAT),
        latest=(shower.now + HOLD_MAX).astimezone(shower.zone).strftime(FORMAT),
    )


def why_not(shower: Shower, refused: ActRefused) -> str:
    """Says why an act is refused."""
    at = shower.at(refused.at) if refused.at is not None else ""
    return shower.say(f"doing.refused_{refused.why}", at=at)


def origin_in(request: web.Request) -> str:
    """Returns the page that the person came from, to which they go back: the order's, or that of who says they paid."""
    return "claim" if request.query.get("from") == "claim" else ""


def part_of(what: What) -> str:
    """Returns the last part of an act's path; the page of who says they paid has `claim`."""
    return "case" if what is What.CLAIM else what.value


def written(seen: Seen) -> str:
    """Writes what the page showed, for its form."""
    return f"{seen.version}-{seen.act}"


def _proposed(shower: Shower) -> datetime:
    """Returns until when a hold is proposed: to the minute, as the field has it."""
    return (shower.now + PROPOSED_FOR).replace(second=0, microsecond=0)
