"""Provokes the alerts of the receiver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.system.receiving import until
from tests.system.watching.provoking.house import BROKEN_AT, WECHAT, House, posting
from tillkeeper import clock


@asynccontextmanager
async def not_durable(house: House) -> AsyncIterator[None]:
    async with breaker_open(house):
        await house.postgres.stop()
        async with posting(house):
            yield
        await house.postgres.start()


@asynccontextmanager
async def breaker_open(house: House) -> AsyncIterator[None]:
    await house.rabbitmq.stop()
    await house.post()
    yield
    await house.rabbitmq.start()


@asynccontextmanager
async def accept_slow(house: House) -> AsyncIterator[None]:
    async with breaker_open(house), posting(house):
        slow = asyncio.ensure_future(_hold_spool_again_and_again(house))
        yield
        slow.cancel()


async def _hold_spool_again_and_again(house: House) -> None:
    """Has each put wait for a second and a bit, and then go on."""
    waits = "SELECT max(clock_timestamp() - query_start) > '1.1 s' FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while True:
        async with house.holding("LOCK TABLE spool IN EXCLUSIVE MODE"):

            async def waited() -> bool:
                return bool(await house.fetchval(waits))

            await until(waited)


@asynccontextmanager
async def signatures_refused(house: House) -> AsyncIterator[None]:
    async with posting(house, secret="whsec_that_was_rolled_at_the_gateway"):
        yield


@asynccontextmanager
async def key_missing(house: House) -> AsyncIterator[None]:
    """WeChat Pay signs with a certificate that is not configured, and its API is broken until it is mended."""
    house.gateways.now = BROKEN_AT
    signer = house.gateways.signers[WECHAT]
    story = house.gateways.tells(WECHAT, ("TRANSACTION.SUCCESS", 0), order_ref=f"T-{house.number():06d}")

    async def post() -> int:
        headers, body = signer.sign(story, story.events[0], now=clock.now(), again=0)
        return await house.stack.post(f"/webhooks/{WECHAT}", headers, body)

    async def is_taken() -> bool:
        return await post() == 204

    posts = asyncio.ensure_future(until(is_taken, within_s=200))
    yield
    house.gateways.now = clock.now()
    await posts
