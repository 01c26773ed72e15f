"""Checks every second whether this program may serve the database's schema.

A process that starts refuses one that it may not.  Once it runs, the schema may change under it: then it is not ready,
and its pool hands out no connection, as in an outage, until the schema is one that it may serve.  What is not known
while the database is away is not wrong: what was seen last stands.
"""

import asyncio
from typing import Final

import structlog

from tillkeeper.loops import keep_running
from tillkeeper.outage import database_outage
from tillkeeper.store.postgres.connections import Pool
from tillkeeper.store.postgres.pool import POOL_ACQUIRE_S
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, SchemaUnfit
from tillkeeper.store.schema.files import newest_version
from tillkeeper.store.schema.versions import SchemaVersion, schema_version, unfitness
from tillkeeper.telemetry import SCHEMA_UNFIT, SCHEMA_VERSION

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0  # an upgrade that shuts this program out waits for three before it begins


class SchemaWatch:
    """What was seen last; nothing before the first look."""

    def __init__(self, *, made_for: int | None = None) -> None:
        self._made_for = newest_version() if made_for is None else made_for
        self._seen: SchemaVersion | None = None
        self.outage = database_outage()  # of the process: it looks every second, whatever else is done
        self.unfit: SchemaUnfit | None = None

    @property
    def is_fit(self) -> bool:
        """Returns True if the database was seen, and may be served."""
        return self._seen is not None and self.unfit is None

    def refuse_unfit(self) -> None:
        """Raises SchemaUnfit where what was seen last may not be served."""
        if self.unfit is not None:
            raise self.unfit

    async def keep_looking(self, pool: Pool, stop: asyncio.Event) -> None:
        """Looks until stopped."""
        await keep_running(lambda: self.look_once(pool), name="schema", stop=stop, idle_s=LOOK_EVERY_S)

    async def look_once(self, pool: Pool) -> int:
        """Looks, and says in the log when the answer is another than before.  It has nothing to handle."""
        before = self.unfit
        try:
            await self.look(pool)
        except DATABASE_ERRORS as error:
            self.outage.failed(self, error)
            return 0
        self.outage.recovered(self)
        if self.unfit is not None and str(self.unfit) != str(before):
            log.error("schema_unfit", why=str(self.unfit))
        elif self.unfit is None and before is not None:
            log.info("schema_fit")
        return 0

    async def look(self, pool: Pool) -> None:
        """Takes up what the database has now.  Raises one of DATABASE_ERRORS."""
        async with pool.acquire_all_the_same(timeout_s=POOL_ACQUIRE_S) as conn:
            self._seen = await schema_version(conn)
        self.unfit = unfitness(self._seen, made_for=self._made_for)
        pool.schema_unfit = "" if self.unfit is None else str(self.unfit)
        SCHEMA_VERSION.set(self._seen.version)
        SCHEMA_UNFIT.set(self.unfit is not None)
