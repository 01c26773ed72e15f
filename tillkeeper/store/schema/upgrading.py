"""Brings a database to the schema that this program was made for, while others serve it.

What is done is written down step by step, so that an upgrade which was cut off goes on where it stopped.  A step that
must keep others out waits for its locks for two seconds at most, lets everybody by, and tries again.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from tillkeeper.domain.backoff import MIGRATION_LOCK
from tillkeeper.store.postgres.connections import is_pooled
from tillkeeper.store.postgres.pool import CONNECT_S, Conn, refuse_unsafe
from tillkeeper.store.postgres.sqlstates import SchemaMissing
from tillkeeper.store.schema.exclusive import Exclusive, exclusively
from tillkeeper.store.schema.files import Migration, MigrationStep, left_to_do
from tillkeeper.store.schema.make_weeks import make_weeks, server_time
from tillkeeper.store.schema.progress import watched_index
from tillkeeper.store.schema.versions import FIRST, schema_version, unfitness

LOCK_WAIT_S: Final = 2.0  # for as long, others queue behind a step that waits for its locks
NOTICE_S: Final = 3.0  # processes look at the version every second: those that may not go on have stopped by then
BATCH_REST: Final = 0.5  # of the time that a batch took, so that backfills leave room for the others
LOCKS_IN_THE_WAY: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class ChangedMigration(Exception):
    """A migration that was run is not the one in this program's files."""


class UpgradeProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a step is, for people: `done` of `total` keys or blocks; nothing of nothing where it is not counted."""

    migration: Migration
    step: int  # from 0
    done: int = 0
    total: int = 0
    waits_for: str = ""  # what keeps it waiting


Report: TypeAlias = Callable[[UpgradeProgress], None]

# As schema.sql has it, for databases from before versions were counted.
COUNT_VERSIONS: Final = """
CREATE TABLE schema_versions (
    version         integer PRIMARY KEY CHECK (version > 0),
    name            text NOT NULL,
    oldest_program  integer NOT NULL CHECK (oldest_program > 0),
    checksum        text,
    steps_done      integer NOT NULL DEFAULT 0 CHECK (steps_done >= 0),
    position        bigint,
    started_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz
);
GRANT SELECT ON schema_versions TO PUBLIC;
"""
NO_LIMITS: Final = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0"
ADOPT = "INSERT INTO schema_versions (version, name, oldest_program, finished_at) VALUES ($1, $2, $3, now())"
BEGIN_ONE = """
INSERT INTO schema_versions (version, name, oldest_program, checksum) VALUES ($1, $2, $3, $4)
ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum
RETURNING steps_done, position
"""
STEP_DONE = """
UPDATE schema_versions
SET steps_done = $2, position = NULL, finished_at = CASE WHEN $2::integer >= $3::integer THEN clock_timestamp() END
WHERE version = $1
"""
BATCH_DONE = "UPDATE schema_versions SET position = $2 WHERE version = $1"
RUN = """
SELECT version, checksum FROM schema_versions
WHERE checksum IS NOT NULL AND (finished_at IS NOT NULL OR steps_done > 0 OR position IS NOT NULL)
"""
INVALID_INDEX = """
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(quote_ident($1)) AND NOT indisvalid)
"""
LONGEST_TRANSACTION = """
SELECT format('process %s of %s, in a transaction for %s, %s', pid, coalesce(nullif(application_name, ''), usename),
              date_trunc('second', clock_timestamp() - xact_start), state)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
  AND backend_type = 'client backend' AND query NOT LIKE '%tillkeeper schema%'
ORDER BY xact_start LIMIT 1
"""


async def upgrade(
    database_url: str,
    known: Sequence[Migration],
    *,
    report: Report,
    waiting: Callable[[], object] | None = None,
) -> list[Migration]:
    """Runs what is left to do, and returns it.  Raises SchemaUnfit, ChangedMigration, or what the database raises."""
    async with exclusively(database_url, waiting=waiting) as lock, connected(database_url) as conn:
        found = await schema_version(conn)
        if found.version == 0:
            raise SchemaMissing("there is no schema to upgrade; run `tillkeeper db init`")
        if not found.counted:
            await _count_versions(conn, known)
        await _refuse_changed(conn, known)
        left = left_to_do(known, found.version)
        watched_as = found.oldest_program if found.counted else None  # programs of before versions watch none
        for migration in left:
            await _Run(database_url, conn, lock, migration, report).run(watched_as=watched_as)
            watched_as = watched_as and max(watched_as, migration.oldest_program)
        if (unfit := unfitness(await schema_version(conn), made_for=known[-1].version)) is not None:
            raise unfit  # a later program was here
        await make_weeks(conn, now=await server_time(conn))
        return left


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Yields a connection on which a step may take as long as it needs."""
    # Nothing is prepared: there may be a pooler between.
    conn = await asyncpg.connect(database_url, timeout=CONNECT_S, statement_cache_size=0)
    try:
        await refuse_unsafe(conn)
        if not await is_pooled(conn):  # else the session is everybody's
            await conn.execute(NO_LIMITS)
        yield conn
    finally:
        conn.terminate()


async def _count_versions(conn: Conn, known: Sequence[Migration]) -> None:
    """Takes up a database from before versions were counted as one of the first."""
    first = known[FIRST - 1]
    async with conn.transaction():
        await conn.execute(COUNT_VERSIONS)
        await conn.execute(ADOPT, first.version, first.name, first.oldest_program)


async def _refuse_changed(conn: Conn, known: Sequence[Migration]) -> None:
    files = {migration.version: migration for migration in known}
    for row in await conn.fetch(RUN):
        migration = files.get(row["version"])
        if migration is not None and migration.checksum != row["checksum"]:
            raise ChangedMigration(
                f"migration {migration} was run from another file than the one that this program brings; "
                "install the program that belongs to this database"
            )


class _Run:
    """One migration on its way."""

    def __init__(self, database_url: str, conn: Conn, lock: Exclusive, migration: Migration, report: Report) -> None:
        self._database_url = database_url
        self._conn = conn
        self._lock = lock
        self._migration = migration
        self._report = report
        self._step = 0

    async def run(self, *, watched_as: int | None) -> None:
        """Runs the steps that are not done.  Programs that this shuts out have time to see it, if they watch."""
        migration = self._migration
        begun = await self._conn.fetchrow(
            BEGIN_ONE, migration.version, migration.name, migration.oldest_program, migration.checksum
        )
        assert begun is not None
        if watched_as is not None and migration.oldest_program > watched_as:
            await asyncio.sleep(NOTICE_S)
        position = begun["position"]
        for self._step in range(begun["steps_done"], len(migration.steps)):
            await self._lock.check()
            await self._run_step(migration.steps[self._step], position)
            position = None

    async def _run_step(self, step: MigrationStep, position: int | None) -> None:
        self._tell()
        if step.kind == "transaction":
            await self._patiently(lambda: self._in_transaction(step.sql))
        elif step.kind == "alone":
            await self._alone(step)
        else:
            await self._in_batches(step, position)

    async def _in_transaction(self, sql: str) -> None:
        async with self._conn.transaction():
            await self._conn.execute(_limits(lock_wait_s=LOCK_WAIT_S))
            await self._conn.execute(sql)
            await self._write_down()

    async def _alone(self, step: MigrationStep) -> None:
        """Runs a step outside of any transaction, and drops what it left behind when it was cut off: an invalid one."""
        if step.index is not None and await self._conn.fetchval(INVALID_INDEX, step.index):
            await self._conn.execute(f'DROP INDEX CONCURRENTLY "{step.index}"')
        async with watched_index(self._database_url, self._tell):
            await self._conn.execute(step.sql)
        await self._write_down()

    async def _in_batches(self, step: MigrationStep, position: int | None) -> None:
        first, last = await self._keys(step)
        done = first - 1 if position is None else position
        while done < last:
            upto = min(done + step.batch_keys, last)
            began_s = asyncio.get_running_loop().time()
            await self._patiently(lambda after=done, upto=upto: self._batch(step.sql, after, upto))  # type: ignore[misc]
            done = upto
            self._tell(done - first + 1, last - first + 1)
            await asyncio.sleep(BATCH_REST * (asyncio.get_running_loop().time() - began_s))
            if done == last:
                _, last = await self._keys(step)
            await self._lock.check()
        await self._write_down()

    async def _keys(self, step: MigrationStep) -> tuple[int, int]:
        """Returns the lowest and the highest key; those of an empty table make no batch."""
        row = await self._conn.fetchrow(f'SELECT min("{step.key}"), max("{step.key}") FROM "{step.table}"')  # noqa: S608 - names of our own files
        assert row is not None
        return (1, 0) if row[0] is None else (row[0], row[1])

    async def _batch(self, sql: str, after: int, upto: int) -> None:
        async with self._conn.transaction():
            await self._conn.execute(_limits(lock_wait_s=LOCK_WAIT_S))
            await self._conn.execute(sql, after, upto)
            await self._conn.execute(BATCH_DONE, self._migration.version, upto)

    async def _write_down(self) -> None:
        steps = len(self._migration.steps)
        await self._conn.execute(STEP_DONE, self._migration.version, self._step + 1, steps)

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs a transaction again when its locks were in others' hands."""

        async def tell(_state: RetryCallState) -> None:
            self._tell(waits_for=await self._conn.fetchval(LONGEST_TRANSACTION) or "locks")

        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(LOCKS_IN_THE_WAY),
            stop=stop_after_attempt(MIGRATION_LOCK.attempts_max),
            wait=lambda state: MIGRATION_LOCK.pause_s(state.attempt_number, random.uniform),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                await work()

    def _tell(self, done: int = 0, total: int = 0, *, waits_for: str = "") -> None:
        self._report(
            UpgradeProgress(migration=self._migration, step=self._step, done=done, total=total, waits_for=waits_for)
        )


def _limits(*, lock_wait_s: float) -> str:
    """Limits, for this transaction alone, how long a lock is waited for, and not how long the work takes."""
    return f"SET LOCAL lock_timeout = {int(lock_wait_s * 1000)}; SET LOCAL statement_timeout = 0"
