"""Tillkeeper as it is run: receiver and workers as programs of their own, on a database and a broker to be broken."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aio_pika
import aiohttp
import asyncpg

from tests.faults.stories import account_settings
from tillkeeper import clock
from tillkeeper.lanes.topology import Topology
from tillkeeper.loops import pause
from tillkeeper.sandbox.servers.child import Child, free_ports

TOKEN: Final = "token-of-the-fault-run"
READY_WITHIN_S: Final = 120.0
STOP_WITHIN_S: Final = 120.0
DRAIN_WITHIN_S: Final = 180.0  # a dead worker's messages in the spool come back after its lease of a minute
LAST_WORDS_CHARS: Final = 3000
LOOK_S: Final = 0.05
ROOT: Final = Path(__file__).parents[2]


class House:
    """One receiver and any number of workers.  Made by `running`, which stops what still runs."""

    def __init__(self, directory: Path, *, database: str, broker_url: str | None, broker_prefix: str) -> None:
        self.database = database
        self.broker_url = broker_url
        self.topology = Topology(prefix=broker_prefix)
        self.port, self.metrics_port = free_ports(2)
        self.receiver: Child | None = None
        self.workers: dict[str, Child] = {}
        self._directory = directory
        self._connection: asyncpg.Connection | None = None

    @classmethod
    @asynccontextmanager
    async def running(
        cls, directory: Path, *, database: str, broker_url: str | None, broker_prefix: str = "tillkeeper", workers: int
    ) -> AsyncIterator["House"]:
        house = cls(directory, database=database, broker_url=broker_url, broker_prefix=broker_prefix)
        try:
            await house.start_receiver()
            for number in range(workers):
                await house.start_worker(f"worker-{number}")
            yield house
        except BaseException:
            print(house.last_words())  # pytest shows it beside the failure
            raise
        finally:
            await asyncio.gather(*(child.kill() for child in house.programs))
            house.hang_up()

    @property
    def programs(self) -> list[Child]:
        return ([self.receiver] if self.receiver else []) + list(self.workers.values())

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- programs -----------------------------------------------------------------------------------------------------

    async def start_receiver(self) -> None:
        """Starts it on the same port as before, and returns when it listens."""
        self.receiver = receiver = await self._start("ingest", "ingest")
        await receiver.ready(self._listens, within_s=READY_WITHIN_S)

    async def start_worker(self, name: str) -> None:
        """Starts a worker, and returns when it has a connection to the database: by then it is past its imports."""
        self.workers[name] = worker = await self._start("work", name)

        async def connected() -> bool:
            return bool(await self.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name))

        await worker.ready(connected, within_s=READY_WITHIN_S)

    async def stop(self, child: Child) -> int:
        """SIGTERM; returns the exit status."""
        assert child.running, child.tail()
        child.send(signal.SIGTERM)
        return await child.exit_status(within_s=STOP_WITHIN_S)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """A `tillkeeper` command's exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tillkeeper", *arguments, "--config", str(self._configuration("command"))),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode() or err.decode()

    def last_words(self) -> str:
        """The end of every program's log."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-LAST_WORDS_CHARS:]}" for path in sorted(self._directory.glob("*.log"))
        )

    async def _start(self, role: str, name: str) -> Child:
        return await Child.start(
            [sys.executable, "-m", "tillkeeper", role, "--config", str(self._configuration(name))],
            directory=ROOT,
            log=self._directory / f"{name}.log",
        )

    def _configuration(self, name: str) -> Path:
        """A configuration file; the database sees each program under its name."""
        top = {
            "database_url": f"{self.database}?application_name={name}",
            "broker_prefix": self.topology.prefix,
            "api_tokens": [TOKEN],
        } | ({"broker_url": self.broker_url} if self.broker_url else {})
        path = self._directory / f"{name}.toml"
        path.write_text(
            toml(
                top
                | {"ingest": {"port": self.port, "metrics_port": self.metrics_port}, "accounts": account_settings()}
                | {role: {"metrics_port": 0} for role in ("work", "sweep", "notify")}
            )
        )
        return path

    async def _listens(self) -> bool:
        try:
            async with aiohttp.request("GET", f"{self.base_url}/healthz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def is_deaf(self) -> bool:
        """Whether nobody takes connections any more."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionError:
            return True
        writer.close()
        return False

    # --- looks --------------------------------------------------------------------------------------------------------

    async def fetchval(self, sql: str, *arguments: object) -> object:
        """One value from the database; over a new connection where the old one is gone."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self.database)
        return await self._connection.fetchval(sql, *arguments)

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def queue_depth(self) -> int:
        """How many messages wait in RabbitMQ; none where there is no queue."""
        if self.broker_url is None:
            return 0
        connection = await aio_pika.connect(self.broker_url, timeout=10)
        try:
            channel = await connection.channel()
            queue = await channel.declare_queue(self.topology.queue(0), passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0
        else:
            return queue.declaration_result.message_count or 0
        finally:
            await connection.close()

    async def passes_rabbitmq_by(self) -> bool:
        """Whether the receiver's breaker is open; a second late, as its figures are."""
        async with aiohttp.request("GET", f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            return "tillkeeper_breaker_open 1.0" in await answer.text()

    async def uses_rabbitmq(self) -> bool:
        return not await self.passes_rabbitmq_by()

    async def drain(self, deliveries: int) -> None:
        """Returns when so many deliveries are kept and no lane holds anything; or after a while, for the judge to see
        what is missing and where it is."""

        async def is_done() -> bool:
            kept = await self.fetchval("SELECT count(*) FROM deliveries")
            spooled = await self.fetchval("SELECT count(*) FROM spool")
            return kept >= deliveries and not spooled and not await self.queue_depth()

        with contextlib.suppress(AssertionError):
            await until(is_done, within_s=DRAIN_WITHIN_S)

    async def finish(self, deliveries: int) -> None:
        """Gives everything that was accepted the time to be applied, and stops every program in good order."""
        await self.drain(deliveries)
        for program in self.programs:
            assert await self.stop(program) == 0

    # --- holds --------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def held(self, sql: str, *arguments: object) -> AsyncIterator[None]:
        """While inside, a transaction of somebody else holds the locks that a statement took."""
        connection = await asyncpg.connect(self.database)
        try:
            await connection.execute("BEGIN")
            await connection.execute(sql, *arguments)
            yield
        finally:
            connection.terminate()  # also where the server went away meanwhile

    async def stands_still(self, name: str, statement: str) -> None:
        """Returns when a statement of the named program, one that begins so, waits for a lock within a transaction."""

        async def waits() -> bool:
            return bool(await self.fetchval(STANDS_STILL, name, statement))

        await until(waits)

    async def hang_up_on(self, name: str) -> None:
        """Ends a dead program's sessions: what waits for a lock does not see that nobody is there any more."""
        await self.fetchval(HANG_UP, name)


# Reading goes on, also FOR UPDATE; writing waits.
NO_WRITES_TO_INBOX: Final = "LOCK TABLE inbox IN SHARE MODE"
INSERT_INBOX: Final = "WITH events AS (\n    INSERT INTO inbox"

STANDS_STILL: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = $1 AND wait_event_type = 'Lock' AND xact_start IS NOT NULL
  AND starts_with(ltrim(query, E'\\n '), $2)
"""
HANG_UP: Final = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1"


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 120.0) -> None:
    """Returns as soon as the condition holds; fails when it does not within the time."""
    until_s = clock.monotonic_s() + within_s
    while not await condition():
        assert clock.monotonic_s() < until_s, f"it did not come to pass within {within_s:.0f} s"
        await pause(asyncio.Event(), LOOK_S)


def toml(tree: Mapping[str, object], *path: str) -> str:
    """A tree as TOML: plain values first, then a section for each table."""
    plain = {name: value for name, value in tree.items() if not isinstance(value, Mapping)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    header = f"[{'.'.join(path)}]\n" if path else ""
    tables = [toml(value, *path, name) for name, value in tree.items() if isinstance(value, Mapping)]
    return header + "\n".join(lines) + "\n\n" + "".join(tables)
