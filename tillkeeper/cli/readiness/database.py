"""Looks at the database: whether it is there and keeps what it commits, its schema, our rights, and its clock."""

from collections.abc import AsyncIterator

import asyncpg

from tillkeeper import clock
from tillkeeper.cli.database import command_error_of
from tillkeeper.cli.readiness.clocks import clock_finding
from tillkeeper.cli.readiness.finding import ReadinessFinding, ok, to_do, wrong
from tillkeeper.logs import mask
from tillkeeper.packaged import packaged
from tillkeeper.settings import Settings
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, SchemaMissing
from tillkeeper.store.reports.clock import clock_offset
from tillkeeper.store.reports.rights import Rights, read_grants, rights
from tillkeeper.store.schema.files import newest_version
from tillkeeper.store.schema.upgrading import connected
from tillkeeper.store.schema.versions import schema_version, unfitness

LACKING_SHOWN = 5


async def database(settings: Settings) -> AsyncIterator[ReadinessFinding]:
    """Yields the lines about the database.  Raises nothing."""
    where = mask(settings.database_url)
    try:
        async with connected(settings.database_url) as conn:
            server = conn.get_server_version()
            yield ok("database", f"{where}: PostgreSQL {server.major}.{server.minor}, which keeps what it commits")
            async for finding in _inside(conn):
                yield finding
    except UnicodeError:
        yield wrong("database", "database_url: a host name in it cannot be looked up", "correct the name")
    except DATABASE_ERRORS as error:
        [line, *_] = command_error_of(error, settings.database_url).lines
        yield wrong("database", line, "start it, or correct database_url; createdb makes what does not exist")


async def _inside(conn: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[ReadinessFinding]:
    found = await schema_version(conn)
    unfit = unfitness(found, made_for=newest_version())
    if unfit is None:
        yield ok("schema", f"version {found.version}, which this program may serve")
        yield await _rights(conn)
    elif isinstance(unfit, SchemaMissing):
        yield to_do("schema", "there is none", "tillkeeper db init (`tillkeeper run` does so by itself)")
    else:
        yield to_do("schema", str(unfit), "tillkeeper db upgrade --dry-run, then without --dry-run")
    offset, uncertain = await clock_offset(conn, clock.now)
    yield clock_finding("the database", offset, uncertain)


async def _rights(conn: Conn) -> ReadinessFinding:
    seen = await rights(conn, read_grants(packaged("roles.sql").read_text()))
    if seen.lacking:
        shown = ", ".join(seen.lacking[:LACKING_SHOWN])
        more = f" and {len(seen.lacking) - LACKING_SHOWN} more" if len(seen.lacking) > LACKING_SHOWN else ""
        return wrong(
            "rights",
            f"{seen.user} may not {shown}{more}",
            "as the owner of the tables: tillkeeper db roles | psql OWNER_URL --set ON_ERROR_STOP=1 "
            f"--single-transaction; and put {seen.user} into the group of its process",
        )
    return ok("rights", _who(seen))


def _who(seen: Rights) -> str:
    if seen.is_superuser:
        return f"{seen.user} is a superuser and may do anything; `tillkeeper db roles` makes groups that may do less"
    if seen.is_owner:
        return f"{seen.user} owns the tables; `tillkeeper db roles` makes groups that may do less"
    return f"{seen.user} has the rights of {', '.join(seen.groups) or 'every process'}"
