"""The APIs of three gateways, not yet opened."""

import pytest

from tests.gateway_apis import Gateways
from tillkeeper.sandbox.signer import Signer


@pytest.fixture
def gateways(signers: dict[str, Signer]) -> Gateways:
    return Gateways(signers)
