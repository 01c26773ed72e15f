"""Connections to PostgreSQL: opened with limits on every wait, and refused where the server could lose a commit."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
import msgspec

Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

POOL_ACQUIRE_S: Final = 2.0  # asyncpg waits forever unless told otherwise
CONNECT_S: Final = 5.0
COMMAND_S: Final = 30.0  # a batch of hundreds under load; the receiver sets its own, shorter one


class UnsafeDatabase(Exception):
    """The server is set up so that it may lose what it said was committed."""


# The database is out of reach, restarting, full or misconfigured: nothing that another event would cure.
DATABASE_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state", seen when a server is killed
    OSError,
    TimeoutError,
    UnsafeDatabase,
)
# SQLSTATE classes that blame the data: wrong values, broken constraints, limits passed.
_DATA_CLASSES: Final = frozenset({"22", "23", "54", "P0"})

REQUIRED_SETTINGS: Final = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write"),
}


def blames_data(error: BaseException) -> bool:
    """True where the same statement would fail again for its values."""
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] in _DATA_CLASSES


def is_outage(error: BaseException) -> bool:
    """True where the world has to change before the same work can succeed."""
    return isinstance(error, DATABASE_ERRORS) and not blames_data(error)


async def open_pool(
    database_url: str, *, max_size: int, min_size: int = 1, command_timeout_s: float = COMMAND_S, by_key: bool = False
) -> asyncpg.Pool:
    """A pool on servers that keep what they commit: every new connection is checked, also after a failover.

    `by_key` is for who looks up rows by their keys and nothing else.  Raises UnsafeDatabase, or one of DATABASE_ERRORS.
    With `min_size` 0 it connects, and may raise, at its first use.
    """

    async def init(conn: Conn) -> None:
        await refuse_unsafe(conn)
        if by_key:
            await conn.execute(PLAN_BY_KEY)

    return await asyncpg.create_pool(
        database_url,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_S,
        command_timeout=command_timeout_s,
        init=init,
        reset=_reset,
    )


async def _reset(conn: Conn) -> None:
    """Nothing here outlives a transaction, so asyncpg's own reset would be a round trip for nothing."""
    if conn.is_in_transaction():
        await conn.reset()


# A plan that reads a whole table, made while that was small, stays in use while it grows.
PLAN_BY_KEY = "SELECT set_config('enable_seqscan', 'off', false)"

SERVER_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])"
IN_RECOVERY = "SELECT pg_is_in_recovery()"


async def refuse_unsafe(conn: Conn) -> None:
    """Raises UnsafeDatabase, naming what to change."""
    for name, setting in await conn.fetch(SERVER_SETTINGS, list(REQUIRED_SETTINGS)):
        if setting not in REQUIRED_SETTINGS[name]:
            raise UnsafeDatabase(f"PostgreSQL runs with {name} = {setting}; set it to {REQUIRED_SETTINGS[name][0]}")
    if await conn.fetchval(IN_RECOVERY):
        raise UnsafeDatabase("this PostgreSQL is a standby; name the primary, or add target_session_attrs=read-write")


SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tillkeeper schema', 0))"


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"


async def create_schema(database_url: str) -> list[str]:
    """Runs schema.sql in one transaction; returns the tables that were not there before.

    Safe to repeat, and to run from several processes at once.
    """
    conn = await asyncpg.connect(database_url, timeout=CONNECT_S, command_timeout=COMMAND_S)
    try:
        async with conn.transaction():
            await conn.execute(SCHEMA_LOCK)
            before = {row["tablename"] for row in await conn.fetch(TABLES)}
            await conn.execute(schema_sql())
            return [row["tablename"] for row in await conn.fetch(TABLES) if row["tablename"] not in before]
    finally:
        await conn.close()


def schema_sql() -> str:
    """The text of schema.sql, from the package or, in a checkout, from the top level."""
    packaged = Path(__file__).parent / "schema.sql"
    return (packaged if packaged.exists() else Path(__file__).parents[2] / "schema.sql").read_text()


def rows_of(status: str) -> int:
    """The count in a command tag such as "INSERT 0 12"."""
    found = re.search(r"(\d+)$", status)
    return int(found.group(1)) if found else 0


def as_json(rows: Sequence[object]) -> str:
    """Rows by column name, for json_populate_recordset: half the client's cost of an array for each column."""
    return msgspec.json.encode(rows).decode()
