"""From which position on the spool is scanned for free messages: what lies before is done, or leased.

What lies before is looked at seldom.

A message gets its position before its transaction commits, so that one may appear below others that were taken already.
Positions given out so long ago that every such transaction has ended are safe to pass, once a take after that moment
found nothing more among them.
"""

from typing import Final

IN_FLIGHT_S: Final = 10.0  # a put takes two seconds at most
WHOLE_LOOK_S: Final = 15.0  # how late a lease that ran out is noticed
COST_FACTOR: Final = 100  # looks at the whole table take no more than a hundredth of the time


class SpoolScan:
    """Where one receiver's scan of the table begins.  Times are of a monotonic clock."""

    def __init__(self) -> None:
        self.after = 0
        self._mark: tuple[int, float] | None = None
        self._whole_at_s = float("-inf")

    def begin(self, now_s: float) -> int:
        """The position beyond which to look now; 0 is all of it."""
        return 0 if now_s >= self._whole_at_s else self.after

    def wants_mark(self) -> bool:
        """Whether to find out the position given out last."""
        return self._mark is None

    def mark(self, position: int, now_s: float) -> None:
        """That position, and when it was asked for."""
        self._mark = (position, now_s)

    def ended(self, *, was_whole: bool, began_s: float, ended_s: float, first: int | None, is_full: bool) -> None:
        """What a take saw: the first position that it got, and whether it got as many as it wanted."""
        if was_whole:
            self._whole_at_s = ended_s + max(WHOLE_LOOK_S, COST_FACTOR * (ended_s - began_s))
        if self._mark is None or began_s - self._mark[1] < IN_FLIGHT_S:
            return
        marked, _ = self._mark
        passed = min(marked, first - 1) if is_full and first is not None else marked
        self.after = max(self.after, passed)
        self._mark = None

    def look_at_all(self) -> None:
        """Something lies before the position again."""
        self._whole_at_s = float("-inf")
