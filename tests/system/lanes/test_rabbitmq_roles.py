"""Each role's user on RabbitMQ, made by deploy/rabbitmq.sh, can do its work and nothing besides."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed

from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.domain.order.notice_outcomes import Sent
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.notices.exchange import ExchangeChannel
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.sandbox.servers import RabbitMQ

SCRIPT = Path(__file__).parents[3] / "deploy" / "rabbitmq.sh"
pytestmark = pytest.mark.rabbitmq


async def granted(node: RabbitMQ, directory: Path, prefix: str) -> dict[str, str]:
    """Runs the script against the node; by role, its URL."""
    ctl = directory / "rabbitmqctl"
    settings = " ".join(f"'{name}={value}'" for name, value in node._environment(node._directory).items())
    ctl.write_text(f'#!/bin/sh\nexec env -i {settings} {node._script("rabbitmqctl")} --node {node.node} "$@"\n')
    ctl.chmod(0o700)
    own = {"RABBITMQCTL": str(ctl), "VHOST": "/", "PREFIX": prefix, "HOST": f"127.0.0.1:{node.port}"}
    child = await asyncio.create_subprocess_exec(SCRIPT, directory / "secrets", env={**os.environ, **own})
    assert await child.wait() == 0
    return {role: (directory / "secrets" / f"broker_url_{role}").read_text().strip() for role in ROLES}


ROLES = ("ingest", "work", "notify")
AN_ENVELOPE = pack(Envelope(run=UUID(int=1), deliveries=()))


async def refused(url: str, act) -> None:
    """Does it on a channel of its own; the broker must refuse."""
    connection = await aio_pika.connect(url)
    try:
        with pytest.raises((ChannelAccessRefused, ChannelClosed)) as told:
            await act(await connection.channel())
        assert "ACCESS_REFUSED" in str(told.value)
    finally:
        await connection.close()


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_each_role_can_do_its_work_and_nothing_besides(rabbitmq, broker_url, broker_prefix, tmp_path):
    urls = await granted(rabbitmq, tmp_path, broker_prefix)
    topology = Topology(prefix=broker_prefix, shards=2)

    early = await RabbitSender.open(urls["ingest"], topology)  # before any worker declared a queue
    with pytest.raises(LaneUnavailable):
        await early.put(AN_ENVELOPE)
    await early.close()

    worker = await RabbitReceiver.open(urls["work"], topology)
    receiver = await RabbitSender.open(urls["ingest"], topology)
    for shard in range(2):
        await receiver.put(AN_ENVELOPE, shard=shard)
    taken = []
    async with asyncio.timeout(180):
        while len(taken) < 2:
            taken += await worker.take(limit=10, wait_s=1)
    await worker.acknowledge(taken)
    assert await worker.take_parked(limit=1) == []
    await receiver.close()
    await worker.close()

    notices = await ExchangeChannel.open(urls["notify"], broker_prefix)
    now = datetime(2026, 11, 30, tzinfo=UTC)
    told = Outgoing(key="order/1/2", topic="order.changed", payload={}, version=2, created_at=now, sent_at=now)
    assert isinstance(await notices.send(told), Sent)
    await notices.close()

    async def publish(channel):
        exchange = await channel.get_exchange(topology.exchange, ensure=False)
        await exchange.publish(aio_pika.Message(AN_ENVELOPE), routing_key="0", mandatory=True)
        await channel.declare_queue(topology.queue(0), passive=True)  # so that the refusal is met here

    async def publish_past_the_exchange(channel):
        await channel.default_exchange.publish(aio_pika.Message(AN_ENVELOPE), routing_key=topology.queue(0))
        await channel.declare_queue(topology.queue(0), passive=True)

    async def consume(channel):
        await (await channel.get_queue(topology.queue(0), ensure=False)).get(fail=False)

    async def delete(channel):
        await channel.queue_delete(topology.queue(0))

    for role, acts in {
        "ingest": (consume, delete, publish_past_the_exchange),
        "work": (publish, publish_past_the_exchange),
        "notify": (publish, consume, delete, publish_past_the_exchange),
    }.items():
        for act in acts:
            await refused(urls[role], act)

    again = await granted(rabbitmq, tmp_path, broker_prefix)
    assert again == urls
