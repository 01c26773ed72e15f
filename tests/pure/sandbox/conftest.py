"""Gateways with books, never reached by a network."""

import pytest

from tests.gateway_apis import Gateways
from tests.signers import signers_at
from tillkeeper.sandbox.signer import Signer


@pytest.fixture(scope="session")
def signers() -> dict[str, Signer]:
    return signers_at()


@pytest.fixture
def gateways(signers: dict[str, Signer]) -> Gateways:
    return Gateways(signers)
