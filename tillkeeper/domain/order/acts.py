"""Decides what people do to an order: hold, release, close, or request a query.

Each is an act in the order's history.
"""

from collections.abc import Sequence
from datetime import datetime

from tillkeeper.domain.order.changes import Act, ActKind, Changes
from tillkeeper.domain.order.closing import close as close_order
from tillkeeper.domain.order.closing import doubts
from tillkeeper.domain.order.state import OrderState


class ActRefused(Exception):
    """The order is not in a state for this act; the text says why."""


def hold(order: OrderState, *, until: datetime, by: str, note: str, now: datetime) -> Changes:
    """Puts the order on hold until then: the sweep skips it, but events are applied.  Raises ActRefused."""
    changes = _begin(order)
    changes.set(held_until=until, due_at=until)
    _say(changes, ActKind.HOLD, by, f"until {until:%Y-%m-%d %H:%M:%S}Z: {note}", now)
    return changes


def release(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Ends a hold at once.  Raises ActRefused."""
    changes = _begin(order)
    if not order.is_held(now):
        raise ActRefused("it is not held")
    changes.set(held_until=None, due_at=now)
    _say(changes, ActKind.RELEASE, by, note, now)
    return changes


def ask(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Requests a query from the sweep, whatever the ladder says; also for a closed order, which may have been paid.

    Raises ActRefused.
    """
    changes = _begin(order, closed_too=True)
    if order.held_until is not None and order.is_held(now):
        raise ActRefused(f"it is held until {order.held_until:%Y-%m-%d %H:%M:%S}Z; release it first")
    changes.set(ask_at=now, due_at=now)
    _say(changes, ActKind.ASK, by, note, now)
    return changes


def close(order: OrderState, *, nearby: Sequence[str], force: bool, by: str, note: str, now: datetime) -> Changes:
    """Closes the order: no payment is expected any more.

    Refused while money is captured, may be on its way, or waits `nearby` (in words, where money waits under a reference
    much like the order's), unless a person forces it.  Raises ActRefused.
    """
    changes = _begin(order)
    if not force and (why := [*doubts(order), *nearby]):
        raise ActRefused("; ".join(why))
    close_order(changes, by=by, note=note, now=now)
    return changes


def _begin(order: OrderState, *, closed_too: bool = False) -> Changes:
    if order.closed_at is not None and not closed_too:
        raise ActRefused(f"it is closed since {order.closed_at:%Y-%m-%d %H:%M:%S}Z")
    return Changes.of(order)


def _say(changes: Changes, what: ActKind, by: str, note: str, now: datetime) -> None:
    changes.acts += (Act(what=what, by=by, note=note, at=now),)
