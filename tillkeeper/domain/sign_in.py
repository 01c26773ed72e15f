"""Decides how guessing is slowed down, and how long sessions, links and tokens live.

Each name, and each browser that has signed in under it before, has a level: the wrong passwords that came, less one for
each hour since.  From the fifth on the next try must wait, twice as long each time, a quarter of an hour at most:
nobody is locked out for longer.  All names together have a level, too, so that many names are guessed no
quicker than one; browsers that have signed in before are not held to it, nor are one-time links to any of this.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

SESSION_IDLE: Final = timedelta(hours=2)  # nobody looked: somebody left it open
SESSION_LONGEST: Final = timedelta(hours=12)  # a shift
SESSIONS_MAX: Final = 20  # of a person; the oldest ends for a new one
SEEN_EVERY: Final = timedelta(minutes=1)  # how exactly it is known when a session was used last
LINK_LIVES: Final = timedelta(hours=24)
TOKENS_MAX: Final = 20  # of a person
APPROVAL_LIVES: Final = timedelta(hours=24)

FREE_TRIES: Final = 5  # people mistype
WAIT_FIRST: Final = timedelta(seconds=1)
WAIT_MAX: Final = timedelta(minutes=15)
LEVEL_MAX: Final = 16.0  # waits have reached their maximum well before
FORGOTTEN_IN: Final = timedelta(hours=1)  # one wrong password

TOTAL_MAX: Final = 60.0  # a whole shift that mistypes
TOTAL_FORGOTTEN_IN: Final = timedelta(seconds=3)  # one wrong password of any name


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """Wrong passwords, less those that were forgotten until `last_at`."""

    level: float
    last_at: datetime


def opens_at(tries: Tries) -> datetime:
    """Returns when a name, or a browser, may be tried again."""
    over = int(tries.level) - FREE_TRIES
    return tries.last_at if over < 0 else tries.last_at + min(WAIT_FIRST * 2**over, WAIT_MAX)


def total_opens_at(total: Tries) -> datetime:
    """Returns when any name may be tried again by a browser that nobody knows."""
    return total.last_at + max(total.level - TOTAL_MAX + 1, 0) * TOTAL_FORGOTTEN_IN


def tried(tries: Tries, *, now: datetime) -> Tries:
    """Counts a try as wrong, before it is known to be."""
    return Tries(level=min(_left(tries, FORGOTTEN_IN, now) + 1, LEVEL_MAX), last_at=now)


def total_tried(total: Tries, *, now: datetime) -> Tries:
    """Counts a try among all names."""
    return Tries(level=_left(total, TOTAL_FORGOTTEN_IN, now) + 1, last_at=now)


def _left(tries: Tries, forgotten_in: timedelta, now: datetime) -> float:
    return max(tries.level - max(now - tries.last_at, timedelta(0)) / forgotten_in, 0.0)
