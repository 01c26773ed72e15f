"""Every gateway of the registry, as its specimen."""

import importlib
import socket

import pytest
from certificates import issue
from specimen import Specimen, rsa_keys

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


@pytest.fixture(scope="session", params=sorted(GATEWAYS))
def specimen(request, keys) -> Specimen:
    """Fails, and does not skip, where a listed gateway has no specimen."""
    return importlib.import_module(f"specimen_{request.param}").specimen(keys)


@pytest.fixture(scope="module")
def root(keys):
    return issue("Root", keys.other, ca=True)


@pytest.fixture(scope="module")
def class_2(keys, root):
    return issue("Class 2", keys.foreign, by=root, ca=True)


@pytest.fixture(scope="module")
def leaf(keys, class_2):
    return issue("Alipay", keys.own, by=class_2)
