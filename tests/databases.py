"""Databases for tests: each gets one that is as new.  Emptying one that was used is ten times quicker than a copy."""

import secrets
from typing import Final

import asyncpg

from tillkeeper.sandbox.servers import Postgres

# What a test may have changed besides rows: then the database is not handed out again.
SHAPE: Final = """
SELECT md5(string_agg(part, E'\n' ORDER BY part)) FROM (
    SELECT concat_ws(' ', 'column', attrelid::regclass, attname, atttypid, attnotnull) AS part
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid > 0
    UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat_ws(' ', 'function', proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT concat_ws(' ', 'version', version, oldest_program, finished_at IS NULL) FROM schema_versions
    UNION ALL
    SELECT concat_ws(' ', 'setting', setconfig::text)
    FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
) parts
"""
HANG_UP: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# All but the versions of the schema, which stay as they are.
TABLES: Final = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_versions' ORDER BY tablename
"""


class Databases:
    """A template, and copies of it that nobody uses just now."""

    def __init__(self, server: Postgres, template: str, *, shape: str, tables: list[str]) -> None:
        self._server = server
        self._template = template
        self._shape = shape
        self._tables = tables
        self._free: list[str] = []

    @classmethod
    async def of(cls, server: Postgres, schema: str) -> "Databases":
        """With a template that holds this schema."""
        name = "template_tillkeeper"
        connection = await asyncpg.connect(await server.create_database(name))
        await connection.execute(schema)
        shape = await connection.fetchval(SHAPE)
        tables = [row["tablename"] for row in await connection.fetch(TABLES)]
        await connection.close()
        return cls(server, name, shape=shape, tables=tables)

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
            if is_reusable:
                await self._empty(connection)
        finally:
            await connection.close()
        if is_reusable:
            self._free.append(name)
        else:
            await self._server.drop_database(name)

    async def _has_its_shape(self, connection: asyncpg.Connection) -> bool:
        try:
            return bool(await connection.fetchval(SHAPE) == self._shape)
        except asyncpg.UndefinedTableError:
            return False

    async def _empty(self, connection: asyncpg.Connection) -> None:
        looks = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in self._tables)
        filled = [row[0] for row in await connection.fetch(looks)]
        if filled:
            await connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
