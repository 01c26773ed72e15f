"""Builds the workers of a scenario: those of production, on a simulated clock."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from tillkeeper.notices.channels import open_channels
from tillkeeper.sandbox.scenarios.system import WorkerContext, Workers, in_the_middle
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.backfill import Backfill
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.follow_up import FollowUp
from tillkeeper.workers.notify import NotifyLoop
from tillkeeper.workers.silence import Silence
from tillkeeper.workers.sweep import Sweep
from tillkeeper.workers.watched_api_client import WatchedApiClient

Result = TypeVar("Result")


class WithoutRetry(DatabaseRetry):
    """Runs database work once: an outage of a scenario's database ends the scenario."""

    def __init__(self) -> None:
        super().__init__(asyncio.Event())

    async def until_available(self, work: Callable[[], Awaitable[Result]], **_: object) -> Result:
        """Runs `work` once."""
        return await work()


async def start_workers(context: WorkerContext, stack: AsyncExitStack) -> Workers:
    """Builds one of each worker; what they open is closed with `stack`."""
    settings = context.settings
    api_client = WatchedApiClient(context.api_client, now=context.clock.now)
    shared: dict[str, Any] = {"pool": context.pool, "retry": WithoutRetry(), "now": context.clock.now}
    deciding = shared | {"policy": lambda: context.policy}
    of_accounts = deciding | {
        "accounts": sorted(settings.accounts),
        "calls_per_s": settings.api_client.calls_per_s,
    }
    channels = await stack.enter_async_context(
        open_channels(settings.notify, broker_url=None, broker_prefix=settings.broker_prefix)
    )
    fetch = FetchLoop(api_client=api_client, jitter=in_the_middle, ask_within_s=settings.sweep.ask_within_s, **deciding)
    return Workers(
        apply=ApplyLoop(lane=context.lane, batch_events=settings.work.batch_events, **deciding).run_once,
        fetch=fetch.run_once,
        sweep=Sweep(api_client=api_client, settings=settings.sweep, **deciding).run_once,
        follow=FollowUp(**deciding).run_once,
        watch=Silence(watched=api_client, **of_accounts).run_once,
        backfill=Backfill(lists=api_client, **of_accounts).run_once,
        notify=NotifyLoop(channels=channels, settings=settings.notify, **shared).run_once,
    )
