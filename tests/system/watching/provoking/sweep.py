"""Provokes the alerts of the sweep."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from tests.system.receiving import until
from tests.system.watching.provoking.house import House, without
from tillkeeper.store.retention.passes import ONE_AT_A_TIME


@asynccontextmanager
async def sweep_late(house: House) -> AsyncIterator[None]:
    ref = house.name()
    assert await house.stack.register(ref) == 201
    await house.stack.kill("sweep")
    due = "SELECT order_id FROM due_orders JOIN orders ON id = order_id WHERE order_ref = $1"
    order_id = await house.fetchval(due, ref)
    await house.execute("UPDATE due_orders SET due_at = now() - interval '10 min' WHERE order_id = $1", order_id)
    async with house.holding("SELECT FROM due_orders WHERE order_id = $1 FOR UPDATE", order_id):  # sweeps pass over it
        await house.stack.start("sweep")
        yield


@asynccontextmanager
async def gauges_stale(house: House) -> AsyncIterator[None]:
    async with without(house, "sweep"):
        yield


@asynccontextmanager
async def fetches_late(house: House) -> AsyncIterator[None]:
    """A sweep died that had leased it."""
    run = uuid4()
    await house.execute(
        "INSERT INTO deliveries (run, number, account, received_at, key, headers, events) "
        "VALUES ($1, 1, 'stripe-main', now(), '', '[]', 0)",
        run,
    )
    await house.execute(
        "INSERT INTO fetches (account, about, payment_ref, run, number, proven, requests, requested_at, due_at, "
        "leased_until) VALUES ('stripe-main', 'payment', 'pi_late', $1, 1, true, 1, now(), "
        "now() - interval '20 min', now() + interval '1 day')",
        run,
    )
    yield
    await house.execute("UPDATE fetches SET leased_until = '-infinity'")


@asynccontextmanager
async def events_wait(house: House) -> AsyncIterator[None]:
    ref = house.name()
    assert await house.post(order_ref=ref) == 200

    async def waits() -> bool:
        return bool(await house.fetchval("SELECT EXISTS (SELECT FROM inbox WHERE order_ref = $1)", ref))

    await until(waits, within_s=60)
    await house.execute("UPDATE inbox SET recorded_at = now() - interval '2 h' WHERE order_ref = $1", ref)
    yield
    assert await house.stack.register(ref) == 201


@asynccontextmanager
async def orders_stuck(house: House) -> AsyncIterator[None]:
    ref = house.name()
    assert await house.stack.register(ref) == 201
    await house.execute(
        "UPDATE orders SET status = 'processing', phase_since = now() - interval '4 days' WHERE order_ref = $1", ref
    )
    yield
    await house.command("order", "close", ref, "--force", "--note", "made by the test of alerts")


@asynccontextmanager
async def retention_stopped(house: House) -> AsyncIterator[None]:
    """A session that hangs holds what retention takes for its steps; a sweep that is new knows of no pass before."""
    await house.stack.kill("sweep")
    async with house.holding(ONE_AT_A_TIME):
        await house.stack.start("sweep")
        yield
