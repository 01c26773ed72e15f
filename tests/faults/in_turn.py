"""The faults, one after the other, each while deliveries come in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.faults.house import INSERT_INBOX, NO_WRITES_TO_INBOX, House, until
from tests.faults.poster import Poster
from tillkeeper.sandbox.servers import Postgres, RabbitMQ

STILL: Final = 20  # so many more webhooks are accepted from when a server goes, before it comes back


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a fault can break, and the posters who watch."""

    house: House
    postgres: Postgres
    rabbitmq: RabbitMQ
    poster: Poster


async def worker_killed_in_its_transaction(scene: Scene) -> None:
    """It has written facts and status, and stands before the inbox."""
    house = scene.house
    async with house.held(NO_WRITES_TO_INBOX):
        await house.stands_still("worker-0", INSERT_INBOX)
        await house.workers["worker-0"].kill()
    await house.start_worker("worker-0")


async def rabbitmq_killed_and_restarted(scene: Scene) -> None:
    goal = scene.poster.accepted + STILL
    await scene.rabbitmq.kill()
    await scene.poster.until_total(goal)
    await scene.rabbitmq.start()  # the receivers of the next faults find it by themselves


async def receiver_stopped_and_started(scene: Scene) -> None:
    assert await scene.house.stop(scene.house.receiver) == 0
    await scene.house.start_receiver()


async def receiver_killed(scene: Scene) -> None:
    await scene.house.receiver.kill()
    await scene.house.start_receiver()


async def rabbitmq_hangs(scene: Scene) -> None:
    goal = scene.poster.accepted + STILL
    scene.rabbitmq.pause()
    await scene.poster.until_total(goal)
    await until(scene.house.passes_rabbitmq_by)
    scene.rabbitmq.resume()
    await until(scene.house.uses_rabbitmq)


async def postgres_restarted(scene: Scene) -> None:
    goal = scene.poster.accepted + STILL  # from before: a busy machine may take longer to stop it than to post the rest
    await scene.postgres.stop()
    await scene.poster.until_total(goal)
    await scene.postgres.start()


async def postgres_killed_and_restarted(scene: Scene) -> None:
    goal = scene.poster.accepted + STILL
    await scene.postgres.kill()
    await scene.poster.until_total(goal)
    await scene.postgres.start()


Fault = Callable[[Scene], Awaitable[None]]
FAULTS: Final[tuple[Fault, ...]] = (
    worker_killed_in_its_transaction,
    rabbitmq_killed_and_restarted,
    receiver_stopped_and_started,
    receiver_killed,
    rabbitmq_hangs,
    postgres_restarted,
    postgres_killed_and_restarted,
)
