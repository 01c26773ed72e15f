"""Every gateway of the registry, as its specimen."""

import importlib
import socket
from functools import cache

import pytest
from certificates import issue
from specimen import Asked, Specimen, rsa_keys

from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.registry import GATEWAYS


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch):
    """Gateways do no I/O."""

    def refuse(*args, **kwargs):
        raise AssertionError("a gateway opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def keys():
    return rsa_keys()


@cache
def specimen_of(name: str) -> Specimen:
    """Fails, and does not skip, where a listed gateway has no specimen."""
    return importlib.import_module(f"specimen_{name}").specimen(rsa_keys())


def pytest_generate_tests(metafunc):
    """A test that wants a specimen runs for every gateway, one that wants what it is asked for each such query.

    Where the test is for some of them alone, it is marked so; one without anything to check is not made.
    """
    where = metafunc.definition.get_closest_marker("where")
    holds = where.args[0] if where else None
    if "asked" in metafunc.fixturenames:
        pairs = [(name, query) for name, gateway in sorted(GATEWAYS.items()) for query in sorted(gateway.queryable)]
        pairs = [(name, query) for name, query in pairs if holds is None or holds(specimen_of(name).asked[query])]
        names = ["-".join(pair) for pair in pairs]
        metafunc.parametrize(("specimen", "asked"), pairs, indirect=True, scope="session", ids=names)
    elif "specimen" in metafunc.fixturenames:
        names = [name for name in sorted(GATEWAYS) if holds is None or holds(specimen_of(name))]
        metafunc.parametrize("specimen", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def specimen(request) -> Specimen:
    return specimen_of(request.param)


@pytest.fixture(scope="session")
def asked(request, specimen) -> Asked:
    """A payment by its own reference, one by its order's, or a refund."""
    return specimen.asked[request.param]


@pytest.fixture(scope="module")
def root(keys):
    return issue("Root", keys.other, ca=True)


@pytest.fixture(scope="module")
def class_2(keys, root):
    return issue("Class 2", keys.foreign, by=root, ca=True)


@pytest.fixture(scope="module")
def leaf(keys, class_2):
    return issue("Alipay", keys.own, by=class_2)


@pytest.fixture
def words():
    """The unknown words that were met so far, as pairs of field and word."""
    with unknown_words() as met:
        yield lambda: [(each.field, each.word) for each in met]
