"""What becomes of an order that is stuck: ladders of rungs, declared as data, and the one function that climbs them.

A spell is the time from one movement of an order's money to the next.  Each rung of its ladder has a moment: so long
after the spell began, or before or after the order expires, or before or after the next instalment is due.

    spell began ──2m── query ──5m── query ──15m── query, remind ──30m── case ──24h── query, escalate ── …

After a silence of the sweeper's own (it was down) of each action only the latest missed rung is climbed, and asking
comes before all that rests on the answer.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from tillkeeper.domain.order import Status


class Action(StrEnum):
    """What a rung does.  They are ordered: of several that are due, the first goes first."""

    QUERY = "query"  # ask the gateway
    GRACE = "grace"  # a failure was given time to turn into a success: now the payer may be told
    REMIND = "remind"  # tell the payer where it stands
    CASE = "case"  # a person must look
    ESCALATE = "escalate"  # a person further up must look
    CLOSE = "close"  # no payment is expected any more, if the gateway says that none is on its way


RANK: Final[Mapping[Action, int]] = MappingProxyType({action: rank for rank, action in enumerate(Action)})


class Anchor(StrEnum):
    """What a rung's offset counts from."""

    START = "start"  # of the spell
    EXPIRY = "expiry"  # of the order
    DUE = "due"  # the next instalment that is not covered


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a ladder."""

    offset: timedelta
    anchor: Anchor = Anchor.START


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """All moments of one action, earliest first; `every` goes on after the last of them without an end."""

    action: Action
    steps: tuple[Step, ...]
    every: timedelta | None = None


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """What is done while an order stays in one status, by action.

    `soonest` is the least offset from the start, reckoned once: it is asked for at every movement of every order.
    """

    climbs: tuple[Climb, ...] = ()
    soonest: timedelta | None = None

    def __post_init__(self) -> None:
        """Reckons what follows from the climbs."""
        offsets = [step.offset for climb in self.climbs for step in climb.steps if step.anchor is Anchor.START]
        msgspec.structs.force_setattr(self, "soonest", min(offsets, default=None))


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of one spell: (action, at) names it."""

    action: Action
    at: datetime
    level: int = 1  # which escalation it is: 1 for the first


class Spell(msgspec.Struct, frozen=True, kw_only=True):
    """What a ladder is climbed from.  `climbed` is the moment of the last rung taken of each action."""

    began_at: datetime
    expires_at: datetime | None = None
    next_due_at: datetime | None = None
    climbed: Mapping[Action, datetime] = MappingProxyType({})


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A rung to be taken now."""

    rung: Rung


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to do before `until`."""

    until: datetime


class Done(msgspec.Struct, frozen=True):
    """Nothing more to do in this spell."""


def next_rung(ladder: Ladder, spell: Spell, now: datetime) -> Due | Wait | Done:
    """What this spell is due for.  Changes nothing."""
    due: list[Rung] = []
    coming: list[datetime] = []
    for climb in ladder.climbs:
        missed, ahead = _look(climb, spell, now)
        if missed is not None:
            due.append(missed)
        if ahead is not None:
            coming.append(ahead)
    if due:
        return Due(rung=min(due, key=lambda rung: RANK[rung.action]))
    return Wait(until=min(coming)) if coming else Done()


def first_due(ladder: Ladder, spell: Spell, now: datetime) -> datetime | None:
    """When the sweep must look at this spell; None where it never has to."""
    if spell.began_at == now and not (spell.climbed or spell.expires_at or spell.next_due_at):  # as nearly all begin
        return None if ladder.soonest is None else now + ladder.soonest
    decision = next_rung(ladder, spell, now)
    if isinstance(decision, Due):
        return now
    return decision.until if isinstance(decision, Wait) else None


def _look(climb: Climb, spell: Spell, now: datetime) -> tuple[Rung | None, datetime | None]:
    """The rung of one action that is due, and the moment of the one after `now`."""
    after = spell.climbed.get(climb.action)
    moments = sorted({at for step in climb.steps if (at := _moment(climb.action, step, spell)) is not None})
    missed, level, ahead = None, 0, None
    for number, at in enumerate(moments, start=1):
        if at > now:
            ahead = at
            break
        missed, level = at, number
    if climb.every is not None and moments and ahead is None:
        rounds = (now - moments[-1]) // climb.every
        missed, level = moments[-1] + rounds * climb.every, len(moments) + rounds
        ahead = missed + climb.every
    if missed is None or (after is not None and missed <= after):
        return None, ahead
    return Rung(action=climb.action, at=missed, level=level), ahead


AT_THE_CHECKOUT: Final = timedelta(minutes=10)  # who has just come, or just paid a part, needs no reminder of a date


def _moment(action: Action, step: Step, spell: Spell) -> datetime | None:
    origin = {Anchor.START: spell.began_at, Anchor.EXPIRY: spell.expires_at, Anchor.DUE: spell.next_due_at}[step.anchor]
    return None if origin is None or _is_stale(action, step, origin + step.offset, spell) else origin + step.offset


def _is_stale(action: Action, step: Step, at: datetime, spell: Spell) -> bool:
    """A reminder of a date, from before the spell began or from its first minutes, has nothing to say: an order that
    lives for an hour needs none an hour before it expires.  Everything else from before is made good: who is overdue
    already must still be looked at.
    """
    return action is Action.REMIND and step.anchor is not Anchor.START and at < spell.began_at + AT_THE_CHECKOUT


class CasePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How cases are kept from being forgotten."""

    follow_up: timedelta = timedelta(hours=24)  # people are told again so often, until it is resolved
    levels: int = 3  # how far up a case can go


class SilencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When an account that should be talking is quiet for too long, and what is done meanwhile (domain/pulse.py)."""

    after: timedelta | None = None  # quiet for so long is silent; None: as each account's own history has it
    learning: timedelta = timedelta(days=7)  # how much of that history it takes
    false_alarm: float = 1e-6  # the chance of such a gap where nothing is wrong
    least: timedelta = timedelta(minutes=10)  # nobody is told of a shorter one
    ask_every: timedelta = timedelta(minutes=10)  # how often open payments are asked about while it lasts
    unanswering: timedelta = timedelta(minutes=15)  # questions that fail for so long on end are told, too


class HintPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How far a delivery that proves nothing may cause a query."""

    per_minute: int = 10  # of one account, whoever posts whatever; 0: never
    again_after: timedelta = timedelta(minutes=10)  # about the same order


class AccountPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ladders that differ at one account, and there for a way of paying (bank debits take days)."""

    ladders: Mapping[Status, Ladder] = MappingProxyType({})
    methods: Mapping[str, Mapping[Status, Ladder]] = MappingProxyType({})


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a merchant may decide about stuck orders."""

    ladders: Mapping[Status, Ladder] = MappingProxyType({})
    accounts: Mapping[str, AccountPolicy] = MappingProxyType({})
    cases: CasePolicy = CasePolicy()
    unmatched_case: timedelta = timedelta(minutes=30)  # an event that waits so long for its order becomes a case
    after_close: Literal["reopen", "case"] = "case"  # money that comes in after closing
    closed: Ladder = Ladder()  # from closing on: whether it does
    silence: SilencePolicy = SilencePolicy()
    hints: HintPolicy = HintPolicy()

    def ladder(self, status: Status, account: str | None = None, method: str | None = None) -> Ladder:
        """The ladder of a status, as it is at an account and for a way of paying there."""
        at_account = self.accounts.get(account) if account is not None else None
        if at_account is not None:
            by_method = at_account.methods.get(method) if method is not None else None
            if by_method is not None and status in by_method:
                return by_method[status]
            if status in at_account.ladders:
                return at_account.ladders[status]
        return self.ladders.get(status, _NO_LADDER)


_NO_LADDER: Final = Ladder()
