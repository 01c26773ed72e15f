"""Decides from which position the spool is scanned for free messages: everything before is done, or leased.

The whole table is scanned seldom.

A message gets its position before its transaction commits, so that it may appear below others that were taken already.
A position is safe to skip once every transaction from before it has ended, and a take after that has found nothing
below it.
"""

from typing import Final

IN_FLIGHT_S: Final = 10.0  # a put takes two seconds at most
WHOLE_LOOK_S: Final = 15.0  # how late an expired lease is noticed
COST_FACTOR: Final = 100  # scans of the whole table take no more than a hundredth of the time


class SpoolScan:
    """The state of one receiver's scans.  Times are of a monotonic clock."""

    def __init__(self) -> None:
        self.after = 0
        self._mark: tuple[int, float] | None = None
        self._whole_at_s = float("-inf")

    def begin(self, now_s: float) -> int:
        """Returns the position from which to scan now; 0 is the whole table."""
        return 0 if now_s >= self._whole_at_s else self.after

    def wants_mark(self) -> bool:
        """Returns whether the last assigned position should be read."""
        return self._mark is None

    def mark(self, position: int, now_s: float) -> None:
        """Notes that position, and when it was read."""
        self._mark = (position, now_s)

    def ended(self, *, was_whole: bool, began_s: float, ended_s: float, first: int | None, is_full: bool) -> None:
        """Notes what a take found: its first position, and whether it found as many messages as it asked for."""
        if was_whole:
            self._whole_at_s = ended_s + max(WHOLE_LOOK_S, COST_FACTOR * (ended_s - began_s))
        if self._mark is None or began_s - self._mark[1] < IN_FLIGHT_S:
            return
        marked, _ = self._mark
        passed = min(marked, first - 1) if is_full and first is not None else marked
        self.after = max(self.after, passed)
        self._mark = None

    def look_at_all(self) -> None:
        """Makes the next scan cover the whole table, for a message was released."""
        self._whole_at_s = float("-inf")
