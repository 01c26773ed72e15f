"""Databases for tests: each gets one that is as new.  Emptying one that was used is ten times quicker than a copy."""

import secrets
from typing import Final

import asyncpg

from tillkeeper.sandbox.servers import Postgres

# What a test may have changed besides rows: then the database is not handed out again.  A copy has the rows of its
# template's catalogs, with the numbers of the transactions that wrote them: what is new has a later number, and what is
# gone is not counted.  Objects of our own have numbers from 16384 on.
SHAPE: Final = """
SELECT array_agg((changed, rows)::text ORDER BY catalog) FROM (
    SELECT 'column' AS catalog, count(*) FILTER (WHERE age(xmin) < age($1::text::xid)) AS changed, count(*) AS rows
    FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT 'constraint', count(*) FILTER (WHERE age(xmin) < age($1::text::xid)), count(*)
    FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT 'trigger', count(*) FILTER (WHERE age(xmin) < age($1::text::xid)), count(*)
    FROM pg_trigger WHERE oid >= 16384
    UNION ALL SELECT 'function', count(*) FILTER (WHERE age(xmin) < age($1::text::xid)), count(*)
    FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'schema', count(*) FILTER (WHERE age(xmin) < age($1::text::xid)), count(*)
    FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'version', count(*) FILTER (WHERE age(xmin) < age($1::text::xid)), count(*) FROM schema_versions
    UNION ALL SELECT 'setting', count(*), 0 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()
) parts
"""
HANG_UP: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL)
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""
# All but the versions of the schema, which stay as they are.  A table that nothing was written to has no page.
FILLED: Final = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'schema_versions'
  AND pg_relation_size(oid) > 0
ORDER BY relname
"""


class Databases:
    """A template, and copies of it that nobody uses just now."""

    def __init__(self, server: Postgres, template: str, *, made_by: str, shape: list[str]) -> None:
        self._server = server
        self._template = template
        self._made_by = made_by  # the number of a transaction: what is in the template was written before
        self._shape = shape
        self._free: list[str] = []

    @classmethod
    async def of(cls, server: Postgres, schema: str) -> "Databases":
        """With a template that holds this schema."""
        name = "template_tillkeeper"
        connection = await asyncpg.connect(await server.create_database(name))
        await connection.execute(schema)
        made_by = await connection.fetchval("SELECT pg_current_xact_id()::xid::text")
        shape = await connection.fetchval(SHAPE, made_by)
        await connection.close()
        return cls(server, name, made_by=made_by, shape=shape)

    async def take(self) -> str:
        """The name of an empty one."""
        if self._free:
            return self._free.pop()
        name = f"test_{secrets.token_hex(4)}"
        await self._server.create_database(name, self._template)
        return name

    async def give_back(self, name: str) -> None:
        """Empties it, or removes it where emptying would not make it new."""
        connection = await asyncpg.connect(self._server.dsn(name))
        try:
            await connection.execute(HANG_UP)
            is_reusable = await self._has_its_shape(connection)
            if is_reusable and (filled := [row[0] for row in await connection.fetch(FILLED)]):
                await connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
        finally:
            await connection.close()
        if is_reusable:
            self._free.append(name)
        else:
            await self._server.drop_database(name)

    async def _has_its_shape(self, connection: asyncpg.Connection) -> bool:
        try:
            return bool(await connection.fetchval(SHAPE, self._made_by) == self._shape)
        except asyncpg.UndefinedTableError:
            return False
