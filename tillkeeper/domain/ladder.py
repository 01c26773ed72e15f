"""Defines ladders, the steps that are taken for a stuck order, as data, and finds the step that is due.

A phase is the time from one movement of an order's money to the next.  Each step of its ladder has a moment: a time
after the phase began, or before or after the order expires, or before or after the next instalment is due.

    phase began ──2m── query ──5m── query ──15m── query, remind ──30m── case ──24h── query, escalate ── …

After a downtime of the sweeper only the latest missed step of each action is taken, and queries come before everything
that depends on the answer.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec


class Action(StrEnum):
    """The actions of steps, in the order in which several due ones are taken."""

    QUERY = "query"  # query the gateway
    GRACE = "grace"  # the time for a failure to turn into a success is over: the payer may be notified
    REMIND = "remind"  # notify the payer
    CASE = "case"  # open a case
    ESCALATE = "escalate"  # raise the case to the next level
    CLOSE = "close"  # close the order, if the gateway knows of no payment under way


RANK: Final[Mapping[Action, int]] = MappingProxyType({action: rank for rank, action in enumerate(Action)})


class Anchor(StrEnum):
    """The moment that a step's offset counts from."""

    START = "start"  # the phase begins
    EXPIRY = "expiry"  # the order expires
    DUE = "due"  # the next instalment that is not covered is due is due


class StepTime(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a ladder."""

    offset: timedelta
    anchor: Anchor = Anchor.START


class ActionSteps(msgspec.Struct, frozen=True, kw_only=True):
    """The moments of one action, earliest first; `every` repeats after the last one without an end."""

    action: Action
    times: tuple[StepTime, ...]
    every: timedelta | None = None


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """The steps while an order stays in one status, by action.

    `soonest` is the least offset from the start, computed once: it is needed at every movement of every order.
    """

    actions: tuple[ActionSteps, ...] = ()
    soonest: timedelta | None = None

    def __post_init__(self) -> None:
        """Computes what follows from the actions."""
        offsets = [time.offset for steps in self.actions for time in steps.times if time.anchor is Anchor.START]
        msgspec.structs.force_setattr(self, "soonest", min(offsets, default=None))


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a phase, identified by (action, at)."""

    action: Action
    at: datetime
    level: int = 1  # the number of the escalation, 1 for the first


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of an order.  `last_steps` holds the moment of the last step taken of each action."""

    began_at: datetime
    expires_at: datetime | None = None
    next_due_at: datetime | None = None
    last_steps: Mapping[Action, datetime] = MappingProxyType({})


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A step to be taken now."""

    step: Step


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing to do before `until`."""

    until: datetime


class Done(msgspec.Struct, frozen=True):
    """There is nothing more to do in this phase."""


def next_step(ladder: Ladder, phase: Phase, now: datetime) -> Due | Wait | Done:
    """Returns what this phase is due for."""
    due: list[Step] = []
    coming: list[datetime] = []
    for steps in ladder.actions:
        missed, ahead = _look(steps, phase, now)
        if missed is not None:
            due.append(missed)
        if ahead is not None:
            coming.append(ahead)
    if due:
        return Due(step=min(due, key=lambda step: RANK[step.action]))
    return Wait(until=min(coming)) if coming else Done()


def first_due(ladder: Ladder, phase: Phase, now: datetime) -> datetime | None:
    """Returns when the sweep must look at this phase, or None where it never has to."""
    if phase.began_at == now and not (phase.last_steps or phase.expires_at or phase.next_due_at):  # as nearly all begin
        return None if ladder.soonest is None else now + ladder.soonest
    decision = next_step(ladder, phase, now)
    if isinstance(decision, Due):
        return now
    return decision.until if isinstance(decision, Wait) else None


def _look(steps: ActionSteps, phase: Phase, now: datetime) -> tuple[Step | None, datetime | None]:
    """Returns the step of one action that is due, and the moment of the one after `now`."""
    after = phase.last_steps.get(steps.action)
    moments = sorted({at for time in steps.times if (at := _moment(steps.action, time, phase)) is not None})
    missed, level, ahead = None, 0, None
    for number, at in enumerate(moments, start=1):
        if at > now:
            ahead = at
            break
        missed, level = at, number
    if steps.every is not None and moments and ahead is None:
        rounds = (now - moments[-1]) // steps.every
        missed, level = moments[-1] + rounds * steps.every, len(moments) + rounds
        ahead = missed + steps.every
    if missed is None or (after is not None and missed <= after):
        return None, ahead
    return Step(action=steps.action, at=missed, level=level), ahead


AT_THE_CHECKOUT: Final = timedelta(minutes=10)  # a payer who has just ordered or paid needs no reminder of a date


def _moment(action: Action, time: StepTime, phase: Phase) -> datetime | None:
    if time.anchor is Anchor.START:
        return phase.began_at + time.offset
    origin = phase.expires_at if time.anchor is Anchor.EXPIRY else phase.next_due_at
    if origin is None or (action is Action.REMIND and _is_stale(origin + time.offset, phase)):
        return None
    return origin + time.offset


def _is_stale(at: datetime, phase: Phase) -> bool:
    """Returns True for a reminder of a date from before the phase began or from its first minutes: an order that lives
    for an hour needs none an hour before it expires.  Everything else from before is made good: who is overdue
    already must still be looked at.
    """
    return at < phase.began_at + AT_THE_CHECKOUT
