"""Says what the database's schema is, and what an upgrade would do to it."""

from collections.abc import Mapping, Sequence

import msgspec

from tillkeeper.store.postgres.sqlstates import SchemaUnfit
from tillkeeper.store.schema.files import Migration, MigrationStep, left_to_do
from tillkeeper.store.schema.progress import table_sizes
from tillkeeper.store.schema.upgrading import connected
from tillkeeper.store.schema.versions import SchemaVersion, schema_version, unfitness

MEGABYTE = 1_000_000


class SchemaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A look at a database, for people."""

    found: SchemaVersion
    made_for: int
    unfit: SchemaUnfit | None
    left: list[Migration]
    sizes: Mapping[str, tuple[int, int]]  # by table: rows as last estimated, and bytes

    @property
    def shuts_out_before(self) -> int | None:
        """Returns the oldest schema whose programs may serve what an upgrade leaves, where that is newer than now."""
        oldest = max((migration.oldest_program for migration in self.left), default=0)
        return oldest if oldest > self.found.oldest_program else None

    def size_of(self, step: MigrationStep) -> tuple[str | None, int | None, int | None]:
        """Returns the table that a step is about, its rows and its megabytes, where it is about one alone."""
        tables = step.tables & self.sizes.keys()
        if len(tables) != 1:
            return None, None, None
        [table] = tables
        rows, size = self.sizes[table]
        return table, rows, size // MEGABYTE


async def look(database_url: str, known: Sequence[Migration]) -> SchemaStatus:
    """Changes nothing."""
    async with connected(database_url) as conn:
        found = await schema_version(conn)
        made_for = known[-1].version
        return SchemaStatus(
            found=found,
            made_for=made_for,
            unfit=unfitness(found, made_for=made_for),
            left=left_to_do(known, found.version) if found.version else [],
            sizes=await table_sizes(conn),
        )
