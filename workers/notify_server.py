"""Runs the role `notify`: a loop over the outbox for each audience, until it is stopped."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import structlog

from tillkeeper import clock
from tillkeeper.accounts import LOOK_EVERY_S, Accounts
from tillkeeper.counters_at_zero import start_notice_counters
from tillkeeper.domain.order.notices import Audience
from tillkeeper.loops import keep_running, start
from tillkeeper.notices.channels import Channels, open_channels
from tillkeeper.policy import PolicyFile
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import Settings
from tillkeeper.status_server import serving_status
from tillkeeper.store.outbox.sending import MAIL
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.tracing.process import traces
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped, refuse_unfit
from tillkeeper.workers.notify import NotifyLoop

log = structlog.get_logger()

IDLE_S: Final = 1.0  # nobody notices a second; checking an empty outbox costs under a millisecond
STOP_S: Final = 40.0  # what is being sent is finished, or is uncertain as after a kill
POOL_CONNECTIONS: Final = 6


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Sends until `stop` is set, then finishes what is being sent.

    An audience has a loop of its own, so that a receiver that hangs holds up no payer.
    """
    accounts = Accounts(settings)  # the policy may name some, and accounts may be added while it runs
    policy = PolicyFile(settings.policy, accounts.gateways.keys())
    accounts.on_change(policy.read_again)
    schema = SchemaWatch()
    retry = DatabaseRetry(stop, schema.outage)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(traces(settings.tracing, "notify"))
        await stack.enter_async_context(serving_status(settings.notify, is_ready=lambda: schema.is_fit))
        try:
            pool = await retry.until_available(lambda: open_pool(settings.database_url, max_size=POOL_CONNECTIONS))
            stack.push_async_callback(pool.close)
            await refuse_unfit(pool, schema, retry)
        except Stopped:
            return
        channels = await stack.enter_async_context(
            open_channels(settings.notify, broker_url=settings.broker_url, broker_prefix=settings.broker_prefix)
        )
        _start_counters(channels)
        if settings.shadow:
            log.warning("shadow_mode")
        log.info(
            "notify_started", mail=channels.mail is not None, merchant=[channel.name for channel in channels.merchant]
        )
        loops = [
            start(
                NotifyLoop(
                    pool=pool,
                    channels=channels,
                    settings=settings.notify,
                    retry=retry,
                    now=clock.now,
                    audiences=(audience,),
                    cases=lambda: policy.policy.cases,
                    shadow=settings.shadow,
                ).keep_running(stop, idle_s=IDLE_S),
                name=f"notify {audience}",
            )
            for audience in Audience
        ]
        loops.append(start(policy.keep_looking(stop), name="policy"))
        look = keep_running(accounts.look_once, name="accounts", stop=stop, idle_s=LOOK_EVERY_S)
        loops.append(start(look, name="accounts"))
        loops.append(start(schema.keep_looking(pool, stop), name="schema"))
        await stop.wait()
        await asyncio.wait(loops, timeout=STOP_S)
    log.info("notify_stopped")


def _start_counters(channels: Channels) -> None:
    start_notice_counters(Audience.PAYER, [MAIL] if channels.mail is not None else [])
    start_notice_counters(Audience.MERCHANT, [channel.name for channel in channels.merchant])
    start_notice_counters(Audience.OPS, [channel.name for level in channels.ops.values() for channel in level])
