"""A pool and its connections, which watch the result of each statement.

a commit that stopped waiting for its standby           is no success: NotReplicated
a failure of the server, not of the statement           also replaces the other connections of the pool
a pooler such as PgBouncer between us and the server    each statement runs in a transaction, nothing is prepared
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg

from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, NotReplicated, SchemaUnfit, condemns_peers

Answer = TypeVar("Answer")

PING_AFTER_S: Final = 5.0  # unused for so long; a connection in use costs no extra round trip
PING_S: Final = 1.0
CLOSE_S: Final = 5.0
LEAVE_S: Final = 2.0
CONDEMN_EVERY_S: Final = 1.0
POOL_DEFAULTS: Final = {"max_queries": 50_000, "max_inactive_connection_lifetime": 300.0}  # asyncpg's own
BEGIN: Final = "BEGIN;"  # how asyncpg begins a transaction
SYNC_REP_SOURCE: Final = "syncrep.c"  # the source of PostgreSQL's warning about standbys, in whatever language


class Connection(asyncpg.Connection):
    """A connection of a pool.  `condemn_peers` is called after a failure of the server."""

    condemn_peers: Callable[[], None] = staticmethod(lambda: None)
    is_behind_pooler: bool = False
    memory: dict[object, Any] | None = None  # of its pool: what may be known between transactions on this server
    _begins_with: str = ""
    _answered_at_s: float = 0.0
    _stopped_waiting: bool = False

    def begin_with(self, statement: str) -> None:
        """Has the next transaction begin with this statement in the same message, for one more is a round trip more."""
        self._begins_with = statement

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
        """As asyncpg's own."""
        if self._begins_with and query == BEGIN:
            query, self._begins_with = f"{BEGIN} {self._begins_with}", ""
        run = super().execute
        return await self._watched(lambda: run(query, *args, timeout=timeout), simple=not args)

    async def executemany(
        self,
        command: str,
        args: Iterable[Sequence[object]],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """As asyncpg's own."""
        run = super().executemany
        await self._watched(lambda: run(command, args, timeout=timeout))

    async def fetch(self, query: str, *args: object, **options: Any) -> Any:
        """As asyncpg's own."""
        run = super().fetch
        return await self._watched(lambda: run(query, *args, **options))

    async def fetchrow(self, query: str, *args: object, **options: Any) -> Any:
        """As asyncpg's own."""
        run = super().fetchrow
        return await self._watched(lambda: run(query, *args, **options))

    async def fetchval(self, query: str, *args: object, **options: Any) -> Any:
        """As asyncpg's own."""
        run = super().fetchval
        return await self._watched(lambda: run(query, *args, **options))

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """As asyncpg's own, with a time limit: a dead connection never answers, and others wait for its place."""
        try:
            await super().close(timeout=min(timeout or LEAVE_S, LEAVE_S))
        except (TimeoutError, OSError):
            self.terminate()

    async def ping_if_idle(self) -> None:
        """Raises where a connection that was not used for a while does not answer."""
        if asyncio.get_running_loop().time() - self._answered_at_s < PING_AFTER_S:
            return
        try:
            await self.execute("SELECT 1", timeout=PING_S)
        except BaseException:
            self.terminate()  # closing in order would wait for an answer
            raise

    async def _watched(self, run: Callable[[], Awaitable[Answer]], *, simple: bool = False) -> Answer:
        """Runs a statement and returns its result.  If `simple`, it is one message, which no pooler can split."""
        self._stopped_waiting = False
        try:
            if self.is_behind_pooler and not simple and not self.is_in_transaction():
                async with self.transaction():
                    answer = await run()
            else:
                answer = await run()
        except BaseException as error:
            # Cancelled: it took longer than its caller waits.
            if condemns_peers(error) or isinstance(error, asyncio.CancelledError):
                self.condemn_peers()
            raise
        self._answered_at_s = asyncio.get_running_loop().time()
        if self._stopped_waiting:
            raise NotReplicated("PostgreSQL stopped waiting for synchronous replication: the commit may not last")
        return answer

    def _process_log_message(self, fields: dict[str, str], last_query: str) -> None:
        """Reads each notice as it comes in.  asyncpg's listeners end with each use of a pooled connection."""
        if fields.get("F") == SYNC_REP_SOURCE:
            self._stopped_waiting = True
        super()._process_log_message(fields, last_query)  # type: ignore[misc]  # private


OUR_BACKEND = "SELECT pg_backend_pid()"


async def is_pooled(conn: asyncpg.Connection) -> bool:
    """Returns whether a pooler stands between: it cannot know the backend's pid when it greets.

    The connection must prepare nothing (statement_cache_size=0).
    """
    async with conn.transaction():
        return bool(await conn.fetchval(OUR_BACKEND) != conn.get_server_pid())


class Pool(asyncpg.Pool):
    """A pool whose connections are replaced together after a failure of the server."""

    _generation: int  # asyncpg's: connections of an earlier generation are replaced at their next use

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(
            *args,
            **{**POOL_DEFAULTS, **options},
            connect=self._open,
            setup=_ping,
            connection_class=Connection,
            record_class=asyncpg.Record,
            loop=None,
        )
        self._is_pooled: bool | None = None  # whether a pooler stands between; unknown before the first connection
        self._condemned_at_s = float("-inf")
        self._memory: dict[object, Any] = {}
        self.schema_unfit = ""  # why nobody is to have a connection at present, if so

    async def _open(self, *args: Any, **options: Any) -> Connection:
        if self._is_pooled is None:
            probe = await asyncpg.connect(*args, **{**options, "statement_cache_size": 0})
            try:
                self._is_pooled = await is_pooled(probe)
            finally:
                probe.terminate()
        if self._is_pooled:
            options["statement_cache_size"] = 0  # the server of the next statement may not know it
        conn: Connection = await asyncpg.connect(*args, **options)
        conn.is_behind_pooler = self._is_pooled
        conn.condemn_peers = self.condemn
        self._memory.clear()  # it may be another server, after a failover
        conn.memory = None if self._is_pooled else self._memory
        return conn

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
        """Acquires a connection that answers: after one that does not, all are condemned, and the next is a new one.

        Raises SchemaUnfit where somebody found that.
        """
        if self.schema_unfit:
            raise SchemaUnfit(self.schema_unfit)
        return await self._acquire_answering(timeout)

    @asynccontextmanager
    async def acquire_all_the_same(self, *, timeout_s: float) -> AsyncIterator[Any]:
        """Yields a connection for who looks whether the schema is fit again."""
        conn = await self._acquire_answering(timeout_s)
        try:
            yield conn
        finally:
            await self.release(conn)

    async def _acquire_answering(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
        before = self._generation
        try:
            return await super()._acquire(timeout)  # type: ignore[misc]  # private
        except DATABASE_ERRORS:
            if self._generation == before:
                raise
        return await super()._acquire(timeout)  # type: ignore[misc]

    async def close(self) -> None:
        """As asyncpg's own, with a time limit: a dead connection never answers."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await super().close()
        except TimeoutError:
            self.terminate()

    def condemn(self) -> None:
        """Has every open connection replaced at its next use; at intervals, for a slow database must not be flooded."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._condemned_at_s >= CONDEMN_EVERY_S:
            self._condemned_at_s = now_s
            self._generation += 1  # as expire_connections() does, without awaiting


async def _ping(conn: Any) -> None:
    await conn.ping_if_idle()
