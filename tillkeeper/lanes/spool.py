"""The PostgreSQL lane: the only lane of small installations, and the overflow of RabbitMQ."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Final, TypeVar
from uuid import UUID, uuid4

import asyncpg
import structlog

from tillkeeper import clock
from tillkeeper.lanes.base import LaneMessage, LaneUnavailable
from tillkeeper.lanes.bounded import bounded
from tillkeeper.lanes.spool_scan import COST_FACTOR, SpoolScan
from tillkeeper.loops import keep_running, pause, start
from tillkeeper.outage import Outage, notifications_outage
from tillkeeper.store.jobs import spool
from tillkeeper.store.postgres.connections import is_pooled
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

ACQUIRE_S: Final = 1.0  # a pool without a free connection for so long counts as down
PUT_S: Final = 2.0  # after RabbitMQ's three seconds a gateway still waits for its response
CHECK_S: Final = 1.0
WORK_S: Final = 10.0  # a worker can wait longer than a gateway
POLL_S: Final = 1.0  # how late a message is whose notification was lost
LEASE_S: Final = 60.0  # far over what a batch takes; how late a dead worker's messages are
DELIVERY_LIMIT: Final = 20  # redeliveries, as on RabbitMQ

Answer = TypeVar("Answer")


class SpoolSender:
    """The receiver's end: a message is durable once its row is committed."""

    name: Final = "spool"

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, body: bytes, *, shard: int = 0) -> None:
        """Returns once the message is committed.  It is safe to put the same bytes again."""
        message_id = UUID(bytes=blake2b(body, digest_size=16).digest())

        async def run(conn: Conn) -> None:
            await spool.put(conn, message_id=message_id, shard=shard, body=body, timeout_s=PUT_S)

        await _with_connection(self._pool, run, timeout_s=PUT_S, what="spooling")

    async def check(self) -> None:
        """Raises LaneUnavailable when the table cannot be reached."""

        async def run(conn: Conn) -> None:
            await spool.check(conn, timeout_s=CHECK_S)

        await _with_connection(self._pool, run, timeout_s=CHECK_S, what="checking the spool")

    async def close(self) -> None:
        """Does nothing: the pool's owner closes it."""


class SpoolReceiver:
    """The worker's end: messages are leased, and deleted when done.  Made by `open`, closed by `close`."""

    name: Final = "spool"

    def __init__(
        self, pool: asyncpg.Pool, database_url: str, *, lease_s: float = LEASE_S, hints: Outage | None = None
    ) -> None:
        self._pool = pool
        self._database_url = database_url
        self._lease_s = lease_s
        self._taker = uuid4()
        self._held: dict[UUID, int] = {}  # by message: what its attempt count loses when it is released
        self._scan = SpoolScan()
        self._parked_look_at_s = float("-inf")
        self._hint = asyncio.Event()
        self._hints = hints or notifications_outage()
        self._stop = asyncio.Event()
        self._listening_over = asyncio.Event()  # set when the listening connection ends
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, pool: asyncpg.Pool, database_url: str, *, hints: Outage | None = None) -> "SpoolReceiver":
        """Opens a receiver that takes through the pool, and listens for notifications on a connection of its own."""
        receiver = cls(pool, database_url, hints=hints)
        receiver._listener = start(
            keep_running(receiver.listen_once, name="spool hints", stop=receiver._stop, idle_s=POLL_S),
            name="spool hints",
        )
        return receiver

    async def take(self, *, limit: int, wait_s: float) -> list[LaneMessage]:
        """Takes up to `limit` messages, oldest first, and waits up to `wait_s` for the first."""
        until_s = clock.monotonic_s() + wait_s
        while True:
            self._hint.clear()
            taken = await self._take_free(limit)
            left_s = until_s - clock.monotonic_s()
            if taken or left_s <= 0:
                return taken
            await pause(self._hint, min(left_s, POLL_S))

    async def _take_free(self, limit: int) -> list[LaneMessage]:
        began_s, scan = clock.monotonic_s(), self._scan
        after = scan.begin(began_s)

        async def run(conn: Conn) -> list[spool.SpoolRow]:
            if scan.wants_mark():
                scan.mark(await spool.last_position(conn, timeout_s=WORK_S), clock.monotonic_s())
            return await spool.take(
                conn,
                taker=self._taker,
                limit=limit,
                lease_s=self._lease_s,
                attempts_max=DELIVERY_LIMIT,
                timeout_s=WORK_S,
                after=after,
            )

        rows = await _with_connection(self._pool, run, timeout_s=WORK_S, what="taking from the spool")
        scan.ended(
            was_whole=after == 0,
            began_s=began_s,
            ended_s=clock.monotonic_s(),
            first=rows[0].position if rows else None,
            is_full=len(rows) == limit,
        )
        return self._hold(rows, attempt=1)

    async def acknowledge(self, taken: Sequence[LaneMessage]) -> None:
        """Deletes the messages.  A lease that expired meanwhile is no error: what comes again is recognised."""
        ids = [_id_of(one) for one in taken]

        async def run(conn: Conn) -> int:
            return await spool.remove(conn, ids, taker=self._taker, timeout_s=WORK_S)

        removed = await _with_connection(self._pool, run, timeout_s=WORK_S, what="acknowledging")
        if removed < len(ids):
            log.info("spool_leases_expired", messages=len(ids) - removed)
        for each in ids:
            self._held.pop(each, None)

    async def release(self) -> None:
        """Ends the leases on all unacknowledged messages.  Those that could not be released are tried again at the next
        release, unless their lease expires before."""
        for attempts in set(self._held.values()):
            ids = [each for each, count in self._held.items() if count == attempts]
            with suppress(LaneUnavailable):
                await self._give_back(ids, attempts)
                self._scan.look_at_all()
                self._parked_look_at_s = float("-inf")
                for each in ids:
                    del self._held[each]

    async def take_parked(self, *, limit: int) -> list[LaneMessage]:
        """Takes messages past the delivery limit.  They stand at the front, behind dead rows, so that a slow scan is
        not repeated often."""
        began_s = clock.monotonic_s()
        if began_s < self._parked_look_at_s:
            return []

        async def run(conn: Conn) -> list[spool.SpoolRow]:
            return await spool.take_past_limit(
                conn,
                taker=self._taker,
                limit=limit,
                lease_s=self._lease_s,
                attempts_max=DELIVERY_LIMIT,
                timeout_s=WORK_S,
            )

        rows = await _with_connection(self._pool, run, timeout_s=WORK_S, what="taking from the spool")
        if not rows:
            ended_s = clock.monotonic_s()
            self._parked_look_at_s = ended_s + COST_FACTOR * (ended_s - began_s)
        return self._hold(rows, attempt=0)

    async def close(self) -> None:
        """Releases all held messages and stops listening.  Safe to repeat."""
        self._stop.set()
        self._listening_over.set()
        await self.release()
        if self._listener is not None:
            await asyncio.wait({self._listener}, timeout=WORK_S)
            self._listener.cancel()

    async def listen_once(self) -> int:
        """Listens for notifications until the connection is lost or the receiver closed.  Returns 0."""
        over = self._listening_over = asyncio.Event()
        try:
            connection = await asyncpg.connect(
                self._database_url, timeout=PUT_S, command_timeout=PUT_S, statement_cache_size=0
            )
        except DATABASE_ERRORS as error:
            self._hints.failed(self, error)
            return 0
        connection.add_termination_listener(lambda _: over.set())
        try:
            if await is_pooled(connection):
                self._hints.failed(self, "a pooler hands each transaction another server; the poll finds messages")
                await self._stop.wait()
                return 0
            await connection.add_listener(spool.CHANNEL, self._on_notification)
            self._hints.recovered(self)
            if not self._stop.is_set():
                await over.wait()
        except DATABASE_ERRORS as error:
            self._hints.failed(self, error)
        finally:
            connection.terminate()
        return 0

    def _hold(self, rows: Sequence[spool.SpoolRow], *, attempt: int) -> list[LaneMessage]:
        self._held |= {row.id: attempt for row in rows}
        return [LaneMessage(body=row.body, receipt=row.id, attempts=row.attempts) for row in rows]

    def _on_notification(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        if payload == spool.GIVEN_BACK:
            self._scan.look_at_all()
        self._hint.set()

    async def _give_back(self, ids: Iterable[UUID], attempts: int) -> None:
        async def run(conn: Conn) -> None:
            await spool.give_back(conn, list(ids), taker=self._taker, attempts=attempts, timeout_s=WORK_S)

        await _with_connection(self._pool, run, timeout_s=WORK_S, what="giving back")


async def _with_connection(
    pool: asyncpg.Pool, run: Callable[[Conn], Awaitable[Answer]], *, timeout_s: float, what: str
) -> Answer:
    async def call() -> Answer:
        async with pool.acquire(timeout=ACQUIRE_S) as conn:
            return await run(conn)

    return await bounded(call(), timeout_s=timeout_s, what=what)


def _id_of(taken: LaneMessage) -> UUID:
    assert isinstance(taken.receipt, UUID), "this message was taken from another lane"
    return taken.receipt
