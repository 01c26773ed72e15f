"""The server of a gateway, and a time of the test's own."""

import pytest

from tests.asking.playing import Server, Time


@pytest.fixture
async def server():
    async with Server().listening() as it:
        yield it


@pytest.fixture
def time():
    return Time()
