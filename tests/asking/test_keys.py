"""Keys fetched for deliveries: one try for all who wait, a few a minute, and a look from time to time."""

import asyncio

import pytest

from tests.telling import Telling
from tillkeeper.asking.keys import (
    FETCHES_PER_MINUTE,
    REFRESH_AGAIN_S,
    REFRESH_EVERY_S,
    REFRESH_FIRST_S,
    Keys,
    NoKey,
    keep_fresh,
    refreshing,
)
from tillkeeper.asking.wire import Unreachable
from tillkeeper.gateways.base import BadSignature, Call, Heard, Request


class Refreshing(Telling):
    def refresh(self, *, now, nonce):
        return Call(method="GET", url="http://127.0.0.1:9/keys/new-all", headers={}) if self.told.unsigned else None


class Network:
    """Says what a test has it say, each time after a moment in which others may come."""

    def __init__(self):
        self.calls = []
        self.says = lambda call: Heard(status=200, headers={}, body=call.url.rpartition("/")[2].encode())

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
    return Telling("telling-main")


@pytest.fixture
def keys(gateway, network, time):
    return Keys(gateway, network.send, monotonic_s=time.monotonic_s)


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
    assert ({type(it) for it in told}, len(network.calls)) == ({NoKey}, 2)


async def test_what_is_not_the_gateways_key_is_refused(keys, network):
    network.says = lambda _: Heard(status=404, headers={}, body=b"")
    with pytest.raises(BadSignature, match="refused"):
        await keys.fetch_for(naming("new-1"))


@pytest.mark.parametrize("status", [401, 500])
async def test_what_the_gateway_does_not_give_now_may_come_later(keys, network, status):
    network.says = lambda _: Heard(status=status, headers={}, body=b"")
    with pytest.raises(NoKey):
        await keys.fetch_for(naming("new-1"))


async def test_a_few_are_fetched_a_minute(keys, network, time):
    for number in range(FETCHES_PER_MINUTE):
        assert await keys.fetch_for(naming(f"new-{number}"))
    with pytest.raises(NoKey, match="too often"):
        await keys.fetch_for(naming("new-x"))
    time.passed_s += 60 / FETCHES_PER_MINUTE
    assert await keys.fetch_for(naming("new-x"))
    assert len(network.calls) == FETCHES_PER_MINUTE + 1


async def waits_of(keys, looks):
    """How long it waited before each of so many looks."""
    stop, waits = asyncio.Event(), []

    async def wait(_stop, seconds):
        waits.append(seconds)
        if len(waits) > looks:
            stop.set()

    await keep_fresh(keys, stop, jitter=lambda *_: 1.0, wait=wait)
    return waits


async def test_keys_are_looked_at_from_time_to_time_and_sooner_after_a_failure(network):
    gateway = Refreshing("telling-main", unsigned=True)
    keys = Keys(gateway, network.send)
    assert await waits_of(keys, 2) == [REFRESH_FIRST_S, REFRESH_EVERY_S, REFRESH_EVERY_S]
    assert gateway.keys == {"new-all"}
    network.says = lambda _: Unreachable("TimeoutError")
    assert await waits_of(keys, 1) == [REFRESH_FIRST_S, REFRESH_AGAIN_S]
    network.says = lambda _: Heard(status=404, headers={}, body=b"")
    assert await waits_of(keys, 1) == [REFRESH_FIRST_S, REFRESH_AGAIN_S]


async def test_where_there_is_nothing_to_look_at_nobody_looks(network):
    assert await waits_of(Keys(Refreshing("telling-main"), network.send), 1) == [REFRESH_FIRST_S, REFRESH_EVERY_S]
    assert network.calls == []
    assert refreshing(Refreshing("telling-main"))
    assert not refreshing(Telling("telling-main"))
