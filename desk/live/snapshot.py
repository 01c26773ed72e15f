"""Reads all that the first page shows, and turns it into what the verdict is made of."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.till import NOTHING, Backlog, Concern, TillFacts, TillVerdict, judge
from tillkeeper.store.people.approvals import count_open_approvals
from tillkeeper.store.reports.flow import (
    WINDOW,
    AccountActivity,
    Flow,
    Orders,
    read_accounts,
    read_flow,
    read_orders_by_status,
    read_stuck_by_step,
)
from tillkeeper.store.reports.gauges import Count, OpenWork, open_work

COUNTED_MAX: Final = 10_000  # of each kind: nobody reads a greater number otherwise
STUCK_AFTER: Final = timedelta(minutes=30)  # younger ones may settle by themselves
SELDOM: Final = timedelta(seconds=10)  # what changes slowly, or costs more, is read so often


class Seldom(msgspec.Struct, frozen=True, kw_only=True):
    """What is read less often."""

    read_at: datetime
    orders: Orders
    stuck_by_step: list[tuple[str, int, datetime]]
    accounts: Mapping[str, AccountActivity]


class TillSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows, as of one moment."""

    number: int
    read_at: datetime
    broker_waiting: int  # messages in RabbitMQ, as far as they can be counted
    flow: Flow
    work: OpenWork
    seldom: Seldom
    proposals: Backlog = NOTHING  # that wait for a second person

    def verdict(self, now: datetime) -> TillVerdict:
        """Returns the verdict, which is another once the snapshot is old."""
        return judge(TillFacts(now=now, read_at=self.read_at, open=self.open()))

    def open(self) -> dict[Concern, Backlog]:
        """Returns what is open by concern."""
        work = self.work
        raised = [count for (_, level), count in work.cases.items() if int(level) > 1]
        others = [count for (_, level), count in work.cases.items() if int(level) == 1]
        quiet = [
            Count(count=1, oldest=since)
            for account in self.seldom.accounts.values()
            for since in (account.silent_since, account.unanswering_since)
            if since is not None
        ]
        return {
            Concern.PAUSED_ACCOUNTS: self._paused(),
            Concern.LANES: self._lanes(),
            Concern.PARKED: together(work.parked.values()),
            Concern.CASES_RAISED: together(raised),
            Concern.QUIET_ACCOUNTS: together(quiet),
            Concern.WAITING: together([work.waiting]),
            Concern.SWEEP: together([work.orders_due]),
            Concern.NOTICES: together(work.outbox.values()),
            Concern.CASES: together(others),
            Concern.PROPOSALS: self.proposals,
            Concern.STUCK: together(count for (_, age), count in work.stuck.items() if age > 0),
            Concern.NOTICES_DEAD: together(work.dead.values()),
            Concern.QUERIES: together(work.fetches.values()),
        }

    def undecided(self) -> dict[str, Count]:
        """Returns the paused accounts about which nobody has decided, each with the deliveries that are held."""
        return {account: held for account, held in self.work.paused.items() if account in self.work.undecided}

    def _paused(self) -> Backlog:
        """Counts accounts, not deliveries: one is paused also while nothing comes for it."""
        return together(Count(count=1, oldest=held.oldest) for held in self.undecided().values())

    def _lanes(self) -> Backlog:
        """Returns what waits to be applied.  RabbitMQ does not tell since when: it is as old as what was applied last
        was, and at least as old as the window where nothing was."""
        spool, flow = self.work.spool, self.flow
        waited = flow.lag if flow.applied else WINDOW
        broker = Count(count=self.broker_waiting, oldest=self.read_at - (waited or timedelta(0)))
        return together([spool, broker] if self.broker_waiting else [spool])


def together(counts: Iterable[Count]) -> Backlog:
    """Adds counts up."""
    found = list(counts)
    oldest = [count.oldest for count in found if count.oldest is not None]
    return Backlog(count=sum(count.count for count in found), oldest=min(oldest, default=None))


async def read_snapshot(
    pool: asyncpg.Pool, before: TillSnapshot | None, *, broker_waiting: int, now: datetime
) -> TillSnapshot:
    """Reads it; what is read seldom is taken from the one before while it is fresh enough."""
    async with pool.acquire() as conn:
        ages_s = [0.0, STUCK_AFTER.total_seconds()]
        proposed, oldest = await count_open_approvals(conn, now=now)
        seldom = before.seldom if before is not None and now - before.seldom.read_at < SELDOM else None
        return TillSnapshot(
            number=0 if before is None else before.number + 1,
            read_at=now,
            broker_waiting=broker_waiting,
            flow=await read_flow(conn, now),
            work=await open_work(conn, ages_s=ages_s, limit=COUNTED_MAX, now=now),
            proposals=Backlog(count=proposed, oldest=oldest),
            seldom=seldom
            or Seldom(
                read_at=now,
                orders=await read_orders_by_status(conn),
                stuck_by_step=await read_stuck_by_step(conn, now - STUCK_AFTER),
                accounts=await read_accounts(conn, now),
            ),
        )
