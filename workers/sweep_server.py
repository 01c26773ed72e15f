"""Runs the role `sweep`: the loops that do what is due because time passed, until it is stopped."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import asyncpg
import structlog

from tillkeeper import clock
from tillkeeper.accounts import LOOK_EVERY_S as ACCOUNTS_LOOK_EVERY_S
from tillkeeper.accounts import Accounts
from tillkeeper.api_client.client import open_api_client
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.key_fetching import KEY_SETTINGS, KeyFetcher, KeyRefreshers
from tillkeeper.loops import keep_running, start
from tillkeeper.policy import PolicyFile
from tillkeeper.policy.file import LOOK_EVERY_S
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import Settings
from tillkeeper.status_server import serving_status
from tillkeeper.store.deliveries.retention import forget_unsigned
from tillkeeper.store.orders.policy_change import look_anew, take_policy
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.workers.backfill import Backfill
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped, refuse_unfit
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.follow_up import FollowUp
from tillkeeper.workers.silence import Silence
from tillkeeper.workers.sweep import Sweep
from tillkeeper.workers.unknown_words import UnknownWords
from tillkeeper.workers.watched_api_client import WatchedApiClient

log = structlog.get_logger()

SWEEP_LOOPS: Final = 2  # while PostgreSQL works for one, the other goes on
SWEEP_IDLE_S: Final = 1.0  # a check without due orders costs a fraction of a millisecond
FETCH_IDLE_S: Final = 0.5  # a payer waits for it; a check costs as little
FOLLOW_IDLE_S: Final = 5.0
SILENCE_IDLE_S: Final = 10.0  # minutes matter, not seconds
BACKFILL_IDLE_S: Final = 5.0
FORGET_IDLE_S: Final = 3600.0  # days matter, not hours
FORGOTTEN_MAX: Final = 1_000  # deliveries in one go
WORDS_IDLE_S: Final = 10.0
ORDERS_ANEW: Final = 1_000  # rescheduled at once after a change of policy
STOP_S: Final = 45.0  # running queries are waited for; what is not settled in time is as after a kill
POOL_CONNECTIONS: Final = 8


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Sweeps until `stop` is set, then finishes the running work."""
    accounts = Accounts(settings)
    policy = PolicyFile(settings.policy, accounts.gateways.keys())
    retry, schema = DatabaseRetry(stop), SchemaWatch()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_status(settings.sweep, is_ready=lambda: schema.is_fit))
        try:
            pool = await retry.until_available(lambda: open_pool(settings.database_url, max_size=POOL_CONNECTIONS))
            stack.push_async_callback(pool.close)
            await refuse_unfit(pool, schema, retry)
        except Stopped:
            return
        asks = await stack.enter_async_context(open_api_client(accounts.gateways, settings.api_client))
        api_client = WatchedApiClient(asks, now=clock.now)
        refreshers, send = KeyRefreshers(), await stack.enter_async_context(open_http(KEY_SETTINGS))
        stack.push_async_callback(refreshers.close)

        def follow_accounts() -> None:
            asks.update_accounts()
            refreshers.update({name: KeyFetcher(gateway, send) for name, gateway in accounts.gateways.items()})

        follow_accounts()  # the keys that verify answers must be kept fresh, too
        accounts.on_change(follow_accounts)
        accounts.on_change(policy.read_again)
        log.info("sweep_started", asks=sorted(name for name in accounts.gateways if api_client.can_query(name)))
        sweeps = [
            Sweep(
                pool=pool,
                api_client=api_client,
                retry=retry,
                policy=lambda: policy.policy,
                now=clock.now,
                settings=settings.sweep,
            )
            for _ in range(SWEEP_LOOPS)
        ]
        fetch = FetchLoop(
            pool=pool,
            api_client=api_client,
            retry=retry,
            policy=lambda: policy.policy,
            now=clock.now,
            jitter=random.uniform,
            ask_within_s=settings.sweep.ask_within_s,
        )
        follow = FollowUp(pool=pool, retry=retry, policy=lambda: policy.policy, now=clock.now)
        watch = PolicyWatch(policy, pool, retry)
        silence, backfill = _silence_and_backfill(
            accounts.gateways.keys(),
            api_client,
            pool=pool,
            retry=retry,
            policy=policy,
            calls_per_s=settings.api_client.calls_per_s,
            stop=stop,
        )
        words = UnknownWords(pool=pool, take=asks.take_unknown_words, retry=retry, now=clock.now)
        loops: list[tuple[str, Callable[[], Awaitable[int]], float]] = [
            ("follow", follow.run_once, FOLLOW_IDLE_S),
            ("policy", watch.run_once, LOOK_EVERY_S),
            ("accounts", accounts.look_once, ACCOUNTS_LOOK_EVERY_S),
            ("silence", silence.run_once, SILENCE_IDLE_S),
            ("backfill", backfill.run_once, BACKFILL_IDLE_S),
            ("forget", deleting_old_data(pool, retry), FORGET_IDLE_S),
            ("words", words.run_once, WORDS_IDLE_S),
        ]
        running = [
            start(keep_running(run_once, name=name, stop=stop, idle_s=idle_s), name=name)
            for name, run_once, idle_s in loops
        ]
        running += [start(sweep.keep_running(stop, idle_s=SWEEP_IDLE_S), name="sweep") for sweep in sweeps]
        running.append(start(fetch.keep_running(stop, idle_s=FETCH_IDLE_S), name="fetch"))
        running.append(start(schema.keep_looking(pool, stop), name="schema"))
        await stop.wait()
        await asyncio.wait(running, timeout=STOP_S)
    log.info("sweep_stopped")


def deleting_old_data(pool: asyncpg.Pool, retry: DatabaseRetry) -> Callable[[], Awaitable[int]]:
    """Returns a step that deletes old data of unsigned and refused deliveries."""

    async def run_once() -> int:
        try:
            forgotten = await retry.transact(pool, partial(forget_unsigned, limit=FORGOTTEN_MAX, now=clock.now()))
        except Stopped:
            return 0
        return int(forgotten >= FORGOTTEN_MAX)

    return run_once


def _silence_and_backfill(
    accounts: Collection[str],
    api_client: WatchedApiClient,
    *,
    pool: asyncpg.Pool,
    retry: DatabaseRetry,
    policy: PolicyFile,
    calls_per_s: float,
    stop: asyncio.Event,
) -> tuple[Silence, Backfill]:
    """Builds what finds and fills gaps in webhooks, for the accounts as they change."""
    silence = Silence(
        pool=pool,
        watched=api_client,
        accounts=accounts,
        retry=retry,
        policy=lambda: policy.policy,
        now=clock.now,
        calls_per_s=calls_per_s,
    )
    backfill = Backfill(
        pool=pool,
        lists=api_client,
        accounts=accounts,
        retry=retry,
        policy=lambda: policy.policy,
        now=clock.now,
        calls_per_s=calls_per_s,
        stopping=stop.is_set,
    )
    return silence, backfill


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
