"""The figures of the monthly reports: made of a day's events, and again where something more was learnt of it."""

from datetime import timedelta
from random import Random

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import POLICY
from tests.independent_report import independent_figures
from tests.monthly import NOW, ZONE, make_figures
from tests.report_rows import BEGIN, add_random_events
from tillkeeper.domain.events import Kind
from tillkeeper.domain.monthly.figures import FigureName, Month
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.monthly.making import EVERY, advance, make_one_day
from tillkeeper.store.monthly.reading import read_month

ALL = "SELECT day, figure, account, currency, method, detail, hour, count, minor FROM report_figures"


async def figures(conn):
    return {tuple(row)[:7]: (row["count"], int(row["minor"])) for row in await conn.fetch(ALL)}


@pytest.fixture
async def conn(pool):
    async with pool.acquire() as connection:
        yield connection


@pytest.mark.parametrize("zone", ["UTC", ZONE])
async def test_the_figures_are_those_that_another_engine_finds(conn, tmp_path, zone):
    await add_random_events(conn, Random(f"figures {zone}"), orders=1500)
    await make_figures(conn, zone=zone)
    ours, theirs = await figures(conn), await independent_figures(conn, tmp_path, zone=zone)
    assert {key[1] for key in theirs} == set(FigureName)
    assert ours == theirs


LATER = "CREATE TEMP TABLE later AS SELECT * FROM inbox WHERE recorded_at >= $1"
TAKE_OUT = "DELETE FROM inbox WHERE recorded_at >= $1"
BRING_BACK = "INSERT INTO inbox OVERRIDING SYSTEM VALUE SELECT * FROM later"


async def test_what_is_made_step_by_step_is_what_is_made_at_once(conn, tmp_path):
    """Half of the time first; then what came late changes which event is the first of its sort."""
    await add_random_events(conn, Random("step by step"), orders=800)
    half = BEGIN + timedelta(days=30)
    await conn.execute(LATER.replace("$1", f"'{half.isoformat()}'"))
    await conn.execute(TAKE_OUT, half)
    await make_figures(conn, now=half)
    assert await figures(conn)
    await conn.execute(BRING_BACK)
    await make_figures(conn)
    assert await figures(conn) == await independent_figures(conn, tmp_path, zone=ZONE)


async def test_a_day_is_made_again_once_somebody_registers_the_order_of_its_money(pool, conn):
    deliveries = [a_delivery(an_event(Kind.PAYMENT_FAILED), an_event(second=60))]
    async with conn.transaction():
        await apply_deliveries(conn, deliveries, policy=POLICY, now=NOON)
    await make_figures(conn, now=NOON + timedelta(hours=1))
    assert names(await figures(conn)) >= {"failed", "paid"}
    assert "recovered" not in names(await figures(conn))
    await register(pool, a_registration(), policy=POLICY, now=NOON + timedelta(hours=2))
    await make_figures(conn, now=NOON + timedelta(hours=3))
    assert names(await figures(conn)) >= {"failed", "paid", "order_failed", "recovered"}


async def test_days_are_made_anew_where_they_begin_at_another_time(conn, tmp_path):
    await add_random_events(conn, Random("zones"), orders=50)
    await make_figures(conn, zone="UTC")
    await make_figures(conn, zone="America/New_York")
    assert await figures(conn) == await independent_figures(conn, tmp_path, zone="America/New_York")


async def test_nothing_is_made_twice_and_nothing_of_an_empty_database(conn):
    assert await make_figures(conn) == 0
    await add_random_events(conn, Random("twice"), orders=5)
    assert await make_figures(conn) > 0
    assert await make_figures(conn, now=NOW + EVERY / 2) == 0


async def test_the_first_figures_are_there_at_once(pool, conn):
    async with conn.transaction():
        await apply_deliveries(conn, [a_delivery(an_event())], policy=POLICY, now=NOON)
    assert await make_figures(conn, now=NOON + timedelta(seconds=1)) == 1
    assert names(await figures(conn)) >= {"tried", "paid"}


async def test_people_are_told_from_tillkeeper_itself(conn):
    await conn.execute(
        "INSERT INTO cases (kind, subject, details, opened_at, follow_up_at) VALUES ('stuck', 's', '{}', $1, $1)", NOON
    )
    await conn.executemany(
        "INSERT INTO case_entries (case_id, what, by, at) VALUES (1, $1, $2, $3)",
        [
            ("opened", "tillkeeper", NOON),
            ("assigned", "mei", NOON),
            ("resolved", "mei", NOON),
            ("closed", "system", NOON),
        ],
    )
    read = await read_month(conn, Month(2026, 11), account=None)
    (mei,), (case,) = read.people, read.cases
    assert (mei.name, mei.entries, mei.resolved, mei.acts) == ("mei", 2, 1, 0)
    assert (case.kind, case.opened, case.still_open, case.median_s) == ("stuck", 1, 1, None)
    assert (await read_month(conn, Month(2026, 11), account="stripe-main")).people == []


async def test_one_process_makes_days_at_a_time(pool, conn):
    await add_random_events(conn, Random("alone"), orders=2)
    async with pool.acquire() as other, conn.transaction(), other.transaction():
        assert await advance(other, zone=ZONE, now=NOW)
        assert not await advance(conn, zone=ZONE, now=NOW)
        assert await make_one_day(conn) is None


def names(found):
    return {key[1] for key in found}
