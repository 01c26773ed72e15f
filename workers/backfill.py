"""Takes in what webhooks missed: from the gateway's own list of events, or by queries about open orders.

    since ──[an hour]──[an hour]── … ── until       each part: list its pages ─ apply each page ─ move on

A finished part stays finished, whoever dies: the position is kept in the account's row.  Where a gateway has no list,
the sweep queries its open orders, at half the rate that the account allows.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar
from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog

from tillkeeper.api_client.account_client import QueryFailed
from tillkeeper.api_client.client import ApiClient
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.guard import RULES, Rules
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.guard.pausing import pause
from tillkeeper.store.jobs.backfill import (
    CHUNK_ORDERS,
    OpenOrders,
    Pace,
    RequestedBackfill,
    advance,
    apply_listed,
    claim_requested,
    count_known,
    count_passed_over,
    find_open_orders,
    finish,
    postpone,
    renew,
    request_queries,
)
from tillkeeper.store.postgres.lease import LeaseLost
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.telemetry import BACKFILLED
from tillkeeper.workers.apply_all_or_each import apply_all_or_each
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped
from tillkeeper.workers.pause import ACCOUNT_PAUSED, log_paused
from tillkeeper.workers.watched_api_client import WatchedApiClient

log = structlog.get_logger()

PART: Final = timedelta(hours=1)  # a worker that dies costs one part; an hour without events costs one call
LIST_LAG: Final = timedelta(minutes=2)  # the latest events may not be in the list yet
SPAN_MAX: Final = timedelta(days=30)  # as far back as Stripe's list goes
ORDERS_MAX: Final = 50_000  # queried in one backfill, the latest ones

Result = TypeVar("Result")


class Transact(Protocol):
    """Runs work in a transaction of its own, and repeats it on conflicts; generic, which no Callable type can be."""

    def __call__(self, work: Callable[[Conn], Awaitable[Result]]) -> Awaitable[Result]:
        """Returns what the work returns."""
        ...


class BackfillResult(msgspec.Struct, kw_only=True):
    """The result of a backfill, for people and metrics."""

    by: str = "list"  # or "orders", where the gateway has no list
    listed: int = 0
    new: int = 0
    known: int = 0
    failed: int = 0  # events that could not be applied
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    cases: Counter[str] = msgspec.field(default_factory=Counter)
    orders: int = 0  # to be queried
    orders_waiting: int = 0  # for which a query is due already
    more_orders: bool = False
    passed_over: int = 0  # open orders that are not queried
    asked: dict[int, datetime] = msgspec.field(default_factory=dict)
    place: datetime | None = None  # from where the rest of the request begins


class GapFiller:
    """Fills spans of accounts that `by` has leased."""

    def __init__(
        self,
        *,
        lists: ApiClient | WatchedApiClient,
        transact: Transact,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        calls_per_s: float,
        by: UUID,
        stopping: Callable[[], bool] = lambda: False,
        dry_run: bool = False,
        guard: Rules = RULES,
    ) -> None:
        self._lists = lists
        self._transact = transact
        self._policy = policy
        self._now = now
        self._pace = Pace.half_rate(calls_per_s, orders_max=ORDERS_MAX)
        self._by = by
        self._stopping = stopping
        self._dry_run = dry_run
        self._guard = guard

    async def fill(
        self, account: str, since: datetime, until: datetime, *, requested_since: datetime | None = None
    ) -> BackfillResult:
        """Takes in what happened in the span; `requested_since` is where the request for it begins.

        Raises QueryFailed, LeaseLost, Stopped.
        """
        result = BackfillResult(place=requested_since)
        try:
            await self._list(account, since, until, result)
        except CannotQuery:
            result.by = "orders"
            await self._ask(account, since, until, result)
        return result

    async def _list(self, account: str, since: datetime, until: datetime, result: BackfillResult) -> None:
        begin = since
        while begin < until:
            if self._stopping():
                raise Stopped
            end = min(until, begin + PART)
            async for page in self._lists.events(account, since=begin, until=end):
                await self._take_in(account, page, result)
            if not self._dry_run:
                await self._move_on(account, min(end, self._now() - LIST_LAG), result)
            begin = end

    async def _move_on(self, account: str, good_until: datetime, result: BackfillResult) -> None:
        """Moves the request's position on: what was listed up to there is not listed again for it."""
        place = result.place
        good_until = max(good_until, place) if place else good_until
        await self._transact(
            lambda conn: advance(conn, account, good_until, requested_since=place, by=self._by, now=self._now())
        )
        result.place = good_until if place else None

    async def _take_in(self, account: str, page: Sequence[PaymentEvent], result: BackfillResult) -> None:
        """Applies a page at once; if one of its events cannot be applied, each by itself."""
        result.listed += len(page)
        if self._dry_run:
            result.known += (known := await self._transact(lambda conn: count_known(conn, page)))
            result.new += len(page) - known
            return
        try:
            result.failed += len(await apply_all_or_each(lambda events: self._apply(events, result), page))
        except AccountsPaused as paused:
            findings, cases = paused.findings, self._policy().cases
            _, new = await self._transact(lambda conn: pause(conn, findings, policy=cases, now=self._now()))
            log_paused(new)
            raise QueryFailed(ACCOUNT_PAUSED) from None
        await self._transact(lambda conn: renew(conn, account, by=self._by, now=self._now()))

    async def _apply(self, events: Sequence[PaymentEvent], result: BackfillResult) -> None:
        known, tally = await self._transact(
            lambda conn: apply_listed(conn, events, policy=self._policy(), guard=self._guard, now=self._now())
        )
        result.known += known
        result.new += len(events) - known
        result.outcomes += tally.outcomes
        result.cases.update(tally.cases)
        for kind in tally.cases:
            log.info("case_opened", kind=kind)

    async def _ask(self, account: str, since: datetime, until: datetime, result: BackfillResult) -> None:
        """Requests queries about open orders from the sweep, a chunk in each transaction."""
        found = await self._transact(lambda conn: self._find(conn, account, since, until, result))
        result.orders, result.orders_waiting = len(found.ids), found.waiting
        result.more_orders = len(found.ids) + found.waiting == self._pace.orders_max
        if self._dry_run:
            return
        first = self._now()
        moments = [first + n * self._pace.gap for n in range(len(found.ids))]
        for at in range(0, len(found.ids), CHUNK_ORDERS):
            chunk = slice(at, at + CHUNK_ORDERS)
            result.asked |= await self._transact(partial(request_queries, ids=found.ids[chunk], moments=moments[chunk]))
            await self._transact(lambda conn: renew(conn, account, by=self._by, now=self._now()))

    async def _find(
        self, conn: Conn, account: str, since: datetime, until: datetime, result: BackfillResult
    ) -> OpenOrders:
        now = self._now()
        found = await find_open_orders(conn, account, since, until, limit=self._pace.orders_max, now=now)
        result.passed_over = await count_passed_over(conn, account, until, found, now=now)
        return found


class Backfill:
    """Fulfils requests, one account at a time."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        lists: ApiClient | WatchedApiClient,
        accounts: Collection[str],
        retry: DatabaseRetry,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        calls_per_s: float,
        stopping: Callable[[], bool] = lambda: False,
        guard: Rules = RULES,
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._lists = lists
        self._accounts = accounts
        self._now = now
        self._by = uuid4()
        self._gaps = GapFiller(
            lists=lists,
            transact=partial(retry.transact, pool),
            policy=policy,
            now=now,
            calls_per_s=calls_per_s,
            by=self._by,
            stopping=stopping,
            guard=guard,
        )

    async def run_once(self) -> int:
        """Does a requested backfill that no other process does; returns how many it did, 0 or 1."""
        able = [account for account in sorted(self._accounts) if self._lists.can_query(account)]
        try:
            backfill = await self._retry.transact(
                self._pool, lambda conn: claim_requested(conn, able, by=self._by, now=self._now())
            )
            if backfill is None:
                return 0
            await self._do(backfill)
        except Stopped:
            return 0
        return 1

    async def _do(self, backfill: RequestedBackfill) -> None:
        until = self._now()
        since = max(backfill.since, until - SPAN_MAX)
        try:
            result = await self._gaps.fill(backfill.account, since, until, requested_since=backfill.since)
        except QueryFailed as error:
            again_at = await self._retry.transact(
                self._pool, lambda conn: postpone(conn, backfill, by=self._by, now=self._now())
            )
            log.warning("backfill_put_off", account=backfill.account, reason=error.reason, again_at=again_at)
            return
        except LeaseLost:
            log.warning("backfill_taken_over", account=backfill.account)
            return
        await self._retry.transact(
            self._pool,
            lambda conn: finish(conn, backfill.account, requested_since=result.place, until=until, by=self._by),
        )
        self._count(backfill, since, result)

    def _count(self, backfill: RequestedBackfill, since: datetime, result: BackfillResult) -> None:
        for what, count in (("new", result.new), ("known", result.known), ("failed", result.failed)):
            BACKFILLED.labels(backfill.account, what).inc(count)
        BACKFILLED.labels(backfill.account, "orders").inc(len(result.asked))
        log.info(
            "backfill_done",
            account=backfill.account,
            reason=backfill.reason,
            since=since,
            by=result.by,
            new=result.new,
            known=result.known,
            failed=result.failed,
            orders=len(result.asked),
            passed_over=result.passed_over,
        )
