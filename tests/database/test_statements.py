"""Every statement is prepared against schema.sql, so that a typo fails in a second."""

import importlib
import pkgutil

import pytest

import tillkeeper.store
from tillkeeper import clock
from tillkeeper.store.apply import looking_up
from tillkeeper.store.orders import loading as order_loading
from tillkeeper.store.orders import writing as order_writing
from tillkeeper.store.postgres.pool import open_pool

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def statements():
    for module in pkgutil.walk_packages(tillkeeper.store.__path__, "tillkeeper.store."):
        home = importlib.import_module(module.name)
        for name, value in vars(home).items():
            if name.isupper() and isinstance(value, str) and value.strip().startswith(VERBS):
                yield pytest.param(value, id=f"{module.name.removeprefix('tillkeeper.store.')}.{name}")


@pytest.fixture(scope="module")
async def preparing(postgres_server, databases):
    """A connection for all: preparing changes nothing."""
    await postgres_server.start()
    name = await databases.take()
    async with await open_pool(postgres_server.dsn(name), max_size=1) as connections, connections.acquire() as conn:
        yield conn
    await databases.give_back(name)


@pytest.mark.parametrize("statement", list(statements()))
async def test_statement_fits_the_schema(preparing, statement):
    await preparing.prepare(statement)


# What a worker runs for every batch, with arguments that mean something to the planner.
LOOK_UPS = {
    "LOOK_UP": (looking_up.LOOK_UP, '[{"i": 0}]'),
    "LOCK_ORDERS": (order_loading.LOCK_ORDERS, [1, 2]),
    "FACTS": (order_loading.FACTS, [1, 2], [1, 2]),
    "UPDATE_ORDERS": (order_writing.UPDATE_ORDERS, '[{"id": 1, "version": 2}]', clock.now(), [1, 2], [3]),
}


@pytest.mark.parametrize("name", LOOK_UPS)
async def test_a_worker_looks_rows_up_by_key_whatever_the_tables_held_when_its_plans_were_made(database, name):
    statement, *arguments = LOOK_UPS[name]
    async with await open_pool(database, max_size=1, by_key=True) as pool, pool.acquire() as conn:
        await conn.execute("VACUUM ANALYZE")  # known to be empty, they are cheapest read whole
        plan = await (await conn.prepare(statement)).explain(*arguments)
    scans = [node for node in nodes_of(plan[0]["Plan"]) if "Relation Name" in node and "Scan" in node["Node Type"]]
    assert scans
    assert not [node for node in scans if "Index Cond" not in node and "Recheck Cond" not in node]


def nodes_of(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


async def test_the_schema_can_be_created_again(pool, database):
    from tillkeeper.store.schema.creating import create_schema

    await create_schema(database)
    await create_schema(database)
