"""Accounts of the sandbox's gateways."""

import pytest

from sandbox.accounts import new_voices
from sandbox.voices import Voice


@pytest.fixture(scope="session")
def voices() -> dict[str, Voice]:
    return new_voices()
