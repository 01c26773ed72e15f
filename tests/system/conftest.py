"""A receiver listening on a free port, and a client of it; a configuration, and a database without a schema."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.signers import signers_at
from tests.system.commands import toml, written
from tests.system.receiving import some_settings
from tillkeeper.ingest.server import receiver
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.signer import Signer


@pytest.fixture
def config(tmp_path: Path, database: str) -> Path:
    return written(tmp_path, toml(database))


@pytest.fixture
async def empty_database(postgres_server: Postgres) -> AsyncIterator[str]:
    await postgres_server.start()
    name = f"empty_{secrets.token_hex(4)}"
    yield await postgres_server.create_database(name)
    await postgres_server.start()  # for those who stopped it
    await postgres_server.drop_database(name)


@pytest.fixture
async def port(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """One that waits longer for its database than a gateway would: the machine may be busy with others."""
    monkeypatch.setattr("tillkeeper.lanes.spool.PUT_S", 60.0)
    async with receiver(some_settings(database)) as listening:
        yield listening


@pytest.fixture
async def client(port: int) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connected = await asyncpg.connect(database)
    yield connected
    await connected.close()


@pytest.fixture(scope="session")
def signers() -> dict[str, Signer]:
    return signers_at()
