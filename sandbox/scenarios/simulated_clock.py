"""A simulated clock, which stands until it is moved."""

from datetime import datetime, timedelta


class SimulatedClock:
    """The time of a scenario.  It only ever goes on."""

    def __init__(self, begins_at: datetime) -> None:
        self._begins_at = begins_at
        self._now = begins_at

    def now(self) -> datetime:
        """Returns the scenario's present."""
        return self._now

    def monotonic_s(self) -> float:
        """Seconds since the scenario began."""
        return (self._now - self._begins_at).total_seconds()

    def advance_to(self, at: datetime) -> None:
        """Goes on to `at`, or stays."""
        self._now = max(self._now, at)


def seconds(count: float) -> timedelta:
    """So many."""
    return timedelta(seconds=count)


async def no_sleep(_seconds: float) -> None:
    """Pauses take no time here, for nothing else would happen in them."""
