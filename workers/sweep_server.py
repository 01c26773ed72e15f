"""The role `sweep`: what happens because time passed, until the process is told to stop."""

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
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.follow import Follow
from tillkeeper.workers.outage import Outage, Stopped, refuse_unfit
from tillkeeper.workers.silence import Silence, Watched
from tillkeeper.workers.sweep import Sweep
from tillkeeper.workers.words import Words

log = structlog.get_logger()

SWEEP_LOOPS: Final = 2  # while one's transaction is in PostgreSQL's hands, the other goes on
SWEEP_IDLE_S: Final = 1.0  # a look at nothing due costs a fraction of a millisecond
FETCH_IDLE_S: Final = 0.5  # a payer waits for it; a look at nothing due costs as little
FOLLOW_IDLE_S: Final = 5.0
SILENCE_IDLE_S: Final = 10.0  # minutes matter, not seconds
BACKFILL_IDLE_S: Final = 5.0
FORGET_IDLE_S: Final = 3600.0  # days matter, not hours
FORGOTTEN_MAX: Final = 1_000  # deliveries in one go
WORDS_IDLE_S: Final = 10.0
ORDERS_ANEW: Final = 1_000  # looked at anew in one go after a change of policy
STOP_S: Final = 45.0  # questions under way are waited for; what is not settled by then is as after a kill
POOL_CONNECTIONS: Final = 8


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Sweeps until `stop` is set, then finishes what is under way."""
    accounts = Accounts(settings)
    policy = PolicyFile(settings.policy, accounts.gateways.keys())
    outage, schema = Outage(stop), SchemaWatch()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_status(settings.sweep, is_ready=lambda: schema.is_fit))
        try:
            pool = await outage.wait_out(lambda: open_pool(settings.database_url, max_size=POOL_CONNECTIONS))
            stack.push_async_callback(pool.close)
            await refuse_unfit(pool, schema, outage)
        except Stopped:
            return
        asks = await stack.enter_async_context(open_api_client(accounts.gateways, settings.api_client))
        api_client = Watched(asks, now=clock.now)
        refreshers, send = KeyRefreshers(), await stack.enter_async_context(open_http(KEY_SETTINGS))
        stack.push_async_callback(refreshers.close)

        def follow_accounts() -> None:
            asks.update_accounts()
            refreshers.update({name: KeyFetcher(gateway, send) for name, gateway in accounts.gateways.items()})

        follow_accounts()  # answers are signed with keys that are to be kept fresh, too
        accounts.on_change(follow_accounts)
        accounts.on_change(policy.read_again)
        log.info("sweep_started", asks=sorted(name for name in accounts.gateways if api_client.can_query(name)))
        sweeps = [
            Sweep(
                pool=pool,
                api_client=api_client,
                outage=outage,
                policy=lambda: policy.policy,
                now=clock.now,
                settings=settings.sweep,
            )
            for _ in range(SWEEP_LOOPS)
        ]
        fetch = FetchLoop(
            pool=pool,
            api_client=api_client,
            outage=outage,
            policy=lambda: policy.policy,
            now=clock.now,
            jitter=random.uniform,
            ask_within_s=settings.sweep.ask_within_s,
        )
        follow = Follow(pool=pool, outage=outage, policy=lambda: policy.policy, now=clock.now)
        watch = PolicyWatch(policy, pool, outage)
        silence, backfill = _gaps(
            accounts.gateways.keys(),
            api_client,
            pool=pool,
            outage=outage,
            policy=policy,
            calls_per_s=settings.api_client.calls_per_s,
            stop=stop,
        )
        words = Words(pool=pool, take=asks.take_unknown_words, outage=outage, now=clock.now)
        loops: list[tuple[str, Callable[[], Awaitable[int]], float]] = [
            ("follow", follow.run_once, FOLLOW_IDLE_S),
            ("policy", watch.run_once, LOOK_EVERY_S),
            ("accounts", accounts.look_once, ACCOUNTS_LOOK_EVERY_S),
            ("silence", silence.run_once, SILENCE_IDLE_S),
            ("backfill", backfill.run_once, BACKFILL_IDLE_S),
            ("forget", forgetting(pool, outage), FORGET_IDLE_S),
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


def forgetting(pool: asyncpg.Pool, outage: Outage) -> Callable[[], Awaitable[int]]:
    """A step that lets go of what nobody signed, once it is old."""

    async def run_once() -> int:
        try:
            forgotten = await outage.transact(pool, partial(forget_unsigned, limit=FORGOTTEN_MAX, now=clock.now()))
        except Stopped:
            return 0
        return int(forgotten >= FORGOTTEN_MAX)

    return run_once


def _gaps(
    accounts: Collection[str],
    api_client: Watched,
    *,
    pool: asyncpg.Pool,
    outage: Outage,
    policy: PolicyFile,
    calls_per_s: float,
    stop: asyncio.Event,
) -> tuple[Silence, Backfill]:
    """What finds and fills gaps in what webhooks tell, at the accounts as they are by then."""
    silence = Silence(
        pool=pool,
        watched=api_client,
        accounts=accounts,
        outage=outage,
        policy=lambda: policy.policy,
        now=clock.now,
        calls_per_s=calls_per_s,
    )
    backfill = Backfill(
        pool=pool,
        lists=api_client,
        accounts=accounts,
        outage=outage,
        policy=lambda: policy.policy,
        now=clock.now,
        calls_per_s=calls_per_s,
        stopping=stop.is_set,
    )
    return silence, backfill


class PolicyWatch:
    """Takes up a changed policy, and has the orders that the old one reckoned looked at anew."""

    def __init__(self, file: PolicyFile, pool: asyncpg.Pool, outage: Outage) -> None:
        self._file = file
        self._pool = pool
        self._outage = outage
        self._told = ""  # the digest that the database was told last

    async def run_once(self) -> int:
        """Returns how many orders were made due."""
        self._file.look()
        try:
            if self._told != self._file.digest:
                digest = self._file.digest
                if await self._outage.transact(self._pool, partial(take_policy, digest=digest, now=clock.now())):
                    log.info("policy_changed_orders_rescheduled", digest=digest)
                self._told = digest
            return await self._outage.transact(self._pool, partial(look_anew, limit=ORDERS_ANEW, now=clock.now()))
        except Stopped:
            return 0
