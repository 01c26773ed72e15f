"""Decides which days' statements a gateway is asked for, and what becomes of a day that it does not give.

the day ends ── ready: the gateway's own time for it ── asked, and again ── a day late: a case ── no longer given out
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.domain.backoff import STATEMENT, Jitter
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason

LATE_AFTER: Final = timedelta(days=1)  # gateways that are late are so by hours
LATE_ATTEMPTS_MIN: Final = 4  # of a day that is caught up on, the first failure says little
ONE_DAY: Final = timedelta(days=1)


class StatementCalendar(msgspec.Struct, frozen=True, kw_only=True):
    """When the statement of a day is complete at a gateway, and for how long it is given out."""

    zone: str  # IANA name of the statement's days
    ready_at: time  # on the next day, in that zone
    kept_days: int

    def span(self, day: date) -> tuple[datetime, datetime]:
        """Returns when a day begins and ends, in UTC."""
        return self._moment(day, time()), self._moment(day + ONE_DAY, time())

    def ready(self, day: date) -> datetime:
        """Returns from when on the day's statement is complete."""
        return self._moment(day + ONE_DAY, self.ready_at)

    def last_ready(self, now: datetime) -> date:
        """Returns the last day whose statement is complete."""
        yesterday = now.astimezone(ZoneInfo(self.zone)).date() - ONE_DAY
        return yesterday if self.ready(yesterday) <= now else yesterday - ONE_DAY

    def is_given_out(self, day: date, now: datetime) -> bool:
        """Returns False once the gateway gives the day's statement no more."""
        return day > self.last_ready(now) - timedelta(days=self.kept_days)

    def _moment(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, ZoneInfo(self.zone)).astimezone(UTC)


def days_to_ask_for(calendar: StatementCalendar, known: date | None, now: datetime) -> list[date]:
    """Returns the days after the last known one that are complete and still given out.

    Where none is known yet, it begins with the last complete one: what was before is given by hand.
    """
    last = calendar.last_ready(now)
    days = 1 if known is None else min((last - known).days, calendar.kept_days)
    return [last - timedelta(days=back) for back in reversed(range(days))]


class NextAttempt(msgspec.Struct, frozen=True):
    """What becomes of a day without a statement; without `due_at` it is given up."""

    due_at: datetime | None
    is_late: bool


def after_failure(
    calendar: StatementCalendar, day: date, attempts: int, *, now: datetime, jitter: Jitter
) -> NextAttempt:
    """Decides when a day is asked for again after so many attempts, and whether a person must know."""
    due_at = now + STATEMENT.pause(attempts, jitter)
    if not calendar.is_given_out(day, due_at):
        return NextAttempt(None, is_late=True)
    is_late = attempts >= LATE_ATTEMPTS_MIN and now >= calendar.ready(day) + LATE_AFTER
    return NextAttempt(due_at, is_late=is_late)


def late_case(account: str, day: date, reason: str = "") -> CaseReason:
    """Returns the reason for the case of a day whose statement does not come."""
    return CaseReason(
        kind=CaseKind.STATEMENT_MISSING,
        subject=f"statement:{account}/{day.isoformat()}",
        account=account,
        details={"day": day.isoformat(), "reason": reason},
    )
