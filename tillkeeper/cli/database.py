"""Runs the database work of commands, and turns its failures into lines and exit codes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import asyncpg

from tillkeeper.cli.errors import SCHEMA_UNFIT, UNAVAILABLE, WRONG, CommandError
from tillkeeper.logs import mask, one_line
from tillkeeper.settings import Settings
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.sqlstates import (
    DATABASE_ERRORS,
    SchemaMissing,
    SchemaUnfit,
    UnsafeDatabase,
    is_contention,
    is_passing,
)
from tillkeeper.store.schema.versions import refuse_unfit

Result = TypeVar("Result")

CONNECTIONS: Final = 4  # opened as they are needed: one reads, one writes, one holds a lock meanwhile
# Waiting does not help with these.
REFUSALS: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)
NO_SCHEMA: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


def ask(settings: Settings, query: Callable[[asyncpg.Pool], Awaitable[Result]]) -> Result:
    """Runs a query on a pool of its own.  Raises CommandError."""

    async def answer() -> Result:
        async with await open_pool(settings.database_url, max_size=CONNECTIONS) as pool:
            await refuse_unfit(pool)  # or an older schema's empty table would be good news
            return await query(pool)

    with database_failures(settings):
        return asyncio.run(answer())


@contextmanager
def database_failures(settings: Settings) -> Iterator[None]:
    """Raises CommandError where the database is unavailable or refuses."""
    try:
        yield
    except UnicodeError:
        raise CommandError("database_url: a host name in it cannot be looked up", code=WRONG) from None
    except DATABASE_ERRORS as error:
        if not is_passing(error):
            raise
        raise command_error_of(error, settings.database_url) from None


def command_error_of(error: BaseException, database_url: str) -> CommandError:
    """Returns the command's error for one of DATABASE_ERRORS."""
    where = mask(database_url)
    if isinstance(error, SchemaUnfit):
        code = WRONG if isinstance(error, SchemaMissing) else SCHEMA_UNFIT
        return CommandError(f"the database {where}: {error}", code=code)
    if isinstance(error, asyncpg.ClientConfigurationError):
        return CommandError(f"database_url: {one_line(error)}", code=WRONG)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return CommandError(
            f"the database {where} refuses: {one_line(error)}; the schema is its owner's to change, with `tillkeeper "
            "db init` and `db upgrade`, and rights are what deploy/roles.sql grants",
            code=WRONG,
        )
    if isinstance(error, REFUSALS):
        return CommandError(f"the database {where} refuses: {one_line(error)}; check database_url", code=WRONG)
    if isinstance(error, NO_SCHEMA):
        return CommandError(
            f"the database {where} lacks what this version needs: {one_line(error)}; `tillkeeper db status` says more",
            code=SCHEMA_UNFIT,
        )
    if is_contention(error):
        line = f"others hold what this needs: {one_line(error)}; try again"
    elif isinstance(error, UnsafeDatabase):
        line = one_line(error)
    else:
        line = f"the database {where} is out of reach: {one_line(error)}"
    return CommandError(line, code=UNAVAILABLE)
