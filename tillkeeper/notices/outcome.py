"""The outcomes of handing a notice to one channel, and how the outbox row keeps them."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec


class Sent(msgspec.Struct, frozen=True):
    """The channel took it."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The channel did not take it and nobody was told.  It is tried again, not before `wait` where the channel says so.

    `tried` is False where the channel was left alone.
    """

    why: str
    wait: timedelta | None = None
    tried: bool = True


class Uncertain(msgspec.Struct, frozen=True, kw_only=True):
    """The channel may have taken it.  It is never sent again."""

    why: str


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """It was not sent, on purpose."""

    why: str


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """The channel refused it for good."""

    why: str


SendOutcome: TypeAlias = Sent | Failed | Uncertain | Dropped | Dead


class ChannelState(StrEnum):
    """The words that `outbox.told` has for a channel."""

    SENT = "sent"
    UNCERTAIN = "uncertain"
    DROPPED = "dropped"
    DEAD = "dead"
    FAILING = "failing"  # not final: it is tried again at `next_at`


FINAL: Final = frozenset(ChannelState) - {ChannelState.FAILING}


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel's entry in `outbox.told`."""

    outcome: ChannelState
    at: datetime
    why: str | None = None
    since: datetime | None = None  # the first failure of those that have no end yet
    failures: int = 0
    next_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """True where nothing more will be tried."""
        return self.outcome in FINAL
