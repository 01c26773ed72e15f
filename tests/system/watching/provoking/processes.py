"""Provokes the alerts of processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.releases.kept import copy_program
from tests.system.watching.provoking.house import House, without


@asynccontextmanager
async def process_down(house: House) -> AsyncIterator[None]:
    async with without(house, "notify"):
        yield


@asynccontextmanager
async def database_unavailable(house: House) -> AsyncIterator[None]:
    await house.postgres.stop()
    yield
    await house.postgres.start()


@asynccontextmanager
async def schema_unfit(house: House) -> AsyncIterator[None]:
    await house.execute(
        "INSERT INTO schema_versions (version, name, oldest_program, finished_at) VALUES (9999, 'later', 9999, now())"
    )
    yield
    await house.execute("DELETE FROM schema_versions WHERE version = 9999")


@asynccontextmanager
async def policy_refused(house: House) -> AsyncIterator[None]:
    house.stack.policy.write_text('[unmatched]\ncase = "2x"\n')
    yield
    house.stack.policy.write_text('[unmatched]\ncase = "2h"\n')


@asynccontextmanager
async def accounts_refused(house: House) -> AsyncIterator[None]:
    house.stack.configure(secret="short")
    yield
    house.stack.configure()


@asynccontextmanager
async def versions_differ(house: House) -> AsyncIterator[None]:
    later = copy_program(Path(house.stack.directory) / house.name())
    init = later / "tillkeeper" / "__init__.py"
    init.write_text(init.read_text().replace("__version__ = ", '__version__ = "9.9.9"  # '))
    await house.stack.kill("notify")
    await house.stack.start("notify", PYTHONPATH=str(later), PYTHONSAFEPATH="1")  # not of this folder
    yield
    await house.stack.kill("notify")
    await house.stack.start("notify")
