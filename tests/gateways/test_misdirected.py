"""Every gateway's delivery at every other gateway's account: the diagnosis says whose it is."""

import importlib
from functools import cache

import pytest
from meaning import outcome
from specimen import NOW, rsa_keys

from tillkeeper.diagnostics.findings import Finding
from tillkeeper.diagnostics.refusals import RefusedRequest, diagnose
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.registry import GATEWAYS


@cache  # a fixture would be set up anew for each specimen
def everyone():
    return [importlib.import_module(f"specimen_{name}").specimen(rsa_keys()) for name in sorted(GATEWAYS)]


@pytest.mark.slow
def test_a_delivery_at_any_other_gateway_is_refused_and_known_by_its_account(specimen):
    own, is_proven = specimen.gateway.account, specimen.gateway.verify(specimen.valid, NOW).proven
    accounts = {each.gateway.account: each.gateway for each in everyone()}
    for other in everyone():
        if other.gateway.account == own:
            continue
        refused = outcome(other, specimen.valid)
        assert isinstance(refused, Refused), other.gateway.account
        refused_request = RefusedRequest(
            gateway=other.gateway, request=specimen.valid, now=NOW, refused=refused, others=accounts
        )
        found = diagnose(refused_request)
        told = (found.finding is Finding.OTHER_ACCOUNT, f"the account {own} " in found.detail)
        assert told == (is_proven, is_proven), (other.gateway.account, found)
