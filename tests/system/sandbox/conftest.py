"""The APIs of three gateways, not yet opened."""

import pytest

from sandbox.signer import Signer
from tests.gateway_apis import Gateways


@pytest.fixture
def gateways(signers: dict[str, Signer]) -> Gateways:
    return Gateways(signers)
