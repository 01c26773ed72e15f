"""The contract of a lane.  One test suite runs over every implementation (tests/lanes)."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class LaneUnavailable(Exception):
    """The lane cannot make a message durable, or hand one out, now.  The world's fault: wait, or go elsewhere."""


class LaneMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message in a worker's hands until it is acknowledged or released.

    `receipt` means something to its lane only.  `attempts` counts how often the message was handed out, this time
    included, as far as the lane knows.  What came back by `release` does not count: only a worker that died does.
    """

    body: bytes
    receipt: object
    attempts: int = 1
    gone_by: str | None = None  # of one that the lane gave up on: the broker's own word for why, where it has one


class Sender(Protocol):
    """The receiver's end of a lane."""

    @property
    def name(self) -> str:
        """What the lane is called in figures and logs."""
        ...

    async def put(self, body: bytes, *, shard: int = 0) -> None:
        """Returns once the message is durable; raises Unavailable when that is not so, or not known."""
        ...

    async def check(self) -> None:
        """Raises Unavailable when a put would fail now, as far as a cheap look can tell."""
        ...

    async def close(self) -> None:
        """Lets puts in flight finish, then disconnects.  Safe to repeat."""
        ...


class Receiver(Protocol):
    """A worker's end of a lane.  A message that is neither acknowledged nor released comes again."""

    @property
    def name(self) -> str:
        """What the lane is called in figures and logs."""
        ...

    async def take(self, *, limit: int, wait_s: float) -> list[LaneMessage]:
        """Up to `limit` messages, oldest first; waits up to `wait_s` for the first, never for more.

        Returns an empty list when none came.  Raises Unavailable when the lane is out of reach.
        """
        ...

    async def acknowledge(self, taken: Sequence[LaneMessage]) -> None:
        """The messages are done and never come again.  Raises Unavailable when that could not be said of them all:
        then some come again, and dedupe settles it."""
        ...

    async def release(self) -> None:
        """Gives back everything not acknowledged, for another worker or a later take.  Never raises."""
        ...

    async def take_parked(self, *, limit: int) -> list[LaneMessage]:
        """Messages past the delivery limit; acknowledge them once they are stored where people see them."""
        ...

    async def close(self) -> None:
        """Gives back what is held and disconnects.  Safe to repeat."""
        ...
