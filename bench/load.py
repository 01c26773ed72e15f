"""The load: a process of its own that posts prepared requests over connections that stay open.

Told what to do line by line on standard input, it answers each line with one on standard output.  No HTTP library: it
must cost little enough to show what a server can do.

    closed loop   every connection posts again as soon as it has its answer: how much the server takes
    open loop     posts are due at a fixed rate whatever the answers do, and latency counts from when a post was due,
                  so that a stall is charged to every request it held up
"""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Final, Literal, cast

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.deliveries import Stripe, mixed_requests
from tillkeeper import clock

TICK_S: Final = 0.001  # uvloop's timers are no finer
SLOW_MAX: Final = 20_000  # posts that are told one by one; more are no stall but too high a rate
LATE_S: Final = 0.010  # its own timer, and so all posts that were due
SUCCESS: Final = range(200, 300)
_LENGTH: Final = b"\r\nContent-Length: "


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """Makes requests.  Those of `fresh` are signed as they are posted, or a long run's would be stale by its end."""

    what: Literal["stripe", "mix", "duplicates", "fresh"]
    requests: int = 0
    private_key: str = ""


class Drive(msgspec.Struct, frozen=True, kw_only=True, tag="drive"):
    """Posts, going on where the last drive ended: for `seconds`, or so many `requests`.

    With a `rate` the loop is open, and `requests` says how many posts are due in all; posts that take longer than
    `slow_s` are told one by one.
    """

    port: int
    connections: int
    seconds: float | None = None
    requests: int | None = None
    rate: float | None = None
    slow_s: float | None = None


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.  Times are of the monotonic clock, which all processes share."""

    answers: dict[int, int]
    began_s: float
    ended_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    slow: list[tuple[float, float]] = []  # posts that took longer than `slow_s`: when due, and when answered
    late: list[tuple[float, float]] = []  # spans in which this process came late to its own timer

    @property
    def accepted(self) -> int:
        """How many were answered 2xx."""
        return sum(count for status, count in self.answers.items() if status in SUCCESS)

    @property
    def refused(self) -> int:
        """How many were answered otherwise."""
        return sum(self.answers.values()) - self.accepted

    @property
    def rate(self) -> float:
        """Accepted a second."""
        return self.accepted / (self.ended_s - self.began_s)


class Connection(asyncio.Protocol):
    """One connection with at most one request on its way.  Of an answer it reads what it must."""

    def __init__(self, answered: Callable[["Connection", int, float], None], lost: Callable[[], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._transport: asyncio.Transport
        self._since_s = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - any end is one too early
        self._lost()

    def post(self, request: bytes, since_s: float) -> None:
        """Sends; `since_s` is when the request was due."""
        self._since_s = since_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        if len(received) < _length_of(received):
            self._received = received
            return
        self._received = b""
        self._answered(self, int(received[9:12]), self._since_s)

    def close(self) -> None:
        self._lost = lambda: None
        self._transport.close()


def _length_of(answer: bytes) -> float:
    """How long an answer is, head and body; endless while its head is not complete."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return float("inf")
    at = answer.find(_LENGTH, 0, head)
    body = 0 if at < 0 else int(answer[at + len(_LENGTH) : answer.index(b"\r\n", at + 2)])
    return head + 4 + body


class Run:
    """One drive: its connections, and what was answered so far."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._answers: Counter[int] = Counter()
        self._took_s: list[float] = []
        self._slow: list[tuple[float, float]] = []
        self._late: list[tuple[float, float]] = []
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def drive(self, drive: Drive) -> Driven:
        """Does it.  Raises ConnectionError when the server hangs up."""
        if drive.rate is None:
            return await self._closed_loop(drive)
        assert drive.requests is not None
        return await self._open_loop(drive, drive.rate, drive.requests)

    async def _closed_loop(self, drive: Drive) -> Driven:
        requests = islice(self._requests, drive.requests)
        busy = drive.connections

        def answered(connection: Connection, status: int, since_s: float) -> None:
            now_s = clock.monotonic_s()
            self._answers[status] += 1
            self._took_s.append(now_s - since_s)
            post(connection, now_s)

        def post(connection: Connection, now_s: float) -> None:
            nonlocal busy
            request = next(requests, None) if now_s < until_s else None
            if request is not None:
                connection.post(request, now_s)
                return
            busy -= 1
            if not busy:
                self._end()

        connections = await self._connect(drive, answered)
        began_s = clock.monotonic_s()
        until_s = float("inf") if drive.seconds is None else began_s + drive.seconds
        for connection in connections:
            post(connection, clock.monotonic_s())
        await self._ended
        return self._driven(connections, began_s)

    async def _open_loop(self, drive: Drive, rate: float, total: int) -> Driven:
        due: deque[float] = deque()

        def answered(connection: Connection, status: int, since_s: float) -> None:
            now_s = clock.monotonic_s()
            self._answers[status] += 1
            self._took_s.append(now_s - since_s)
            if drive.slow_s is not None and now_s - since_s > drive.slow_s and len(self._slow) < SLOW_MAX:
                self._slow.append((since_s, now_s))
            idle.append(connection)
            post_due()
            if len(self._took_s) == total:
                self._end()

        def post_due() -> None:
            while due and idle:
                idle.popleft().post(next(self._requests), due.popleft())

        connections = await self._connect(drive, answered)
        idle = deque(connections)
        began_s = clock.monotonic_s()
        scheduled = 0
        while scheduled < total:
            ready = min(total, int((clock.monotonic_s() - began_s) * rate) + 1)
            due.extend(began_s + number / rate for number in range(scheduled, ready))
            scheduled = ready
            post_due()
            before_s = clock.monotonic_s()
            await asyncio.sleep(TICK_S)
            if clock.monotonic_s() - before_s > LATE_S:
                self._late.append((before_s, clock.monotonic_s()))
        await self._ended
        return self._driven(connections, began_s)

    async def _connect(self, drive: Drive, answered: Callable[[Connection, int, float], None]) -> list[Connection]:
        loop = asyncio.get_running_loop()
        connections = []
        for _ in range(drive.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(answered, self._lost), "127.0.0.1", drive.port
            )
            connections.append(connection)
        return connections

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _lost(self) -> None:
        if not self._ended.done():
            self._ended.set_exception(ConnectionError("the server hung up"))

    def _driven(self, connections: list[Connection], began_s: float) -> Driven:
        ended_s = clock.monotonic_s()
        for connection in connections:
            connection.close()
        took_s = sorted(self._took_s)
        return Driven(
            answers=dict(self._answers),
            began_s=began_s,
            ended_s=ended_s,
            p50_ms=1000 * took_s[len(took_s) // 2],
            p99_ms=1000 * took_s[len(took_s) * 99 // 100],
            max_ms=1000 * took_s[-1],
            slow=self._slow,
            late=self._late,
        )


def _prepared(told: Prepare) -> Iterator[bytes]:
    stripe = Stripe(clock.now())
    match told.what:
        case "stripe":  # goes round: no worker looks at them
            return cycle(list(islice(stripe.requests(), told.requests)))
        case "mix":
            key = load_pem_private_key(told.private_key.encode(), password=None)
            return cycle(list(mixed_requests(told.requests, cast("RSAPrivateKey", key))))
        case "duplicates":
            return iter(list(stripe.requests_with_duplicates(told.requests)))
        case "fresh":
            return stripe.requests()


def main() -> None:
    """Obeys until standard input ends."""
    requests: Iterator[bytes] = iter(())
    commands = msgspec.json.Decoder(Prepare | Drive)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin.buffer:
            match commands.decode(line):
                case Prepare() as told:
                    requests = _prepared(told)
                    answer: Driven | None = None
                case Drive() as drive:
                    answer = runner.run(_drive(requests, drive))
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            sys.stdout.buffer.flush()


async def _drive(requests: Iterator[bytes], drive: Drive) -> Driven:
    return await Run(requests).drive(drive)


if __name__ == "__main__":
    main()
