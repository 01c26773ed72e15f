"""`tillkeeper events` as a person or a script starts it."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import ENVIRON, WITHIN_S, tillkeeper, toml, written
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


async def apply(pool, *events):
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(event) for event in events], policy=Policy(), now=NOON)


@pytest.fixture
async def some_events(pool):
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    await apply(pool, an_event(Kind.PAYMENT_PENDING, event_id="evt_1"), an_event(second=1, event_id="evt_2"))
    await apply(pool, an_event(order_ref="A2", payment_ref="pi_2", event_id="evt_3"))


async def test_each_event_is_a_line_with_what_became_of_it(config, some_events):
    listed = await tillkeeper("events", "--config", config)
    assert listed.code == 0
    lines = [line.split() for line in listed.out.splitlines()]
    assert [line[2:6] for line in lines] == [
        ["applied", "payment.pending", "stripe-main", "A1"],
        ["applied", "payment.succeeded", "stripe-main", "A1"],
        ["waiting", "payment.succeeded", "stripe-main", "A2"],
    ]
    assert lines[1][6:] == ["1.00", "CNY", "paid", "已支付", "pi_1"]


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (["--order", "A1"], ["evt_1", "evt_2"]),
        (["--order", "A2"], ["evt_3"]),
        (["--kind", "payment.pending"], ["evt_1"]),
        (["--kind", "payment", "--outcome", "waiting"], ["evt_3"]),
        (["--account", "stripe-main", "--limit", "1"], ["evt_3"]),
        (["--kind", "refund"], []),
    ],
)
async def test_filters_leave_what_is_asked_for(config, some_events, filters, shown):
    listed = await tillkeeper("events", *filters, "--json", "--config", config)
    assert [json.loads(line)["event_id"] for line in listed.out.splitlines()] == shown


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (["--account", "nope"], "there is no account 'nope'; there are: stripe-main"),
        (["--kind", "payment.nope"], "'payment.nope' is no kind of event; known are dispute, dispute.lost,"),
        (["--outcome", "parked"], "'parked' is no outcome; known are applied, no_change, waiting, mismatched"),
        (["--order", "NOBODY"], "no order 'NOBODY' is registered, and no event waits for it"),
    ],
)
async def test_a_filter_that_names_nothing_known_is_an_error(config, filters, said):
    listed = await tillkeeper("events", *filters, "--config", config)
    assert (listed.code, listed.out) == (2, "")
    assert said in listed.err


class Followed:
    """`events --follow` while it runs."""

    def __init__(self, child):
        self.child = child

    async def line(self):
        async with asyncio.timeout(WITHIN_S):
            return json.loads(await self.child.stdout.readline())

    async def said(self):
        async with asyncio.timeout(WITHIN_S):
            return (await self.child.stderr.readline()).decode()


@asynccontextmanager
async def following(config, *more):
    command = [sys.executable, "-m", "tillkeeper", "events", "--follow", "--json", "--config", config, *more]
    heeds_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore them
    child = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=PIPE, stderr=PIPE, env=ENVIRON, preexec_fn=heeds_interrupts
    )
    try:
        yield Followed(child)
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def test_what_comes_is_told_live_through_an_outage_until_somebody_ends_it(
    config, some_events, pool, postgres_server
):
    async with following(config, "--kind", "payment.succeeded", "--limit", "1") as followed:
        assert (await followed.line())["event_id"] == "evt_3"
        await apply(pool, an_event(second=2, event_id="evt_4"), an_event(Kind.PAYMENT_PENDING, 3))
        assert (await followed.line())["event_id"] == "evt_4"
        await register(pool, a_registration("A2"), policy=Policy(), now=NOON)
        told = await followed.line()
        assert (told["event_id"], told["outcome"]) == ("evt_3", "applied")
        await postgres_server.stop()
        assert "the database does not answer" in await followed.said()
        await postgres_server.start()
        assert "answers again" in await followed.said()
        async with asyncio.timeout(WITHIN_S):
            await apply(pool, an_event(second=4, event_id="evt_5"))
        told = await followed.line()
        assert (told["event_id"], told["order_ref"]) == ("evt_5", "A1")
        followed.child.send_signal(signal.SIGINT)
        async with asyncio.timeout(WITHIN_S):
            assert await followed.child.wait() == 130
