"""Unsigned deliveries: a flood of made-up ids keeps no genuine one out, and what was answered 200 is asked about."""

import asyncio
import json
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from tests.database.factories import a_registration
from tests.notify_only_gateway import NotifyOnlyGateway
from tests.system.notify_only_api import Api, api_listening, receiver, workers
from tests.system.receiving import deliveries_in
from tillkeeper import clock
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest.unsigned_limits import REPEATS_MAX, SHARE, WAIT_S, TooManyUnsigned, UnsignedLimit, source_of
from tillkeeper.store.apply.registration import register
from tillkeeper.store.reports.order import show

PER_S = 10
PLACES = int(WAIT_S * SHARE * PER_S)
LOCAL = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
def limit():
    return UnsignedLimit(calls_per_s=PER_S)


def let_in(limit, source, count, *, at_s=0.0):
    """How many of so many different ones come in."""
    admitted = 0
    for number in range(count):
        try:
            limit.admit(source, (source, at_s, number), now_s=at_s)
        except TooManyUnsigned:
            continue
        admitted += 1
    return admitted


def test_one_source_has_half_of_the_room_and_a_newcomer_always_finds_some(limit):
    assert let_in(limit, "198.51.100.1", 30_000) == PLACES // 2
    for number in range(2, 8):
        assert let_in(limit, f"198.51.100.{number}", 30_000) > 0
    assert let_in(limit, "192.0.2.1", 1) == 1


def test_room_is_made_as_fast_as_queries_are_asked(limit):
    let_in(limit, "198.51.100.1", 30_000)
    assert let_in(limit, "198.51.100.1", 100, at_s=10.0) == 10 * SHARE * PER_S
    assert let_in(limit, "198.51.100.1", 30_000, at_s=10.0 + 2 * WAIT_S) == PLACES // 2


def test_many_deliveries_about_one_thing_take_one_place(limit):
    for _ in range(REPEATS_MAX):
        limit.admit("192.0.2.1", "tr_1", now_s=0.0)
    assert let_in(limit, "192.0.2.1", 30_000) == PLACES // 2 - 1
    limit.admit("192.0.2.1", "tr_1", now_s=0.0)
    with pytest.raises(TooManyUnsigned):
        limit.admit("192.0.2.1", "tr_1", now_s=0.0)


def test_what_names_nothing_takes_a_place_each(limit):
    for _ in range(PLACES // 2):
        limit.admit("192.0.2.1", (), now_s=0.0)
    with pytest.raises(TooManyUnsigned):
        limit.admit("192.0.2.1", (), now_s=0.0)


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["192.0.2.9, 198.51.100.1"], "198.51.100.1"),  # what the client itself wrote stands first
        ("127.0.0.1", ["192.0.2.9", "198.51.100.1, 127.0.0.1"], "198.51.100.1"),
        ("127.0.0.1", ["127.0.0.1"], "127.0.0.1"),
        ("127.0.0.1", ["nonsense"], "none"),
        ("127.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),  # no proxy of ours
        (None, ["198.51.100.1"], "none"),
    ],
)
def test_a_source_is_the_nearest_address_that_is_no_proxy_of_ours(peer, forwarded, source):
    headers = [("X-Forwarded-For", each) for each in forwarded]
    request = make_mocked_request("POST", "/", headers=headers).clone(remote=peer)
    assert source_of(request, LOCAL) == source


# From the request to the order.


@pytest.fixture
async def api():
    return Api()


@pytest.fixture
async def gateway(api):
    async with api_listening(api) as base:
        yield NotifyOnlyGateway("unsigned-main", api_base=base, unsigned=True)


@pytest.fixture
async def client(database, gateway):
    async with receiver(database, gateway) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def post(client, payment, source):
    told = {"X-Forwarded-For": source}
    async with client.post("/webhooks/unsigned-main", data=json.dumps({"payment": payment}), headers=told) as answer:
        return answer.status, answer.headers.get("Retry-After")


async def flood(client, first, count, source="198.51.100.1"):
    posts = (post(client, f"tr_x{number}", source) for number in range(first, first + count))
    return await asyncio.gather(*posts)


async def test_a_genuine_call_amid_a_flood_is_asked_about(client, database, pool, api, gateway):
    await register(
        pool, a_registration("ORDER-1", amount=12900, accounts=("unsigned-main",)), policy=Policy(), now=clock.now()
    )
    api.payments["tr_1"] = {"status": "paid", "order": "ORDER-1", "amount": 12900, "at": 1_795_000_000}
    answers = [each for first in range(0, 1500, 100) for each in await flood(client, first, 100)]
    assert set(answers) == {(200, None), (503, "5")}
    assert await post(client, "tr_1", "192.0.2.1") == (200, None)
    async with workers(database, pool, gateway) as work:
        while await work.apply.run_once():
            pass
        await work.fetch.run_once()
    assert (await show(pool, "ORDER-1"))["status"] == "paid"


async def test_what_is_put_off_leaves_nothing_and_what_is_unsigned_is_short(client, connection):
    for first in range(0, 900, 100):
        await flood(client, first, 100)
    for attempt in range(1_000):  # places become free as time passes, more slowly than any machine posts
        kept = len(await deliveries_in(connection))
        if (refused := await post(client, f"tr_y{attempt}", "198.51.100.1")) != (200, None):
            break
    assert refused == (503, "5")
    assert len(await deliveries_in(connection)) == kept
    async with client.post(
        "/webhooks/unsigned-main", data=json.dumps({"payment": "tr_1", "x": "a" * 20_000})
    ) as answer:
        assert answer.status == 413
