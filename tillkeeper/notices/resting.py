"""A channel that keeps failing is left alone for a while, so that its backlog does not take the time of its neighbours.

A receiver that hangs costs its time-out for each notice, and after a day it has thousands that are due again each hour.
While it rests they are put off at once, without a call; the first after the rest tries it anew.
"""

from datetime import datetime, timedelta
from typing import Final, Protocol

from tillkeeper.notices.deciding import RETRY_AFTER_MAX
from tillkeeper.notices.outcome import Failed, Outcome
from tillkeeper.notices.outgoing import Outgoing

FAILURES_MAX: Final = 5  # in a row; a restart of the receiver is over by the schedule of the row
REST_FIRST: Final = timedelta(seconds=30)
REST_MAX: Final = timedelta(minutes=5)  # a receiver that is back is found within this


class Channel(Protocol):
    """A way to the merchant's systems or to ops.  At least once: `send` may come again with the same key."""

    @property
    def name(self) -> str:
        """What `outbox.told`, figures and logs call it; no secret, and the same after every restart."""
        ...

    async def send(self, notice: Outgoing) -> Outcome:
        """Hands it over, in bounded time."""
        ...


class Resting:
    """A channel, as this process has met it."""

    def __init__(self, channel: Channel) -> None:
        self.name: Final = channel.name
        self._channel = channel
        self._failures = 0
        self._rest = REST_FIRST
        self._until: datetime | None = None

    async def send(self, notice: Outgoing) -> Outcome:
        """What the channel says, or that it rests."""
        now = notice.sent_at
        if self._is_resting(now):
            assert self._until is not None
            return Failed(why=f"left alone after {self._failures} failures", wait=self._until - now, tried=False)
        outcome = await self._channel.send(notice)
        if isinstance(outcome, Failed):
            self._failed(outcome, now)
        else:
            self._failures, self._rest, self._until = 0, REST_FIRST, None
        return outcome

    def _is_resting(self, now: datetime) -> bool:
        return self._until is not None and now < self._until

    def _failed(self, outcome: Failed, now: datetime) -> None:
        self._failures += 1
        if outcome.wait is not None:  # it asked for a pause, and means all notices
            self._until = now + min(outcome.wait, RETRY_AFTER_MAX)
        elif self._failures >= FAILURES_MAX and not self._is_resting(now):  # of a batch the first one decides
            self._until = now + self._rest
            self._rest = min(2 * self._rest, REST_MAX)
