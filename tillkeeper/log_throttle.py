"""Throttles repeated log lines: each is written at intervals, with the number of suppressed ones."""

from collections.abc import Callable, Hashable


class LogThrottle:
    """Allows one line for each key in `every_s` seconds."""

    def __init__(self, *, every_s: float, monotonic_s: Callable[[], float]) -> None:
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._logged_at: dict[Hashable, float] = {}
        self._suppressed: dict[Hashable, int] = {}

    def due(self, key: Hashable) -> int | None:
        """Returns the number of lines suppressed since the last one, if one is due; else None."""
        now_s = self._monotonic_s()
        if now_s - self._logged_at.get(key, float("-inf")) < self._every_s:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return None
        self._logged_at[key] = now_s
        return self._suppressed.pop(key, 0)
