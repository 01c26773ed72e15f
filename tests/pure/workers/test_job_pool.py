"""Jobs in flight: who hangs holds back nobody else, and there is room again as soon as a job ends."""

import asyncio
from collections import Counter

import pytest

from tillkeeper.loops import start
from tillkeeper.workers.database_retry import Stopped
from tillkeeper.workers.job_pool import JobPool

IDLE_S = 0.001  # between two looks; nothing here waits for it to be over


class Work:
    """What is due by key, and jobs that end when they are let go: `hung` keys never are."""

    def __init__(self, *due, hung=()):
        self.due = list(due)
        self.hung = set(hung)
        self.ended = []
        self.in_flight = Counter()
        self.most = Counter()
        self.changed = asyncio.Event()

    async def take(self, room, full):
        taken = [job for job in self.due if job[0] not in full][:room]
        self.due = [job for job in self.due if job not in taken]
        return len(taken), taken

    async def run(self, job):
        self.in_flight[job[0]] += 1
        self.most |= self.in_flight
        self.changed.set()
        try:
            await (asyncio.Event().wait() if job[0] in self.hung else asyncio.sleep(0))
        finally:
            self.in_flight[job[0]] -= 1
        self.ended.append(job)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(180):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def a_pool(work, **more):
    options = {"name": "test", "limit": 10, "per_key": 2, "key_of": lambda job: job[0]} | more
    return JobPool(work.take, work.run, **options)


async def kept_filled(pool):
    stop = asyncio.Event()
    return stop, start(pool.keep_filled(stop, idle_s=IDLE_S), name="kept filled")


async def cancelled(task):
    task.cancel()
    await asyncio.wait({task})


async def test_while_one_key_hangs_the_others_are_served_to_their_end():
    work = Work(*(("hung", n) for n in range(50)), *(("good", n) for n in range(50)), hung={"hung"})
    _, task = await kept_filled(a_pool(work))
    await work.until(lambda: len(work.ended) == 50)
    assert {key for key, _ in work.ended} == {"good"}
    await cancelled(task)


async def test_no_key_has_twice_its_share_and_all_together_no_more_than_the_limit():
    work = Work(*((key, n) for n in range(20) for key in "abcdefgh"), hung="abcdefgh")
    pool = a_pool(work, limit=10, per_key=3)
    for _ in range(20):
        await pool.step(IDLE_S)
    assert sum(work.in_flight.values()) == 10
    assert max(work.most.values()) < 6


async def test_a_look_past_full_keys_is_not_made_for_every_job_that_ends():
    looks, now_s = [], [0.0]
    work = Work(("hung", 1), ("hung", 2), hung={"hung"})

    async def take(room, full):
        looks.append(full)
        return await work.take(room, full)

    pool = JobPool(
        take, work.run, name="test", limit=10, per_key=2, key_of=lambda job: job[0], monotonic_s=lambda: now_s[0]
    )
    for _ in range(5):
        await pool.step(IDLE_S)
    assert looks == [frozenset(), frozenset({"hung"})]
    now_s[0] += IDLE_S
    await pool.step(IDLE_S)
    assert looks[2:] == [frozenset({"hung"})]


async def test_run_once_ends_when_all_that_it_took_has_ended():
    work = Work(("a", 1), ("b", 2), ("c", 3))
    assert await a_pool(work, per_key=2).run_once() == 2
    assert work.ended == [("a", 1), ("b", 2)]


async def test_what_ended_together_is_settled_together_and_a_failure_keeps_no_other():
    settled = []

    async def run(job):
        if job == "bad":
            raise ValueError(job)
        return job.upper()

    async def take(_room, _full):
        return 3, ["one", "bad", "two"]

    async def settle(results):
        settled.extend(results)

    pool = JobPool(take, run, name="test", limit=3, settle=settle)
    with pytest.raises(ValueError, match="bad"):
        await pool.run_once()
    assert sorted(settled) == [("one", "ONE"), ("two", "TWO")]
    assert pool.jobs == []


async def test_stopped_it_takes_no_more_and_lets_what_is_in_flight_end():
    work, let_go = Work(("a", 1)), asyncio.Event()
    started = asyncio.Event()

    async def run(_job):
        started.set()
        await let_go.wait()

    stop, task = await kept_filled(JobPool(work.take, run, name="test", limit=5))
    await started.wait()
    stop.set()
    work.due.append(("b", 2))
    let_go.set()
    await asyncio.wait({task}, timeout=180)
    assert task.done()
    assert work.due == [("b", 2)]


async def test_cancelled_it_cancels_what_is_in_flight():
    work = Work(("hung", 1), hung={"hung"})
    pool = a_pool(work)
    _, task = await kept_filled(pool)
    await work.until(lambda: work.in_flight["hung"])
    await cancelled(task)
    assert pool.jobs == []
    assert work.in_flight["hung"] == 0


async def test_a_take_that_is_stopped_took_nothing():
    async def take(_room, _full):
        raise Stopped

    assert await JobPool(take, asyncio.sleep, name="test", limit=1).run_once() == 0
