"""Lets a channel that keeps failing cool down, so that its backlog does not take the time of other channels.

A receiver that hangs costs its time-out for each notice, and after a day it has thousands that are due each hour.
While it cools down, notices are postponed at once, without a call; after that one notice at a time tries it again.
"""

from datetime import timedelta
from typing import Final, Protocol

from tillkeeper.breaker import Breaker
from tillkeeper.domain.backoff import NOTICE_CHANNEL
from tillkeeper.domain.order.notice_outcomes import RETRY_AFTER_MAX, Failed, SendOutcome
from tillkeeper.notices.outgoing import Outgoing

FAILURES_MAX: Final = 5  # in a row; the retry schedule of the row outlasts a restart of the receiver


class Channel(Protocol):
    """A way to the merchant's systems or to ops.  It delivers at least once: the same key may be sent again."""

    @property
    def name(self) -> str:
        """Returns its name in `outbox.channels`, metrics and logs: no secret, and the same after each restart."""
        ...

    async def send(self, notice: Outgoing) -> SendOutcome:
        """Sends the notice, in bounded time."""
        ...


class WithCooldown:
    """A channel behind a breaker of this process."""

    def __init__(self, channel: Channel) -> None:
        self.name: Final = channel.name
        self._channel = channel
        self._breaker = Breaker(failures_max=FAILURES_MAX, cooldown=NOTICE_CHANNEL)

    async def send(self, notice: Outgoing) -> SendOutcome:
        """Returns the channel's outcome, or that it is cooling down."""
        now_s = notice.sent_at.timestamp()
        if not self._breaker.begin_call(now_s):
            wait = timedelta(seconds=self._breaker.cooldown_left_s(now_s))
            return Failed(why=f"left alone after {self._breaker.failures} failures", wait=wait, tried=False)
        try:
            outcome = await self._channel.send(notice)
            self._note(outcome, now_s)
        finally:
            self._breaker.abandoned()
        return outcome

    def _note(self, outcome: SendOutcome, now_s: float) -> None:
        if not isinstance(outcome, Failed):
            self._breaker.succeeded()
        elif outcome.wait is None:
            self._breaker.failed(now_s)
        else:  # the pause that it asks for applies to all notices
            self._breaker.failed(now_s, pause_s=min(outcome.wait, RETRY_AFTER_MAX).total_seconds())
