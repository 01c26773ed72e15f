"""The workers of a scenario: the very ones that run in life, told a simulated time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from sandbox.scenarios.house import Crew, Premises
from tillkeeper.domain.policy import Policy
from tillkeeper.notices.channels import open_channels
from workers.apply import ApplyLoop
from workers.backfill import Backfill
from workers.fetch import FetchLoop
from workers.follow import Follow
from workers.notify import NotifyLoop
from workers.outage import Outage
from workers.silence import Silence, Watched
from workers.sweep import Sweep

Result = TypeVar("Result")


class NoOutage(Outage):
    """The database of a scenario has no outages: what goes wrong with it ends the scenario, and is not waited out."""

    def __init__(self) -> None:
        super().__init__(asyncio.Event())

    async def wait_out(self, work: Callable[[], Awaitable[Result]], **_: object) -> Result:
        """Runs `work` once."""
        return await work()


async def hire(premises: Premises, stack: AsyncExitStack) -> Crew:
    """One of each."""
    outage, settings, now = NoOutage(), premises.settings, premises.clock.now

    def policy() -> Policy:
        return premises.policy

    pool, api_client, accounts = premises.pool, Watched(premises.api_client, now=now), sorted(settings.accounts)
    apply = ApplyLoop(
        lane=premises.lane,
        pool=pool,
        outage=outage,
        policy=policy,
        now=now,
        batch_events=settings.work.batch_events,
    )
    sweep = Sweep(pool=pool, api_client=api_client, outage=outage, policy=policy, now=now, settings=settings.sweep)
    fetch = FetchLoop(
        pool=pool,
        api_client=api_client,
        outage=outage,
        policy=policy,
        now=now,
        jitter=lambda least, most: (least + most) / 2,  # a seed tells all
        ask_within_s=settings.sweep.ask_within_s,
    )
    silence = Silence(
        pool=pool,
        watched=api_client,
        accounts=accounts,
        outage=outage,
        policy=policy,
        now=now,
        calls_per_s=settings.api_client.calls_per_s,
    )
    backfill = Backfill(
        pool=pool,
        lists=api_client,
        accounts=accounts,
        outage=outage,
        policy=policy,
        now=now,
        calls_per_s=settings.api_client.calls_per_s,
    )
    channels = await stack.enter_async_context(
        open_channels(settings.notify, broker_url=None, broker_prefix=settings.broker_prefix)
    )
    notify = NotifyLoop(pool=pool, channels=channels, settings=settings.notify, outage=outage, now=now)
    return Crew(
        apply=apply.run_once,
        fetch=fetch.run_once,
        sweep=sweep.run_once,
        follow=Follow(pool=pool, outage=outage, policy=policy, now=now).run_once,
        watch=silence.run_once,
        backfill=backfill.run_once,
        notify=notify.run_once,
    )
