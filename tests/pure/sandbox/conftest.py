"""Gateways with books, never reached by a network."""

import pytest

from tests.gateway_apis import Gateways
from tillkeeper.sandbox.accounts import new_signers
from tillkeeper.sandbox.signer import Signer


@pytest.fixture(scope="session")
def signers() -> dict[str, Signer]:
    return new_signers()


@pytest.fixture
def gateways(signers: dict[str, Signer]) -> Gateways:
    return Gateways(signers)
