"""Decides which keys of an account are in use, and which old one may be removed."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

RESTS_AFTER: Final = timedelta(days=7)  # gateways repeat for up to three days, and may repeat the old signature


class KeyVerdict(StrEnum):
    """What may be done with a key."""

    IN_USE = "in_use"
    NEVER_USED = "never_used"
    NOT_USED_YET = "not_used_yet"  # another one of the account is in use
    SAFE_TO_REMOVE = "safe_to_remove"
    ALONE_AND_RESTING = "alone_and_resting"  # no other key is in use either
    NOT_CONFIGURED = "not_configured"  # any more


def is_used(last_at: datetime | None, *, now: datetime) -> bool:
    """Returns whether a key verified something lately."""
    return last_at is not None and now - last_at < RESTS_AFTER


def verdict_on(last_at: datetime | None, *, is_only: bool, another_works: bool, now: datetime) -> KeyVerdict:
    """Returns what may be done with a configured key.  `another_works` is of any key of the account."""
    if last_at is None:
        return KeyVerdict.NOT_USED_YET if another_works and not is_only else KeyVerdict.NEVER_USED
    if is_used(last_at, now=now):
        return KeyVerdict.IN_USE
    return KeyVerdict.SAFE_TO_REMOVE if another_works and not is_only else KeyVerdict.ALONE_AND_RESTING
