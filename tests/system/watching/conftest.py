"""Prometheus and promtool; where they are not there, these tests are skipped, but in CI they fail."""

import os

import pytest

from tillkeeper.sandbox.servers import Prometheus


@pytest.fixture(scope="session")
def prometheus_installed() -> None:
    if (why_not := Prometheus.available()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(why_not)
        pytest.skip(f"{why_not} (`make prometheus` installs it)")
