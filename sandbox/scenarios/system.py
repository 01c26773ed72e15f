"""Runs a Tillkeeper on a simulated clock: the real receiver's path, lane, database, and the real workers.

    signed bytes ─> gateway.verify, parse ─> intake ─> PostgreSQL lane ─> apply ─> orders
                                      sweeps ─> api_client ─> HTTP ─> the gateways' APIs

The workers come in as an argument (`StartWorkers`), so that a test can spoil one of them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import asyncpg
import msgspec

from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.http import open_http
from tillkeeper.domain.order.refund_registration import AskedRefund
from tillkeeper.domain.order.registration import Registration
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.messages import Request
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.scenarios.simulated_clock import SimulatedClock, no_sleep
from tillkeeper.settings import Settings
from tillkeeper.store.apply.refunds import register_refund
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.reports.recorded import next_due
from tillkeeper.store.schema.creating import create_schema

POOL_CONNECTIONS: Final = 8
ROUNDS_MAX: Final = 1_000  # of one kind of work at one moment; there is an end to it long before

# How often it is looked for cases and events that waited too long, and for silence: after ten minutes without a look
# Tillkeeper would take itself to have been away.
FOLLOW_EVERY: Final = timedelta(minutes=9)

RunOnce = Callable[[], Awaitable[int]]


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """One round of each worker; each returns how much there was to do."""

    apply: RunOnce
    fetch: RunOnce
    sweep: RunOnce
    follow: RunOnce
    watch: RunOnce  # for silence
    backfill: RunOnce
    notify: RunOnce


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What workers need."""

    settings: Settings
    pool: asyncpg.Pool
    lane: SpoolReceiver
    api_client: ApiClient
    policy: Policy
    clock: SimulatedClock


StartWorkers = Callable[[WorkerContext, AsyncExitStack], Awaitable[Workers]]


class System:
    """One Tillkeeper.  Made by `opened`."""

    def __init__(
        self, context: WorkerContext, *, gateways: Mapping[str, Gateway], intake: Intake, workers: Workers
    ) -> None:
        self.context = context
        self.pool = context.pool
        self.clock = context.clock
        self._gateways = gateways
        self._intake = intake
        self._workers = workers
        self._envelopes_taken = 0
        self._follow_at = context.clock.now()

    async def register(self, registrations: Sequence[tuple[datetime, Registration]]) -> None:
        """What merchants register, each at its time, as many at once as there are connections."""
        waiting = iter(registrations)

        async def go_on() -> None:
            for at, registration in waiting:
                await register(self.pool, registration, policy=self.context.policy, now=at)

        async with asyncio.TaskGroup() as group:
            for _ in range(POOL_CONNECTIONS):
                group.create_task(go_on())

    async def register_refunds(self, refunds: Sequence[AskedRefund]) -> None:
        """What merchants tell: the refunds that they asked for."""
        for refund in refunds:
            await register_refund(self.pool, refund, policy=self.context.policy, now=self.clock.now())

    async def receive(self, deliveries: Sequence[tuple[datetime, str, Signed]]) -> None:
        """Webhooks as they come in: verified, parsed, durable, applied.  A refusal is nobody's fault but ours, and ends
        the scenario."""
        await asyncio.gather(*(self._accept(at, account, signed) for at, account, signed in deliveries))
        while self._envelopes_taken < sum(self._intake.counters.envelopes.values()):
            self._envelopes_taken += await self._workers.apply()

    async def _accept(self, at: datetime, account: str, signed: Signed) -> None:
        headers, body = signed
        gateway = self._gateways[account]
        request = Request({name.lower(): [value] for name, value in headers.items()}, body)
        verified = gateway.verify(request, at)
        kept = tuple((name, value) for name in sorted(gateway.kept_headers) for value in request.headers.get(name, ()))
        await self._intake.accept(
            account=account,
            received_at=at,
            key=verified.key,
            headers=kept,
            body=body,
            events=gateway.parse(verified),
            fetches=fetches_of(gateway, verified),
        )

    async def run_due_work(self) -> None:
        """Everything that is due by now."""
        due_at, now = await next_due(self.pool), self.clock.now()
        if due_at is not None and due_at <= now:
            await _to_the_end(self._workers.fetch)
            await _to_the_end(self._workers.sweep)
            await _to_the_end(self._workers.notify)
        if now >= self._follow_at:
            self._follow_at = now + FOLLOW_EVERY
            await _to_the_end(self._workers.follow)
            await self._workers.watch()
            await _to_the_end(self._workers.backfill)

    async def next_due(self) -> datetime | None:
        """Returns when there is something to do again."""
        due_at = await next_due(self.pool)
        return self._follow_at if due_at is None else min(due_at, self._follow_at)


def in_the_middle(least: float, most: float) -> float:
    """Stands in the place of chance, so that a seed decides everything."""
    return (least + most) / 2


async def _to_the_end(run_once: RunOnce) -> None:
    for _ in range(ROUNDS_MAX):
        if not await run_once():
            return
    raise AssertionError("there is no end to what is due at one moment")


@asynccontextmanager
async def opened(
    settings: Settings, *, policy: Policy, clock: SimulatedClock, start_workers: StartWorkers
) -> AsyncIterator[System]:
    """Yields a Tillkeeper on an empty database, while inside."""
    await create_schema(settings.database_url)
    gateways = settings.build_gateways()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(settings.database_url, max_size=POOL_CONNECTIONS))
        send = await stack.enter_async_context(open_http(settings.api_client))
        lane = await SpoolReceiver.open(pool, settings.database_url)
        stack.push_async_callback(lane.close)
        intake = Intake(run=uuid4(), broker=None, spool=SpoolSender(pool), monotonic_s=clock.monotonic_s)
        stack.push_async_callback(intake.close)
        api_client = ApiClient(
            gateways,
            settings.api_client,
            send=send,
            now=clock.now,
            monotonic_s=clock.monotonic_s,
            sleep=no_sleep,
            jitter=in_the_middle,
        )
        context = WorkerContext(
            settings=settings, pool=pool, lane=lane, api_client=api_client, policy=policy, clock=clock
        )
        yield System(context, gateways=gateways, intake=intake, workers=await start_workers(context, stack))
