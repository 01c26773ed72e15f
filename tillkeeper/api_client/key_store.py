"""Keys that were fetched, kept in the database for receivers that start, and for those beside this one."""

import asyncio
from typing import Final

import asyncpg
import structlog

from tillkeeper.store.accounts.keys import LearntKey, keep_learnt, learnt_keys
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

WAIT_S: Final = 2.0  # a gateway waits for what comes of it


class KeyStore:
    """The keys of all accounts.  Without the database none are found, and none are kept."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keys_of(self, account: str) -> list[LearntKey]:
        """The oldest first."""
        try:
            async with asyncio.timeout(WAIT_S), self._pool.acquire(timeout=WAIT_S) as conn:
                return await learnt_keys(conn, account)
        except DATABASE_ERRORS as error:
            log.warning("learnt_keys_not_read", account=account, error=repr(error))
            return []

    async def put(self, account: str, key: LearntKey) -> None:
        """Has it kept, if it can be."""
        try:
            async with asyncio.timeout(WAIT_S), self._pool.acquire(timeout=WAIT_S) as conn, conn.transaction():
                await keep_learnt(conn, account, key)
        except DATABASE_ERRORS as error:
            log.warning("learnt_key_not_kept", account=account, error=repr(error))
