"""Keys that were fetched, kept for receivers that start."""

from datetime import timedelta

import asyncpg

from tillkeeper import clock
from tillkeeper.api_client.key_store import KeyStore
from tillkeeper.store.accounts.keys import LEARNT_MAX, LearntKey

NOW = clock.now()


def a_key(at=0, *, url=None, content=b"PEM"):
    return LearntKey(url=url or f"https://gateway.example/{at}", content=content, learnt_at=NOW + timedelta(seconds=at))


async def test_a_key_is_kept_with_its_last_time_and_content(pool):
    key_store = KeyStore(pool)
    for key in (a_key(5, url="u", content=b"new"), a_key(1, url="u", content=b"old")):
        await key_store.put("paypal-main", key)
    await key_store.put("other", a_key(9))
    assert await key_store.keys_of("paypal-main") == [a_key(5, url="u", content=b"new")]


async def test_the_oldest_keys_of_an_account_go_first(pool):
    key_store = KeyStore(pool)
    for at in range(LEARNT_MAX + 2):
        await key_store.put("paypal-main", a_key(at))
    assert await key_store.keys_of("paypal-main") == [a_key(at) for at in range(2, LEARNT_MAX + 2)]


async def test_without_the_database_nothing_is_kept_and_nothing_breaks(database):
    async with asyncpg.create_pool(database, min_size=0) as gone:
        key_store = KeyStore(gone)
    await key_store.put("paypal-main", a_key())
    assert await key_store.keys_of("paypal-main") == []
