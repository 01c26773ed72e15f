"""The list of what one person proposed and another must decide on, with the page on which that is done."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web

from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.pages.claim.binding import BINDING
from tillkeeper.desk.paths import account_path, order_path
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.shower import Shower
from tillkeeper.store.cases.acts import RESOLVING
from tillkeeper.store.guard.deciding_in_two import DECIDING
from tillkeeper.store.orders.closing_in_two import CLOSING
from tillkeeper.store.people.approvals import Approval, open_approvals

SHOWN_MAX: Final = 200  # more are not waited for by anybody
# By act: the key of its word, and where it is decided on.
PLACES: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]]] = MappingProxyType(
    {
        BINDING: ("bind", lambda content: order_path(content["order_ref"], "claim")),
        CLOSING: ("close", lambda content: order_path(content["order_ref"])),
        DECIDING: ("guard", lambda content: account_path(content["account"], "pause")),
        RESOLVING: ("resolve", lambda content: f"/cases/{content['case']}"),
    }
)


async def show(request: web.Request) -> web.Response:
    """Answers GET /proposals."""
    desk, shower, name = desk_of(request), shower_for(request), actor(request).name
    async with desk.pool.acquire() as conn:
        found = await open_approvals(conn, now=shower.now, limit=SHOWN_MAX)
    others = sum(each.proposed_by != name for each in found)
    return page(
        request,
        "proposals.html",
        shower=shower,
        title=_title(shower, others=others, own=len(found) - others),
        tone="look" if others else "calm",
        proposals=[(each, *_placed(each)) for each in found],
        name=name,
    )


def _title(shower: Shower, *, others: int, own: int) -> str:
    if others:
        return shower.say("proposal.title", count=others)
    return shower.say("proposal.title_own", count=own) if own else shower.say("proposal.title_none")


def _placed(approval: Approval) -> tuple[str, str | None]:
    """Returns the key of its word, and where it is decided on; of an act without such a page, neither is known."""
    word, path_of = PLACES.get(approval.act, ("other", None))
    return word, None if path_of is None else path_of(approval.content)
