"""`tillkeeper retention`: what it plans and what it does."""

import json
from datetime import timedelta

import pytest

from tests.database.factories import a_delivery
from tests.database.test_refused import a_refused
from tests.system.commands import tillkeeper, toml, written
from tillkeeper import clock
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.deliveries.refused import keep_refused

DAY = timedelta(days=1)


@pytest.fixture
async def config(tmp_path, database, pool):
    """Of a shop with a body of 500 days ago and one of today, and a refused delivery of 40 days ago."""
    now = clock.now()
    monday = (now - 500 * DAY).date() - (now - 500 * DAY).weekday() * DAY
    async with pool.acquire() as conn:
        await conn.execute("SELECT make_body_week($1)", monday)
        for at in (now - 500 * DAY, now):
            delivery = a_delivery(received_at=at, body=b"x" * 2_000)
            await apply_deliveries(conn, [delivery], policy=Policy(), now=at)
        await keep_refused(conn, a_refused(at=now - 40 * DAY))
    return written(tmp_path, toml(database))


async def told(*arguments):
    ended = await tillkeeper("retention", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


async def test_what_is_planned_is_what_is_run_and_then_nothing_is_left(config, pool):
    plan = await told("plan", "--config", config)
    assert [(part["part"], part["rows"]) for part in plan["parts"]] == [("bodies_by_week", 1), ("refused", 1)]
    assert plan["bytes"] == sum(part["bytes"] for part in plan["parts"])
    run = await told("run", "--config", config)
    assert {**run, "parts": [{**part, "until": None} for part in run["parts"]]} == {
        **plan,
        "parts": [{**part, "until": None} for part in plan["parts"]],
    }
    assert (await told("plan", "--config", config))["parts"] == []
    assert await pool.fetchval("SELECT count(*) FROM delivery_bodies") == 1


async def test_people_read_what_goes_by_kind(config):
    shown = await tillkeeper("retention", "plan", "--config", config)
    assert shown.code == 0
    for words in ("bodies kept for", "400 days", "the week of", "refused deliveries", "2 rows"):
        assert words in shown.out
    await tillkeeper("retention", "run", "--config", config)
    shown = await tillkeeper("retention", "run", "--config", config)
    assert "Nothing was kept for longer than that." in shown.out


async def test_what_is_kept_for_ever_is_said_so_and_stays(config):
    shown = await tillkeeper("retention", "plan", "--config", config, TILLKEEPER_RETENTION__BODIES_DAYS="never")
    assert "the week of" not in shown.out
    assert "ever" in shown.out
