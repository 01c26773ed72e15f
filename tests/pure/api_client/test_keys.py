"""Keys fetched for deliveries: one try for all who wait, a few a minute, and a look from time to time."""

import asyncio

import pytest

from tests.notify_only_gateway import NotifyOnlyGateway
from tillkeeper.api_client.http import Unreachable
from tillkeeper.api_client.key_fetching import (
    FETCHES_PER_MINUTE,
    KEY_STORE_READ_EVERY_S,
    REFRESH_EVERY_S,
    REFRESH_FIRST_S,
    REFUSED_URLS_MAX,
    KeyFetcher,
    KeyUnavailable,
    keep_refreshing,
    refreshes_keys,
)
from tillkeeper.domain.backoff import KEY_REFRESH
from tillkeeper.gateways.errors import BadSignature
from tillkeeper.gateways.messages import Call, Request, Response
from tillkeeper.store.accounts.keys import LearntKey


class Refreshing(NotifyOnlyGateway):
    def key_refresh_request(self, *, now, nonce):
        return Call(method="GET", url="http://127.0.0.1:9/keys/new-all", headers={}) if self.told.unsigned else None


class Keeping(NotifyOnlyGateway):
    """Has a key for names that begin with new, and for no strange one; what it learnt can be learnt again."""

    keeps_keys = True

    def read_key(self, call, response, *, now):
        if not response.body.startswith(b"new"):
            raise BadSignature("no such key")
        super().read_key(call, response, now=now)


class KeyStore:
    """In memory, for a receiver and the next."""

    def __init__(self):
        self.keys, self.looks = {}, 0

    async def keys_of(self, account):
        self.looks += 1
        return list(self.keys.get(account, {}).values())

    async def put(self, account, key):
        self.keys.setdefault(account, {})[key.url] = key


class Network:
    """Says what a test has it say, each time after a moment in which others may come."""

    def __init__(self):
        self.calls = []
        self.says = lambda call: Response(status=200, headers={}, body=call.url.rpartition("/")[2].encode())

    async def send(self, call):
        self.calls.append(call.url)
        await asyncio.sleep(0)
        said = self.says(call)
        if isinstance(said, Exception):
            raise said
        return said


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def gateway():
    return NotifyOnlyGateway("telling-main")


@pytest.fixture
def keys(gateway, network, time):
    return KeyFetcher(gateway, network.send, monotonic_s=time.monotonic_s)


def naming(name):
    return Request(headers={}, body=b"", query=f"key={name}")


async def test_a_key_that_nobody_would_fetch_is_not_fetched(keys, network, gateway):
    gateway.keys.add("new-1")
    assert not await keys.fetch_for(naming("new-1"))
    with pytest.raises(BadSignature):
        await keys.fetch_for(naming("newly-refused"))
    assert network.calls == []


async def test_one_try_is_for_all_who_wait_whether_it_succeeds_or_not(keys, network):
    told = await asyncio.gather(*(keys.fetch_for(naming("new-1")) for _ in range(50)))
    assert (set(told), len(network.calls)) == ({True}, 1)
    network.says = lambda _: Unreachable("TimeoutError")
    told = await asyncio.gather(*(keys.fetch_for(naming("new-2")) for _ in range(50)), return_exceptions=True)
    assert ({type(event) for event in told}, len(network.calls)) == ({KeyUnavailable}, 2)


async def test_what_is_not_the_gateways_key_is_refused(keys, network):
    network.says = lambda _: Response(status=404, headers={}, body=b"")
    with pytest.raises(BadSignature, match="refused"):
        await keys.fetch_for(naming("new-1"))


@pytest.mark.parametrize("status", [401, 500])
async def test_what_the_gateway_does_not_give_now_may_come_later(keys, network, status):
    network.says = lambda _: Response(status=status, headers={}, body=b"")
    with pytest.raises(KeyUnavailable):
        await keys.fetch_for(naming("new-1"))


async def test_a_few_are_fetched_a_minute(keys, network, time):
    for number in range(FETCHES_PER_MINUTE):
        assert await keys.fetch_for(naming(f"new-{number}"))
    with pytest.raises(KeyUnavailable, match="too often"):
        await keys.fetch_for(naming("new-x"))
    time.passed_s += 60 / FETCHES_PER_MINUTE
    assert await keys.fetch_for(naming("new-y"))
    assert len(network.calls) == FETCHES_PER_MINUTE + 1


async def test_so_many_that_are_named_again_are_fetched_a_minute_as_well(keys, network, time):
    for number in range(FETCHES_PER_MINUTE):
        assert await keys.fetch_for(naming(f"new-{number}"))
    for _ in range(2):
        for number in range(REFUSED_URLS_MAX + 1):
            try:
                await keys.fetch_for(naming(f"new-x{number}"))
            except KeyUnavailable:
                continue
    assert len(network.calls) == FETCHES_PER_MINUTE  # each was forgotten before it was named again
    for number in range(REFUSED_URLS_MAX, 0, -1):
        try:
            await keys.fetch_for(naming(f"new-x{number}"))
        except KeyUnavailable:
            continue
    assert len(network.calls) == 2 * FETCHES_PER_MINUTE


@pytest.fixture
def key_store():
    return KeyStore()


def keeping(network, time, key_store):
    gateway = Keeping("telling-main")
    return gateway, KeyFetcher(gateway, network.send, key_store=key_store, now=time.now, monotonic_s=time.monotonic_s)


async def strange(keys, how_many):
    """Somebody names keys that nobody has, each another."""
    for at in range(how_many):
        with pytest.raises((BadSignature, KeyUnavailable)):
            await keys.fetch_for(naming(f"strange-{id(keys)}-{at}"))


async def test_a_known_key_is_fetched_again_though_strange_ones_are_named_without_end(network, time, key_store):
    gateway, keys = keeping(network, time, key_store)
    assert await keys.fetch_for(naming("new-1"))
    gateway.keys.clear()  # it lapsed
    await strange(keys, 2 * FETCHES_PER_MINUTE)
    assert await keys.fetch_for(naming("new-1"))


async def test_a_key_outlasts_a_restart_though_nothing_can_be_fetched_then(network, time, key_store):
    _, keys = keeping(network, time, key_store)
    assert await keys.fetch_for(naming("new-1"))
    network.says = lambda _: Unreachable("TimeoutError")
    _, keys = keeping(network, time, key_store)
    assert await keys.fetch_for(naming("new-1"))
    with pytest.raises(KeyUnavailable):
        await keys.fetch_for(naming("new-2"))
    assert [url.rpartition("/")[2] for url in network.calls] == ["new-1", "new-2"]


async def test_what_one_receiver_learnt_the_others_find_and_they_do_not_look_for_each_delivery(
    network, time, key_store
):
    (_, one), (gateway, other) = keeping(network, time, key_store), keeping(network, time, key_store)
    await strange(other, 2 * FETCHES_PER_MINUTE)
    assert key_store.looks == 1
    assert await one.fetch_for(naming("new-1"))
    time.passed_s += KEY_STORE_READ_EVERY_S
    called = len(network.calls)
    assert await other.fetch_for(naming("new-1"))
    assert (gateway.keys, len(network.calls)) == ({"new-1"}, called)
    time.passed_s += KEY_STORE_READ_EVERY_S
    key_store.keys["telling-main"]["http://127.0.0.1:9/keys/odd"] = LearntKey(
        url="http://127.0.0.1:9/keys/odd", content=b"odd", learnt_at=time.now()
    )  # by other settings
    assert await other.fetch_for(naming("new-2"))


async def test_who_cannot_learn_a_key_twice_keeps_none(network, time, key_store):
    keys = KeyFetcher(
        NotifyOnlyGateway("telling-main"), network.send, key_store=key_store, monotonic_s=time.monotonic_s
    )
    assert await keys.fetch_for(naming("new-1"))
    assert (key_store.keys, key_store.looks) == ({}, 0)


async def waits_of(keys, looks):
    """How long it waited before each of so many looks."""
    stop, waits = asyncio.Event(), []

    async def wait(_stop, seconds):
        waits.append(seconds)
        if len(waits) > looks:
            stop.set()

    await keep_refreshing(keys, stop, jitter=lambda *_: 1.0, wait=wait)
    return waits


async def test_keys_are_looked_at_from_time_to_time_and_sooner_after_a_failure(network):
    gateway = Refreshing("telling-main", unsigned=True)
    keys = KeyFetcher(gateway, network.send)
    assert await waits_of(keys, 2) == [REFRESH_FIRST_S, REFRESH_EVERY_S, REFRESH_EVERY_S]
    assert gateway.keys == {"new-all"}
    network.says = lambda _: Unreachable("TimeoutError")
    assert await waits_of(keys, 1) == [REFRESH_FIRST_S, KEY_REFRESH.pause_s(1)]
    network.says = lambda _: Response(status=404, headers={}, body=b"")
    assert await waits_of(keys, 1) == [REFRESH_FIRST_S, KEY_REFRESH.pause_s(1)]


async def test_where_there_is_nothing_to_look_at_nobody_looks(network):
    assert await waits_of(KeyFetcher(Refreshing("telling-main"), network.send), 1) == [REFRESH_FIRST_S, REFRESH_EVERY_S]
    assert network.calls == []
    assert refreshes_keys(Refreshing("telling-main"))
    assert not refreshes_keys(NotifyOnlyGateway("telling-main"))
