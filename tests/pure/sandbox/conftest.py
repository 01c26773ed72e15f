"""Gateways with books, never reached by a network."""

import pytest

from sandbox.accounts import new_voices
from sandbox.voices import Voice
from tests.gateway_apis import Gateways


@pytest.fixture(scope="session")
def voices() -> dict[str, Voice]:
    return new_voices()


@pytest.fixture
def gateways(voices: dict[str, Voice]) -> Gateways:
    return Gateways(voices)
