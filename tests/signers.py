"""Accounts at gateways whose keys are made once in a process: to make RSA keys takes longer than most tests."""

from collections.abc import Sequence
from functools import cache

from tillkeeper.sandbox.accounts import account_of, new_signers
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.registry import DEFAULT_GATEWAYS


def signers_at(gateways: Sequence[str] = DEFAULT_GATEWAYS) -> dict[str, Signer]:
    """Returns an account at each of these gateways, the same as for other tests."""
    return {account_of(gateway): signer_at(gateway) for gateway in gateways}


@cache
def signer_at(gateway: str) -> Signer:
    [signer] = new_signers([gateway]).values()
    return signer
