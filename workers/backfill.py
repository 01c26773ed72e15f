"""Brings in what webhooks never told: from a gateway's own list, or by asking about the orders that are open.

    since ──[an hour]──[an hour]── … ── until       each part: list its pages ─ apply each page ─ move on

A part that is done stays done, whoever dies: the place is kept in the account's row.  A gateway without a list has its
open orders asked about by the sweep, at half the pace that the account allows.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar
from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog

from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.store.jobs.backfill import (
    CHUNK_ORDERS,
    Found,
    Pace,
    RequestedBackfill,
    advance,
    ask_about,
    claim_requested,
    count_known,
    count_passed_over,
    finish,
    keep,
    open_in,
    put_off,
    take_in,
)
from tillkeeper.store.postgres.lease import LeaseLost
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.telemetry import BACKFILLED
from tillkeeper.workers.found import all_or_each
from tillkeeper.workers.outage import Outage, Stopped

log = structlog.get_logger()

PART: Final = timedelta(hours=1)  # what is listed again if we die; an hour without events costs one call
LIST_LAG: Final = timedelta(minutes=2)  # what happened just now may not stand in the list yet
SPAN_MAX: Final = timedelta(days=30)  # as far back as Stripe's list goes
ORDERS_MAX: Final = 50_000  # asked about in one backfill, the latest

Result = TypeVar("Result")


class Transact(Protocol):
    """Runs work in a transaction of its own, from the start again if need be."""

    def __call__(self, work: Callable[[Conn], Awaitable[Result]]) -> Awaitable[Result]:
        """What the work returns."""
        ...


class Lists(Protocol):
    """What a backfill wants of tillkeeper/api_client."""

    def can_query(self, account: str) -> bool:
        """Whether the account's gateway can be asked at all."""
        ...

    def events(self, account: str, *, since: datetime, until: datetime) -> AsyncIterator[tuple[PaymentEvent, ...]]:
        """The gateway's own list of what happened, page by page.  Raises QueryFailed, CannotQuery."""
        ...


class Told(msgspec.Struct, kw_only=True):
    """What a backfill found, for people and figures."""

    by: str = "list"  # or "orders", where the gateway has no list
    listed: int = 0
    new: int = 0
    known: int = 0
    failed: int = 0  # events that could not be applied
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    cases: Counter[str] = msgspec.field(default_factory=Counter)
    orders: int = 0  # to be asked about
    orders_waiting: int = 0  # to be asked already
    more_orders: bool = False
    passed_over: int = 0  # open orders that are not asked about
    asked: dict[int, datetime] = msgspec.field(default_factory=dict)
    place: datetime | None = None  # where the request begins by now, if it was one


class Gaps:
    """Fills spans of accounts that `by` has taken."""

    def __init__(
        self,
        *,
        lists: Lists,
        transact: Transact,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        calls_per_s: float,
        by: UUID,
        stopping: Callable[[], bool] = lambda: False,
        dry_run: bool = False,
    ) -> None:
        self._lists = lists
        self._transact = transact
        self._policy = policy
        self._now = now
        self._pace = Pace.half_of(calls_per_s, orders_max=ORDERS_MAX)
        self._by = by
        self._stopping = stopping
        self._dry_run = dry_run

    async def fill(self, account: str, since: datetime, until: datetime, *, wanted: datetime | None = None) -> Told:
        """Takes in what happened in the span; `wanted` is where the request for it begins.

        Raises QueryFailed, LeaseLost, Stopped.
        """
        told = Told(place=wanted)
        try:
            await self._list(account, since, until, told)
        except CannotQuery:
            told.by = "orders"
            await self._ask(account, since, until, told)
        return told

    async def _list(self, account: str, since: datetime, until: datetime, told: Told) -> None:
        begin = since
        while begin < until:
            if self._stopping():
                raise Stopped
            end = min(until, begin + PART)
            async for page in self._lists.events(account, since=begin, until=end):
                await self._take_in(account, page, told)
            if not self._dry_run:
                await self._move_on(account, min(end, self._now() - LIST_LAG), told)
            begin = end

    async def _move_on(self, account: str, good_until: datetime, told: Told) -> None:
        """What was listed up to there is not listed again for this request."""
        place = told.place
        good_until = max(good_until, place) if place else good_until
        await self._transact(
            lambda conn: advance(conn, account, good_until, requested_since=place, by=self._by, now=self._now())
        )
        told.place = good_until if place else None

    async def _take_in(self, account: str, page: Sequence[PaymentEvent], told: Told) -> None:
        """All of a page at once; if one of them cannot be applied, each by itself."""
        told.listed += len(page)
        if self._dry_run:
            told.known += (known := await self._transact(lambda conn: count_known(conn, page)))
            told.new += len(page) - known
            return
        told.failed += len(await all_or_each(lambda events: self._apply(events, told), page))
        await self._transact(lambda conn: keep(conn, account, by=self._by, now=self._now()))

    async def _apply(self, events: Sequence[PaymentEvent], told: Told) -> None:
        known, tally = await self._transact(lambda conn: take_in(conn, events, policy=self._policy(), now=self._now()))
        told.known += known
        told.new += len(events) - known
        told.outcomes += tally.outcomes
        told.cases.update(tally.cases)
        for kind in tally.cases:
            log.info("case_opened", kind=kind)

    async def _ask(self, account: str, since: datetime, until: datetime, told: Told) -> None:
        """Has the sweep ask about open orders, a chunk a transaction."""
        found = await self._transact(lambda conn: self._find(conn, account, since, until, told))
        told.orders, told.orders_waiting = len(found.ids), found.waiting
        told.more_orders = len(found.ids) + found.waiting == self._pace.orders_max
        if self._dry_run:
            return
        first = self._now()
        moments = [first + n * self._pace.gap for n in range(len(found.ids))]
        for at in range(0, len(found.ids), CHUNK_ORDERS):
            chunk = slice(at, at + CHUNK_ORDERS)
            told.asked |= await self._transact(partial(ask_about, ids=found.ids[chunk], moments=moments[chunk]))
            await self._transact(lambda conn: keep(conn, account, by=self._by, now=self._now()))

    async def _find(self, conn: Conn, account: str, since: datetime, until: datetime, told: Told) -> Found:
        now = self._now()
        found = await open_in(conn, account, since, until, limit=self._pace.orders_max, now=now)
        told.passed_over = await count_passed_over(conn, account, until, found, now=now)
        return found


class Backfill:
    """Fulfils requests, one account at a time."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        lists: Lists,
        accounts: Collection[str],
        outage: Outage,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        calls_per_s: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pool = pool
        self._outage = outage
        self._lists = lists
        self._accounts = accounts
        self._now = now
        self._by = uuid4()
        self._gaps = Gaps(
            lists=lists,
            transact=partial(outage.transact, pool),
            policy=policy,
            now=now,
            calls_per_s=calls_per_s,
            by=self._by,
            stopping=stopping,
        )

    async def run_once(self) -> int:
        """Does a backfill that is wanted and that nobody else does; returns how many there were."""
        able = [account for account in sorted(self._accounts) if self._lists.can_query(account)]
        try:
            wanted = await self._outage.transact(
                self._pool, lambda conn: claim_requested(conn, able, by=self._by, now=self._now())
            )
            if wanted is None:
                return 0
            await self._do(wanted)
        except Stopped:
            return 0
        return 1

    async def _do(self, wanted: RequestedBackfill) -> None:
        until = self._now()
        since = max(wanted.since, until - SPAN_MAX)
        try:
            told = await self._gaps.fill(wanted.account, since, until, wanted=wanted.since)
        except QueryFailed as error:
            again_at = await self._outage.transact(
                self._pool, lambda conn: put_off(conn, wanted, by=self._by, now=self._now())
            )
            log.warning("backfill_put_off", account=wanted.account, reason=error.reason, again_at=again_at)
            return
        except LeaseLost:
            log.warning("backfill_taken_over", account=wanted.account)
            return
        await self._outage.transact(
            self._pool, lambda conn: finish(conn, wanted.account, requested_since=told.place, until=until, by=self._by)
        )
        self._count(wanted, since, told)

    def _count(self, wanted: RequestedBackfill, since: datetime, told: Told) -> None:
        for what, count in (("new", told.new), ("known", told.known), ("failed", told.failed)):
            BACKFILLED.labels(wanted.account, what).inc(count)
        BACKFILLED.labels(wanted.account, "orders").inc(len(told.asked))
        log.info(
            "backfill_done",
            account=wanted.account,
            reason=wanted.reason,
            since=since,
            by=told.by,
            new=told.new,
            known=told.known,
            failed=told.failed,
            orders=len(told.asked),
            passed_over=told.passed_over,
        )
