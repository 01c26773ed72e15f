"""The schema is made whole, from schema.sql, where there is none."""

import asyncpg

from tillkeeper.store.postgres.pool import COMMAND_S, CONNECT_S, refuse_unsafe
from tillkeeper.store.schema.exclusive import exclusively
from tillkeeper.store.schema.files import newest_version, schema_sql
from tillkeeper.store.schema.make_weeks import make_weeks, server_time
from tillkeeper.store.schema.versions import schema_version, unfitness

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"


async def create_schema(database_url: str) -> list[str]:
    """Makes the schema, and returns its tables; returns none where it is there.

    Safe to repeat, and to run from several processes at once.  Raises SchemaUnfit where it is of another version.
    """
    async with exclusively(database_url):
        # Nothing is prepared: there may be a pooler between.
        conn = await asyncpg.connect(database_url, timeout=CONNECT_S, command_timeout=COMMAND_S, statement_cache_size=0)
        try:
            await refuse_unsafe(conn)
            found = await schema_version(conn)
            if found.version == 0:
                await conn.execute(schema_sql())  # which is one transaction
                created = [row["tablename"] for row in await conn.fetch(TABLES)]
                await make_weeks(conn, now=await server_time(conn))
                return created
            if (unfit := unfitness(found, made_for=newest_version())) is not None:
                raise unfit
            return []
        finally:
            await conn.close()
