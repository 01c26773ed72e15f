"""Servers to be broken: their own, for no other test should have to mend them."""

import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import SCHEMA
from tests.signers import signers_at
from tillkeeper.sandbox.servers import Postgres, RabbitMQ
from tillkeeper.sandbox.signer import Signer


@pytest.fixture(scope="session")
def signers() -> dict[str, Signer]:
    """An account at each gateway."""
    return signers_at()


@pytest.fixture
async def own_postgres() -> AsyncIterator[Postgres]:
    async with Postgres() as server:
        yield server


@pytest.fixture
async def own_database(own_postgres: Postgres) -> str:
    """The DSN of a database with schema.sql in it."""
    dsn = await own_postgres.create_database("tillkeeper")
    connection = await asyncpg.connect(dsn)
    await connection.execute(SCHEMA.read_text())
    await connection.close()
    return dsn


@pytest.fixture
async def own_rabbitmq() -> AsyncIterator[RabbitMQ]:
    if (why_not := RabbitMQ.available()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(why_not)
        pytest.skip(f"{why_not} (`make rabbitmq` installs it)")
    async with RabbitMQ() as node:
        yield node
