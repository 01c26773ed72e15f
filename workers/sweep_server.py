"""Runs the role `sweep`: the loops that do what is due because time passed, until it is stopped."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import asyncpg
import structlog

from tillkeeper import clock
from tillkeeper.accounts import LOOK_EVERY_S as ACCOUNTS_LOOK_EVERY_S
from tillkeeper.accounts import Accounts
from tillkeeper.api_client.client import ApiClient, open_api_client
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.key_fetching import KEY_SETTINGS, KeyFetcher, KeyRefreshers
from tillkeeper.counters_at_zero import start_sweep_counters
from tillkeeper.domain.books.chain_keys import signer
from tillkeeper.domain.guard import Rules
from tillkeeper.loops import keep_running, start
from tillkeeper.policy import PolicyFile
from tillkeeper.policy.file import LOOK_EVERY_S
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import Settings
from tillkeeper.status_server import serving_status
from tillkeeper.store.orders.policy_change import look_anew, take_policy
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.tracing.process import traces
from tillkeeper.workers.backfill import Backfill
from tillkeeper.workers.chain import Chain
from tillkeeper.workers.compare_again import CompareAgain
from tillkeeper.workers.database_gauges import READ_EVERY_S, DatabaseGauges
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped, refuse_unfit
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.follow_up import FollowUp
from tillkeeper.workers.report_days import ReportDays
from tillkeeper.workers.retention import Retention
from tillkeeper.workers.silence import Silence
from tillkeeper.workers.statement_days import StatementDays
from tillkeeper.workers.sweep import Sweep
from tillkeeper.workers.unknown_words import UnknownWords
from tillkeeper.workers.usual import Usual
from tillkeeper.workers.watched_api_client import WatchedApiClient

log = structlog.get_logger()

SWEEP_LOOPS: Final = 2  # while PostgreSQL works for one, the other goes on
SWEEP_IDLE_S: Final = 1.0  # a check without due orders costs a fraction of a millisecond
FETCH_IDLE_S: Final = 0.5  # a payer waits for it; a check costs as little
FOLLOW_IDLE_S: Final = 5.0
SILENCE_IDLE_S: Final = 10.0  # minutes matter, not seconds
BACKFILL_IDLE_S: Final = 5.0
RETENTION_IDLE_S: Final = 600.0  # days matter; a look at what there is to remove costs a few milliseconds
CHAIN_IDLE_S: Final = 20.0  # it is a minute behind in any case; a look costs a fraction of a millisecond
STATEMENTS_IDLE_S: Final = 60.0  # a look; a day becomes complete once a day
REPORT_DAYS_IDLE_S: Final = 15.0  # a look; days are made anew every ten minutes
COMPARE_IDLE_S: Final = 300.0  # people look at differences once a day
USUAL_IDLE_S: Final = 300.0  # what is usual changes by the hour
WORDS_IDLE_S: Final = 10.0
ORDERS_ANEW: Final = 1_000  # rescheduled at once after a change of policy
STOP_S: Final = 45.0  # running queries are waited for; what is not settled in time is as after a kill
POOL_CONNECTIONS: Final = 8


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Sweeps until `stop` is set, then finishes the running work."""
    accounts = Accounts(settings)
    policy = PolicyFile(settings.policy, accounts.gateways.keys())
    schema = SchemaWatch()
    retry = DatabaseRetry(stop, schema.outage)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(traces(settings.tracing, "sweep"))
        await stack.enter_async_context(serving_status(settings.sweep, is_ready=lambda: schema.is_fit))
        try:
            pool = await retry.until_available(lambda: open_pool(settings.database_url, max_size=POOL_CONNECTIONS))
            stack.push_async_callback(pool.close)
            await refuse_unfit(pool, schema, retry)
        except Stopped:
            return
        api = await stack.enter_async_context(open_api_client(accounts.gateways, settings.api_client))
        await _keep_accounts_current(accounts, api, policy, stack)
        loops = _Loops(settings, accounts, policy, retry, pool, api, stop)
        log.info("sweep_started", asks=loops.accounts_to_query())
        running = [*loops.start(), start(schema.keep_looking(pool, stop), name="schema")]
        await stop.wait()
        await asyncio.wait(running, timeout=STOP_S)
    log.info("sweep_stopped")


async def _keep_accounts_current(accounts: Accounts, api: ApiClient, policy: PolicyFile, stack: AsyncExitStack) -> None:
    """Has the API client, the policy and the keys that verify answers follow the accounts as they change."""
    refreshers, send = KeyRefreshers(), await stack.enter_async_context(open_http(KEY_SETTINGS))
    stack.push_async_callback(refreshers.close)

    def follow_accounts() -> None:
        start_sweep_counters(accounts.gateways)
        api.update_accounts()
        refreshers.update({name: KeyFetcher(gateway, send) for name, gateway in accounts.gateways.items()})

    follow_accounts()
    accounts.on_change(follow_accounts)
    accounts.on_change(policy.read_again)


@dataclass(frozen=True)
class _Loops:
    """The loops of the role, and what they share."""

    settings: Settings
    accounts: Accounts
    policy: PolicyFile
    retry: DatabaseRetry
    pool: asyncpg.Pool
    api: ApiClient
    stop: asyncio.Event

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return {"pool": self.pool, "retry": self.retry, "now": clock.now, "policy": lambda: self.policy.policy}

    @cached_property
    def _watched(self) -> WatchedApiClient:
        return WatchedApiClient(self.api, now=clock.now)

    @cached_property
    def _rules(self) -> Rules:
        return self.settings.guard.rules()

    def accounts_to_query(self) -> list[str]:
        """Returns the accounts whose gateways can be queried."""
        return sorted(name for name in self.accounts.gateways if self._watched.can_query(name))

    def start(self) -> list[asyncio.Task[None]]:
        """Starts every loop."""
        running = [
            start(keep_running(run_once, name=name, stop=self.stop, idle_s=idle_s), name=name)
            for name, run_once, idle_s in self._periodic()
        ]
        sweeps = [self._sweep() for _ in range(SWEEP_LOOPS)]
        running += [start(sweep.keep_running(self.stop, idle_s=SWEEP_IDLE_S), name="sweep") for sweep in sweeps]
        running.append(start(self._fetch().keep_running(self.stop, idle_s=FETCH_IDLE_S), name="fetch"))
        return running

    def _periodic(self) -> list[tuple[str, Callable[[], Awaitable[int]], float]]:
        words = UnknownWords(pool=self.pool, take=self.api.take_unknown_words, retry=self.retry, now=clock.now)
        return [
            ("follow", FollowUp(**self._shared).run_once, FOLLOW_IDLE_S),
            ("policy", PolicyWatch(self.policy, self.pool, self.retry).run_once, LOOK_EVERY_S),
            ("accounts", self.accounts.look_once, ACCOUNTS_LOOK_EVERY_S),
            ("silence", self._silence().run_once, SILENCE_IDLE_S),
            ("backfill", self._backfill().run_once, BACKFILL_IDLE_S),
            ("retention", self._retention().run_once, RETENTION_IDLE_S),
            ("chain", self._chain().run_once, CHAIN_IDLE_S),
            ("report_days", self._report_days().run_once, REPORT_DAYS_IDLE_S),
            ("statements", self._statement_days().run_once, STATEMENTS_IDLE_S),
            ("compare", CompareAgain(**self._shared).run_once, COMPARE_IDLE_S),
            ("usual", Usual(pool=self.pool, retry=self.retry, now=clock.now).run_once, USUAL_IDLE_S),
            ("words", words.run_once, WORDS_IDLE_S),
            ("gauges", self._gauges().run_once, READ_EVERY_S),
        ]

    def _gauges(self) -> DatabaseGauges:
        return DatabaseGauges(pool=self.pool, accounts=self.accounts.gateways.keys(), now=clock.now, retry=self.retry)

    def _sweep(self) -> Sweep:
        return Sweep(**self._shared, api_client=self._watched, settings=self.settings.sweep, guard=self._rules)

    def _fetch(self) -> FetchLoop:
        return FetchLoop(
            **self._shared,
            api_client=self._watched,
            jitter=random.uniform,
            ask_within_s=self.settings.sweep.ask_within_s,
            guard=self._rules,
        )

    def _silence(self) -> Silence:
        names, calls_per_s = self.accounts.gateways.keys(), self.settings.api_client.calls_per_s
        return Silence(**self._shared, watched=self._watched, accounts=names, calls_per_s=calls_per_s)

    def _retention(self) -> Retention:
        days = self.settings.retention.days()
        return Retention(pool=self.pool, retry=self.retry, days=days, now=clock.now)

    def _chain(self) -> Chain:
        key = self.settings.books.chain_key
        return Chain(pool=self.pool, retry=self.retry, sign=signer(key) if key else None, now=clock.now)

    def _report_days(self) -> ReportDays:
        zone = self.settings.notify.time_zone
        return ReportDays(pool=self.pool, retry=self.retry, zone=zone, now=clock.now)

    def _statement_days(self) -> StatementDays:
        return StatementDays(
            **self._shared,
            api_client=self.api,
            accounts=self.accounts,
            jitter=random.uniform,
            guard=self._rules,
            mappings=self.settings.books.statements,
        )

    def _backfill(self) -> Backfill:
        return Backfill(
            **self._shared,
            lists=self._watched,
            accounts=self.accounts.gateways.keys(),
            calls_per_s=self.settings.api_client.calls_per_s,
            stopping=self.stop.is_set,
            guard=self._rules,
        )


class PolicyWatch:
    """Puts a changed policy in force, and reschedules the orders whose due times came from the old one."""

    def __init__(self, file: PolicyFile, pool: asyncpg.Pool, retry: DatabaseRetry) -> None:
        self._file = file
        self._pool = pool
        self._retry = retry
        self._written = ""  # the digest that was last written to the database

    async def run_once(self) -> int:
        """Reschedules orders after a change; returns their number."""
        self._file.look()
        try:
            if self._written != self._file.digest:
                digest = self._file.digest
                if await self._retry.transact(self._pool, partial(take_policy, digest=digest, now=clock.now())):
                    log.info("policy_changed_orders_rescheduled", digest=digest)
                self._written = digest
            return await self._retry.transact(self._pool, partial(look_anew, limit=ORDERS_ANEW, now=clock.now()))
        except Stopped:
            return 0
