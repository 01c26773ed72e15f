"""Computes the pause after a failure: one formula, and every retry schedule by its name.

    pause = pauses[failures in a row - 1], the last one for all further failures, times a random share within `spread`

Inside a running call tenacity does the waiting.  A retry that must outlast the process is stored as a time, to which
the pause is added.  Chance comes in as an argument.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeAlias

import msgspec

Jitter: TypeAlias = Callable[[float, float], float]  # a random number between the two
Spread: TypeAlias = tuple[float, float]

WHOLE: Final[Spread] = (1.0, 1.0)
UP_TO: Final[Spread] = (0.0, 1.0)  # for many at once: they come back as far apart as possible
HALF_OR_MORE: Final[Spread] = (0.5, 1.0)  # where the pause must also have a minimum
AROUND: Final[Spread] = (0.8, 1.2)  # so that processes do not retry in step

NO_LIMIT: Final = 1_000_000_000  # attempts
NEVER: Final = timedelta(days=36_500)


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses that grow with the failures in a row, and a limit where there is one."""

    pauses: tuple[timedelta, ...]
    spread: Spread = WHOLE
    attempts_max: int = NO_LIMIT
    give_up_after: timedelta = NEVER

    def pause(self, failures: int, jitter: Jitter | None = None) -> timedelta:
        """Returns the pause after so many failures in a row, 1 or more; without jitter the whole of it."""
        whole = self.pauses[min(failures, len(self.pauses)) - 1]
        return whole if jitter is None else jitter(*self.spread) * whole

    def pause_s(self, failures: int, jitter: Jitter | None = None) -> float:
        """Returns the pause in seconds."""
        return self.pause(failures, jitter).total_seconds()


def constant(pause_s: float, *, spread: Spread = WHOLE) -> Backoff:
    """Makes a policy with the same pause after every failure."""
    return Backoff(pauses=(timedelta(seconds=pause_s),), spread=spread)


def doubling(first_s: float, longest_s: float, *, spread: Spread = WHOLE, attempts_max: int = NO_LIMIT) -> Backoff:
    """Builds a schedule of pauses that double from the first to the longest."""
    pauses_s = [first_s]
    while pauses_s[-1] < longest_s:
        pauses_s.append(min(2 * pauses_s[-1], longest_s))
    return Backoff(
        pauses=tuple(timedelta(seconds=pause_s) for pause_s in pauses_s), spread=spread, attempts_max=attempts_max
    )


# --- inside a running call --------------------------------------------------------------------------------------------

# One call to a gateway; how many attempts and how long in all is in the settings.
API_CALL: Final = doubling(0.5, 8.0, spread=UP_TO)
# Two transactions conflicted: the one that was rolled back succeeds when it is repeated.
TRANSACTION: Final = doubling(0.01, 0.5, spread=UP_TO, attempts_max=8)
# The database is unavailable.  A restart takes seconds; nobody waits longer than five after it.
DATABASE: Final = doubling(0.1, 5.0, spread=UP_TO)
# A migration's locks are in others' hands.  Two seconds of waiting each time, and about ten minutes in all.
MIGRATION_LOCK: Final = doubling(0.5, 10.0, spread=HALF_OR_MORE, attempts_max=60)
# A week of bodies cannot be dropped while it is read, as by a dump.  A fifth of a second of waiting each time.
WEEK_LOCK: Final = doubling(0.5, 5.0, spread=HALF_OR_MORE, attempts_max=6)

# --- in a long-running process ---------------------------------------------------------------------------------------

BROKER_CONNECTION: Final = doubling(0.1, 3.0, spread=HALF_OR_MORE)  # a broker that is back is found within this
# A leader election takes about the first; a broker that is back is used again within the last.
BROKER_PROBE: Final = doubling(0.25, 4.0, spread=HALF_OR_MORE)
SPOOL: Final = constant(0.5)  # meanwhile callers are refused at once instead of waiting
NOTICE_CHANNEL: Final = doubling(30, 300)  # a receiver that is back is found within five minutes
KEY_REFRESH: Final = constant(1800)
LOOP_PASS: Final = constant(1.0)  # a loop whose passes fail must not spin
CHILD_PROCESS: Final = constant(1.0)  # nor must a child that cannot start
CHILD_REFUSED: Final = constant(10.0)  # settings or schema changed for the worse: somebody must do something first

# --- stored in a row --------------------------------------------------------------------------------------------

ORDER_QUERY: Final = doubling(15, 900)  # a gateway that is back is queried within a quarter of an hour
BACKFILL: Final = doubling(30, 900)
# A minute first, for most failures are short; never more than six hours, so that it ends soon after the gateway is
# back; three days, as long as gateways repeat what nobody takes.
FETCH: Final = Backoff(
    pauses=tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30, 60, 180, 360)),
    spread=AROUND,
    give_up_after=timedelta(days=3),
)
# Of a day: a gateway that is late is asked every six hours in the end, until it gives the day no more.
STATEMENT: Final = Backoff(
    pauses=tuple(timedelta(minutes=minutes) for minutes in (5, 30, 60, 120, 240, 360)), spread=AROUND
)
# A new object may not be visible at once; one that is not found after half an hour does not exist.
FETCH_NOT_FOUND: Final = Backoff(
    pauses=(timedelta(seconds=30), timedelta(minutes=5), timedelta(minutes=30)), spread=AROUND, attempts_max=4
)
# The total time is in the settings, for each audience.
NOTICE: Final = Backoff(
    pauses=tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 900, 1800, 3600)),
)
