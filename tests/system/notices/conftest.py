"""A loop over real channels on a real database."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.notice_servers import http_server, smtp_server
from tests.virtual_time import Clock
from tillkeeper.notices.channels import open_channels
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.notify import NotifyLoop


@pytest.fixture
async def mailbox():
    async with smtp_server() as started:
        yield started


@pytest.fixture
async def receiver():
    async with http_server() as started:
        yield started


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def looping(pool, clock):
    """`async with looping(settings) as loop`: a NotifyLoop with its channels open."""

    @asynccontextmanager
    async def opened(settings, *, broker_url=None, broker_prefix="test", **options):
        async with open_channels(settings, broker_url=broker_url, broker_prefix=broker_prefix) as channels:
            yield NotifyLoop(
                pool=pool,
                channels=channels,
                settings=settings,
                retry=DatabaseRetry(asyncio.Event()),
                now=clock,
                **options,
            )

    return opened
