"""Group commit, with sends that end when the test says so.  No servers."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.group_commit import GroupCommit

KIB = 1024


class Road:
    """Where groups go.  Each send waits until the test lets it arrive."""

    def __init__(self):
        self.groups: list[list[int]] = []
        self.ends: list[asyncio.Future[str]] = []

    async def send(self, items):
        self.groups.append(items)
        self.ends.append(asyncio.get_running_loop().create_future())
        return await self.ends[-1]


def a_group_commit(road: Road, **limits) -> GroupCommit[int, str]:
    return GroupCommit(road.send, **{"items_max": 100, "bytes_max": KIB, "in_flight": 2, "filled_items": 1, **limits})


def put(group: GroupCommit[int, str], *items: int, size_bytes: int = 1) -> list[asyncio.Task[str]]:
    return [asyncio.ensure_future(group.put(item, size_bytes=size_bytes)) for item in items]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_idle_lane_sends_at_once():
    road = Road()
    [waiting] = put(a_group_commit(road), 1)
    await turns()
    assert road.groups == [[1]]
    road.ends[0].set_result("there")
    assert await waiting == "there"


async def test_what_arrives_meanwhile_travels_together_in_order():
    road = Road()
    group = a_group_commit(road)
    for item in (1, 2):
        put(group, item)
        await turns()
    later = put(group, 3, 4, 5)
    await turns()
    assert road.groups == [[1], [2]]
    road.ends[0].set_result("there")
    await turns()
    assert road.groups == [[1], [2], [3, 4, 5]]
    road.ends[2].set_result("late")
    assert await asyncio.gather(*later) == ["late"] * 3
    road.ends[1].set_result("there")


async def test_a_group_goes_beside_another_only_if_it_is_filled():
    road = Road()
    group = a_group_commit(road, filled_items=3)
    put(group, 0)
    await turns()
    put(group, 1, 2)
    await turns()
    assert road.groups == [[0]]
    put(group, 3)
    await turns()
    assert road.groups == [[0], [1, 2, 3]]
    put(group, 4)
    for end in road.ends:
        end.set_result("there")
    await turns()
    assert road.groups == [[0], [1, 2, 3], [4]]
    road.ends[2].set_result("there")


async def test_a_heavy_item_fills_a_group_alone():
    road = Road()
    group = a_group_commit(road, filled_items=3)
    for item in (0, 1):
        put(group, item, size_bytes=KIB)
        await turns()
    assert road.groups == [[0], [1]]
    for end in road.ends:
        end.set_result("there")


async def test_requests_of_one_turn_of_the_loop_travel_together():
    road = Road()
    put(a_group_commit(road), 1, 2, 3)
    await turns()
    assert road.groups == [[1, 2, 3]]
    road.ends[0].set_result("there")


async def test_a_failed_send_fails_its_own_group_alone():
    road = Road()
    group = a_group_commit(road, in_flight=1)
    failing = put(group, 1, 2)
    await turns()
    passing = put(group, 3)
    road.ends[0].set_exception(LaneUnavailable("no"))
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no", "no"]
    assert outcomes[0] is not outcomes[1]
    road.ends[1].set_result("there")
    assert await asyncio.gather(*passing) == ["there"]


async def test_a_mistake_of_ours_in_a_send_reaches_every_put_and_the_next_group_goes_on():
    road = Road()
    group = a_group_commit(road, in_flight=1)
    failing = put(group, 1)
    await turns()
    passing = put(group, 2)
    road.ends[0].set_exception(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        await failing[0]
    road.ends[1].set_result("there")
    assert await passing[0] == "there"


async def test_a_cancelled_send_is_unavailable_to_its_puts():
    road = Road()
    [waiting] = put(a_group_commit(road), 1)
    await turns()
    road.ends[0].cancel()
    with pytest.raises(LaneUnavailable):
        await waiting


async def test_a_client_that_left_stops_neither_its_send_nor_its_neighbours():
    road = Road()
    group = a_group_commit(road, in_flight=1)
    sending = put(group, 1, 2)
    await turns()
    waiting = put(group, 3, 4)
    await turns()
    for gone in (sending[0], waiting[0]):
        gone.cancel()
    await turns()
    road.ends[0].set_result("there")
    assert await sending[1] == "there"
    assert road.groups == [[1, 2], [3, 4]]
    road.ends[1].set_result("there")
    assert await waiting[1] == "there"


async def test_too_many_waiting_are_refused_and_room_is_made_by_sending():
    road = Road()
    group = a_group_commit(road, in_flight=1, waiting_items_max=2)
    first = put(group, 1)
    await turns()
    kept = put(group, 2, 3)
    refused = put(group, 4)
    await turns()
    with pytest.raises(LaneUnavailable, match="too many"):
        await refused[0]
    road.ends[0].set_result("there")
    await asyncio.gather(*first)
    kept += put(group, 5)
    road.ends[1].set_result("there")
    await turns()
    road.ends[2].set_result("there")
    assert await asyncio.gather(*kept) == ["there"] * 3


async def test_too_many_bytes_waiting_are_refused():
    road = Road()
    group = a_group_commit(road, in_flight=1, waiting_bytes_max=10)
    first = put(group, 1)
    await turns()
    kept = put(group, 2, size_bytes=8)
    await turns()
    with pytest.raises(LaneUnavailable):
        await group.put(3, size_bytes=3)
    road.ends[0].set_result("there")
    await asyncio.gather(*first)
    road.ends[1].set_result("there")
    assert await asyncio.gather(*kept) == ["there"]


async def test_draining_finishes_what_waits_and_takes_nothing_new():
    road = Road()
    group = a_group_commit(road, in_flight=1)
    waiting = put(group, 1)
    await turns()
    waiting += put(group, 2)
    await turns()
    drained = asyncio.ensure_future(group.drain(within_s=30))
    await turns()
    with pytest.raises(LaneUnavailable):
        await group.put(3, size_bytes=1)
    road.ends[0].set_result("there")
    await turns()
    assert not drained.done()
    road.ends[1].set_result("there")
    await drained
    assert await asyncio.gather(*waiting) == ["there", "there"]
    await group.drain(within_s=0)


async def test_draining_ends_in_time_and_what_never_left_is_unavailable():
    road = Road()
    group = a_group_commit(road, in_flight=1)
    put(group, 1)
    await turns()
    [waiting] = put(group, 2)
    await turns()
    await group.drain(within_s=0.01)
    with pytest.raises(LaneUnavailable):
        await waiting
    road.ends[0].set_result("there")


@settings(deadline=None, max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 40), max_size=60),
    limits=st.fixed_dictionaries(
        {"items_max": st.integers(1, 10), "bytes_max": st.integers(1, 60), "in_flight": st.integers(1, 3)}
    ),
    fates=st.lists(st.booleans(), min_size=60, max_size=60),
    pauses=st.lists(st.integers(0, 3), min_size=60, max_size=60),
)
def test_every_item_travels_once_in_order_within_the_limits_and_gets_its_own_outcome(sizes, limits, fates, pauses):
    async def play() -> None:
        groups: list[list[int]] = []
        at_once = most_at_once = 0

        async def send(items):
            nonlocal at_once, most_at_once
            number = len(groups)
            groups.append(items)
            at_once += 1
            most_at_once = max(most_at_once, at_once)
            await turns(pauses[number])
            at_once -= 1
            if fates[number]:
                raise LaneUnavailable(str(number))
            return number

        group = GroupCommit(send, **limits)
        waiting = []
        for item, size in enumerate(sizes):
            waiting.append(asyncio.ensure_future(group.put(item, size_bytes=size)))
            await turns(pauses[-1 - item])
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)

        assert [item for items in groups for item in items] == list(range(len(sizes)))
        assert most_at_once <= limits["in_flight"]
        for number, items in enumerate(groups):
            assert len(items) <= limits["items_max"]
            assert len(items) == 1 or sum(sizes[item] for item in items) <= limits["bytes_max"]
            for item in items:
                failed = isinstance(outcomes[item], LaneUnavailable)
                assert failed is fates[number]
                assert str(outcomes[item]) == str(number)

    asyncio.run(play())
