"""Who may only publish, or only write to the spool, pays for nothing: workers believe what receivers signed."""

import asyncio
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.test_workers import books
from tillkeeper.domain.delivery import Envelope, EnvelopeKeys, pack
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.recovery.parked import ParkedAct, discard, replay
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import list_parked, show_parked
from tillkeeper.store.reports.order import show
from tillkeeper.telemetry import PARKED_EVENTS
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.delivery_limit import ParkLoop

OURS, OTHERS = EnvelopeKeys(["5f0c7a1e" * 4]), EnvelopeKeys(["c0ffee42" * 4])
RUN = uuid4()


def an_envelope(number=1):
    return Envelope(run=RUN, deliveries=(a_delivery(an_event(), run=RUN, number=number),))


@pytest.fixture
async def spool(pool, database):
    receiver = await SpoolReceiver.open(pool, database)
    yield SpoolSender(pool), receiver
    await receiver.close()


@pytest.fixture
async def rabbit(broker_url, broker_prefix):
    topology = Topology(prefix=broker_prefix)
    sender, receiver = await RabbitSender.open(broker_url, topology), await RabbitReceiver.open(broker_url, topology)
    yield sender, receiver
    await receiver.close()
    await sender.close()


@pytest.fixture(params=["spool", pytest.param("rabbit", marks=pytest.mark.rabbitmq)])
def lane(request):
    """A sender and a receiver."""
    return request.getfixturevalue(request.param)


def worker(pool, receiver, keys=OURS):
    retry = DatabaseRetry(asyncio.Event())
    return ApplyLoop(lane=receiver, pool=pool, retry=retry, policy=Policy, now=lambda: NOON, batch_events=50, keys=keys)


async def applied(loop, messages):
    """Runs it until it has seen so many messages."""
    seen = 0
    while seen < messages:
        seen += await loop.run_once()


async def parked(pool):
    async with pool.acquire() as conn:
        return await list_parked(conn, closed_too=False, limit=10)


async def status(pool):
    return (await show(pool, "A1"))["status"]


@pytest.mark.parametrize("message", [pack(an_envelope()), OTHERS.seal(an_envelope())], ids=["unsigned", "another key"])
async def test_a_forged_envelope_is_parked_where_it_can_be_read_and_never_applied(pool, lane, message):
    sender, receiver = lane
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    await sender.put(message)
    await sender.put(OURS.seal(an_envelope(2)))
    before = PARKED_EVENTS.labels("not_authentic")._value.get()
    await applied(worker(pool, receiver), 2)
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1  # the genuine one
    [row] = await parked(pool)
    assert (row["reason"], row["readable"]) == ("not_authentic", False)
    assert "envelope_keys" in row["error"]
    async with pool.acquire() as conn:
        shown = await show_parked(conn, row["id"])
    assert shown["delivery"]["events"][0]["order_ref"] == "A1"
    assert PARKED_EVENTS.labels("not_authentic")._value.get() == before + 1


async def test_what_the_receiver_accepts_is_signed_and_applied(pool, lane):
    sender, receiver = lane
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    broker = sender if sender.name == "rabbitmq" else None
    intake = Intake(run=RUN, broker=broker, spool=SpoolSender(pool), keys=OURS)
    delivery = a_delivery(an_event())
    await intake.accept(
        account=delivery.account,
        received_at=NOON,
        key=delivery.key,
        headers=delivery.headers,
        body=delivery.body,
        events=delivery.events,
    )
    await applied(worker(pool, receiver), 1)
    await intake.close()
    assert await status(pool) == "paid"
    assert await parked(pool) == []


async def test_an_old_envelope_sent_again_changes_nothing(pool, lane):
    """Who copied one, with its signature, has nothing: its number is known."""
    sender, receiver = lane
    await register(pool, a_registration(amount=200), policy=Policy(), now=NOON)
    message = OURS.seal(an_envelope())
    for _ in range(3):
        await sender.put(message)
        if sender.name == "spool":  # which knows the very bytes while they wait
            await applied(worker(pool, receiver), 1)
    if sender.name == "rabbitmq":
        await applied(worker(pool, receiver), 3)
    assert (await show(pool, "A1"))["paid"] == 100
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 1
    assert (await books(pool)).balances


async def test_a_key_is_replaced_without_parking_anything(pool, lane):
    """The new one behind the old one everywhere, then before it, then alone."""
    sender, receiver = lane
    old, new = "5f0c7a1e" * 4, "c0ffee42" * 4
    signers = [EnvelopeKeys(keys) for keys in ([old], [old, new], [new, old], [new])]
    verifiers = [EnvelopeKeys(keys) for keys in ([old, new], [old, new], [new, old], [new, old])]
    for number, (signer, verifier) in enumerate(zip(signers, verifiers, strict=True), 1):
        await sender.put(signer.seal(an_envelope(number)))
        await applied(worker(pool, receiver, verifier), 1)
    assert await parked(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 4


async def test_what_was_parked_for_its_signature_is_replayed_once_a_key_fits_or_a_person_says_so(pool, database):
    sender, receiver = SpoolSender(pool), await SpoolReceiver.open(pool, database)
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    await sender.put(OTHERS.seal(an_envelope(1)))
    await sender.put(pack(an_envelope(2)))
    await sender.put(pack(an_envelope(3)))
    await applied(worker(pool, receiver), 3)
    await receiver.close()
    first, second, third = [row["id"] for row in await parked(pool)]
    act = ParkedAct(by="me", note="they are ours")
    told = await replay(pool, None, act, Policy(), OURS)
    assert [event["outcome"] for event in told] == ["still_parked"] * 3
    assert await status(pool) == "unpaid"
    told = await replay(pool, [first, second], act, Policy(), OTHERS)
    assert [event["outcome"] for event in told] == ["replayed", "still_parked"]
    assert await status(pool) == "paid"
    told = await replay(pool, [second], act, Policy(), EnvelopeKeys())
    assert [event["outcome"] for event in told] == ["replayed"]
    assert (await discard(pool, [third], act))[0]["outcome"] == "discarded"
    assert (await books(pool)).unreadable == 0


async def test_past_the_delivery_limit_a_forged_envelope_is_parked_as_one(pool, database):
    sender, receiver = SpoolSender(pool), await SpoolReceiver.open(pool, database)
    await sender.put(pack(an_envelope()))
    await pool.execute("UPDATE spool SET attempts = 100")
    park = ParkLoop(lane=receiver, pool=pool, retry=DatabaseRetry(asyncio.Event()), now=lambda: NOON, keys=OURS)
    assert await park.run_once() == 1
    await receiver.close()
    assert [row["reason"] for row in await parked(pool)] == ["not_authentic"]
