"""Decides whether what orders show is true just now, and what wants a look, from how long what is open has waited.

the database cannot be read ──────────────────> nobody knows
messages wait in a lane for too long, or those
of a paused account until somebody decides ────> orders are behind what gateways told
an event is parked ───────────────────────────> something that a gateway told is in no order
an account is silent or does not answer ──────> what happens there is not known
otherwise ────────────────────────────────────> true
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec


class Tone(StrEnum):
    """How urgent something is."""

    CALM = "calm"  # all as it should be
    LOOK = "look"  # somebody must soon
    ACT = "act"  # now


class Truth(StrEnum):
    """Whether orders show what gateways know."""

    TRUE = "true"
    BLIND = "blind"
    PARTIAL = "partial"
    BEHIND = "behind"
    UNKNOWN = "unknown"


class Concern(StrEnum):
    """What may want a look."""

    PAUSED_ACCOUNTS = "paused_accounts"
    LANES = "lanes"
    PARKED = "parked"
    CASES_RAISED = "cases_raised"
    QUIET_ACCOUNTS = "quiet_accounts"
    WAITING = "waiting"
    SWEEP = "sweep"
    NOTICES = "notices"
    CASES = "cases"
    PROPOSALS = "proposals"
    STUCK = "stuck"
    NOTICES_DEAD = "notices_dead"
    QUERIES = "queries"


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are, and since when the oldest waits or is due."""

    count: int = 0
    oldest: datetime | None = None


NOTHING: Final = Backlog()


class TillFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is open, by what it is a concern of.  `read_at` is None while the database was never read."""

    now: datetime
    read_at: datetime | None
    open: Mapping[Concern, Backlog] = MappingProxyType({})


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long the oldest may wait until somebody must look, and until somebody must act; None: never."""

    look_after: timedelta
    act_after: timedelta | None = None


AT_ONCE: Final = timedelta(0)
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)

# The order is that of urgency among what is equally urgent.
PATIENCE: Final[Mapping[Concern, Patience]] = MappingProxyType(
    {
        Concern.PAUSED_ACCOUNTS: Patience(look_after=AT_ONCE, act_after=AT_ONCE),  # nothing of them is applied
        Concern.LANES: Patience(look_after=_MINUTE, act_after=5 * _MINUTE),  # applied within a second or two
        Concern.PARKED: Patience(look_after=AT_ONCE, act_after=_HOUR),
        Concern.CASES_RAISED: Patience(look_after=AT_ONCE, act_after=AT_ONCE),  # nobody dealt with them in time
        Concern.QUIET_ACCOUNTS: Patience(look_after=AT_ONCE, act_after=_HOUR),
        Concern.WAITING: Patience(look_after=15 * _MINUTE, act_after=24 * _HOUR),  # the shop's commit may be late
        Concern.SWEEP: Patience(look_after=2 * _MINUTE, act_after=15 * _MINUTE),  # it is seconds behind when it runs
        Concern.NOTICES: Patience(look_after=5 * _MINUTE, act_after=_HOUR),
        Concern.CASES: Patience(look_after=AT_ONCE),
        Concern.PROPOSALS: Patience(look_after=AT_ONCE),  # a second person decides, within a day
        Concern.STUCK: Patience(look_after=AT_ONCE),  # only those count that stand for too long
        Concern.NOTICES_DEAD: Patience(look_after=AT_ONCE),
        Concern.QUERIES: Patience(look_after=_HOUR),
    }
)
READ_WITHIN: Final = timedelta(seconds=10)  # what is older is not what is so now


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Something that wants a look."""

    concern: Concern
    tone: Tone
    count: int
    oldest: datetime | None


class TillVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the till is true, how urgent the whole is, and what wants a look, the most urgent first."""

    truth: Truth
    tone: Tone
    looks: tuple[Look, ...]


def judge(facts: TillFacts) -> TillVerdict:
    """Returns the verdict."""
    looks = [look for concern in PATIENCE if (look := _look(concern, facts)) is not None]
    looks.sort(key=lambda look: look.tone is not Tone.ACT)  # within one tone in the order of the table
    truth = next(truth for truth, holds in _TRUTHS if holds(facts, {look.concern for look in looks}))
    is_urgent = truth is Truth.UNKNOWN or any(look.tone is Tone.ACT for look in looks)
    return TillVerdict(
        truth=truth,
        tone=Tone.ACT if is_urgent else Tone.LOOK if looks else Tone.CALM,
        looks=tuple(looks),
    )


def _look(concern: Concern, facts: TillFacts) -> Look | None:
    backlog, patience = facts.open.get(concern, NOTHING), PATIENCE[concern]
    if backlog.count == 0:
        return None
    waited = facts.now - backlog.oldest if backlog.oldest is not None else AT_ONCE
    if waited < patience.look_after:
        return None
    is_urgent = patience.act_after is not None and waited >= patience.act_after
    tone = Tone.ACT if is_urgent else Tone.LOOK
    return Look(concern=concern, tone=tone, count=backlog.count, oldest=backlog.oldest)


def _is_unknown(facts: TillFacts, _: set[Concern]) -> bool:
    return facts.read_at is None or facts.now - facts.read_at > READ_WITHIN


_BEHIND: Final = frozenset({Concern.LANES, Concern.PAUSED_ACCOUNTS})
_TRUTHS: Final[tuple[tuple[Truth, Callable[[TillFacts, set[Concern]], bool]], ...]] = (
    (Truth.UNKNOWN, _is_unknown),
    (Truth.BEHIND, lambda _, concerns: bool(_BEHIND & concerns)),
    (Truth.PARTIAL, lambda _, concerns: Concern.PARKED in concerns),
    (Truth.BLIND, lambda _, concerns: Concern.QUIET_ACCOUNTS in concerns),
    (Truth.TRUE, lambda _, __: True),
)
