"""Provokes the alerts of cases and notices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.system.receiving import until
from tests.system.watching.provoking.house import House, without


@asynccontextmanager
async def case_escalated(house: House) -> AsyncIterator[None]:
    case_id = await house.opens_case()
    await house.execute("UPDATE cases SET level = 2 WHERE id = $1", case_id)
    yield
    await house.command("case", "resolve", case_id, "--outcome", "refunded by hand", "--note", "by the test")


@asynccontextmanager
async def case_overdue(house: House) -> AsyncIterator[None]:
    case_id = await house.opens_case()
    await house.execute("UPDATE cases SET opened_at = now() - interval '4 days' WHERE id = $1", case_id)
    yield
    await house.command("case", "resolve", case_id, "--outcome", "refunded by hand", "--note", "by the test")


@asynccontextmanager
async def notices_late(house: House) -> AsyncIterator[None]:
    async with without(house, "notify"):
        await _has_notice(house)
        await house.execute("UPDATE outbox SET due_at = now() - interval '10 min' WHERE due_at IS NOT NULL")
        yield


@asynccontextmanager
async def notices_fail(house: House) -> AsyncIterator[None]:
    house.shop.status = 500
    await _has_notice(house)
    yield
    house.shop.status = 200
    await house.execute("UPDATE outbox SET due_at = now() WHERE due_at IS NOT NULL")


async def _has_notice(house: House) -> None:
    """An order that is paid: the shop's system is told."""
    ref = house.name()
    assert await house.stack.register(ref) == 201
    assert await house.post(order_ref=ref) == 200
    find = "SELECT EXISTS (SELECT FROM outbox x JOIN orders o ON o.id = x.order_id WHERE o.order_ref = $1)"

    async def is_written() -> bool:
        return bool(await house.fetchval(find, ref))

    await until(is_written, within_s=60)


@asynccontextmanager
async def notices_dead(house: House) -> AsyncIterator[None]:
    await _has_notice(house)
    last = "SELECT key FROM outbox WHERE audience = 'merchant' ORDER BY id DESC LIMIT 1"
    await house.execute(f"UPDATE outbox SET state = 'dead', due_at = NULL, finished_at = now() WHERE key IN ({last})")
    yield
    await house.execute("UPDATE outbox SET finished_at = now() - interval '25 h' WHERE state = 'dead'")  # a day later
