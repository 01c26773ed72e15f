"""Every statement is prepared against schema.sql, so that a typo fails in a second."""

import importlib
import pkgutil

import pytest

import tillkeeper.store

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def statements():
    for module in pkgutil.iter_modules(tillkeeper.store.__path__):
        home = importlib.import_module(f"tillkeeper.store.{module.name}")
        for name, value in vars(home).items():
            if name.isupper() and isinstance(value, str) and value.strip().startswith(VERBS):
                yield pytest.param(value, id=f"{module.name}.{name}")


@pytest.mark.parametrize("statement", list(statements()))
async def test_statement_fits_the_schema(pool, statement):
    async with pool.acquire() as conn:
        await conn.prepare(statement)


async def test_the_schema_can_be_created_again(pool, database):
    from tillkeeper.store.pool import create_schema

    await create_schema(database)
    await create_schema(database)
