"""Confirms: how long RabbitMQ takes to confirm a message, and how much longer while it moves a full log to segments.

A quorum queue writes messages to a log that all queues of a node share.  When that is full (512 MiB unless
`raft.wal_max_size_bytes` says otherwise), RabbitMQ begins another one, writes what still stands in the full one to the
segments of its queues, and removes it.  The disk is busy with that meanwhile, and every confirm waits for the disk.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import aio_pika

from bench.house import House
from bench.report import Figure, Section
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.topology import Topology

MESSAGE_BYTES: Final = 154_000  # 64 deliveries
PREFETCH: Final = 200
LOOK_EVERY: Final = 5  # messages

Confirms = dict[bool, list[float]]  # by whether a full log is being moved: seconds


async def measure(house: House, sizes: Sizes) -> Section:
    """Publishes one message after the other, and removes each from the queue, as workers do."""
    found: Confirms = {False: [], True: []}
    if house.broker is not None:
        async with house.queues() as queues:
            sender = await RabbitSender.open(house.broker.url, Topology(prefix=queues))
            connection = await aio_pika.connect(house.broker.url)
            try:
                await _drop_all(connection, queues)
                await _publish(house, sender, found, sizes.confirmed_messages)
            finally:
                await connection.close()
                await sender.close()
    return Section(
        name="confirms",
        title=f"Confirms of messages of {MESSAGE_BYTES // 1000} KB by a quorum queue, one at a time",
        rows=[_row("one log", found[False]), _row("while a full log is moved to segments", found[True])],
        notes=["No log is full, and the second row empty, unless more than 512 MiB are published."],
    )


async def _drop_all(connection: aio_pika.abc.AbstractConnection, queues: str) -> None:
    async def drop(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.ack()

    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue(Topology(prefix=queues).queue(0), ensure=False)
    await queue.consume(drop)


async def _publish(house: House, sender: RabbitSender, found: Confirms, messages: int) -> None:
    body = os.urandom(MESSAGE_BYTES)
    logs: set[Path] = set()
    for number in range(messages):
        began_s = clock.monotonic_s()
        await sender.put(body)
        took_s = clock.monotonic_s() - began_s
        if number % LOOK_EVERY == 0:
            logs = {log for log in logs | open_logs(house.broker_pid) if log.exists()}
        found[len(logs) > 1].append(took_s)
        await asyncio.sleep(0)


def open_logs(pid: int) -> set[Path]:
    """The log of quorum queues that the node has open; a full one stays until all of it is in segments."""
    files = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
    return {file for file in files if file.suffix == ".wal" and "quorum" in file.parts}


def _row(name: str, took_s: list[float]) -> dict[str, Figure]:
    ordered = [1000 * each for each in sorted(took_s)]
    return {
        "": name,
        "messages": len(ordered),
        "p50 ms": ordered[len(ordered) // 2] if ordered else None,
        "p99 ms": ordered[len(ordered) * 99 // 100] if ordered else None,
        "max ms": ordered[-1] if ordered else None,
    }
