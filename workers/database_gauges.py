"""Reads what is open in the database for the gauges, at intervals and never because somebody scrapes.

While the database is away the gauges keep what was read last, and the time of that reading says how old they are.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

import asyncpg
import structlog
from prometheus_client import Gauge

from tillkeeper import clock, database_metrics, telemetry
from tillkeeper.domain.order.case_kinds import CASE_KINDS
from tillkeeper.domain.order.notices import Audience
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS
from tillkeeper.store.reports.gauges import Count, OpenWork, read_open_work
from tillkeeper.telemetry import OTHER
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

log = structlog.get_logger()

READ_EVERY_S: Final = 15.0  # as often as Prometheus usually looks
NONE: Final = Count(count=0)


class DatabaseGauges:
    """Sets the gauges of what is open."""

    def __init__(
        self, *, pool: asyncpg.Pool, accounts: Collection[str], now: Callable[[], datetime], retry: DatabaseRetry
    ) -> None:
        self._pool = pool
        self._accounts = accounts
        self._now = now
        self._retry = retry
        self._failed = False  # the last time; it is logged once

    async def run_once(self) -> int:
        """Reads once, as soon as the database is available.  It has nothing to handle."""
        try:
            work, now, took_s = await self._retry.transact(self._pool, self._read)
        except Stopped:
            return 0
        except DATABASE_ERRORS as error:
            if not self._failed:
                log.warning("gauges_not_read", error=type(error).__name__, text=str(error)[:200])
            self._failed = True
            return 0
        self._failed = False
        show(work, accounts=self._accounts, now=now)
        database_metrics.DATABASE_READ_AT.set(now.timestamp())
        database_metrics.DATABASE_READ_SECONDS.set(took_s)
        return 0

    async def _read(self, conn: Conn) -> tuple[OpenWork, datetime, float]:
        began_s, now = clock.monotonic_s(), self._now()
        ages_s = list(database_metrics.STUCK_AGES_S.values())
        work = await read_open_work(conn, ages_s=ages_s, limit=database_metrics.COUNTED_MAX, now=now)
        return work, now, clock.monotonic_s() - began_s


def show(work: OpenWork, *, accounts: Iterable[str], now: datetime) -> None:
    """Sets every gauge of the database; what is no longer there is 0."""
    _show_cases(work.cases, now)
    _show_stuck(work.stuck)
    database_metrics.ORDERS_DUE.set(work.orders_due.count)
    database_metrics.SWEEP_LAG_SECONDS.set(_age_s(work.orders_due, now))
    database_metrics.EVENTS_WAITING.set(work.waiting.count)
    database_metrics.EVENTS_WAITING_SECONDS.set(_age_s(work.waiting, now))
    _show_words(database_metrics.EVENTS_MISMATCHED, work.mismatched, database_metrics.MISMATCHES)
    _show_words(database_metrics.PARKED_OPEN, work.parked, telemetry.PARK_REASONS)
    telemetry.LANE_MESSAGES.labels("spool").set(work.spool.count)
    telemetry.LANE_OLDEST_SECONDS.labels("spool").set(_age_s(work.spool, now))
    for audience in Audience:
        pending = work.outbox.get(audience, NONE)
        database_metrics.OUTBOX_PENDING.labels(audience).set(pending.count)
        database_metrics.OUTBOX_OVERDUE_SECONDS.labels(audience).set(_age_s(pending, now))
        database_metrics.OUTBOX_DEAD.labels(audience).set(work.dead.get(audience, NONE).count)
    database_metrics.FETCHES_OPEN.clear()  # accounts come and go
    _show_words(database_metrics.FETCHES_OPEN, work.fetches, (*accounts, OTHER))
    database_metrics.ACCOUNT_PAUSED.clear()
    database_metrics.HELD_OPEN.clear()
    for account in {*accounts, *work.paused}:
        database_metrics.ACCOUNT_PAUSED.labels(account).set(account in work.paused)
        database_metrics.HELD_OPEN.labels(account).set(work.paused.get(account, NONE).count)
    database_metrics.FETCHES_OVERDUE_SECONDS.set(max((_age_s(each, now) for each in work.fetches.values()), default=0))


def _show_cases(cases: Mapping[tuple[str, str], Count], now: datetime) -> None:
    kinds: dict[tuple[str, str], int] = {}
    oldest_s = dict.fromkeys(database_metrics.CASE_LEVELS, 0.0)
    for (kind, level), count in cases.items():
        known = kind if kind in CASE_KINDS else OTHER
        kinds[known, level] = kinds.get((known, level), 0) + count.count
        oldest_s[level] = max(oldest_s[level], _age_s(count, now))
    database_metrics.CASES_OPEN.clear()  # of every kind and level there would be 171
    for kind in (*sorted(CASE_KINDS), OTHER):
        database_metrics.CASES_OPEN.labels(kind, database_metrics.CASE_LEVELS[0]).set(0)
    for labels, number in kinds.items():
        database_metrics.CASES_OPEN.labels(*labels).set(number)
    for level, age_s in oldest_s.items():
        database_metrics.CASES_OLDEST_SECONDS.labels(level).set(age_s)


def _show_stuck(stuck: Mapping[tuple[str, int], Count]) -> None:
    for status in database_metrics.STUCK_STATUSES:
        for number, age in enumerate(database_metrics.STUCK_AGES_S):
            database_metrics.ORDERS_STUCK.labels(status, age).set(stuck.get((status, number), NONE).count)


def _show_words(gauge: Gauge, counts: Mapping[str, Count], words: Collection[str]) -> None:
    """Sets a gauge of one label; what is none of its words counts as `other`, the last of them."""
    shown = dict.fromkeys(words, 0)
    for word, count in counts.items():
        shown[word if word in shown else OTHER] += count.count
    for word, number in shown.items():
        gauge.labels(word).set(number)


def _age_s(count: Count, now: datetime) -> float:
    return 0.0 if count.oldest is None else max(0.0, (now - count.oldest).total_seconds())
