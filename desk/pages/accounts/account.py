"""Decides what is said of an account: whether it talks as usual, and how urgent it is where it does not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.silence import Activity, hour_of, usual_share
from tillkeeper.domain.ways_of_paying import WayOfPaying, fails_now
from tillkeeper.store.reports.flow import AccountActivity
from tillkeeper.store.reports.pauses import Pause

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one account as of now."""

    name: str
    seen: AccountActivity
    usual_gap: timedelta | None  # between minutes in which something comes, at this hour; None: not known yet
    failing: tuple[WayOfPaying, ...]
    pause: Pause | None = None  # about which nobody has decided yet

    @property
    def word(self) -> str:
        """Returns the key of the sentence about it, the worst first."""
        if self.pause is not None:
            return "paused"
        if self.seen.silent_since is not None:
            return "silent"
        if self.seen.unanswering_since is not None:
            return "unanswering"
        if self.failing:
            return "failing"
        return "talks" if self.seen.last_at is not None else "quiet"

    @property
    def tone(self) -> str:
        """Returns how urgent it is."""
        return {"paused": "act", "silent": "act", "unanswering": "act", "failing": "look"}.get(self.word, "calm")


def state_of(
    name: str,
    seen: AccountActivity,
    activity: Activity | None,
    ways: Sequence[WayOfPaying],
    *,
    pause: Pause | None = None,
    now: datetime,
) -> AccountState:
    """Returns the state of an account."""
    share = usual_share(activity, hour_of(now)) if activity is not None else 0.0
    return AccountState(
        name=name,
        seen=seen,
        usual_gap=MINUTE / share if share else None,
        failing=tuple(way for way in ways if way.account == name and fails_now(way)),
        pause=pause if pause is not None and pause.decision is None else None,
    )


def usual_hours(activity: Activity | None, hours: Sequence[datetime]) -> list[int]:
    """Returns for each hour in how many of its minutes something usually comes."""
    if activity is None:
        return [0] * len(hours)
    return [round(60 * usual_share(activity, hour)) for hour in hours]
