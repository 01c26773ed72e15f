"""Runs whole transactions, and repeats them after conflicts."""

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from tillkeeper.domain.backoff import TRANSACTION
from tillkeeper.store.postgres import stages
from tillkeeper.store.postgres.connections import Connection
from tillkeeper.store.postgres.pool import POOL_ACQUIRE_S, Conn
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, WriteConflict
from tillkeeper.store.postgres.stages import Stage

Result = TypeVar("Result")

# Two transactions conflicted; the one that was rolled back succeeds when it is repeated.
CONFLICTS: Final = (
    WriteConflict,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,  # the schema changed under a prepared statement
)

# A batch locks its orders for a fraction of a second, and a deadlock for one or two; a lock that is held for longer
# than this will not be released soon.
LOCK_WAIT_S: Final = 5.0

COMMIT_WAITS = "SELECT pg_logical_emit_message(true, 'tillkeeper', '')"


async def wait_for_standbys(conn: Conn) -> None:
    """Makes the commit wait for the standbys although the transaction found its work done and writes nothing.

    The commit of that work may have been cut off while it waited for them: then it is on this server alone.
    """
    await conn.execute(COMMIT_WAITS)


async def repeat_on_conflict(
    pool: asyncpg.Pool, work: Callable[[Conn], Awaitable[Result]], *, lock_wait_s: float = LOCK_WAIT_S
) -> Result:
    """Runs `work` in a transaction of its own, and repeats it whole when another transaction was first.

    It waits for each lock up to `lock_wait_s`, and then raises a contention (store/postgres/sqlstates.py).
    """
    lock_timeout = f"SET LOCAL lock_timeout = {int(lock_wait_s * 1000)}"
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(CONFLICTS),
        stop=stop_after_attempt(TRANSACTION.attempts_max),
        wait=lambda state: TRANSACTION.pause_s(state.attempt_number, random.uniform),
        reraise=True,
    ):
        with attempt, stages.transaction() as trace:
            async with pool.acquire(timeout=POOL_ACQUIRE_S) as conn:
                cast("Connection", conn).begin_with(lock_timeout + trace)
                async with conn.transaction():
                    result = await work(conn)
                    stages.enter(Stage.COMMIT)
                    return result
    raise AssertionError("tenacity either returns or raises")


ANSWER_S: Final = 2.0


async def answers(pool: asyncpg.Pool) -> bool:
    """Returns whether the server answers at all."""
    try:
        async with pool.acquire(timeout=POOL_ACQUIRE_S) as conn:
            await conn.execute("SELECT", timeout=ANSWER_S)
    except DATABASE_ERRORS:
        return False
    return True
