"""The workers of a scenario: the very ones that run in life, told a simulated time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from tillkeeper.notices.channels import open_channels
from tillkeeper.sandbox.scenarios.system import WorkerContext, Workers, in_the_middle
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.backfill import Backfill
from tillkeeper.workers.fetch import FetchLoop
from tillkeeper.workers.follow import Follow
from tillkeeper.workers.notify import NotifyLoop
from tillkeeper.workers.outage import Outage
from tillkeeper.workers.silence import Silence, Watched
from tillkeeper.workers.sweep import Sweep

Result = TypeVar("Result")


class NoOutage(Outage):
    """The database of a scenario has no outages: what goes wrong with it ends the scenario, and is not waited out."""

    def __init__(self) -> None:
        super().__init__(asyncio.Event())

    async def wait_out(self, work: Callable[[], Awaitable[Result]], **_: object) -> Result:
        """Runs `work` once."""
        return await work()


async def start_workers(context: WorkerContext, stack: AsyncExitStack) -> Workers:
    """Makes one of each worker; what they hold open is closed with `stack`."""
    settings = context.settings
    api_client = Watched(context.api_client, now=context.clock.now)
    shared: dict[str, Any] = {"pool": context.pool, "outage": NoOutage(), "now": context.clock.now}
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
        follow=Follow(**deciding).run_once,
        watch=Silence(watched=api_client, **of_accounts).run_once,
        backfill=Backfill(lists=api_client, **of_accounts).run_once,
        notify=NotifyLoop(channels=channels, settings=settings.notify, **shared).run_once,
    )
