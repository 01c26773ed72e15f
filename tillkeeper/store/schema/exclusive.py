"""One program at a time changes the schema: whoever comes second waits, and then finds it done.

The lock belongs to a transaction that is left open on a connection of its own, for a session's lock is nobody's behind
a pooler.  It holds no snapshot, so that neither vacuum nor an index that is built concurrently waits for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from tillkeeper.store.postgres.pool import CONNECT_S

LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('tillkeeper schema', 0))"
STAY_OPEN: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
LOOK_EVERY_S: Final = 0.5
ANSWER_S: Final = 10.0


class Exclusive:
    """The lock while it is held."""

    def __init__(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._conn = conn

    async def check(self) -> None:
        """Raises where the connection is gone, and the lock with it."""
        await self._conn.execute("SELECT", timeout=ANSWER_S)


@asynccontextmanager
async def exclusively(database_url: str, *, waiting: Callable[[], object] | None = None) -> AsyncIterator[Exclusive]:
    """Holds the lock while inside; calls `waiting` once where somebody else has it."""
    conn = await asyncpg.connect(database_url, timeout=CONNECT_S, statement_cache_size=0)
    try:
        while not await _locked(conn):
            if waiting is not None:
                waiting()
                waiting = None
            await asyncio.sleep(LOOK_EVERY_S)
        yield Exclusive(conn)
    finally:
        conn.terminate()


async def _locked(conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Leaves a transaction open that has the lock, or none."""
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(STAY_OPEN)
    if await conn.fetchval(LOCK, timeout=ANSWER_S):
        return True
    await transaction.rollback()
    return False
