"""Provokes the alerts of lanes and workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.system.watching.provoking.house import House, without


@asynccontextmanager
async def apply_lag(house: House) -> AsyncIterator[None]:
    async with house.holding("LOCK TABLE deliveries IN EXCLUSIVE MODE"):
        await house.spool(1, age=timedelta(minutes=2))
        yield


@asynccontextmanager
async def spool_grows(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        await house.spool(120)
        grows = asyncio.ensure_future(_keep_spooling(house))
        yield
        grows.cancel()


async def _keep_spooling(house: House) -> None:
    while True:
        await house.spool(1)
        await asyncio.sleep(0.2)


@asynccontextmanager
async def lane_old(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        await house.spool(1, age=timedelta(minutes=10))
        yield


@asynccontextmanager
async def nobody_consumes(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        yield


@asynccontextmanager
async def apply_stalled(house: House) -> AsyncIterator[None]:
    async with without(house, "work"):
        await house.spool(3)
        yield


@asynccontextmanager
async def parked(house: House) -> AsyncIterator[None]:
    await house.execute("INSERT INTO spool (id, shard, body) VALUES (gen_random_uuid(), 0, 'no envelope')")
    yield
    numbers = await house.fetchval("SELECT array_agg(id) FROM parked WHERE outcome IS NULL")
    await house.command("parked", "discard", *numbers, "--note", "made by the test of alerts")
