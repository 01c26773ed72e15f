"""Retries a worker's database work until the database is available; apply.py says what becomes of other failures."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from tillkeeper.domain.backoff import DATABASE
from tillkeeper.loops import pause
from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.store.postgres.connections import Pool
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import WriteConflict, is_contention, is_outage
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.telemetry import DATABASE_WAITS

log = structlog.get_logger()

Result = TypeVar("Result")

CONTENDED_ATTEMPTS: Final = 3


class Stopped(Exception):
    """The process was stopped before the database came back.  The work is not done and comes again."""


class DatabaseRetry:
    """Retries without a limit, until `stop` is set: an outage parks nothing.

    Under contention it makes `contended_attempts` attempts, or any number if that is None; then the caller should try
    less at once, or something else first.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    async def until_available(
        self, work: Callable[[], Awaitable[Result]], *, contended_attempts: int | None = CONTENDED_ATTEMPTS
    ) -> Result:
        """Runs `work`, which must be safe to repeat, until it succeeds.  Raises Stopped, or what is no outage."""
        contended = 0

        def goes_on(error: BaseException) -> bool:
            nonlocal contended
            contended += is_contention(error)
            if is_contention(error):
                return contended_attempts is None or contended < contended_attempts
            return is_outage(error) or isinstance(error, WriteConflict)

        retrying = AsyncRetrying(
            retry=retry_if_exception(goes_on),
            wait=lambda state: DATABASE.pause_s(state.attempt_number, random.uniform),
            stop=lambda _: self._stop.is_set(),
            sleep=lambda seconds: pause(self._stop, seconds),
            before_sleep=_log_wait,
            retry_error_callback=_give_up,
        )

        async def attempt() -> Result:  # tenacity awaits only coroutine functions
            return await work()

        return await retrying(attempt)

    async def transact(self, pool: asyncpg.Pool, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Runs `work` in a transaction of its own, until it is committed.  Raises Stopped, or what is no outage."""
        return await self.until_available(lambda: repeat_on_conflict(pool, work))


async def refuse_unfit(pool: Pool, schema: SchemaWatch, retry: DatabaseRetry) -> None:
    """Checks the schema once the database is available.  Raises SchemaUnfit, which no waiting cures, or Stopped."""
    await retry.until_available(lambda: schema.look(pool))
    schema.refuse_unfit()


def _log_wait(state: RetryCallState) -> None:
    DATABASE_WAITS.inc()
    error = state.outcome.exception() if state.outcome else None
    fields = {"attempt": state.attempt_number, "error": type(error).__name__, "text": str(error)[:200]}
    if error is not None and is_contention(error):
        log.warning("database_contended", **fields)
    else:
        log.warning("database_unavailable", **fields)


def _give_up(state: RetryCallState) -> None:
    raise Stopped from (state.outcome.exception() if state.outcome else None)
