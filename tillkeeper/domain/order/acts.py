"""What a person does to an order: hold it, release it, close it, have its gateways asked.

Each is an act in the order's history.
"""

from collections.abc import Sequence
from datetime import datetime

from tillkeeper.domain.order.changes import Act, ActKind, Changes
from tillkeeper.domain.order.closing import close as close_order
from tillkeeper.domain.order.closing import doubts
from tillkeeper.domain.order.state import OrderState


class Refused(Exception):
    """The order is not in a state for this act; the text says why."""


def hold(order: OrderState, *, until: datetime, by: str, note: str, now: datetime) -> Changes:
    """Has the sweep leave the order alone until then; events are applied all the same.  Raises Refused."""
    changes = _begin(order)
    changes.set(held_until=until, due_at=until)
    _say(changes, ActKind.HOLD, by, f"until {until:%Y-%m-%d %H:%M:%S}Z: {note}", now)
    return changes


def release(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Has the sweep go on with a held order, at once.  Raises Refused."""
    changes = _begin(order)
    if not order.is_held(now):
        raise Refused("it is not held")
    changes.set(held_until=None, due_at=now)
    _say(changes, ActKind.RELEASE, by, note, now)
    return changes


def ask(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Has the sweep ask its gateways next, whatever the ladder says; a closed order may have been paid.

    Raises Refused.
    """
    changes = _begin(order, closed_too=True)
    if order.held_until is not None and order.is_held(now):
        raise Refused(f"it is held until {order.held_until:%Y-%m-%d %H:%M:%S}Z; release it first")
    changes.set(ask_at=now, due_at=now)
    _say(changes, ActKind.ASK, by, note, now)
    return changes


def close(order: OrderState, *, nearby: Sequence[str], force: bool, by: str, note: str, now: datetime) -> Changes:
    """Expects no payment for the order any more.

    Refused while money is there, may be on its way, or waits `nearby` (in words, where money waits under a reference
    much like the order's), unless a person forces it.  Raises Refused.
    """
    changes = _begin(order)
    if not force and (why := [*doubts(order), *nearby]):
        raise Refused("; ".join(why))
    close_order(changes, by=by, note=note, now=now)
    return changes


def _begin(order: OrderState, *, closed_too: bool = False) -> Changes:
    if order.closed_at is not None and not closed_too:
        raise Refused(f"it is closed since {order.closed_at:%Y-%m-%d %H:%M:%S}Z")
    return Changes.of(order)


def _say(changes: Changes, what: ActKind, by: str, note: str, now: datetime) -> None:
    changes.acts += (Act(what=what, by=by, note=note, at=now),)
