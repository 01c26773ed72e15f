"""Decides what people do to an order: hold, release, close, request a query, remind its payer, or open a case.

Each but the last is an act in the order's history; a case has a history of its own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.changes import Act, ActKind, Changes
from tillkeeper.domain.order.closing import close as close_order
from tillkeeper.domain.order.closing import doubts
from tillkeeper.domain.order.doubts import Doubt
from tillkeeper.domain.order.progress import ANSWER_IS_FRESH
from tillkeeper.domain.order.reminders import notices_by_hand, owes_money
from tillkeeper.domain.order.state import OrderState


class What(StrEnum):
    """What a person may do to an order."""

    HOLD = "hold"
    RELEASE = "release"
    CLOSE = "close"
    ASK = "ask"
    REMIND = "remind"
    CLAIM = "claim"  # open a case: the customer says they paid


class WantedAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act that a person wants, with what it takes."""

    what: What
    until: datetime | None = None  # of a hold
    force: bool = False  # of closing: whatever stands against it
    despite: frozenset[str] = frozenset()  # of closing: the doubts, in words, that two people know of


class Refusal(StrEnum):
    """Why an order is not in a state for an act."""

    CLOSED = "closed"
    HELD = "held"
    NOT_HELD = "not_held"
    IN_DOUBT = "in_doubt"
    NOTHING_DUE = "nothing_due"
    NO_ADDRESS = "no_address"
    UNCLEAR = "unclear"
    NOT_ASKED = "not_asked"
    REMINDED = "reminded"
    CASE_IS_OPEN = "case_is_open"


class ActRefused(Exception):
    """The order is not in a state for this act; the text says why, and `why` to who says it in other words."""

    def __init__(self, text: str, *, why: Refusal, at: datetime | None = None, doubts: Sequence[Doubt] = ()) -> None:
        super().__init__(text)
        self.why = why
        self.at = at
        self.doubts = tuple(doubts)


def decide(
    order: OrderState, wanted: WantedAct, *, nearby: Sequence[Doubt] = (), by: str, note: str, now: datetime
) -> Changes:
    """Decides an act.  Raises ActRefused."""
    told: dict[str, Any] = {"by": by, "note": note, "now": now}
    if wanted.what is What.CLAIM:
        return claim(order, now=now)
    if wanted.what is What.CLOSE:
        return close(order, nearby=nearby, force=wanted.force, despite=wanted.despite, **told)
    if wanted.until is not None:
        return hold(order, until=wanted.until, **told)
    return _DECIDE[wanted.what](order, **told)


def hold(order: OrderState, *, until: datetime, by: str, note: str, now: datetime) -> Changes:
    """Puts the order on hold until then: the sweep skips it, but events are applied.  Raises ActRefused."""
    changes = _begin(order)
    changes.set(held_until=until, due_at=until)
    _say(changes, ActKind.HOLD, by, _hold_note(until, note), now)
    return changes


def release(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Ends a hold at once.  Raises ActRefused."""
    changes = _begin(order)
    if not order.is_held(now):
        raise ActRefused("it is not held", why=Refusal.NOT_HELD)
    changes.set(held_until=None, due_at=now)
    _say(changes, ActKind.RELEASE, by, note, now)
    return changes


def ask(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Requests a query from the sweep, whatever the ladder says; also for a closed order, which may have been paid.

    Raises ActRefused.
    """
    changes = _begin(order, closed_too=True)
    _refuse_held(order, now)
    changes.set(ask_at=now, due_at=now)
    _say(changes, ActKind.ASK, by, note, now)
    return changes


def close(
    order: OrderState,
    *,
    nearby: Sequence[Doubt],
    force: bool,
    despite: frozenset[str] = frozenset(),
    by: str,
    note: str,
    now: datetime,
) -> Changes:
    """Closes the order: no payment is expected any more.

    Refused while money is captured, may be on its way, or waits `nearby`, under a reference much like the order's,
    unless it is forced, or all of that is known.  Raises ActRefused.
    """
    changes = _begin(order)
    why = [doubt for doubt in (*doubts(order), *nearby) if doubt.text not in despite]
    if why and not force:
        raise ActRefused("; ".join(doubt.text for doubt in why), why=Refusal.IN_DOUBT, doubts=why)
    close_order(changes, by=by, note=note, now=now)
    return changes


def remind(order: OrderState, *, by: str, note: str, now: datetime) -> Changes:
    """Has the payer reminded that money is missing, once a day.

    As no step of a ladder does, no person has somebody asked to pay in doubt: the gateways must have said just now that
    nothing came.  Raises ActRefused.
    """
    changes = _begin(order)
    _refuse_held(order, now)
    if not owes_money(order):
        raise ActRefused("nothing is due of its payer, or a payment is under way", why=Refusal.NOTHING_DUE)
    if not order.has_mail:
        raise ActRefused("no mail address of its payer is known", why=Refusal.NO_ADDRESS)
    if order.money_is_unclear:
        raise ActRefused("a case or a parked event says that it may be paid: settle that first", why=Refusal.UNCLEAR)
    if order.progress.answered_at < max(now - ANSWER_IS_FRESH, order.phase_since):
        raise ActRefused(
            "its gateways have not just said that nothing came; have them asked first", why=Refusal.NOT_ASKED
        )
    changes.notices += tuple(notices_by_hand(order, now=now))
    _say(changes, ActKind.REMIND, by, note, now)
    return changes


def claim(order: OrderState, *, now: datetime) -> Changes:
    """Opens the case that a customer says they paid.

    Until somebody resolves it, or the order is paid, no payer is asked to pay, and the order is not closed.  Raises
    ActRefused.
    """
    changes = Changes.of(order)
    if CaseKind.CLAIMED_PAID in order.open_case_kinds:
        raise ActRefused("a case says so already", why=Refusal.CASE_IS_OPEN)
    subject = f"order:{order.order.order_ref}"
    details: dict[str, object] = {"status": order.summary.status}
    # Each time that somebody says so is news.
    state = f"said at {now:%Y-%m-%d %H:%M:%S}Z"
    changes.open_cases(CaseReason(kind=CaseKind.CLAIMED_PAID, subject=subject, state=state, details=details))
    return changes


_DECIDE: Final[Mapping[What, Callable[..., Changes]]] = MappingProxyType(
    {What.RELEASE: release, What.ASK: ask, What.REMIND: remind}
)


def _begin(order: OrderState, *, closed_too: bool = False) -> Changes:
    if order.closed_at is not None and not closed_too:
        at = order.closed_at
        raise ActRefused(f"it is closed since {at:%Y-%m-%d %H:%M:%S}Z", why=Refusal.CLOSED, at=at)
    return Changes.of(order)


def _refuse_held(order: OrderState, now: datetime) -> None:
    if order.held_until is not None and order.is_held(now):
        text = f"it is held until {order.held_until:%Y-%m-%d %H:%M:%S}Z; release it first"
        raise ActRefused(text, why=Refusal.HELD, at=order.held_until)


_HOLD_NOTE: Final = re.compile(r"until (\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ): (.*)", re.DOTALL)


def _hold_note(until: datetime, note: str) -> str:
    return f"until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z: {note}"


def hold_in(note: str) -> tuple[datetime, str] | None:
    """Reads until when and why out of the note of a hold; None for any other text."""
    found = _HOLD_NOTE.fullmatch(note)
    return None if found is None else (datetime.fromisoformat(found[1]), found[2])


def _say(changes: Changes, what: ActKind, by: str, note: str, now: datetime) -> None:
    changes.acts += (Act(what=what, by=by, note=note, at=now),)
