"""Real servers for tests: one PostgreSQL and one RabbitMQ a session, a fresh database and queue names a test."""

import gc
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import structlog

from tests.databases import Databases
from tillkeeper.sandbox.servers import Postgres, RabbitMQ
from tillkeeper.sandbox.servers.memory import place_in_memory
from tillkeeper.store.postgres.pool import open_pool

# Two processes share two cores with the servers: how long an example takes says nothing about the code.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("shared machine"), max_examples=20)
hypothesis.settings.load_profile("shared machine")

# A traceback drawn by rich, with all the locals of its frames, takes ten seconds for each exception that is logged.
*_processors, _ = structlog.get_config()["processors"]
_console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*_processors, _console])

TESTS = Path(__file__).parent
SCHEMA = TESTS.parent / "schema.sql"
NAMED_BYTES_MAX = 32


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a test by its parameter, where that is bytes of some length: they hold times and chance now and then, and
    processes that collect tests under different names run none."""
    return argname if isinstance(val, bytes) and len(val) > NAMED_BYTES_MAX else None


@pytest.hookimpl(tryfirst=True)  # before some are deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with those that take long: one that comes last keeps one process busy while the others have nothing left.

    `make cover` runs those that are marked here alone: what they do not reach has no test of its own, and tracing all
    those that play and fuzz would take three times as long.
    """
    for item in items:
        if _is_near(item.path.relative_to(TESTS)) and item.get_closest_marker("slow") is None:
            item.add_marker("covering")
    items.sort(key=_waited_s, reverse=True)


def pytest_collection_finish() -> None:
    """Looking for garbage among thousands of tests, again and again, took seconds of each process."""
    gc.freeze()


def _waited_s(item: pytest.Item) -> float:
    """How long one is waited for that is marked so; where the mark does not say it, more than nothing."""
    mark = item.get_closest_marker("long") or item.get_closest_marker("early")
    return 0.0 if mark is None else mark.kwargs.get("seconds", 1.0)


def _is_near(path: Path) -> bool:
    """Tests of the rules and the gateways, and none that plays gateways."""
    return path.parts[0] in {"pure", "gateways"} and path.parts[:2] != ("pure", "sandbox")


@pytest.fixture(scope="session")
async def postgres_server() -> AsyncIterator[Postgres]:
    """Its files need no disk: emptying a database costs a tenth of the time there, and killed processes leave them."""
    async with Postgres(place_in_memory()) as server:
        yield server


@pytest.fixture(scope="session")
async def databases(postgres_server: Postgres) -> Databases:
    """Databases with the schema in them."""
    return await Databases.of(postgres_server, SCHEMA.read_text())


@pytest.fixture
async def database(postgres_server: Postgres, databases: Databases) -> AsyncIterator[str]:
    """The DSN of a database of the test's own.  A test that stops or kills the server need not start it again."""
    await postgres_server.start()
    name = await databases.take()
    yield postgres_server.dsn(name)
    await postgres_server.start()
    await databases.give_back(name)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with await open_pool(database, min_size=0, max_size=10) as connections:
        yield connections


@pytest.fixture(scope="session")
async def rabbitmq() -> AsyncIterator[RabbitMQ]:
    """The session's node; where there can be none, its tests are skipped, but in CI they fail."""
    if (why_not := RabbitMQ.available()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(why_not)
        pytest.skip(f"{why_not} (`make rabbitmq` installs it)")
    async with RabbitMQ() as node:
        yield node


@pytest.fixture
async def broker_url(rabbitmq: RabbitMQ) -> str:
    """Where the node is, running and not paused, whatever the test before did to it."""
    rabbitmq.resume()
    await rabbitmq.start()
    return rabbitmq.url


@pytest.fixture
def broker_prefix() -> str:
    """Begins the names of the test's own exchanges and queues; a virtual host each would cost a second."""
    return f"test-{secrets.token_hex(4)}"
