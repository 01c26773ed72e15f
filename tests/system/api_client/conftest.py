"""The server of a gateway, and a time of the test's own."""

import pytest

from tests.system.api_client.api_server import Server
from tests.virtual_time import Time


@pytest.fixture
async def server():
    async with Server().listening() as server:
        yield server


@pytest.fixture
def time():
    return Time()
