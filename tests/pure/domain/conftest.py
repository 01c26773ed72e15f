"""The domain is pure: its tests have no network."""

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the domain opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
