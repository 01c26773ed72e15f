"""The APIs of three gateways, not yet opened."""

import pytest

from sandbox.voices import Voice
from tests.gateway_apis import Gateways


@pytest.fixture
def gateways(voices: dict[str, Voice]) -> Gateways:
    return Gateways(voices)
