"""One at a time reconciles an account: whoever comes second is told so.

The lock belongs to a transaction that is left open, for a session's lock is nobody's behind a pooler.  It holds no
snapshot, and ends with its connection: whoever dies holds nothing up.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tillkeeper.store.postgres.pool import POOL_ACQUIRE_S, Conn

TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('tillkeeper reconcile ' || $1, 0))"
STAY_OPEN = "SET LOCAL idle_in_transaction_session_timeout = 0"


class AnotherReconciles(Exception):
    """Somebody else reconciles this account at present."""


@asynccontextmanager
async def alone_at(pool: asyncpg.Pool, account: str) -> AsyncIterator[None]:
    """Holds the account's lock while inside.  Raises AnotherReconciles."""
    async with pool.acquire(timeout=POOL_ACQUIRE_S) as conn, conn.transaction():
        await conn.execute(STAY_OPEN)
        if not await try_lock(conn, account):
            raise AnotherReconciles
        yield


async def try_lock(conn: Conn, account: str) -> bool:
    """Takes the account's lock for the caller's transaction; returns False where somebody else has it."""
    return bool(await conn.fetchval(TRY_LOCK, account))
