"""Decides whether an account is silent for too long, by its activity at the same hours of earlier days.

Minutes with deliveries are counted, not deliveries: one payment makes several within a second, and a promotion
thousands an hour, but neither makes the next minute more certain.  Each minute of an hour is taken to be active with
the share of minutes that were active at that hour before, independently of the others.  So the probability of a gap is
the product of the shares of inactive minutes, and a gap is reported whose probability is below the policy's
`false_alarm`.

    active minutes before ──> share of each hour of the gap ──> probability of the gap so far ──> silent or not

Each active minute begins a gap, and a day has 1,440: a probability of one in a million means less than one false alarm
in two years for an account that never rests.  Days that are like no other (a holiday) are not learned, and may alarm.

Hours are UTC's, and payers live by their own clocks, which change: for weeks afterwards everything comes an hour sooner
or later than it was learned.  So a gap is also compared with the hours before and behind, as if the clocks had changed,
once within it at most; what explains it best counts.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from tillkeeper.domain.policy import SilencePolicy

DAYS_KEPT: Final = 28  # four of each weekday; what was before is another season
MINUTES: Final = 60
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
WEEK_DAYS: Final = 7
SHIFTS: Final = (-1, 0, 1)  # hours: what a change of clocks moves


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """The active minutes of one account.  Hours are named by their beginning; a missing one had no deliveries."""

    first_hour: datetime  # of all that is known
    last_at: datetime
    minutes: Mapping[datetime, int] = MappingProxyType({})  # in which something came, by hour


def is_silent(activity: Activity, policy: SilencePolicy, now: datetime) -> bool:
    """Returns True if nothing came from the account for longer than chance explains."""
    quiet = now - activity.last_at
    if policy.after is not None:
        return quiet >= policy.after
    if quiet < policy.least or now - activity.first_hour < policy.learning:
        return False
    return log_chance(activity, now, enough=math.log(policy.false_alarm)) <= math.log(policy.false_alarm)


def log_chance(activity: Activity, now: datetime, *, enough: float = -math.inf) -> float:
    """Returns the logarithm of the chance that nothing came since the last time; it stops counting at `enough`.

    The best of what the clocks may have done: nothing, changed before the gap, or changed within it.
    """
    steady = dict.fromkeys(SHIFTS, 0.0)  # by shift: with the same one all the time
    changed = dict(steady)  # and with another one before, at most an hour from it
    share = cache(partial(usual_share, activity))  # of each hour once, not with each shift
    hour = hour_of(activity.last_at)
    while hour < now and max(changed.values()) > enough:
        begin, end = max(hour, activity.last_at), min(hour + HOUR, now)
        minutes = (end - begin) / timedelta(minutes=1)
        quiet = {shift: minutes * math.log1p(-share(hour + shift * HOUR)) for shift in SHIFTS}
        changed = {
            shift: max(changed[shift], *(steady[before] for before in SHIFTS if abs(before - shift) <= 1))
            + quiet[shift]
            for shift in SHIFTS
        }
        steady = {shift: steady[shift] + quiet[shift] for shift in SHIFTS}
        hour += HOUR
    return max(changed.values())


def usual_share(activity: Activity, hour: datetime) -> float:
    """Returns the share of an hour's minutes in which something comes, never all of them.

    The smaller one of two: at this hour of all days, and of the same days of the week.  A shop that rests on Sundays
    is not missed on one, nor a shop that sleeps missed at night.  The present gap is no example of itself.
    """
    last_hour = hour_of(activity.last_at)
    days = [
        (ago, activity.minutes.get(before, 0))
        for ago in range(1, DAYS_KEPT + 1)
        if activity.first_hour <= (before := hour - ago * DAY) < last_hour
    ]
    same_weekday = [heard for ago, heard in days if ago % WEEK_DAYS == 0]
    return min(_share([heard for _, heard in days]), _share(same_weekday) if same_weekday else 1.0)


def _share(heard: list[int]) -> float:
    """Counts one more quiet minute than there were: an hour that was always busy is not certain to be so."""
    return sum(heard) / (len(heard) * MINUTES + 1)


def hour_of(at: datetime) -> datetime:
    """Returns the beginning of its hour."""
    return at.replace(minute=0, second=0, microsecond=0)


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How an account's gateway answered: the last answer, and the queries after it that had none."""

    answered_at: datetime | None = None
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    reason: str | None = None

    def after_answer(self, now: datetime) -> "Answers":
        """Returns what is known once a query was answered."""
        return together(self, Answers(answered_at=now))

    def after_failure(self, now: datetime, reason: str) -> "Answers":
        """Returns what is known once a query had no answer."""
        return together(self, Answers(failing_since=now, failed_at=now, reason=reason))


def together(one: Answers, other: Answers) -> Answers:
    """Joins what two sweepers saw, in whichever order; an answer to either ends the failures before it."""
    answered_at = max((seen.answered_at for seen in (one, other) if seen.answered_at), default=None)
    failing = [
        (seen.failed_at, seen.reason, seen.failing_since)
        for seen in (one, other)
        if seen.failed_at and seen.failing_since and (answered_at is None or seen.failed_at > answered_at)
    ]
    if not failing:
        return Answers(answered_at=answered_at)
    failed_at, reason, _ = max(failing, key=lambda failure: (failure[0], failure[1] or ""))
    since = min(failure[2] for failure in failing)
    return Answers(
        answered_at=answered_at,
        failing_since=max(since, answered_at) if answered_at else since,
        failed_at=failed_at,
        reason=reason,
    )


def is_unanswering(answers: Answers, policy: SilencePolicy) -> bool:
    """Returns True if every query failed for too long.  One failure alone is not enough."""
    if answers.failing_since is None or answers.failed_at is None:
        return False
    return answers.failed_at - answers.failing_since >= policy.unanswering


SilenceKind = Literal["silent", "unanswering"]  # no delivery comes, or no query is answered


class Begins(msgspec.Struct, frozen=True, kw_only=True):
    """A silence that nobody has told of yet.  `usual_share` is of the minutes of this hour, where deliveries miss."""

    kind: SilenceKind
    since: datetime
    usual_share: float | None = None


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """A silence that was told, and is over."""

    kind: SilenceKind
    until: datetime


def change_in_answers(answers: Answers, policy: SilencePolicy, *, is_open: bool) -> Begins | Ends | None:
    """Returns what must be told of how the gateway answers; `is_open` where it was told that it does not."""
    if not is_open and answers.failing_since is not None and is_unanswering(answers, policy):
        return Begins(kind="unanswering", since=answers.failing_since)
    if is_open and answers.failing_since is None and answers.answered_at is not None:
        return Ends(kind="unanswering", until=answers.answered_at)
    return None


def change_in_activity(
    activity: Activity | None, policy: SilencePolicy, *, silent_since: datetime | None, now: datetime
) -> Begins | Ends | None:
    """Returns what must be told of what comes from the gateway; `silent_since` where it was told that nothing does."""
    if activity is None:
        return None
    is_quiet = is_silent(activity, policy, now)
    if silent_since is None and is_quiet:
        return Begins(kind="silent", since=activity.last_at, usual_share=usual_share(activity, hour_of(now)))
    # Heard since, and not behind any more: a backlog that is worked off is no talk.
    if silent_since is not None and not is_quiet and activity.last_at > silent_since:
        return Ends(kind="silent", until=activity.last_at)
    return None
