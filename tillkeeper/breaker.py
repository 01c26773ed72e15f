"""A circuit breaker: stops calls to what keeps failing, and says when to try again.  Time comes in as an argument.

closed ── so many failures in a row ──> open ── its cooldown is over ──> half-open: one trial at a time
^                                      ^──────────── the trial fails: a longer cooldown ────┤
└────────────────────────────────────────────────────────────────────── it succeeds ────────┘
"""

from tillkeeper.domain.backoff import Backoff, Jitter


class Breaker:
    """The breaker of one gateway account, notice channel or lane in this process."""

    def __init__(self, *, failures_max: int, cooldown: Backoff, jitter: Jitter | None = None) -> None:
        self._failures_max = failures_max
        self._cooldown = cooldown
        self._jitter = jitter
        self.failures = 0  # in a row
        self._openings = 0  # in a row
        self._open_until: float | None = None
        self._is_trial_under_way = False

    @property
    def is_closed(self) -> bool:
        """Returns True while nothing is known to be wrong."""
        return self._open_until is None

    def is_open(self, now_s: float) -> bool:
        """Returns whether no call may be made."""
        return self._open_until is not None and (now_s < self._open_until or self._is_trial_under_way)

    def cooldown_left_s(self, now_s: float) -> float:
        """Returns the rest of the cooldown in seconds."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now_s)

    def begin_call(self, now_s: float) -> bool:
        """Begins a call where one may be made now, or returns False; the caller reports `succeeded`, `failed` or
        `abandoned` then."""
        if self.is_open(now_s):
            return False
        self._is_trial_under_way = self._openings > 0
        return True

    def succeeded(self) -> bool:
        """Closes the breaker; returns True if it was open."""
        was_open = self._open_until is not None
        self.failures, self._openings, self._open_until, self._is_trial_under_way = 0, 0, None, False
        return was_open

    def failed(self, now_s: float, *, pause_s: float | None = None) -> bool:
        """Counts a failure; returns True if that opened the breaker.  A failed trial keeps it open.

        `pause_s` is the pause that the other side asks for.  It is no failure: after it there is no trial.
        """
        was_closed, was_trial = self.is_closed, self._is_trial_under_way
        self.failures += 1
        self._is_trial_under_way = False
        if pause_s is not None:
            self._open_until = now_s + pause_s
        elif was_trial or (not self._openings and self.failures >= self._failures_max and not self.is_open(now_s)):
            self._openings += 1
            self._open_until = now_s + self._cooldown.pause_s(self._openings, self._jitter)
        return was_closed and not self.is_closed

    def abandoned(self) -> None:
        """Notes that the call was given up and says nothing of the other side."""
        self._is_trial_under_way = False
