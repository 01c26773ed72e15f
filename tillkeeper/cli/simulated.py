"""The workers of a scenario: the very ones that run in life, told a simulated time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from sandbox.scenarios.system import WorkerContext, Workers
from tillkeeper.domain.policy import Policy
from tillkeeper.notices.channels import open_channels
from workers.apply import ApplyLoop
from workers.backfill import Backfill
from workers.database_retry import DatabaseRetry
from workers.fetch import FetchLoop
from workers.follow_up import FollowUp
from workers.notify import NotifyLoop
from workers.silence import Silence
from workers.sweep import Sweep
from workers.watched_api_client import WatchedApiClient

Result = TypeVar("Result")


class WithoutRetry(DatabaseRetry):
    """The database of a scenario has no outages: what goes wrong with it ends the scenario, and is not waited out."""

    def __init__(self) -> None:
        super().__init__(asyncio.Event())

    async def until_available(self, work: Callable[[], Awaitable[Result]], **_: object) -> Result:
        """Runs `work` once."""
        return await work()


async def start_workers(context: WorkerContext, stack: AsyncExitStack) -> Workers:
    """One of each."""
    retry, settings, now = WithoutRetry(), context.settings, context.clock.now

    def policy() -> Policy:
        return context.policy

    pool, api_client, accounts = context.pool, WatchedApiClient(context.api_client, now=now), sorted(settings.accounts)
    apply = ApplyLoop(
        lane=context.lane,
        pool=pool,
        retry=retry,
        policy=policy,
        now=now,
        batch_events=settings.work.batch_events,
    )
    sweep = Sweep(pool=pool, api_client=api_client, retry=retry, policy=policy, now=now, settings=settings.sweep)
    fetch = FetchLoop(
        pool=pool,
        api_client=api_client,
        retry=retry,
        policy=policy,
        now=now,
        jitter=lambda least, most: (least + most) / 2,  # a seed tells all
        ask_within_s=settings.sweep.ask_within_s,
    )
    silence = Silence(
        pool=pool,
        watched=api_client,
        accounts=accounts,
        retry=retry,
        policy=policy,
        now=now,
        calls_per_s=settings.api_client.calls_per_s,
    )
    backfill = Backfill(
        pool=pool,
        lists=api_client,
        accounts=accounts,
        retry=retry,
        policy=policy,
        now=now,
        calls_per_s=settings.api_client.calls_per_s,
    )
    channels = await stack.enter_async_context(
        open_channels(settings.notify, broker_url=None, broker_prefix=settings.broker_prefix)
    )
    notify = NotifyLoop(pool=pool, channels=channels, settings=settings.notify, retry=retry, now=now)
    return Workers(
        apply=apply.run_once,
        fetch=fetch.run_once,
        sweep=sweep.run_once,
        follow=FollowUp(pool=pool, retry=retry, policy=policy, now=now).run_once,
        watch=silence.run_once,
        backfill=backfill.run_once,
        notify=notify.run_once,
    )
