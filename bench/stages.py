"""Stages: where the CPU goes, in microseconds an event: each stage of a receiver, and each statement of a worker.

All runs in this process, one thing after the other, so that its CPU can be read before and after each stage: that holds
on a busy machine, where rates do not.  What a statement costs Python is to make its arguments (the decision about each
order is part of the first write after it), to send it, and to read the answer.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast
from uuid import uuid4

from bench.apply import deliveries_of, gateway_of
from bench.cpu_by_statement import Spent, TracedConnection, backend_cpu_s, statement_names
from bench.deliveries import STRIPE, Stripe, orders_of
from bench.house import House
from bench.progress import insist_applied
from bench.report import Figure, Section
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Request
from tillkeeper.ingest.read_body import multimap
from tillkeeper.ingest.responses import PreparedResponse
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.policy import load_policy
from tillkeeper.process import collect_garbage_seldom
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.postgres.pool import Conn, open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict

MANY: Final = 400  # events in a transaction, as when a lane is drained
FEW: Final = 30  # as with 32 connections and no backlog
IN_A_MESSAGE: Final = {MANY: 64, FEW: 16}  # deliveries under the same load
WAIT_S: Final = 5.0

Costs = Mapping[str, tuple[float, float | None]]  # by stage, of Python and of PostgreSQL


async def measure(house: House, sizes: Sizes) -> Section:
    """Measures with many events at a time, and with few."""
    deliveries = list(deliveries_of(sizes.events))
    found: dict[int, Costs] = {}
    for together in (MANY, FEW):
        spent = Spent()
        if house.broker is not None:
            await _receive(house, spent, IN_A_MESSAGE[together], sizes.events)
            await _carry(house, spent, deliveries, IN_A_MESSAGE[together])
        await _apply(house, spent, deliveries, together)
        found[together] = spent.us_an_event(sizes.events)
    return Section(
        name="stages",
        title="Stages: CPU in microseconds an event, the same number in milliseconds per 1,000 events",
        rows=[_row(stage, found) for stage in found[MANY]],
        notes=[
            f"Many: {MANY} events in a transaction, {IN_A_MESSAGE[MANY]} in a message.",
            f"Few: {FEW} and {IN_A_MESSAGE[FEW]}.",
            "Not in it: HTTP (the bare handler of `--only accept` shows its cost), and PostgreSQL's own processes.",
        ],
    )


def _row(stage: str, found: Mapping[int, Costs]) -> Mapping[str, Figure]:
    many, few = found[MANY][stage], found[FEW].get(stage, (None, None))
    return {
        "": stage,
        "Python, many": many[0],
        "PostgreSQL, many": many[1],
        "Python, few": few[0],
        "PostgreSQL, few": few[1],
    }


# --- a receiver -------------------------------------------------------------------------------------------------------


async def _receive(house: House, spent: Spent, together: int, events: int) -> None:
    """Does what a receiver does with each delivery, stage by stage, and makes them durable in groups."""
    assert house.broker is not None
    now, gateway = clock.now(), gateway_of()
    raw = list(_requests(events))
    collect_garbage_seldom()  # as every process of ours does, once it has what it keeps
    with spent.on("receiver: headers"):
        requests = [Request(multimap(headers), body) for headers, body in raw]
    with spent.on("receiver: verify"):
        verified = [gateway.verify(request, now) for request in requests]
    with spent.on("receiver: parse"):
        parsed = []
        for each in verified:
            with unknown_words():
                parsed.append((gateway.parse(each), fetches_of(gateway, each)))
    answer = PreparedResponse(gateway.acknowledge())
    with spent.on("receiver: answer"):
        for _ in parsed:
            answer.encoded()
    kept = sorted(gateway.kept_headers)
    async with house.queues() as queues:
        sender = await RabbitSender.open(house.broker.url, Topology(prefix=queues))
        pool = await open_pool(house.postgres.dsn(), max_size=1)
        intake = Intake(run=uuid4(), broker=sender, spool=SpoolSender(pool))

        async def accept(position: int) -> None:
            events, fetches = parsed[position]
            request = requests[position]
            await intake.accept(
                account=STRIPE,
                received_at=now,
                key=verified[position].key,
                headers=tuple((name, value) for name in kept for value in request.headers.get(name, ())),
                body=request.body,
                events=events,
                fetches=fetches,
            )

        with spent.on("receiver: envelope and publish"):
            for first in range(0, len(raw), together):
                await asyncio.gather(*map(accept, range(first, min(first + together, len(raw)))))
        await intake.close()
        await sender.close()
        await pool.close()


def _requests(events: int) -> Iterator[tuple[list[tuple[bytes, bytes]], bytes]]:
    """Raw headers and bodies, as the server hands them over."""
    now = clock.now()
    signing = Stripe(now)
    for position in range(events):
        headers, body = signing.signed(position, now)
        named = {"Host": "127.0.0.1", **headers, "Content-Length": str(len(body))}
        yield [(name.encode(), value.encode()) for name, value in named.items()], body


# --- a worker ---------------------------------------------------------------------------------------------------------


async def _carry(house: House, spent: Spent, deliveries: Sequence[Delivery], in_a_message: int) -> None:
    """Takes messages off the broker, decodes and acknowledges them."""
    assert house.broker is not None
    keys = EnvelopeKeys()
    async with house.queues() as queues:
        topology = Topology(prefix=queues)
        sender = await RabbitSender.open(house.broker.url, topology)
        for first in range(0, len(deliveries), in_a_message):
            part = tuple(deliveries[first : first + in_a_message])
            await sender.put(keys.seal(Envelope(run=part[0].run, deliveries=part)))
        await sender.close()
        receiver = await RabbitReceiver.open(house.broker.url, topology)
        left = len(deliveries)
        collect_garbage_seldom()
        began_s = time.thread_time()
        decoding_s = 0.0
        while left:
            taken = await receiver.take(limit=16, wait_s=WAIT_S)
            decoded_s = time.thread_time()
            left -= sum(len(keys.open(message.body).deliveries) for message in taken)
            decoding_s += time.thread_time() - decoded_s
            await receiver.acknowledge(taken)
        spent.add("worker: take and acknowledge", time.thread_time() - began_s - decoding_s)
        spent.add("worker: decode", decoding_s)
        await receiver.close()


async def _apply(house: House, spent: Spent, deliveries: Sequence[Delivery], together: int) -> None:
    """Applies all deliveries on one connection, so many in a transaction."""
    policy, names = load_policy(), statement_names()
    async with (
        house.database(orders=orders_of(len(deliveries))) as dsn,
        await open_pool(dsn, max_size=1, by_key=True) as pool,
    ):
        async with pool.acquire() as conn:
            pid = conn.get_server_pid()
        collect_garbage_seldom()
        began_s, backend_s, traced = time.thread_time(), backend_cpu_s(pid), Spent()
        for first in range(0, len(deliveries), together):
            part = deliveries[first : first + together]

            async def work(conn: Conn, part: Sequence[Delivery] = part) -> object:
                tracing = cast("Conn", TracedConnection(conn, traced, names))
                return await apply_deliveries(tracing, part, policy=policy, now=clock.now())

            await repeat_on_conflict(pool, work)
        whole_s, whole_backend_s = time.thread_time() - began_s, backend_cpu_s(pid) - backend_s
        spent.add_all(traced, "worker: ")
        spent.add("worker: begin, commit, the rest", *traced.rest_of(whole_s, whole_backend_s))
        spent.add("worker: transactions in all", whole_s - traced.looking_s, whole_backend_s)
        async with pool.acquire() as conn:
            await insist_applied(cast("Conn", conn), len(deliveries))
