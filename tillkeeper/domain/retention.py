"""Decides how long what is kept: up to which moment each kind of data is removed.

    bodies      deliveries as they came: body, headers, query.  Whole weeks, counted from Monday in UTC
    unsigned    likewise, of accounts whose gateway signs nothing
    refused     deliveries that were refused
    parked      the messages of parked events that were replayed, superseded or discarded
    outbox      the content of finished notices; what is sent is never sent again, for the row and its key stay
    fetches     finished queries that deliveries caused; one row for each account goes on adding them up
    statements  lines of gateways' statements, by when they were taken in; that they were, and what differed, stays
    access      sessions, one-time links and API tokens of people at the desk that are over; what they did stays

Orders, events with their outcomes, cases, steps and acts are no kind: they stay.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

FOR_EVER: Final = 0
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
WEEK: Final = timedelta(days=7)


class DataKind(StrEnum):
    """A kind of data that retention removes."""

    BODIES = "bodies"
    UNSIGNED = "unsigned"
    REFUSED = "refused"
    PARKED = "parked"
    OUTBOX = "outbox"
    FETCHES = "fetches"
    STATEMENTS = "statements"
    ACCESS = "access"


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """The number of days that each kind is kept; 0 is for ever."""

    bodies: int = FOR_EVER
    unsigned: int = FOR_EVER
    refused: int = FOR_EVER
    parked: int = FOR_EVER
    outbox: int = FOR_EVER
    fetches: int = FOR_EVER
    statements: int = FOR_EVER
    access: int = FOR_EVER


class TimeSpan(msgspec.Struct, frozen=True):
    """The time of which a kind is removed: from `since` on, and before `until`."""

    since: datetime
    until: datetime


def span_of(kind: DataKind, days: Days, now: datetime) -> TimeSpan | None:
    """Returns of which time a kind is removed; None where it is kept for ever."""
    number: int = getattr(days, kind)
    if number == FOR_EVER:
        return None
    until = now - timedelta(days=number)
    if kind is DataKind.BODIES:
        return TimeSpan(BEGINNING, monday_of(until))
    if kind is DataKind.UNSIGNED and (bodies := span_of(DataKind.BODIES, days, now)) is not None:
        return TimeSpan(bodies.until, max(until, bodies.until))  # what is older goes with the other bodies
    return TimeSpan(BEGINNING, until)


def monday_of(moment: datetime) -> datetime:
    """Returns when the moment's week began."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def weeks_to_drop(mondays: Iterable[date], until: datetime) -> list[date]:
    """Returns those of the weeks that ended by then, the oldest first."""
    return sorted(monday for monday in mondays if monday + WEEK <= until.date())
