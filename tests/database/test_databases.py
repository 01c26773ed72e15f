"""A database that was used is emptied for the next test; one whose schema is not as it was is not handed out again."""

import asyncpg
import pytest

NEXT_HANDOVER = "INSERT INTO handovers (at, by) VALUES (now(), 'mei') RETURNING id"
CHANGES = {
    "a column": "ALTER TABLE orders ADD COLUMN colour text",
    "no column": "ALTER TABLE orders DROP COLUMN ask_at",
    "a constraint": "ALTER TABLE orders ADD CONSTRAINT cheap CHECK (amount_minor < 7)",
    "no constraint": "ALTER TABLE orders DROP CONSTRAINT paid_means_covered",
    "a table": "CREATE TABLE colours (name text)",
    "an index": "CREATE INDEX orders_changed ON orders (changed_at)",
    "a trigger": "ALTER TABLE orders DISABLE TRIGGER USER",
    "a function": "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "another function": "ALTER FUNCTION make_body_week COST 7",
    "a schema": "CREATE SCHEMA elsewhere",
    "a version": "UPDATE schema_versions SET finished_at = NULL",
    "no versions": "DROP TABLE schema_versions",
    "a setting": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
}


async def test_rows_are_gone_and_numbers_begin_anew(postgres_server, databases):
    name = await databases.take()
    user = await asyncpg.connect(postgres_server.dsn(name))
    assert await user.fetchval(NEXT_HANDOVER) == 1
    await databases.give_back(name)
    assert await databases.take() == name
    user = await asyncpg.connect(postgres_server.dsn(name))
    assert await user.fetchval("SELECT count(*) FROM handovers") == 0
    assert await user.fetchval(NEXT_HANDOVER) == 1
    await user.close()
    await databases.give_back(name)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_another_schema_is_noticed(postgres_server, databases, change):
    name = await databases.take()
    user = await asyncpg.connect(postgres_server.dsn(name))
    await user.execute(change)
    await databases.give_back(name)
    again = await databases.take()
    assert again != name
    await databases.give_back(again)
