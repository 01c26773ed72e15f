"""Words that no list of ours has: counted for each delivery that held them, and told to ops once."""

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import msgspec

from tests.database.factories import NOON, a_delivery, an_event
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.deliveries import unknown_words
from tillkeeper.store.deliveries.unknown_words import note_words, seen_words
from tillkeeper.store.postgres.transactions import repeat_on_conflict


async def applied(pool, *deliveries):
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, deliveries, policy=Policy(), now=NOON))


async def noted(pool, words, *, now=NOON):
    await repeat_on_conflict(pool, lambda conn: note_words(conn, words, now=now))


async def met(pool):
    async with pool.acquire() as conn:
        return {(each.account, each.field, each.word): each.seen for each in await seen_words(conn)}


async def told(pool):
    rows = await pool.fetch("SELECT audience, payload FROM outbox WHERE topic = 'account.unknown_word' ORDER BY key")
    return [(row["audience"], msgspec.json.decode(row["payload"])["word"]) for row in rows]


async def test_a_word_of_a_delivery_is_counted_and_told_once(pool):
    first = a_delivery(an_event(), run=uuid4(), number=1, unknown=(("status", "parked"), ("reason", "moon")))
    await applied(pool, first, a_delivery(an_event(), run=uuid4(), number=1, unknown=(("status", "parked"),)))
    await applied(pool, first)
    assert await met(pool) == {("stripe-main", "status", "parked"): 2, ("stripe-main", "reason", "moon"): 1}
    assert await told(pool) == [("ops", "moon"), ("ops", "parked")]


async def test_when_it_was_met_first_and_last_is_kept(pool):
    word = ("a", "status", "parked")
    for hours, count in ((1, 2), (0, 3)):
        await noted(pool, Counter({word: count}), now=NOON + timedelta(hours=hours))
    async with pool.acquire() as conn:
        [seen] = await seen_words(conn)
    assert (seen.seen, seen.last_at) == (5, NOON + timedelta(hours=1))


async def test_a_field_that_never_says_the_same_fills_no_table(pool, monkeypatch):
    monkeypatch.setattr(unknown_words, "WORDS_MAX", 2)
    for word in ("a", "b", "c", "a"):
        await noted(pool, [("shop", "status", word)])
    assert await met(pool) == {("shop", "status", "a"): 2, ("shop", "status", "b"): 1}


async def test_nothing_is_nothing(pool):
    await noted(pool, [])
    assert await met(pool) == {}
