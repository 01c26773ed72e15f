"""Stalls: which posts were answered late at half load, and what the receiver, its lane and the load did meanwhile.

The receiver runs in this process, so that its event loop, its garbage collection and its lane can be watched.  Each
slow post is put down to the first of these that took up most of its time, in this order:

    load was late        its own timer ran late, and all posts that were due with it
    garbage              the collector of the receiver's process
    receiver not run     its event loop stood still, and used no CPU: the kernel gave the core to others
    receiver computed    its event loop stood still, and used CPU
    moving a log         RabbitMQ confirmed late, while it moved a full log to segments (confirms.py)
    RabbitMQ             RabbitMQ confirmed late without that
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from bench.confirms import open_logs
from bench.house import Broken, House, load
from bench.load import Drive, Driven, Prepare
from bench.report import Figure, Section
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.ingest.server import receiver
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.loops import start

CONNECTIONS: Final = 64
TICK_S: Final = 0.001
STILL_S: Final = 0.010  # an event loop that comes to its timer so late stood still
LATE_S: Final = 0.010  # a confirm that takes so long is late: usual ones take two to four milliseconds
LOOK_S: Final = 0.1
SHARE: Final = 0.5  # of a post's time: more than this, and it is the cause
IDLE_SHARE: Final = 0.5  # of a standstill in CPU: less than this, and others had the core

Span = tuple[float, float]  # of the monotonic clock


class Watch:
    """What went on in the receiver's process, by cause."""

    def __init__(self) -> None:
        self.garbage: list[Span] = []
        self.not_run: list[Span] = []
        self.computed: list[Span] = []
        self.late: list[Span] = []
        self.moving: list[Span] = []
        self._collecting_since_s = 0.0

    def collecting(self, phase: str, _about: object) -> None:
        """Notes when garbage was collected, as gc.callbacks call it."""
        if phase == "start":
            self._collecting_since_s = clock.monotonic_s()
        else:
            self.garbage.append((self._collecting_since_s, clock.monotonic_s()))

    async def keep_ticking(self) -> None:
        """Notes when the event loop stood still."""
        while True:
            before_s, cpu_s = clock.monotonic_s(), time.thread_time()
            await asyncio.sleep(TICK_S)
            now_s = clock.monotonic_s()
            if now_s - before_s > STILL_S:
                was_idle = time.thread_time() - cpu_s < IDLE_SHARE * (now_s - before_s)
                (self.not_run if was_idle else self.computed).append((before_s, now_s))

    async def keep_looking_for_logs(self, pid: int) -> None:
        """Notes when RabbitMQ had more than one log open."""
        while True:
            before_s = clock.monotonic_s()
            logs = await asyncio.to_thread(open_logs, pid)
            await asyncio.sleep(LOOK_S)
            if len({log for log in logs if log.exists()}) > 1:
                self.moving.append((before_s, clock.monotonic_s()))

    def timed(self, put: Callable[..., object]) -> Callable[..., object]:
        """Wraps a sender's `put`: notes when a confirm was late."""

        async def timed_put(sender: RabbitSender, body: bytes, *, shard: int = 0) -> None:
            began_s = clock.monotonic_s()
            await put(sender, body, shard=shard)  # type: ignore[misc]
            if (now_s := clock.monotonic_s()) - began_s > LATE_S:
                self.late.append((began_s, now_s))

        return timed_put


async def measure(house: House, sizes: Sizes) -> Section:
    """Posts at half of what the receiver takes, and puts each slow post down to a cause."""
    watch = Watch()
    driven = None if house.broker is None else await _watched(house, watch, sizes)
    slow = [] if driven is None else driven.slow
    causes = {} if driven is None else _causes(watch, driven)
    found = [_cause_of(span, causes) for span in slow]
    rows = [_row(name, [span for span, cause in zip(slow, found, strict=True) if cause == name]) for name in NAMES]
    told = "" if driven is None else f"p50 {driven.p50_ms:.1f}, p99 {driven.p99_ms:.1f}, max {driven.max_ms:.0f} ms; "
    return Section(
        name="stalls",
        title=f"Stalls: posts at half load that took more than {1000 * sizes.slow_s:.0f} ms, by what held them up",
        rows=rows,
        notes=[
            f"{told}{len(watch.garbage)} collections of garbage, {len(watch.late)} late confirms.",
            "RabbitMQ fills a log (512 MiB) in a minute of half load: --seconds 120 sees it moved twice.",
        ],
    )


NAMES: Final = (
    "load was late",
    "garbage",
    "receiver not run",
    "receiver computed",
    "moving a log",
    "RabbitMQ",
    "none of these",
)


def _causes(watch: Watch, driven: Driven) -> Mapping[str, list[Span]]:
    spans = (driven.late, watch.garbage, watch.not_run, watch.computed)
    moving = [span for span in watch.late if _overlap(span, watch.moving) > 0]
    return dict(zip(NAMES, (*spans, moving, watch.late), strict=False))


def _cause_of(slow: Span, causes: Mapping[str, list[Span]]) -> str:
    enough_s = SHARE * (slow[1] - slow[0])
    return next((name for name, spans in causes.items() if _overlap(slow, spans) > enough_s), NAMES[-1])


def _overlap(one: Span, spans: list[Span]) -> float:
    """Returns how much of a span the others take up; where they overlap each other, that counts once for each."""
    return sum(max(0.0, min(one[1], end_s) - max(one[0], began_s)) for began_s, end_s in spans)


def _row(name: str, slow: list[Span]) -> Mapping[str, Figure]:
    longest = max(slow, key=lambda span: span[1] - span[0], default=None)
    return {
        "": name,
        "posts": len(slow),
        "longest ms": None if longest is None else 1000 * (longest[1] - longest[0]),
        "seconds with any": len({int(span[0]) for span in slow}),
    }


async def _watched(house: House, watch: Watch, sizes: Sizes) -> Driven:
    async with _receiver(house, watch) as port, load() as posting:
        await posting.prepare(Prepare(what="stripe", requests=sizes.requests, private_key=house.private_key))
        full = await posting.drive(Drive(port=port, connections=CONNECTIONS, seconds=sizes.warm_up_s))
        rate = full.rate / 2
        posts = max(1, int(rate * sizes.seconds))
        half = Drive(port=port, connections=CONNECTIONS, rate=rate, requests=posts, slow_s=sizes.slow_s)
        driven = await posting.drive(half)
        if driven.refused:
            raise Broken(f"answers by status: {driven.answers}")
        return driven


@asynccontextmanager
async def _receiver(house: House, watch: Watch) -> AsyncIterator[int]:
    """A receiver in this process that is watched, and its port."""
    put = RabbitSender.put
    async with house.database() as dsn, house.queues() as queues, receiver(house.settings(dsn, queues)) as port:
        watching = [
            start(watch.keep_ticking(), name="ticks"),
            start(watch.keep_looking_for_logs(house.broker_pid), name="logs"),
        ]
        gc.callbacks.append(watch.collecting)
        RabbitSender.put = watch.timed(put)  # type: ignore[method-assign, assignment]
        try:
            yield port
        finally:
            RabbitSender.put = put  # type: ignore[method-assign]
            gc.callbacks.remove(watch.collecting)
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
