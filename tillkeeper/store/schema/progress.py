"""Tells how far an index is that is built concurrently, and how large a table is that a step is about."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from tillkeeper.store.postgres.pool import CONNECT_S, Conn

LOOK_EVERY_S: Final = 1.0

# Of this database, where one is built at a time.
INDEX_PROGRESS = """
SELECT blocks_done, blocks_total FROM pg_stat_progress_create_index WHERE datname = current_database() LIMIT 1
"""
SIZES = """
SELECT relname AS name, greatest(reltuples, 0)::bigint AS rows, pg_table_size(oid) AS bytes
FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""


@asynccontextmanager
async def watched_index(database_url: str, tell: Callable[[int, int], None]) -> AsyncIterator[None]:
    """Tells every second how many blocks are read, of how many, while inside."""
    watching = asyncio.ensure_future(_watch(database_url, tell))
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, asyncpg.PostgresError, OSError, TimeoutError):
            await watching


async def _watch(database_url: str, tell: Callable[[int, int], None]) -> None:
    conn = await asyncpg.connect(database_url, timeout=CONNECT_S, statement_cache_size=0)
    try:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if (row := await conn.fetchrow(INDEX_PROGRESS)) is not None:
                tell(row["blocks_done"], row["blocks_total"])
    finally:
        conn.terminate()


async def table_sizes(conn: Conn) -> dict[str, tuple[int, int]]:
    """Returns, by table, its rows as last estimated and its bytes."""
    return {row["name"]: (row["rows"], row["bytes"]) for row in await conn.fetch(SIZES)}
