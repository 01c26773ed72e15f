"""What nobody signed is bounded: by row, by account, and altogether."""

import pytest

from tests.database.factories import NOON
from tillkeeper.store.deliveries import refused
from tillkeeper.store.deliveries.refused import (
    BODY_BYTES_MAX,
    HEADERS_BYTES_MAX,
    RefusedDelivery,
    keep_refused,
    list_refused,
    show_refused,
)


def a_refused(account="stripe-main", *, body=b"x" * 1000, headers=(), at=NOON):
    return RefusedDelivery(
        account=account,
        received_at=at,
        step="signature",
        finding="wrong_secret",
        reason="no signature matches",
        detail="",
        query="",
        headers=headers,
        body=body,
    )


async def kept(pool, account=None):
    async with pool.acquire() as conn:
        return [each.id for each in await list_refused(conn, account, limit=1000)]


async def keep(pool, refused):
    async with pool.acquire() as conn:
        return await keep_refused(conn, refused)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(refused, "ACCOUNT_BYTES_MAX", 5_000)
    monkeypatch.setattr(refused, "TOTAL_BYTES_MAX", 8_000)


async def test_an_account_keeps_its_latest_bytes(pool, small):
    numbers = [await keep(pool, a_refused()) for _ in range(10)]
    assert await kept(pool) == numbers[-4:][::-1]


async def test_all_accounts_together_keep_the_latest_bytes(pool, small):
    numbers = [await keep(pool, a_refused(f"account-{number}")) for number in range(10)]
    assert await kept(pool) == numbers[-7:][::-1]


async def test_one_account_does_not_drive_out_another_beyond_its_share(pool, small):
    quiet = await keep(pool, a_refused("quiet"))
    for _ in range(20):
        await keep(pool, a_refused("loud"))
    assert await kept(pool, "quiet") == [quiet]


async def test_neither_a_body_nor_headers_are_kept_beyond_their_limit(pool):
    number = await keep(
        pool,
        a_refused(body=b"x" * (BODY_BYTES_MAX + 1), headers=tuple(("stripe-signature", "é" * 500) for _ in range(300))),
    )
    async with pool.acquire() as conn:
        refused = await show_refused(conn, number)
    assert refused.body is None
    assert 0 < sum(len(name) + len(value.encode()) for name, value in refused.headers) <= HEADERS_BYTES_MAX


async def test_the_most_that_a_row_can_be_is_counted_whole(pool):
    await keep(pool, a_refused(body=b"x" * BODY_BYTES_MAX, headers=(("a", "b"),)))
    assert await pool.fetchval("SELECT bytes >= $1 FROM refused", BODY_BYTES_MAX)
