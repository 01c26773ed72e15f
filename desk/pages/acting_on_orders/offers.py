"""Says which acts a page offers to its reader: those that the role allows, and that the order is in a state for."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.pages.acting_on_orders.planning import RIGHTS, part_of
from tillkeeper.desk.paths import DOTS, order_path
from tillkeeper.desk.person import is_enough, person_of
from tillkeeper.domain.order.acts import What
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.reminders import owes_money
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.statuses import OPEN, Status

# What may be refused all the same is offered: its page says why, and what to do first.
_FITS: Final[Mapping[What, Callable[[OrderState, datetime], bool]]] = MappingProxyType(
    {
        What.ASK: lambda order, now: not order.is_held(now) and order.ask_at is None,
        What.REMIND: lambda order, _: order.closed_at is None and order.has_mail and owes_money(order),
        What.CLAIM: lambda order, _: (
            order.summary.status is not Status.PAID and CaseKind.CLAIMED_PAID not in order.open_case_kinds
        ),
        What.HOLD: lambda order, now: order.closed_at is None and not order.is_held(now),
        What.RELEASE: lambda order, now: order.is_held(now),
        What.CLOSE: lambda order, _: order.closed_at is None and order.summary.status in OPEN,
    }
)


def acts_for(
    request: web.Request, order: OrderState, now: datetime, *, only: Collection[What] = tuple(What), suffix: str = ""
) -> list[tuple[What, str]]:
    """Returns each act with the address of its page."""
    person, ref = person_of(request), order.order.order_ref
    if person is None or ref in DOTS:
        return []
    return [
        (what, order_path(ref, part_of(what)) + suffix)
        for what, fits in _FITS.items()
        if what in only and fits(order, now) and is_enough(person.role, role_for(RIGHTS[what]))
    ]
