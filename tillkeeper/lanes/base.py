"""Defines the contract of a lane.  One test suite runs over every implementation (tests/system/lanes)."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class LaneUnavailable(Exception):
    """The lane cannot make a message durable, or deliver one, now; wait, or use the other lane."""


class LaneMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a worker holds until it acknowledges or releases it.

    Only its lane can read `receipt`.  `attempts` counts the deliveries of the message, this one included, as far as the
    lane knows.  A release does not count: only a worker that died does.
    """

    body: bytes
    receipt: object
    attempts: int = 1
    death_reason: str | None = None  # why the broker gave the message up, where it says so


class Sender(Protocol):
    """The receiver's end of a lane."""

    @property
    def name(self) -> str:
        """Returns the lane's name in metrics and logs."""
        ...

    async def put(self, body: bytes, *, shard: int = 0) -> None:
        """Returns once the message is durable; raises LaneUnavailable when it is not, or when that is not known."""
        ...

    async def check(self) -> None:
        """Raises LaneUnavailable when a put would fail now, as far as a cheap check can tell."""
        ...

    async def close(self) -> None:
        """Waits for puts in flight, then disconnects.  Safe to repeat."""
        ...


class Receiver(Protocol):
    """The worker's end of a lane.  A message that is neither acknowledged nor released comes again."""

    @property
    def name(self) -> str:
        """Returns the lane's name in metrics and logs."""
        ...

    async def take(self, *, limit: int, wait_s: float) -> list[LaneMessage]:
        """Takes up to `limit` messages, oldest first; waits up to `wait_s` for the first, never for more.

        Returns an empty list when none came.  Raises LaneUnavailable when the lane cannot be reached.
        """
        ...

    async def acknowledge(self, taken: Sequence[LaneMessage]) -> None:
        """Removes the messages from the lane.  Raises LaneUnavailable when some could not be removed: these come again,
        and are recognised as duplicates."""
        ...

    async def release(self) -> None:
        """Returns all unacknowledged messages to the lane, for another worker or a later take.  Never raises."""
        ...

    async def take_parked(self, *, limit: int) -> list[LaneMessage]:
        """Takes messages past the delivery limit; acknowledge them once they are stored where people see them."""
        ...

    async def close(self) -> None:
        """Returns all held messages and disconnects.  Safe to repeat."""
        ...
