"""What a worker does while the database is out of reach: waits, and takes the same work up again."""

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
from tillkeeper.store.postgres.transactions import repeat_when_raced
from tillkeeper.telemetry import DATABASE_WAITS

log = structlog.get_logger()

Result = TypeVar("Result")

CONTENDED_ATTEMPTS: Final = 3


class Stopped(Exception):
    """The process was told to stop before the database came back.  The work is not done and comes again."""


class Outage:
    """Waits for the database without an end but `stop`: an outage parks nothing.

    A contention it tries `contended_attempts` times, without an end if that is None; then whoever can do with less, or
    with something else first, is to.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    async def wait_out(
        self, work: Callable[[], Awaitable[Result]], *, contended_attempts: int | None = CONTENDED_ATTEMPTS
    ) -> Result:
        """Runs `work`, which is safe to repeat, until it is done.  Raises Stopped, or what is no outage."""
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
            before_sleep=_tell,
            retry_error_callback=_give_up,
        )

        async def attempt() -> Result:  # tenacity awaits only what it sees to be a coroutine function
            return await work()

        return await retrying(attempt)

    async def transact(self, pool: asyncpg.Pool, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Runs `work` in a transaction of its own, until it is committed.  Raises Stopped, or what is no outage."""
        return await self.wait_out(lambda: repeat_when_raced(pool, work))


async def refuse_unfit(pool: Pool, schema: SchemaWatch, outage: Outage) -> None:
    """Looks at the schema once the database answers.  Raises SchemaUnfit, which waiting does not cure, or Stopped."""
    await outage.wait_out(lambda: schema.look(pool))
    schema.refuse_unfit()


def _tell(state: RetryCallState) -> None:
    DATABASE_WAITS.inc()
    error = state.outcome.exception() if state.outcome else None
    told = {"attempt": state.attempt_number, "error": type(error).__name__, "text": str(error)[:200]}
    if error is not None and is_contention(error):
        log.warning("database_contended", **told)
    else:
        log.warning("database_unavailable", **told)


def _give_up(state: RetryCallState) -> None:
    raise Stopped from (state.outcome.exception() if state.outcome else None)
