"""The first page: is the till true, what wants a look; and it stays so by itself."""

import asyncio
import re

import pytest

from tests.database.factories import NOON
from tests.desk_orders import MINUTE, a_busy_till, a_paid_order
from tests.desks import a_desk, a_person, desk_client
from tests.system.desk.test_order_page import said
from tillkeeper.desk.live.feed import Feed
from tillkeeper.desk.live.snapshot import read_snapshot
from tillkeeper.desk.pages import now

NOW = NOON + 24 * MINUTE
PARKED = "INSERT INTO parked (body, readable, reason, error, parked_at) VALUES ('', true, 'x', 'x', $1)"


class Reads:
    """Counts how often the database is read, and can make it fail."""

    def __init__(self, pool):
        self.pool = pool
        self.count = 0
        self.fails = False

    async def __call__(self, before):
        self.count += 1
        if self.fails:
            raise ConnectionRefusedError("the database is away")
        return await read_snapshot(self.pool, before, broker_waiting=0, now=NOW)


@pytest.fixture
def reads(pool):
    return Reads(pool)


@pytest.fixture
async def client(pool, reads):
    async with desk_client(a_desk(pool, now=lambda: NOW, feed=Feed(reads, now=lambda: NOW))) as client:
        yield client


async def events_of(response):
    """The parts that a stream brings, one by one."""
    lines = []
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text:
            lines.append(text)
        elif lines:
            if lines[0] == "event: now":
                yield "\n".join(part.removeprefix("data: ") for part in lines[1:])
            lines = []


async def test_a_till_of_which_nothing_is_known_to_be_wrong(client):
    text = said(await (await client.get("/")).text())
    assert "Nothing to do The till is true. Nothing wants a look." in text
    assert "Nothing is stuck." in text


async def test_what_wants_a_look_stands_there_by_urgency(client, pool):
    await a_paid_order(pool)
    await a_busy_till(pool)
    text = said(await (await client.get("/")).text())
    assert "Act now The till is partly blind: an account does not talk." in text
    assert "2 things need somebody now, 4 more want a look." in text
    sentences = [
        "9 orders are overdue for the sweep",
        "20 notices are overdue",
        "1 account is silent or does not answer",
        "1 event waits for its order",
        "4 cases are open",
        "7 orders stand for too long",
    ]
    found = [text.index(sentence) for sentence in sentences if sentence in text]
    assert found == sorted(found)


async def test_the_flow_has_rates_and_ages(client, pool):
    await a_paid_order(pool)
    await a_busy_till(pool)
    text = said(await (await client.get("/")).text())
    assert "Received 9 a minute last 7 s ago In the lanes 1 waiting PostgreSQL 1 · the oldest 20 s" in text
    assert "took 1 s at most" in text
    assert re.search(r"silent for 22 min", text)


GIVEN = "INSERT INTO answers_given VALUES ($1, 'stripe-main', 500, 3, 2, $1)"
RESTS = """
INSERT INTO account_health (account, watched_at, failing_since, failed_at, reason)
VALUES ('stripe-main', $1, $2, $1, 'breaker_open')
"""


async def test_what_receivers_answer_shows_before_it_is_applied_and_whose_queries_rest(client, pool):
    await pool.execute(GIVEN, NOW - MINUTE / 2)
    await pool.execute(RESTS, NOW - MINUTE / 2, NOW - 10 * MINUTE)
    text = said(await (await client.get("/")).text())
    assert "Received 500 a minute" in text
    assert "500 3 refused (4xx) 2 put off (5xx)" in text
    assert "breaker open: not asked, as seen 30 s ago" in text


async def test_of_all_who_look_in_one_language_and_role_one_page_is_made(pool, reads, monkeypatch):
    made = []
    monkeypatch.setattr(now, "live_part", lambda _desk, shower, snapshot: made.append(snapshot.number) or shower.locale)
    desk = a_desk(pool, now=lambda: NOW, feed=Feed(reads, now=lambda: NOW))
    async with (
        desk_client(desk, a_person(locale="en")) as client,
        client.get("/now/stream") as one,
        client.get("/now/stream") as other,
    ):
        for stream in (one, other):
            parts = events_of(stream)
            assert [await anext(parts) for _ in range(2)] == ["en", "en"]
    assert len(made) == len(set(made))


async def test_chinese_and_numbers_for_who_sees_no_bars(pool):
    await a_busy_till(pool, stuck=0)
    async with desk_client(a_desk(pool, now=lambda: NOW), a_person(locale="zh")) as client:
        page = await (await client.get("/")).text()
    assert 'lang="zh-Hans"' in page
    assert "账目存疑：有账户没有声音。" in page
    assert "每小时回调数，从旧到新：" in page


async def test_what_changes_comes_by_itself(client, pool):
    async with client.get("/now/stream") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        events = events_of(response)
        assert "Nothing wants a look." in await anext(events)
        await pool.execute(PARKED, NOW)
        async for part in events:
            if "1 event could not be applied" in part:
                break


async def test_the_database_is_read_once_however_many_look_and_never_while_nobody_does(client, reads):
    assert reads.count == 0
    responses = [await client.get("/now/stream") for _ in range(5)]
    streams = [events_of(response) for response in responses]
    for _ in range(2):
        await asyncio.gather(*(anext(stream) for stream in streams))
    assert reads.count <= 4
    for response in responses:
        response.close()


async def test_while_the_database_is_away_what_was_read_last_is_shown_and_said_to_be_old(pool, reads):
    now = NOW
    async with desk_client(a_desk(pool, now=lambda: now, feed=Feed(reads, now=lambda: now))) as client:
        assert (await client.get("/")).status == 200
        reads.fails, now = True, NOW + MINUTE
        page = await (await client.get("/")).text()
        assert '<p class="stale shown"' in page
        assert "Nobody knows: the database cannot be read." in page
        assert (await client.get("/static/none")).status == 404


async def test_where_the_database_was_never_read_the_page_says_so(client, reads):
    reads.fails = True
    answer = await client.get("/")
    assert answer.status == 503
    assert "The database cannot be read just now" in await answer.text()


async def test_streams_end_when_the_desk_stops(pool, reads):
    feed = Feed(reads, now=lambda: NOW)
    async with desk_client(a_desk(pool, now=lambda: NOW, feed=feed)) as client:
        response = await client.get("/now/stream")
        events = events_of(response)
        await anext(events)
        await feed.close()
        async for _ in events:
            pass
        assert response.content.at_eof()
