"""Says why an event changed nothing, from what was told before it.

the payment had succeeded before ─────────> a success stands: what is heard of it later changes nothing
the same was told of the object before ───> it is a repetition
something later was known of the object ──> it is late
otherwise ────────────────────────────────> what is known said more already
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind

# What a success absorbs; captures and reversals of a payment are facts of their own.
ABSORBED: Final = frozenset(
    {Kind.PAYMENT_PENDING, Kind.PAYMENT_AUTHORIZED, Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED}
)


class NoChange(StrEnum):
    """Why an event changed nothing."""

    SUCCESS_STANDS = "success_stands"
    LATE = "late"
    TOLD_BEFORE = "told_before"
    KNOWN = "known"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a recorded event as decides."""

    kind: Kind
    account: str
    ref: str | None  # of the payment, the refund or the dispute that it is about
    capture_ref: str | None = None
    occurred_at: datetime


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The reason, and the earlier event that it rests on, by its place in what was told before."""

    why: NoChange
    by: int | None = None


def why_no_change(event: Told, before: Sequence[Told]) -> Explanation:
    """Returns why the event changed nothing.  `before` are the events that counted, the latest recorded first."""
    of_it = [(place, told) for place, told in enumerate(before) if _is_about_the_same(event, told)]
    for why, holds in _REASONS:
        by = next((place for place, told in of_it if holds(event, told)), None)
        if by is not None:
            return Explanation(why=why, by=by)
    return Explanation(why=NoChange.KNOWN)


def _is_about_the_same(event: Told, told: Told) -> bool:
    return (told.account, told.ref, _object_of(told)) == (event.account, event.ref, _object_of(event))


def _object_of(told: Told) -> str:
    return told.kind.partition(".")[0]


def _absorbs(event: Told, told: Told) -> bool:
    return event.kind in ABSORBED and told.kind is Kind.PAYMENT_SUCCEEDED


def _is_repeated(event: Told, told: Told) -> bool:
    return (told.kind, told.capture_ref) == (event.kind, event.capture_ref)


def _is_later(event: Told, told: Told) -> bool:
    return told.occurred_at > event.occurred_at


_REASONS: Final = (
    (NoChange.SUCCESS_STANDS, _absorbs),
    (NoChange.TOLD_BEFORE, _is_repeated),
    (NoChange.LATE, _is_later),
)
