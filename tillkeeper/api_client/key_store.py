"""Stores fetched keys in the database, for receivers that start and for those beside this one."""

import asyncio
from typing import Final

import asyncpg
import structlog

from tillkeeper.store.accounts.keys import LearntKey, keep_learnt, learnt_keys
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

WAIT_S: Final = 2.0  # a gateway waits for its response meanwhile


class KeyStore:
    """Reads and stores the keys of all accounts.  Without the database none are found and none stored."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keys_of(self, account: str) -> list[LearntKey]:
        """Returns the account's fetched keys, the oldest first."""
        try:
            async with asyncio.timeout(WAIT_S), self._pool.acquire(timeout=WAIT_S) as conn:
                return await learnt_keys(conn, account)
        except DATABASE_ERRORS as error:
            log.warning("fetched_keys_not_read", account=account, error=repr(error))
            return []

    async def put(self, account: str, key: LearntKey) -> None:
        """Stores a key, if the database is available."""
        try:
            async with asyncio.timeout(WAIT_S), self._pool.acquire(timeout=WAIT_S) as conn, conn.transaction():
                await keep_learnt(conn, account, key)
        except DATABASE_ERRORS as error:
            log.warning("fetched_key_not_stored", account=account, error=repr(error))
