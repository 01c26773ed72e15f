"""The whole system under faults: every 2xx applied once, nothing forged applied, the books balance."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pytest

from tests.faults.house import TOKEN, House
from tests.faults.in_turn import FAULTS, Fault, Scene
from tests.faults.judge import judge
from tests.faults.poster import Poster
from tests.faults.stories import Sale, Script, Webhook, write_script
from tillkeeper import clock
from tillkeeper.sandbox.servers import Postgres, RabbitMQ

WORKERS: Final = 2
BEFORE_FAULT: Final = 0.1  # of a fault's deliveries have been accepted when it happens
Item = TypeVar("Item")


@pytest.mark.faults
@pytest.mark.rabbitmq
@pytest.mark.timeout(900)
async def test_twenty_thousand_deliveries_survive_every_fault(
    own_postgres, own_database, own_rabbitmq, tmp_path, capsys
):
    async with a_scene(own_postgres, own_database, own_rabbitmq, tmp_path) as scene:
        told = await survive(scene, deliveries=20_000, per_s=400)
    with capsys.disabled():
        print(f"\n{told}")


@pytest.mark.early(seconds=30)
@pytest.mark.rabbitmq
@pytest.mark.timeout(400)
async def test_two_thousand_deliveries_survive_every_fault(own_postgres, own_database, own_rabbitmq, tmp_path, capsys):
    async with a_scene(own_postgres, own_database, own_rabbitmq, tmp_path) as scene:
        told = await survive(scene, deliveries=2_000, per_s=150)
    with capsys.disabled():
        print(f"\n{told}")


@asynccontextmanager
async def a_scene(postgres: Postgres, database: str, rabbitmq: RabbitMQ, directory: Path) -> AsyncIterator[Scene]:
    async with (
        House.running(directory, database=database, broker_url=rabbitmq.url, workers=WORKERS) as house,
        Poster.open(house.base_url, token=TOKEN) as poster,
    ):
        await rabbitmq.sync_queues()
        yield Scene(house=house, postgres=postgres, rabbitmq=rabbitmq, poster=poster)


async def survive(scene: Scene, *, deliveries: int, per_s: float) -> str:
    """The whole of it; returns the figures."""
    script = write_script(deliveries, now=clock.now(), seed=deliveries)
    began_s = clock.monotonic_s()
    suffered = [each async for each in play(scene, script, per_s=per_s)]
    posted_s = clock.monotonic_s()
    assert len(scene.poster.log) == deliveries
    await scene.house.finish(scene.poster.accepted)
    finished_s = clock.monotonic_s()
    await judge(scene.house, scene.poster.log, script.endings)
    return "\n".join(
        [
            f"{deliveries} deliveries about {len(script.endings)} orders",
            f"posted in {posted_s - began_s:.1f} s, applied and stopped {finished_s - posted_s:.1f} s later",
            *figures(scene.poster),
            f"longest stall {max(each.stall_s for each in suffered):.2f} s",
            *(
                f"  {each.fault:36} lasted {each.lasted_s:4.1f} s, stall {each.stall_s:5.2f} s, {each.cut_off} cut off"
                for each in suffered
            ),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Suffered:
    """How long a fault lasted, and the longest time around it in which nothing was accepted."""

    fault: str
    lasted_s: float
    stall_s: float
    cut_off: int  # attempts that reached a receiver and got no answer


async def play(scene: Scene, script: Script, *, per_s: float) -> AsyncIterator[Suffered]:
    """Posts everything, with a fault in every share of it.  A third of the orders each is registered before, during
    and after, so that events wait."""
    before, during, after = shares(script.to_register, 3)
    await scene.poster.register(before)
    for fault, webhooks, sales in zip(
        FAULTS, shares(script.webhooks, len(FAULTS)), shares(during, len(FAULTS)), strict=True
    ):
        began_s = clock.monotonic_s()
        lasted_s = await suffer(scene, fault, webhooks, sales, per_s=per_s)
        yield Suffered(
            fault=fault.__name__,
            lasted_s=lasted_s,
            stall_s=scene.poster.longest_stall_s(since_s=began_s),
            cut_off=sum(each.cut_off for each in scene.poster.answers if each.at_s >= began_s),
        )
    assert await scene.house.fetchval("SELECT count(*) FROM inbox WHERE outcome = 'waiting'") > len(after) / 2
    await scene.poster.register(after)


async def suffer(
    scene: Scene, fault: Fault, webhooks: Sequence[Webhook], sales: Sequence[Sale], *, per_s: float
) -> float:
    """One fault while its share is posted; returns how many seconds it lasted."""
    async with asyncio.TaskGroup() as posting:
        posting.create_task(scene.poster.post(webhooks, per_s=per_s))
        posting.create_task(scene.poster.register(sales))
        await scene.poster.until_accepted(int(len(webhooks) * BEFORE_FAULT))
        began_s = clock.monotonic_s()
        await fault(scene)
        return clock.monotonic_s() - began_s


def figures(poster: Poster) -> Iterator[str]:
    """What came back, and how soon."""
    said = Counter(str(answer.said) for answer in poster.answers)
    yield f"{said.total()} attempts: " + ", ".join(f"{count} x {word}" for word, count in said.most_common())
    took_ms = sorted(round(1000 * answer.took_s) for answer in poster.answers if answer.accepted)
    half, late = took_ms[len(took_ms) // 2], took_ms[len(took_ms) * 99 // 100]
    yield f"an accepted attempt took {half} ms (median), {late} ms (99 %), {took_ms[-1]} ms (longest)"


def shares(items: Sequence[Item], count: int) -> list[Sequence[Item]]:
    """The items in so many runs of about the same length."""
    edges = [round(len(items) * number / count) for number in range(count + 1)]
    return [items[first:last] for first, last in itertools.pairwise(edges)]
