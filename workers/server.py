"""Runs the worker process: loops over both lanes until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

import asyncpg
import structlog

from tillkeeper import clock
from tillkeeper.accounts import LOOK_EVERY_S, Accounts
from tillkeeper.counters_at_zero import start_worker_counters
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.lanes.base import Receiver
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.lanes.spool import SpoolReceiver
from tillkeeper.lanes.topology import Topology
from tillkeeper.loops import keep_running, start
from tillkeeper.outage import lane_outage, notifications_outage
from tillkeeper.policy import PolicyFile
from tillkeeper.process import collect_garbage_seldom
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import Settings
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.tracing.process import traces
from tillkeeper.workers.apply import MESSAGES_MAX, ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry, refuse_unfit
from tillkeeper.workers.delivery_limit import ParkLoop
from tillkeeper.workers.hold_back import HoldBack
from tillkeeper.workers.key_uses import KeyUses
from tillkeeper.workers.lane_gauges import DEPTH_EVERY_S, LAG_EVERY_S, LaneGauges
from tillkeeper.workers.release import Release

log = structlog.get_logger()

LOOPS_PER_LANE: Final = 3  # while PostgreSQL works on a batch, the next is prepared here
PREFETCH_MESSAGES: Final = 2 * MESSAGES_MAX  # the next batch is ready; more would be redelivered after a crash
IDLE_S: Final = 0.0  # `take` itself waits
PARK_IDLE_S: Final = 5.0
RELEASE_IDLE_S: Final = 1.0  # a person has decided, and looks on; a look costs a fraction of a millisecond
KEYS_IDLE_S: Final = 10.0  # key uses matter by the day
STOP_S: Final = 30.0  # a batch takes well under a second; what is not done in time comes again
POOL_CONNECTIONS: Final = 8


async def serve(settings: Settings, stop: asyncio.Event, schema: SchemaWatch) -> None:
    """Applies until `stop` is set, then finishes the running batches and releases the rest.  Raises SchemaUnfit."""
    accounts = Accounts(settings)  # the policy may name some, and accounts may be added while it runs
    policy = PolicyFile(settings.policy, accounts.gateways.keys())
    accounts.on_change(policy.read_again)
    retry = DatabaseRetry(stop, schema.outage)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(traces(settings.tracing, "work"))
        pool = await retry.until_available(
            lambda: open_pool(settings.database_url, max_size=POOL_CONNECTIONS, by_key=True)
        )
        stack.push_async_callback(pool.close)
        await refuse_unfit(pool, schema, retry)
        lanes = await _open_lanes(settings, pool, stack)
        start_worker_counters()
        collect_garbage_seldom()
        log.info("worker_started", lanes=sorted({lane.name for lane in lanes}))
        loops = [
            start(work, name=name)
            for name, work in _loops(lanes, pool, retry, policy=policy, accounts=accounts, settings=settings, stop=stop)
        ]
        loops.append(start(schema.keep_looking(pool, stop), name="schema"))
        await stop.wait()
        await asyncio.wait(loops, timeout=STOP_S)
    log.info("worker_stopped")


async def _open_lanes(settings: Settings, pool: asyncpg.Pool, stack: AsyncExitStack) -> list[Receiver]:
    """Opens the lanes of each loop.

    The broker fills the first loop's lane before the next one's: while one batch is applied, what comes gathers for the
    next, and others begin beside it only when there is more than that.  Batches of 30 events cost twice as much of CPU
    as batches of 400.
    """
    lanes: list[Receiver] = []
    hints = notifications_outage()
    for priority in reversed(range(LOOPS_PER_LANE)):
        if settings.broker_url is not None:
            topology = Topology(prefix=settings.broker_prefix, shards=settings.broker_shards)
            lanes.append(
                await RabbitReceiver.open(settings.broker_url, topology, prefetch=PREFETCH_MESSAGES, priority=priority)
            )
        lanes.append(await SpoolReceiver.open(pool, settings.database_url, hints=hints))
    for lane in lanes:
        stack.push_async_callback(lane.close)
    return lanes


def _loops(
    lanes: list[Receiver],
    pool: asyncpg.Pool,
    retry: DatabaseRetry,
    *,
    policy: PolicyFile,
    accounts: Accounts,
    settings: Settings,
    stop: asyncio.Event,
) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    def forever(
        run_once: Callable[[], Awaitable[int]], name: str, idle_s: float
    ) -> tuple[str, Coroutine[Any, Any, None]]:
        return name, keep_running(run_once, name=name, stop=stop, idle_s=idle_s)

    keys, envelope_keys = KeyUses(pool), EnvelopeKeys(settings.envelope_keys)
    hold_back = HoldBack(settings.guard.rules(), envelope_keys, now=clock.now)
    outages = {lane.name: lane_outage(lane.name) for lane in lanes}
    apply = [
        ApplyLoop(
            lane=lane,
            pool=pool,
            retry=retry,
            policy=lambda: policy.policy,
            now=clock.now,
            batch_events=settings.work.batch_events,
            keys=envelope_keys,
            hold_back=hold_back,
            note=keys.note,
            outage=outages[lane.name],
        )
        for lane in lanes
    ]
    parks = {
        lane.name: ParkLoop(lane=lane, pool=pool, retry=retry, now=clock.now, keys=envelope_keys) for lane in lanes
    }
    release = Release(pool=pool, retry=retry, keys=envelope_keys, now=clock.now)
    gauges = LaneGauges(apply, lanes, now=clock.now)
    return [
        *(forever(loop.run_once, f"apply {lane.name}", IDLE_S) for loop, lane in zip(apply, lanes, strict=True)),
        *(forever(park.run_once, f"park {name}", PARK_IDLE_S) for name, park in parks.items()),
        forever(release.run_once, "release", RELEASE_IDLE_S),
        forever(keys.run_once, "keys", KEYS_IDLE_S),
        forever(gauges.measure_lag, "lag", LAG_EVERY_S),
        forever(gauges.measure_depth, "depth", DEPTH_EVERY_S),
        ("policy", policy.keep_looking(stop)),
        forever(accounts.look_once, "accounts", LOOK_EVERY_S),
    ]
