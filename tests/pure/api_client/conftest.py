"""A time of the test's own."""

import pytest

from tests.virtual_time import Time


@pytest.fixture
def time() -> Time:
    return Time()
