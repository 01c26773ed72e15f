"""How often an account may be called, and when it is left alone.  Both are told the time, and hold no clock."""


class Bucket:
    """So many calls a second on average, and some at once.  No rate is no limit."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s if per_s else 0.0
        self._burst = burst
        self._spoken_for_until = float("-inf")

    def take(self, now_s: float, *, wait_s_max: float) -> float | None:
        """Seconds to wait before the call; None where they are too many, and then nothing is taken."""
        begin = max(self._spoken_for_until, now_s)
        wait_s = max(0.0, begin - now_s - (self._burst - 1) * self._interval_s)
        if wait_s > wait_s_max:
            return None
        self._spoken_for_until = begin + self._interval_s
        return wait_s


class Breaker:
    """Open after so many failures on end; from time to time one call is let through, and its success closes it."""

    def __init__(self, *, failures_max: int) -> None:
        self._failures_max = failures_max
        self._failures = 0
        self._open_until: float | None = None
        self._trying = False

    def is_open(self, now_s: float) -> bool:
        """True while no call may be made."""
        return self._open_until is not None and (now_s < self._open_until or self._trying)

    def enter(self, now_s: float) -> bool:
        """Whether this call may be made now; one that may must be followed by `succeeded`, `failed` or `left`."""
        if self.is_open(now_s):
            return False
        self._trying = self._open_until is not None
        return True

    def succeeded(self) -> bool:
        """True if that closed it."""
        closed = self._open_until is not None
        self._failures, self._open_until, self._trying = 0, None, False
        return closed

    def failed(self, now_s: float, *, open_s: float) -> bool:
        """True if that opened it, for `open_s`; a failed try keeps it open for as long again."""
        self._failures += 1
        opened = self._open_until is None and self._failures >= self._failures_max
        if opened or self._trying:
            self._open_until = now_s + open_s
        self._trying = False
        return opened

    def left(self) -> None:
        """The call was given up, and says nothing of the gateway."""
        self._trying = False
