"""The intake over both lanes, while their servers are killed, hang and come back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from tests.lane_handles import RabbitLane, SpoolLane, eventually, until_available
from tillkeeper import clock
from tillkeeper.domain.delivery import Envelope, unpack
from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.fetching import Fetch
from tillkeeper.lanes.base import LaneUnavailable, Receiver
from tillkeeper.lanes.intake import Intake

RECEIVED_AT = datetime(2026, 10, 1, 12, tzinfo=UTC)


def an_event(**fields) -> PaymentEvent:
    known = {"event_id": "evt_1", "kind": Kind.PAYMENT_PENDING, "account": "shop", "occurred_at": RECEIVED_AT}
    return PaymentEvent(**known | {"order_ref": "A-1", "payment_ref": "pi_1"} | fields)


async def accept(intake: Intake, body: bytes = b"{}", **fields) -> str:
    known = {"account": "shop", "received_at": RECEIVED_AT, "key": "0", "headers": [("a", "b")], "events": [an_event()]}
    return await intake.accept(body=body, **known | fields)


class Places:
    """An intake on the lanes of one test, and all that came out of them."""

    def __init__(self, intake: Intake, run: UUID):
        self.intake = intake
        self.run = run
        self.envelopes: list[Envelope] = []

    async def fetch(self, receiver: Receiver) -> None:
        while taken := await until_available(lambda: receiver.take(limit=50, wait_s=0.3)):
            self.envelopes += [unpack(each.body) for each in taken]
            await receiver.acknowledge(taken)

    @property
    def bodies(self) -> dict[int, bytes]:
        return {each.number: each.body for envelope in self.envelopes for each in envelope.deliveries}

    @property
    def void(self) -> set[int]:
        return {number for envelope in self.envelopes for number in envelope.void}


@pytest.fixture
async def spooling(spool_lane: SpoolLane) -> AsyncIterator[Places]:
    run = uuid4()
    places = Places(Intake(run=run, broker=None, spool=spool_lane.sender), run)
    yield places
    await places.intake.close()


@pytest.fixture
async def both(rabbit_lane: RabbitLane, spool_lane: SpoolLane) -> AsyncIterator[Places]:
    run = uuid4()
    places = Places(Intake(run=run, broker=rabbit_lane.sender, spool=spool_lane.sender), run)
    yield places
    await places.intake.close()


async def test_without_a_broker_deliveries_go_to_the_spool_numbered_without_gaps(spooling: Places, spool_lane):
    lanes = await asyncio.gather(*(accept(spooling.intake, b"%d" % number) for number in range(250)))
    assert set(lanes) == {"spool"}
    await spooling.fetch(await spool_lane.receiver())
    assert sorted(spooling.bodies) == list(range(1, 251))
    assert sorted(spooling.bodies.values(), key=int) == [b"%d" % number for number in range(250)]
    assert len(spooling.envelopes) < 50
    assert max(len(envelope.deliveries) for envelope in spooling.envelopes) <= 100
    assert spooling.intake.counters.deliveries == {"spool": 250}
    assert spooling.intake.counters.envelopes == {"spool": len(spooling.envelopes)}


async def test_a_delivery_comes_out_as_it_went_in(spooling: Places, spool_lane):
    events = (an_event(amount=1290, currency="CNY"), an_event(event_id="evt_2"))
    fetches = (Fetch(about="refund", refund_ref="re_1", proven=False),)
    told = {"events": events, "fetches": fetches, "query": "source=1", "unknown": [("status", "moon")]}
    await accept(spooling.intake, b"\x00\xff", headers=[("Stripe-Signature", "t=1")], key="1", **told)
    await spooling.fetch(await spool_lane.receiver())
    [envelope] = spooling.envelopes
    [delivery] = envelope.deliveries
    assert (envelope.run, delivery.run, delivery.number) == (spooling.run, spooling.run, 1)
    assert (delivery.account, delivery.received_at, delivery.key) == ("shop", RECEIVED_AT, "1")
    assert (delivery.headers, delivery.body) == ((("Stripe-Signature", "t=1"),), b"\x00\xff")
    assert (delivery.events, delivery.fetches, delivery.query) == (events, fetches, "source=1")
    assert delivery.unknown == (("status", "moon"),)


async def test_text_that_no_message_can_carry_hurts_nobody_else(spooling: Places, spool_lane):
    outcomes = await asyncio.gather(
        accept(spooling.intake, b"sound"),
        accept(spooling.intake, b"bad event", events=[an_event(failure_code="\ud800")]),
        accept(spooling.intake, b"huge", events=[an_event(amount=2**70)]),
        accept(spooling.intake, b"odd header", headers=[("User-Agent", "caf\udce9")]),
        accept(spooling.intake, b"odd query", query="caf\udce9"),
        accept(spooling.intake, b"odd question", fetches=[Fetch(about="payment", payment_ref="\ud800")]),
        return_exceptions=True,
    )
    odd = [str, UnicodeEncodeError, OverflowError, str, str, UnicodeEncodeError]
    assert [type(outcome) for outcome in outcomes] == odd
    await spooling.fetch(await spool_lane.receiver())
    assert spooling.bodies == {1: b"sound", 2: b"odd header", 3: b"odd query"}


async def test_what_a_client_no_longer_waits_for_arrives_all_the_same(spooling: Places, spool_lane):
    waiting = asyncio.ensure_future(accept(spooling.intake, b"left"))
    await asyncio.sleep(0)
    waiting.cancel()
    await spooling.intake.close()
    await spooling.fetch(await spool_lane.receiver())
    assert spooling.bodies == {1: b"left"}


async def test_closing_finishes_what_was_accepted_and_takes_nothing_new(spooling: Places, spool_lane):
    waiting = [asyncio.ensure_future(accept(spooling.intake, b"%d" % number)) for number in range(300)]
    await asyncio.sleep(0)
    await spooling.intake.close()
    assert set(await asyncio.gather(*waiting)) == {"spool"}
    with pytest.raises(LaneUnavailable):
        await accept(spooling.intake)
    await spooling.fetch(await spool_lane.receiver())
    assert len(spooling.bodies) == 300


async def test_with_no_lane_deliveries_are_refused_and_the_next_envelope_says_which(spooling: Places, spool_lane):
    assert await spooling.intake.ready()
    await accept(spooling.intake, b"before")
    await spool_lane.kill_server()
    assert not await spooling.intake.ready()
    first = await asyncio.gather(*(accept(spooling.intake) for _ in range(3)), return_exceptions=True)
    assert {type(outcome) for outcome in first} == {LaneUnavailable}
    with pytest.raises(LaneUnavailable, match="a moment ago"):
        await accept(spooling.intake)

    await spool_lane.start_server()
    await until_available(lambda: accept(spooling.intake, b"after"))
    assert await spooling.intake.ready()
    await spooling.fetch(await spool_lane.receiver())
    assert sorted(spooling.bodies.values()) == [b"after", b"before"]
    numbers = sorted(spooling.void | spooling.bodies.keys())
    assert spooling.void >= {2, 3, 4}
    assert not spooling.void & spooling.bodies.keys()
    assert numbers == list(range(1, len(numbers) + 1))
    assert spooling.intake.counters.refused >= 4
    assert spooling.intake.counters.failures["spool"] >= 1


async def test_void_numbers_still_untold_travel_when_the_receiver_stops(spooling: Places, spool_lane):
    await accept(spooling.intake, b"before")
    await spool_lane.kill_server()
    with pytest.raises(LaneUnavailable):
        await accept(spooling.intake)
    await spool_lane.start_server()
    await until_available(spool_lane.sender.check)
    await rested(spooling.intake)
    await spooling.intake.close()
    await spooling.fetch(await spool_lane.receiver())
    assert spooling.void == {2}


async def rested(intake: Intake) -> None:
    await eventually(lambda: not intake._spool_breaker.is_open(clock.monotonic_s()))


async def test_events_of_one_order_share_a_shard(spool_lane: SpoolLane):
    intake = Intake(run=uuid4(), broker=None, spool=spool_lane.sender, shards=4)
    for order in range(40):
        for _ in range(2):
            await accept(intake, b"%d" % order, events=[an_event(order_ref=f"A-{order}")])
    await accept(intake, b"none", events=[])
    shards: dict[bytes, set[int]] = {}
    for shard, body in await spool_lane.pool.fetch("SELECT shard, body FROM spool"):
        for delivery in unpack(body).deliveries:
            shards.setdefault(delivery.body, set()).add(shard)
    await intake.close()
    assert all(len(each) == 1 for each in shards.values())
    assert {shard for each in shards.values() for shard in each} == {0, 1, 2, 3}


@pytest.mark.rabbitmq
class TestWithBroker:
    async def test_deliveries_go_to_rabbitmq(self, both: Places, rabbit_lane, spool_lane):
        lanes = await asyncio.gather(*(accept(both.intake, b"%d" % number) for number in range(250)))
        assert set(lanes) == {"rabbitmq"}
        await both.fetch(await rabbit_lane.receiver())
        assert sorted(both.bodies) == list(range(1, 251))
        assert await spool_lane.pool.fetchval("SELECT count(*) FROM spool") == 0

    async def test_when_rabbitmq_is_killed_the_spool_takes_over_until_it_is_back(
        self, both: Places, rabbit_lane, spool_lane
    ):
        posted: dict[bytes, str] = {}

        async def post(count: int) -> None:
            bodies = [b"%d" % (len(posted) + number) for number in range(count)]
            lanes = await asyncio.gather(*(accept(both.intake, body) for body in bodies))
            posted.update(zip(bodies, lanes, strict=True))

        await post(50)
        await rabbit_lane.settle()
        posting = asyncio.ensure_future(post(500))
        await rabbit_lane.kill_server()
        await posting
        await post(50)
        assert posted[b"599"] == "spool"
        assert not both.intake.breaker_closed
        assert await both.intake.ready()

        await rabbit_lane.start_server()
        await eventually(lambda: both.intake.breaker_closed)
        await post(50)
        assert posted[b"649"] == "rabbitmq"

        await both.fetch(await rabbit_lane.receiver())
        await both.fetch(await spool_lane.receiver())
        assert sorted(both.bodies) == list(range(1, 651))
        assert set(both.bodies.values()) == set(posted)
        assert both.void == set()

    async def test_a_hung_rabbitmq_costs_the_first_its_patience_and_the_others_nothing(
        self, both: Places, rabbit_lane, spool_lane
    ):
        rabbit_lane.node.pause()
        try:
            for patience_s in (20.0, 2.5):  # a put into RabbitMQ has three
                started_s = clock.monotonic_s()
                assert await accept(both.intake) == "spool"
                assert clock.monotonic_s() - started_s < patience_s
        finally:
            rabbit_lane.node.resume()
        await eventually(lambda: both.intake.breaker_closed)
        assert await accept(both.intake, b"after") == "rabbitmq"

    async def test_an_alarm_keeps_the_breaker_open_though_connections_work(self, both: Places, rabbit_lane):
        await rabbit_lane.node.ctl("set_vm_memory_high_watermark", "0.0000001")
        try:
            assert await accept(both.intake) == "spool"
            await eventually(lambda: rabbit_lane.sender._session is not None)
            assert await accept(both.intake) == "spool"
        finally:
            await rabbit_lane.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        await eventually(lambda: both.intake.breaker_closed)
        assert await accept(both.intake) == "rabbitmq"

    async def test_with_both_gone_deliveries_are_refused_and_none_is_unaccounted_for(
        self, both: Places, rabbit_lane, spool_lane
    ):
        await accept(both.intake, b"before")
        await rabbit_lane.settle()
        await asyncio.gather(rabbit_lane.kill_server(), spool_lane.kill_server())
        refused = await asyncio.gather(*(accept(both.intake) for _ in range(5)), return_exceptions=True)
        assert {type(outcome) for outcome in refused} == {LaneUnavailable}
        assert not await both.intake.ready()

        await asyncio.gather(rabbit_lane.start_server(), spool_lane.start_server())
        await until_available(lambda: accept(both.intake, b"after"))
        await both.fetch(await rabbit_lane.receiver())
        await both.fetch(await spool_lane.receiver())
        assert sorted(both.bodies.values()) == [b"after", b"before"]
        numbers = sorted(both.void | both.bodies.keys())
        assert numbers == list(range(1, len(numbers) + 1))
        assert both.void >= {2, 3, 4, 5, 6}

    async def test_a_probe_is_an_empty_envelope_that_workers_can_read(self, both: Places, rabbit_lane):
        await both.intake._probe()
        await both.fetch(await rabbit_lane.receiver())
        assert [envelope.deliveries for envelope in both.envelopes] == [()]
