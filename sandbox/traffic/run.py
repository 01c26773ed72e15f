"""Carries out a run: generates traffic, posts what was held back, waits for the workers, compares, audits."""

import asyncio
import math
from collections import deque
from secrets import token_hex
from typing import Final

import msgspec

from tillkeeper import clock
from tillkeeper.loops import pause, start
from tillkeeper.sandbox.accounts import asks_first, impostors_of
from tillkeeper.sandbox.comparison import Difference, ask, compare, from_database, sample
from tillkeeper.sandbox.forgery import Forger
from tillkeeper.sandbox.servers import ServerFailed
from tillkeeper.sandbox.traffic.generator import TrafficGenerator, open_session
from tillkeeper.sandbox.traffic.monitor import Monitor
from tillkeeper.sandbox.traffic.posting_log import PostingLog
from tillkeeper.sandbox.traffic.screen import Frame, Screen
from tillkeeper.sandbox.traffic.summary import AuditVerdict, TrafficSummary, percentiles_ms
from tillkeeper.sandbox.traffic.target import Target
from tillkeeper.store.postgres.pool import open_pool

FRAME_S: Final = 0.5  # between two pictures
FINISH_S: Final = 60.0  # for posting what is held back; without faults it takes a second
CATCH_UP_S: Final = 60.0  # for the workers
CALM_S: Final = 5.0  # what differs this long after all was applied will not right itself, if no gateway must be asked
LANES_LOOKS: Final = 4  # two seconds, twice the time within which a receiver tells its figures
POOL_CONNECTIONS: Final = 2  # the watcher and the judge
RECENT_S: Final = 3.0  # over which the rate of posts is shown
RECENT_ANSWERS: Final = 1_000  # over which the latency is shown


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller asked for."""

    seconds: float  # 0: until stopped
    rate: float
    seed: int


class Run:
    """One run against one stage."""

    def __init__(
        self,
        *,
        target: Target,
        load: Load,
        screen: Screen,
        generator: TrafficGenerator,
        log: PostingLog,
        monitor: Monitor,
    ) -> None:
        self._target = target
        self._load = load
        self._screen = screen
        self._generator = generator
        self._log = log
        self._monitor = monitor
        self._doing = "plays"
        self._started_s = clock.monotonic_s()
        self._recent: deque[tuple[float, int]] = deque([(self._started_s, 0)])

    async def run(self, stop: asyncio.Event) -> TrafficSummary:
        """Plays until the time is over or `stop` is set, then judges.

        Raises ServerFailed if a Tillkeeper of our own dies, and what a database raises that is away in the end.
        """
        finished = asyncio.Event()
        watching = start(self._watch(stop, finished), name="sandbox watch")
        try:
            await self._play(stop)
            differences, caught_up = await self._catch_up()
            self._doing = "asks for the orders"
            asked = sample(list(self._log.orders))
            differences += compare(self._log.orders, await ask(self._generator.session, asked))
            self._doing = "has the books audited"
            audit = AuditVerdict.of(*await self._target.audit())
            await self._see_lanes()
        finally:
            finished.set()
            await watching
            self._screen.close()
        return TrafficSummary(
            seconds=clock.monotonic_s() - self._started_s,
            seed=self._load.seed,
            log=self._log,
            snapshot=self._monitor.snapshot,
            audit=audit,
            asked=len(asked),
            differences=list(dict.fromkeys(differences)),
            caught_up=caught_up,
            queries=dict(self._target.queries.counts),
        )

    async def _play(self, stop: asyncio.Event) -> None:
        await self._generator.generate(stop, until_s=self._started_s + (self._load.seconds or math.inf))
        self._check_alive()
        self._doing = "posts what it held back"
        await self._generator.finish(until_s=clock.monotonic_s() + FINISH_S)
        self._check_alive()

    def _check_alive(self) -> None:
        if self._target.own is not None and not self._target.own.running:
            raise ServerFailed(f"tillkeeper run has ended by itself:\n{self._target.own.tail()}")

    async def _catch_up(self) -> tuple[list[Difference], bool]:
        """Waits for the workers; in what the orders differ from the truth then, and whether all was applied."""
        self._doing = "waits for the workers"
        until_s, applied_at_s = clock.monotonic_s() + CATCH_UP_S, math.inf
        calm_s = CATCH_UP_S if asks_first(self._target.signers) else CALM_S
        while (now_s := clock.monotonic_s()) < until_s:
            self._check_alive()
            snapshot = await self._monitor.again()
            if not snapshot.stale and snapshot.applied >= self._log.accepted:
                applied_at_s = min(applied_at_s, now_s)
                differences = await self._differences()
                if not differences or now_s > applied_at_s + calm_s:
                    return differences, True
            await asyncio.sleep(FRAME_S)
        return await self._differences(), applied_at_s < math.inf

    async def _see_lanes(self) -> None:
        """The receiver tells what its lanes carried once a second: the last second is worth waiting for."""
        for _ in range(LANES_LOOKS):
            if sum((await self._monitor.again()).lanes.values()) >= self._log.accepted:
                return
            await asyncio.sleep(FRAME_S)

    async def _differences(self) -> list[Difference]:
        return compare(self._log.orders, from_database(self._log.orders, await self._monitor.standings()))

    async def _watch(self, stop: asyncio.Event, finished: asyncio.Event) -> None:
        """Shows what happens until the curtain falls, and stops the play when there is nobody to play to."""
        while not finished.is_set():
            await self._monitor.again()
            self._screen.show(self._frame(clock.monotonic_s()))
            if self._target.own is not None and not self._target.own.running:
                stop.set()
            await pause(finished, FRAME_S)

    def _frame(self, now_s: float) -> Frame:
        self._recent.append((now_s, self._log.posted))
        while now_s - self._recent[0][0] > RECENT_S and len(self._recent) > 2:  # noqa: PLR2004 - a beginning and an end
            self._recent.popleft()
        since_s, posted = self._recent[0]
        return Frame(
            doing=self._doing,
            played_s=now_s - self._started_s,
            per_s=(self._log.posted - posted) / max(FRAME_S, now_s - since_s),
            counts=self._log.counts,
            accepted=self._log.accepted,
            lag_s=self._log.lag_s(self._monitor.snapshot.applied, now_s=now_s),
            p99_ms=percentiles_ms(self._log.accept_s[-RECENT_ANSWERS:])[1],
            held_back=self._generator.held_back,
            snapshot=self._monitor.snapshot,
        )


async def run_traffic(target: Target, load: Load, screen: Screen, stop: asyncio.Event) -> TrafficSummary:
    """Returns a whole run on this stage.  Raises what `Run.run` raises."""
    run = f"T{token_hex(3)}"  # references of its own, also in a database that has seen runs before
    log = PostingLog(list(target.signers))
    async with (
        open_session(target.url, token=target.token) as session,
        await open_pool(target.database_url, max_size=POOL_CONNECTIONS) as pool,
    ):
        monitor = Monitor(session=session, metrics_url=target.metrics_url, pool=pool, run=run)
        await monitor.begin()
        generator = TrafficGenerator(
            session=session,
            signers=target.signers,
            forger=Forger(target.signers, impostors_of(target.signers)),
            log=log,
            ledger=target.ledger,
            seed=load.seed,
            run=run,
            rate=load.rate,
        )
        return await Run(target=target, load=load, screen=screen, generator=generator, log=log, monitor=monitor).run(
            stop
        )
