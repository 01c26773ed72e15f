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
from tillkeeper.outage import Outage, database_outage
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

    def __init__(self, stop: asyncio.Event, outage: Outage | None = None) -> None:
        """`outage` is told in the log once for all that share it."""
        self._stop = stop
        self.outage = outage or database_outage()

    async def until_available(
        self, work: Callable[[], Awaitable[Result]], *, contended_attempts: int | None = CONTENDED_ATTEMPTS
    ) -> Result:
        """Runs `work`, which must be safe to repeat, until it succeeds.  Raises Stopped, or what is no outage."""
        contended, user = 0, object()

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
            before_sleep=lambda state: self._note_wait(user, state),
            retry_error_callback=_give_up,
        )

        async def attempt() -> Result:  # tenacity awaits only coroutine functions
            return await work()

        try:
            result: Result = await retrying(attempt)
        except Stopped:
            raise
        except Exception:
            self.outage.recovered(user)  # the database answered
            raise
        self.outage.recovered(user)
        return result

    def _note_wait(self, user: object, state: RetryCallState) -> None:
        DATABASE_WAITS.inc()
        error = state.outcome.exception() if state.outcome else None
        if error is not None and is_contention(error):
            self.outage.recovered(user)
            log.warning("database_contended", attempt=state.attempt_number, error=type(error).__name__)
        elif not isinstance(error, WriteConflict):
            self.outage.failed(user, error)

    async def transact(self, pool: asyncpg.Pool, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Runs `work` in a transaction of its own, until it is committed.  Raises Stopped, or what is no outage."""
        return await self.until_available(lambda: repeat_on_conflict(pool, work))


async def refuse_unfit(pool: Pool, schema: SchemaWatch, retry: DatabaseRetry) -> None:
    """Checks the schema once the database is available.  Raises SchemaUnfit, which no waiting cures, or Stopped."""
    await retry.until_available(lambda: schema.look(pool))
    schema.refuse_unfit()


def _give_up(state: RetryCallState) -> None:
    raise Stopped from (state.outcome.exception() if state.outcome else None)
