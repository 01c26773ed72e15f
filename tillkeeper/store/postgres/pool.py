"""Connections to PostgreSQL: opened with limits on every wait, and refused where the server could lose a commit."""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import asyncpg
import msgspec

from tillkeeper.store.postgres.connections import Connection, Pool
from tillkeeper.store.postgres.sqlstates import ReadOnlyDatabase, UnsafeDatabase

Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

POOL_ACQUIRE_S: Final = 2.0  # asyncpg waits forever unless told otherwise
CONNECT_S: Final = 5.0
COMMAND_S: Final = 30.0  # a batch of hundreds under load; the receiver sets its own, shorter one


REQUIRED_SETTINGS: Final = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write"),
}


async def open_pool(
    database_url: str,
    *,
    max_size: int,
    min_size: int = 1,
    command_timeout_s: float = COMMAND_S,
    statement_timeout_s: float | None = None,
    by_key: bool = False,
) -> Pool:
    """Returns a pool on servers that keep what they commit: every new connection is checked, also after a failover.

    `by_key` is for who looks up rows by their keys and nothing else.  `statement_timeout_s` has the server give up by
    itself, too.  Raises UnsafeDatabase, or one of DATABASE_ERRORS.
    With `min_size` 0 it connects, and may raise, at its first use.
    """

    async def init(conn: Connection) -> None:
        await refuse_unsafe(conn)
        if by_key and not conn.is_behind_pooler:  # where nothing is prepared, no plan grows old
            await conn.execute(PLAN_BY_KEY)
        if statement_timeout_s is not None and not conn.is_behind_pooler:
            await conn.fetchval(GIVE_UP_AFTER, str(int(statement_timeout_s * 1000)))

    return await Pool(
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

GIVE_UP_AFTER = "SELECT set_config('statement_timeout', $1, false)"

SERVER_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])"
IN_RECOVERY = "SELECT pg_is_in_recovery()"
IS_READ_ONLY = "SELECT current_setting('transaction_read_only')::boolean"


async def refuse_unsafe(conn: Conn) -> None:
    """Raises UnsafeDatabase, naming what to change."""
    for name, setting in await conn.fetch(SERVER_SETTINGS, list(REQUIRED_SETTINGS)):
        if setting not in REQUIRED_SETTINGS[name]:
            raise UnsafeDatabase(f"PostgreSQL runs with {name} = {setting}; set it to {REQUIRED_SETTINGS[name][0]}")
    if await conn.fetchval(IN_RECOVERY):
        raise UnsafeDatabase("this PostgreSQL is a standby; name the primary, or add target_session_attrs=read-write")
    if await conn.fetchval(IS_READ_ONLY):
        raise ReadOnlyDatabase("this PostgreSQL is read-only; set default_transaction_read_only to off")


def rows_of(status: str) -> int:
    """Returns the count in a command tag such as "INSERT 0 12"."""
    found = re.search(r"(\d+)$", status)
    return int(found.group(1)) if found else 0


def as_json(rows: Sequence[object]) -> str:
    """Rows by column name, for json_populate_recordset: half the client's cost of an array for each column."""
    return msgspec.json.encode(rows).decode()
