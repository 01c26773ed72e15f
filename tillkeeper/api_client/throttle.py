"""A token bucket: how often something may be done.  The time comes in as an argument.

account_client.py holds one for each account that is called.
"""


class Bucket:
    """Admits a number of calls a second on average, and a burst at once.  A rate of 0 is no limit."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s if per_s else 0.0
        self._burst = burst
        self._reserved_until_s = float("-inf")

    def take(self, now_s: float, *, wait_s_max: float) -> float | None:
        """Returns the seconds to wait before the call; None, and takes nothing, where they exceed `wait_s_max`."""
        begin = max(self._reserved_until_s, now_s)
        wait_s = max(0.0, begin - now_s - (self._burst - 1) * self._interval_s)
        if wait_s > wait_s_max:
            return None
        self._reserved_until_s = begin + self._interval_s
        return wait_s
