"""Runs jobs concurrently, up to a limit in all and for each key; new ones are taken as soon as others end.

    take (what there is room for) ──> run, each in a task of its own ──> those that ended: settle ──> take again

A job that hangs holds one place and no other job.  A key whose jobs all hang (an account whose gateway does not
answer) takes its share of the places and no more: `take` gets the full keys, and leaves them out.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

from tillkeeper import clock
from tillkeeper.loops import keep_running, start
from tillkeeper.workers.database_retry import Stopped

Job = TypeVar("Job")
Result = TypeVar("Result")
# Gets the free places and the full keys; returns how many jobs were due, and those that it took.
Take: TypeAlias = Callable[[int, frozenset[str]], Awaitable[tuple[int, Sequence[Job]]]]

NO_KEY: Final = ""


class JobPool(Generic[Job, Result]):
    """Keeps jobs running: fewer than `limit` at once, and for one key fewer than twice `per_key`.

    A key is full at `per_key`.  No more than that is taken at once, so that one take cannot fill the pool with one key.
    """

    def __init__(
        self,
        take: Take[Job],
        run: Callable[[Job], Awaitable[Result]],
        *,
        name: str,
        limit: int,
        per_key: int | None = None,
        key_of: Callable[[Job], str] = lambda _: NO_KEY,
        settle: Callable[[Sequence[tuple[Job, Result]]], Awaitable[None]] | None = None,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        self._take = take
        self._run = run
        self._name = name
        self._limit = limit
        self._per_key = per_key or limit
        self._key_of = key_of
        self._settle = settle
        self._monotonic_s = monotonic_s
        self._running: dict[asyncio.Task[Result], Job] = {}
        self._next_look_s = float("-inf")  # past the full keys

    @property
    def jobs(self) -> list[Job]:
        """Returns the jobs that are running."""
        return list(self._running.values())

    async def run_once(self) -> int:
        """Takes once, and waits for the jobs taken; returns how many were due."""
        try:
            due = await self._take_and_start(min(self._limit, self._per_key), frozenset())
            await self.finish()
        finally:
            await self._cancel()
        return due

    async def keep_filled(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Takes and runs jobs until `stop` is set, then waits for those that run.  When cancelled, it cancels them."""
        try:
            await keep_running(partial(self.step, idle_s), name=self._name, stop=stop, idle_s=idle_s)
            await self.finish()
        finally:
            await self._cancel()

    async def step(self, idle_s: float) -> int:
        """Takes jobs for the free places, or waits up to `idle_s` for one to end; returns 0 if there is nothing."""
        if due := await self._refill(idle_s):
            return due
        if not self._running:
            return 0
        await asyncio.wait(self._running, timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
        await self._settle_ended()
        return 1

    async def finish(self) -> None:
        """Waits for all jobs, and then raises what a job raised, if any did."""
        failures: list[Exception] = []
        while self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            try:
                await self._settle_ended()
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
        if failures:
            raise failures[0]

    async def _refill(self, idle_s: float) -> int:
        room = min(self._limit - len(self._running), self._per_key)
        full = self._full()
        now_s = self._monotonic_s()
        if room <= 0 or (full and now_s < self._next_look_s):
            return 0
        due = await self._take_and_start(room, full)
        # Such a take reads past all that waits for the full keys, so it is not made for each job that ends.
        if full and due < room:
            self._next_look_s = now_s + idle_s
        return due

    def _full(self) -> frozenset[str]:
        in_flight = Counter(self._key_of(job) for job in self._running.values())
        return frozenset(key for key, count in in_flight.items() if count >= self._per_key)

    async def _take_and_start(self, room: int, full: frozenset[str]) -> int:
        try:
            due, jobs = await self._take(room, full)
        except Stopped:
            return 0
        for job in jobs:
            self._running[start(self._run_job(job), name=self._name)] = job
        return due

    async def _run_job(self, job: Job) -> Result:
        return await self._run(job)

    async def _settle_ended(self) -> None:
        """Settles the jobs that ended; raises the first failure among them.  A job that was stopped has not failed."""
        ended = {task: job for task, job in self._running.items() if task.done()}
        self._running = {task: job for task, job in self._running.items() if task not in ended}
        errors = {task: task.exception() for task in ended}
        results = [(job, task.result()) for task, job in ended.items() if errors[task] is None]
        if self._settle and results:
            with suppress(Stopped):
                await self._settle(results)
        for error in errors.values():
            if error is not None and not isinstance(error, Stopped):
                raise error

    async def _cancel(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        self._running.clear()
