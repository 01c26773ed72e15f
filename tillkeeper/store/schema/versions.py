"""Says which schema the database has, and whether this program may serve it.

    a program is made for the newest version of its own migrations/, and needs it
    a schema says the oldest program that may serve it, by the version which that was made for

So a database is upgraded first, and programs are replaced after it: those of the release before serve meanwhile.
"""

from typing import Final

import asyncpg
import msgspec

from tillkeeper.store.postgres.sqlstates import SchemaMissing, SchemaUnfit
from tillkeeper.store.schema.files import newest_version

FIRST: Final = 1  # of databases from before versions were counted


class SchemaVersion(msgspec.Struct, frozen=True):
    """What a database says of its schema: version 0 is none at all, and `counted` false from before versions were."""

    version: int
    oldest_program: int = 0
    unfinished: int | None = None  # the version of a migration that is under way, or was interrupted
    counted: bool = True


def unfitness(found: SchemaVersion, *, made_for: int) -> SchemaUnfit | None:
    """Returns why a program that was made for that version may not serve what was found; None where it may."""
    if found.version == 0:
        return SchemaMissing("there is no schema; run `tillkeeper db init`")
    if not found.counted:
        return SchemaUnfit(
            f"the schema is older than its versions are counted, and this program needs version {made_for}; "
            "run `tillkeeper db upgrade`"
        )
    if found.version < made_for:
        return SchemaUnfit(
            f"the schema has version {found.version}, and this program needs {made_for}; run `tillkeeper db upgrade`"
        )
    if found.oldest_program > made_for:
        return SchemaUnfit(
            f"the schema has version {found.unfinished or found.version}, which only programs made for "
            f"{found.oldest_program} or later may serve; this one was made for {made_for}: install a later Tillkeeper"
        )
    return None


RELATIONS = """
SELECT to_regclass('schema_versions') IS NOT NULL AS counted, to_regclass('orders') IS NOT NULL AS there
"""
VERSIONS = """
SELECT coalesce(max(version) FILTER (WHERE finished_at IS NOT NULL), 0) AS version,
       coalesce(max(oldest_program), 0) AS oldest_program,
       max(version) FILTER (WHERE finished_at IS NULL) AS unfinished
FROM schema_versions
"""


async def schema_version(conn: "asyncpg.Connection[asyncpg.Record] | asyncpg.Pool") -> SchemaVersion:
    """Returns the version that the database has."""
    try:
        row = await conn.fetchrow(VERSIONS)
    except asyncpg.UndefinedTableError:
        there = await conn.fetchrow(RELATIONS)
        assert there is not None
        return SchemaVersion(FIRST, counted=False) if there["there"] else SchemaVersion(0)
    assert row is not None
    return SchemaVersion(row["version"], row["oldest_program"], row["unfinished"])


async def refuse_unfit(conn: "asyncpg.Connection[asyncpg.Record] | asyncpg.Pool") -> None:
    """Raises SchemaUnfit where this program may not serve the database."""
    if (unfit := unfitness(await schema_version(conn), made_for=newest_version())) is not None:
        raise unfit
