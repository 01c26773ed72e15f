"""A gateway that says only that something changed, from the request to the order: receiver, lane, worker, its API."""

import asyncio
import json

import aiohttp
import pytest

from tests.database.factories import a_registration
from tests.notify_only_gateway import NotifyOnlyGateway
from tests.system.notify_only_api import Api, api_listening, receiver, workers
from tests.system.receiving import deliveries_in, exchange, status_of, until
from tillkeeper import clock
from tillkeeper.api_client.key_fetching import FETCHES_PER_MINUTE
from tillkeeper.domain.fetching import Fetch
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest.receive import UNSIGNED_BYTES_MAX
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.unknown_words import seen_words
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import history, show

QUERY = "key=key-of-the-tests"
SIGNED = f"/webhooks/telling-main?{QUERY}"
PAID = {"status": "paid", "order": "ORDER-1", "amount": 12900, "at": 1_795_000_000}


@pytest.fixture
def api():
    return Api()


@pytest.fixture
async def base(api):
    async with api_listening(api) as url:
        yield url


@pytest.fixture
def gateways(base):
    return (
        NotifyOnlyGateway("telling-main", api_base=base, acknowledges=True),
        NotifyOnlyGateway("unsigned-main", api_base=base, unsigned=True),
    )


@pytest.fixture
async def port(database, gateways):
    async with receiver(database, *gateways) as listening:
        yield listening


@pytest.fixture
async def client(port):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


@pytest.fixture
async def work(database, pool, gateways):
    async with workers(database, pool, *gateways) as running:
        yield running


async def post(client, path=SIGNED, **told):
    async with client.post(path, data=json.dumps(told or {"payment": "tr_1"})) as answer:
        return answer.status


async def registered(pool):
    registration = a_registration("ORDER-1", amount=12900, accounts=("telling-main", "unsigned-main"))
    await register(pool, registration, policy=Policy(), now=clock.now())


async def books(pool):
    return await audit(pool, settled_until=clock.now(), now=clock.now())


async def test_what_the_gateway_says_reaches_the_order(client, pool, work, api):
    await registered(pool)
    api.payments["tr_1"] = PAID
    assert await post(client) == 200
    assert api.asked == []  # nobody asks before the delivery is durable and acknowledged
    await work.run()
    assert (await show(pool, "ORDER-1"))["status"] == "paid"
    assert api.asked == ["GET /payments/tr_1", "POST /acknowledge/tr_1"]
    [event] = [entry for entry in await history(pool, "ORDER-1") if entry["what"] == "event"]
    assert event["evidence"] == "query"
    told = await books(pool)
    assert (told.fetches["wanted"], told.fetches["found"], told.balances) == (1, 1, True)


async def test_a_delivery_carries_its_query_and_its_queries(client, connection, pool, work):
    assert await post(client) == 200
    [delivery] = await deliveries_in(connection)
    assert (delivery.query, delivery.fetches) == (QUERY, (Fetch(about="payment", payment_ref="tr_1"),))
    await work.apply.run_once()
    row = await pool.fetchrow(
        "SELECT b.query, fetches, dropped, events FROM deliveries JOIN delivery_bodies b USING (run, number)"
    )
    assert tuple(row) == (QUERY, 1, 0, 0)


async def test_the_query_comes_through_both_ways_into_the_receiver(port, connection):
    body = b'{"payment": "tr_1"}'
    head = b"Host: t\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
    plain = b"POST %s HTTP/1.1\r\n" % SIGNED.encode() + head + b"\r\n" + body
    routed = b"POST %s HTTP/1.1\r\n" % SIGNED.encode() + head + b"Expect: 100-continue\r\n\r\n" + body
    odd = b"POST /webhooks/unsigned-main?caf\xe9 HTTP/1.1\r\n" + head + b"\r\n" + body
    assert status_of(await exchange(port, plain)) == 200
    assert b" 200 OK" in await exchange(port, routed)
    assert status_of(await exchange(port, odd)) in {400, 401}
    assert [each.query for each in await deliveries_in(connection)] == [QUERY, QUERY]


async def test_ten_deliveries_while_nobody_asks_are_one_query(client, pool, work, api):
    await registered(pool)
    api.payments["tr_1"] = PAID
    assert {await post(client) for _ in range(10)} == {200}
    await work.run()
    assert api.asked.count("GET /payments/tr_1") == 1
    assert (await books(pool)).fetches["found"] == 10


async def test_a_change_that_is_told_while_the_gateway_answers_is_not_missed(client, pool, work, api):
    await registered(pool)
    api.payments["tr_1"] = {**PAID, "status": "open", "at": PAID["at"] - 60}
    await post(client)
    await work.apply.run_once()
    api.goes_on.clear()
    asking = asyncio.ensure_future(work.fetch.run_once())

    async def is_asked() -> bool:
        return bool(api.asked)

    await until(is_asked)
    await post(client)
    await work.apply.run_once()
    api.goes_on.set()
    await asking
    api.payments["tr_1"] = PAID
    await work.run()
    assert (await show(pool, "ORDER-1"))["status"] == "paid"
    assert api.asked.count("GET /payments/tr_1") == 2


async def test_a_gateway_that_is_broken_is_asked_again_later_and_nothing_is_lost(client, pool, work, api):
    await registered(pool)
    api.payments["tr_1"] = PAID
    api.broken = True
    await post(client)
    await work.run()
    assert (await show(pool, "ORDER-1"))["status"] == "unpaid"
    assert (await books(pool)).fetches["open"] == 1
    api.broken = False
    await pool.execute("UPDATE fetches SET due_at = now()")  # as if the minute had passed
    await work.run()
    assert (await show(pool, "ORDER-1"))["status"] == "paid"


async def test_an_unsigned_delivery_changes_nothing_but_what_the_gateway_says(client, pool, work, api):
    await registered(pool)
    api.payments["tr_1"] = {**PAID, "status": "open"}
    assert await post(client, "/webhooks/unsigned-main", payment="tr_1", status="paid") == 200
    assert await post(client, "/webhooks/unsigned-main", payment="tr_made_up") == 200
    await work.run()
    assert (await show(pool, "ORDER-1"))["status"] == "processing"
    told = await books(pool)
    assert (told.fetches["found"], told.fetches["open"], told.balances) == (1, 1, True)
    assert await pool.fetchval("SELECT count(*) FROM cases") == 0


async def test_an_unsigned_delivery_of_any_size_is_not_kept(client, connection):
    assert await post(client, "/webhooks/unsigned-main", payment="tr_1", filler="x" * UNSIGNED_BYTES_MAX) == 413
    assert await post(client, payment="tr_1", filler="x" * UNSIGNED_BYTES_MAX) == 200
    assert [each.account for each in await deliveries_in(connection)] == ["telling-main"]


@pytest.mark.parametrize("body", ["{}", '{"payment": "\\u0000"}', "not json"])
async def test_a_delivery_whose_query_cannot_be_put_is_refused(client, connection, body):
    async with client.post(SIGNED, data=body) as answer:
        assert answer.status == 400
    assert await deliveries_in(connection) == []


# A GET by which the gateway tests the address.


async def test_a_challenge_is_answered_and_any_other_get_is_not(client):
    async with client.get("/webhooks/telling-main?verify=123") as answer:
        assert (answer.status, await answer.text(), answer.headers["Server"]) == (200, "123", "tillkeeper")
    for method in ("GET", "HEAD", "PUT"):
        async with client.request(method, "/webhooks/telling-main") as answer:
            assert answer.status == 405


# Keys that are not at hand.


async def test_a_key_that_a_delivery_names_is_fetched_and_kept(client, connection, api):
    api.keys.add("new-1")
    assert await post(client, "/webhooks/telling-main?key=new-1") == 200
    assert await post(client, "/webhooks/telling-main?key=new-1") == 200
    assert api.asked == ["GET /keys/new-1"]
    assert {each.key for each in await deliveries_in(connection)} == {"learnt:new-1"}


async def test_many_that_name_a_new_key_at_once_wait_for_one_fetch(client, api):
    api.keys.add("new-1")
    assert set(await asyncio.gather(*(post(client, "/webhooks/telling-main?key=new-1") for _ in range(20)))) == {200}
    assert api.asked == ["GET /keys/new-1"]


async def test_a_key_that_cannot_be_fetched_means_come_again_and_one_that_is_refused_means_no(client, api):
    api.broken = True
    async with client.post("/webhooks/telling-main?key=new-1", data='{"payment": "tr_1"}') as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    api.broken = False
    assert await post(client, "/webhooks/telling-main?key=new-2") == 401
    assert await post(client, "/webhooks/telling-main?key=newly-refused") == 401
    assert await post(client, "/webhooks/telling-main?key=wrong") == 401
    assert api.asked == ["GET /keys/new-1", "GET /keys/new-2"]


async def test_whoever_posts_has_keys_fetched_a_few_times_a_minute_and_no_more(client, api):
    statuses = [await post(client, f"/webhooks/telling-main?key=new-{number}") for number in range(30)]
    fetched = len(api.asked)
    assert statuses == [401] * fetched + [503] * (30 - fetched)
    assert FETCHES_PER_MINUTE <= fetched < 30
    assert await post(client) == 200  # those with a key that is known do not feel it


async def test_words_that_no_list_of_ours_has_refuse_nothing_and_reach_ops(client, pool, work, api):
    """In a delivery and in an answer: what else they say is taken."""
    await registered(pool)
    api.payments["tr_1"], api.payments["tr_2"] = PAID, PAID | {"status": "resting"}
    assert await post(client, payment="tr_1", mood="odd") == 200
    assert await post(client, payment="tr_2") == 200
    await work.run()
    assert (await show(pool, "ORDER-1"))["status"] == "paid"
    async with pool.acquire() as conn:
        met = {(each.account, each.field, each.word): each.seen for each in await seen_words(conn)}
    assert met == {("telling-main", "mood", "odd"): 1, ("telling-main", "status", "resting"): 1}
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'account.unknown_word'") == 2
