"""Gateways with books, never reached by a network."""

import pytest

from sandbox.accounts import new_signers
from sandbox.signer import Signer
from tests.gateway_apis import Gateways


@pytest.fixture(scope="session")
def signers() -> dict[str, Signer]:
    return new_signers()


@pytest.fixture
def gateways(signers: dict[str, Signer]) -> Gateways:
    return Gateways(signers)
