"""How often an account may be called.  It is told the time, and has no clock."""


class Bucket:
    """Lets so many calls a second through on average, and some at once.  No rate is no limit."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s if per_s else 0.0
        self._burst = burst
        self._reserved_until_s = float("-inf")

    def take(self, now_s: float, *, wait_s_max: float) -> float | None:
        """Seconds to wait before the call; None where they are too many, and then nothing is taken."""
        begin = max(self._reserved_until_s, now_s)
        wait_s = max(0.0, begin - now_s - (self._burst - 1) * self._interval_s)
        if wait_s > wait_s_max:
            return None
        self._reserved_until_s = begin + self._interval_s
        return wait_s
