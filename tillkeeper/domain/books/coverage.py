"""Decides which time the statements of one form cover, and where there are gaps."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec


class Covered(msgspec.Struct, frozen=True, order=True):
    """A span of time, `ends` excluded, of which statements list a kind of line without a gap."""

    begins: datetime
    ends: datetime


def joined(spans: Iterable[Covered]) -> tuple[Covered, ...]:
    """Returns the spans sorted, with those that touch or overlap as one."""
    found: list[Covered] = []
    for span in sorted(spans):
        if found and span.begins <= found[-1].ends:
            found[-1] = Covered(found[-1].begins, max(found[-1].ends, span.ends))
        else:
            found.append(span)
    return tuple(found)


def gaps(spans: Sequence[Covered]) -> Iterator[Covered]:
    """Yields what is missing between joined spans."""
    for before, after in itertools.pairwise(spans):
        yield Covered(before.ends, after.begins)


def surely_covers(spans: Iterable[Covered], at: datetime, *, before: timedelta, after: timedelta) -> bool:
    """Returns True if a joined span has a moment, and so much time before and after it."""
    return any(span.begins + before <= at < span.ends - after for span in spans)
