"""The house under measurement: private servers, a fresh database a run, each process apart so that its cost shows."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aio_pika
import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.deliveries import AMOUNT, CURRENCY, STRIPE, accounts
from bench.load import Drive, Driven, Prepare
from tillkeeper.lanes.topology import Topology
from tillkeeper.sandbox.servers import Postgres, RabbitMQ
from tillkeeper.sandbox.servers.child import Child, free_ports, new_directory
from tillkeeper.settings import Settings
from tillkeeper.store.schema.creating import create_schema

ROOT: Final = Path(__file__).parents[1]
PROGRAM: Final = (sys.executable, "-m", "tillkeeper")
READY_WITHIN_S: Final = 120.0  # a second or two on idle cores
STOP_WITHIN_S: Final = 120.0
DRIVE_WITHIN_S: Final = 3600.0  # a million requests at a few hundred a second; beyond it something hangs
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # of the load, which tells slow posts one by one
LISTENING: Final = "0A"  # a state in /proc/net/tcp


class Broken(Exception):
    """A figure that means nothing, for something failed on the way to it."""


# Registered as `PUT /orders` would, all at once.
INSERT_ORDERS: Final = """
WITH registered AS (
    INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since,
                        due_at)
    SELECT 'bench-' || lpad(n::text, 8, '0'), $2, $3, $4::text[],
           jsonb_build_object('order_ref', 'bench-' || lpad(n::text, 8, '0'), 'amount', $2::bigint,
                              'currency', $3::text, 'accounts', $4::text[]),
           now(), now(), now(), now()
    FROM generate_series(0, $1::int - 1) AS n
    WHERE (SELECT set_config('tillkeeper.due_orders', 'written', true)) = 'written'
    RETURNING id, due_at, accounts
)
INSERT INTO due_orders (order_id, due_at, accounts_key, status, phase_since)
SELECT id, due_at + interval '10 minutes', array_to_string(accounts, ' '), 'unpaid', due_at FROM registered
"""


async def add_orders(connection: asyncpg.Connection, orders: int) -> None:
    """Registers the first so many orders that deliveries of the load are about."""
    await connection.execute(INSERT_ORDERS, orders, AMOUNT, CURRENCY, [STRIPE])


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """A process of Tillkeeper's, or the bare handler in its place."""

    pid: int
    port: int = 0


class House:
    """Servers for one bench.  `async with` starts and removes them."""

    def __init__(self) -> None:
        self.postgres = Postgres()
        self.broker: RabbitMQ | None = None if RabbitMQ.available() else RabbitMQ()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._directory = new_directory("bench")

    async def __aenter__(self) -> Self:
        try:
            await self.postgres.start()
            if self.broker is not None:
                await self.broker.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        try:
            await self.postgres.close()
        finally:
            if self.broker is not None:
                await self.broker.close()
            shutil.rmtree(self._directory)

    @property
    def private_key(self) -> str:
        """What signs for Alipay and WeChat Pay."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def postgres_pid(self) -> int:
        """The postmaster; its backends are its children."""
        return _alive(self.postgres.pid, "PostgreSQL")

    @property
    def broker_pid(self) -> int:
        """The Erlang VM."""
        return _alive(self.broker.pid if self.broker is not None else None, "RabbitMQ")

    @asynccontextmanager
    async def database(self, *, orders: int = 0) -> AsyncIterator[str]:
        """The DSN of a fresh database with the schema and so many orders, checkpointed so that each run starts even."""
        name = f"bench_{secrets.token_hex(4)}"
        dsn = await self.postgres.create_database(name)
        await create_schema(dsn)
        connection = await asyncpg.connect(dsn)
        try:
            await add_orders(connection, orders)
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
        yield dsn
        await self.postgres.drop_database(name)

    @asynccontextmanager
    async def queues(self) -> AsyncIterator[str]:
        """A prefix for a broker's queues, which are removed behind it."""
        prefix = f"bench-{secrets.token_hex(4)}"
        yield prefix
        assert self.broker is not None
        connection = await aio_pika.connect(self.broker.url)
        async with connection:
            channel = await connection.channel()
            for queue in (Topology(prefix=prefix).queue(0), Topology(prefix=prefix).park):
                await channel.queue_delete(queue)

    @asynccontextmanager
    async def receiver(self, dsn: str, *, queues: str | None, processes: int = 1) -> AsyncIterator[Ours]:
        """`tillkeeper ingest`; without `queues` on the PostgreSQL lane alone."""
        port = free_ports(1)[0]
        environment = self.environment(dsn, queues) | {
            "TILLKEEPER_INGEST__PORT": str(port),
            "TILLKEEPER_INGEST__PROCESSES": str(processes),
        }
        async with self._started((*PROGRAM, "ingest"), environment) as child:
            await _listening(child, port, processes)
            yield Ours(pid=child.pid, port=port)

    @asynccontextmanager
    async def worker(self, dsn: str, *, queues: str | None) -> AsyncIterator[Ours]:
        """`tillkeeper work`."""
        async with self._started((*PROGRAM, "work"), self.environment(dsn, queues)) as child:
            yield Ours(pid=child.pid)

    @asynccontextmanager
    async def desk(self, dsn: str) -> AsyncIterator[Ours]:
        """`tillkeeper desk`."""
        port = free_ports(1)[0]
        environment = self.environment(dsn) | {"TILLKEEPER_DESK__PORT": str(port)}
        async with self._started((*PROGRAM, "desk"), environment) as child:
            await _listening(child, port, 1)
            yield Ours(pid=child.pid, port=port)

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[Ours]:
        """The bare handler."""
        port = free_ports(1)[0]
        async with self._started((sys.executable, "-m", "bench.bare", str(port)), {}) as child:
            await _listening(child, port, 1)
            yield Ours(pid=child.pid, port=port)

    @asynccontextmanager
    async def _started(self, command: tuple[str, ...], environment: dict[str, str]) -> AsyncIterator[Child]:
        log = self._directory / f"{secrets.token_hex(4)}.log"
        child = await Child.start(
            command,
            directory=self._directory,
            log=log,
            environment={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        )
        try:
            yield child
            if not child.running:
                raise Broken(f"{' '.join(command[1:])} ended:\n{child.tail()}")
        finally:
            await child.stop(signal.SIGTERM, within_s=STOP_WITHIN_S)

    def settings(self, dsn: str, queues: str) -> Settings:
        """The settings of a receiver in the bench's own process."""
        assert self.broker is not None
        told = {"database_url": dsn, "broker_url": self.broker.url, "broker_prefix": queues}
        quiet = {"ingest": {"port": 0, "metrics_port": 0}}
        return Settings.model_validate(told | quiet | {"accounts": accounts(self._key)})

    def environment(self, dsn: str, queues: str | None = None) -> dict[str, str]:
        """What a process of Tillkeeper's is told; without `queues` the PostgreSQL lane alone."""
        broker = {}
        if queues is not None:
            assert self.broker is not None
            broker = {"TILLKEEPER_BROKER_URL": self.broker.url, "TILLKEEPER_BROKER_PREFIX": queues}
        return {"TILLKEEPER_DATABASE_URL": dsn, "TILLKEEPER_ACCOUNTS": json.dumps(accounts(self._key)), **broker}


class Load:
    """The load's process (bench/load.py)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def prepare(self, told: Prepare) -> None:
        """Returns when the requests are made."""
        await self._tell(told)

    async def drive(self, drive: Drive) -> Driven:
        """Returns when all is answered."""
        return msgspec.json.decode(await self._tell(drive), type=Driven)

    async def _tell(self, command: Prepare | Drive) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        async with asyncio.timeout(DRIVE_WITHIN_S):
            answer = await self._process.stdout.readline()
        if not answer:
            raise Broken("the load ended; its last words are above")
        return answer


@asynccontextmanager
async def load() -> AsyncIterator[Load]:
    """A load of one's own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load"),
        cwd=ROOT,
        limit=ANSWER_BYTES_MAX,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Load(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _alive(pid: int | None, server: str) -> int:
    if pid is None:
        raise Broken(f"{server} does not run")
    return pid


async def _listening(child: Child, port: int, sockets: int) -> None:
    """Returns when so many sockets listen on the port: several processes share it, and all are to take part."""

    async def listen() -> bool:
        return _sockets_listening(port) >= sockets

    await child.ready(listen, within_s=READY_WITHIN_S)


def _sockets_listening(port: int) -> int:
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(field[1].endswith(f":{port:04X}") and field[3] == LISTENING for field in fields)
