"""One fault each, on the programs themselves: what is answered, where things go, and that all is well after."""

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aio_pika
import aiohttp
import pytest

from tests.faults.house import INSERT_INBOX, NO_WRITES_TO_INBOX, STOP_WITHIN_S, TOKEN, House, until
from tests.faults.judge import judge
from tests.faults.poster import Poster
from tests.faults.stories import Webhook, write_script
from tests.lane_handles import RabbitLane, eventually
from tests.system.receiving import exchange, status_of, wire
from tillkeeper import clock
from tillkeeper.lanes.topology import DELIVERY_LIMIT

AT_ONCE: Final = 10_000.0  # webhooks a second: as fast as it goes


class Stage:
    """A receiver without workers, a script whose orders are registered, and a poster."""

    def __init__(self, house: House, poster: Poster, *, deliveries: int) -> None:
        self.house = house
        self.poster = poster
        self.script = write_script(deliveries, now=clock.now(), seed=deliveries)

    async def post(self, webhooks: list[Webhook]) -> None:
        await self.poster.post(webhooks, per_s=AT_ONCE)

    async def settled(self) -> None:
        """All that was accepted is applied, every program ends well, and the judge finds nothing."""
        await self.house.finish(self.poster.accepted)
        await judge(self.house, self.poster.log, self.script.endings)


@asynccontextmanager
async def a_stage(
    directory: Path, database: str, *, deliveries: int, broker_url: str | None = None, broker_prefix: str = "none"
) -> AsyncIterator[Stage]:
    async with (
        House.running(
            directory, database=database, broker_url=broker_url, broker_prefix=broker_prefix, workers=0
        ) as house,
        Poster.open(house.base_url, token=TOKEN) as poster,
    ):
        stage = Stage(house, poster, deliveries=deliveries)
        await poster.register(stage.script.to_register)
        yield stage


@pytest.fixture
async def stage(tmp_path, database, broker_url, broker_prefix) -> AsyncIterator[Stage]:
    async with a_stage(
        tmp_path, database, deliveries=200, broker_url=broker_url, broker_prefix=broker_prefix
    ) as prepared:
        yield prepared


@pytest.mark.long
@pytest.mark.rabbitmq
async def test_without_any_lane_the_answer_is_503_and_the_same_delivery_is_accepted_once_one_is_back(
    stage, postgres_server, rabbitmq
):
    webhook = next(each for each in stage.script.webhooks if not each.forged)
    rabbitmq.pause()
    await postgres_server.stop()
    headers, body = webhook.signed(clock.now())
    url = f"{stage.house.base_url}/webhooks/{webhook.account}"
    async with aiohttp.request("POST", url, headers=headers, data=body) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    posting = asyncio.ensure_future(stage.post(stage.script.webhooks))
    await until_said(stage.poster, 503)
    rabbitmq.resume()
    await postgres_server.start()
    await posting
    await stage.house.start_worker("worker")
    await stage.settled()


async def test_a_receiver_stopped_answers_what_it_has_in_hand_and_says_that_it_hangs_up(tmp_path, database):
    async with a_stage(tmp_path, database, deliveries=50) as stage:
        house = stage.house
        webhook = next(each for each in stage.script.webhooks if each.account == "stripe-main" and not each.forged)
        sent = wire(webhook.signed(clock.now()), path="/webhooks/stripe-main")
        async with house.held("LOCK TABLE spool IN SHARE MODE"):
            asked = asyncio.ensure_future(exchange(house.port, sent))
            await house.stands_still("ingest", "WITH put AS")
            house.receiver.send(signal.SIGTERM)
            await until(house.is_deaf)
        answer = await asked
        assert status_of(answer) == 200
        assert b"\r\nConnection: close\r\n" in answer  # or the client would send its next request into the void
        assert await house.receiver.exit_status(within_s=STOP_WITHIN_S) == 0


async def until_said(poster: Poster, status: int) -> None:
    async def was_said() -> bool:
        return any(answer.said == status for answer in poster.answers)

    await until(was_said)


@pytest.mark.long
@pytest.mark.rabbitmq
async def test_a_message_that_kills_its_workers_is_parked_its_neighbours_are_applied_and_replay_brings_it_in(
    tmp_path, database, rabbitmq, broker_url, broker_prefix
):
    async with (
        a_stage(tmp_path, database, deliveries=12, broker_url=broker_url, broker_prefix=broker_prefix) as stage,
        RabbitLane(rabbitmq, broker_prefix) as lane,
    ):
        house, webhooks = stage.house, stage.script.webhooks
        for webhook in webhooks:  # one by one, each in an envelope of its own
            await stage.post([webhook])
        poison = told_once(stage)
        await take_and_die(lane, messages=len(webhooks), times=2)  # nobody knows yet which of them it is
        neighbours = len({each.event_id for each in webhooks}) - 1
        async with house.held("SELECT FROM orders WHERE order_ref = $1 FOR UPDATE", poison):
            for number in range(DELIVERY_LIMIT // 2):  # they come to it from both sides; some die a moment too early
                await die_of_poison(house, f"worker-{number}")
                if await house.fetchval("SELECT count(*) FROM inbox") == neighbours:
                    break
        assert await house.fetchval("SELECT count(*) FROM inbox") == neighbours
        await take_and_die(lane, messages=1, times=DELIVERY_LIMIT + 1)

        await house.start_worker("worker")
        await until(lambda: says(house, "SELECT count(*) = 1 FROM parked WHERE reason = 'delivery_limit'"))
        status, printed = await house.command("parked", "replay", "--all", "--note", "harmless after all", "--json")
        assert status == 0, printed
        await stage.settled()


def told_once(stage: Stage) -> str:
    """An order of which only one delivery tells."""
    told = Counter(webhook.order_ref for webhook in stage.script.webhooks)
    return next(ref for ref, count in told.items() if count == 1 and stage.script.endings[ref].registered)


async def take_and_die(lane: RabbitLane, *, messages: int, times: int) -> None:
    """Workers that take everything and die of it, so many times or until nothing comes any more."""
    receiver = await lane.receiver()
    for _ in range(times):
        if not await receiver.take(limit=1, wait_s=1.0):
            break
        await eventually(lambda: len(receiver._session.unacknowledged) == messages)
        await lane.let_die(receiver)
    await receiver.close()


async def die_of_poison(house: House, name: str) -> None:
    """A worker that is killed in the transaction in which it would apply the poison, when all else is done."""
    await house.start_worker(name)
    await house.stands_still(name, "SELECT")
    await until(lambda: says(house, IDLE_BUT_FOR_ONE, name))
    await house.workers.pop(name).kill()


IDLE_BUT_FOR_ONE = """
SELECT count(*) FILTER (WHERE state = 'active') = 1 AND count(*) FILTER (WHERE state LIKE 'idle in%') = 0
FROM pg_stat_activity WHERE application_name = $1
"""


async def says(house: House, sql: str, *arguments: object) -> bool:
    return bool(await house.fetchval(sql, *arguments))


@pytest.mark.long
@pytest.mark.rabbitmq
async def test_a_worker_waits_out_a_restart_of_the_database_in_the_middle_of_a_backlog(stage, postgres_server):
    await stage.post(stage.script.webhooks)
    async with stage.house.held(NO_WRITES_TO_INBOX):
        await stage.house.start_worker("worker")
        await stage.house.stands_still("worker", INSERT_INBOX)
        await postgres_server.restart()
    await stage.settled()


@pytest.mark.rabbitmq
async def test_a_worker_stopped_finishes_its_batch_and_leaves_the_rest_to_others(stage):
    house = stage.house
    await stage.post(stage.script.webhooks)
    async with house.held(NO_WRITES_TO_INBOX):
        await house.start_worker("worker-0")
        await house.stands_still("worker-0", INSERT_INBOX)
        stopping = house.workers.pop("worker-0")
        stopping.send(signal.SIGTERM)
    assert await stopping.exit_status(within_s=STOP_WITHIN_S) == 0
    assert await house.fetchval("SELECT count(*) FROM inbox") > 0
    await house.start_worker("worker-1")
    await stage.settled()


async def test_a_worker_killed_between_commit_and_acknowledgement_applies_nothing_twice(tmp_path, database):
    async with a_stage(tmp_path, database, deliveries=50) as stage, AsyncExitStack() as spool_held:
        house = stage.house  # without RabbitMQ: the spool's acknowledgement is a statement that can be held up
        await stage.post(stage.script.webhooks)
        async with house.held(NO_WRITES_TO_INBOX):
            await house.start_worker("worker-0")
            await house.stands_still("worker-0", INSERT_INBOX)
            await spool_held.enter_async_context(house.held("LOCK TABLE spool IN SHARE MODE"))
        await house.stands_still("worker-0", "DELETE FROM spool")
        assert await house.fetchval("SELECT count(*) FROM inbox") > 0
        await house.workers.pop("worker-0").kill()
        await house.hang_up_on("worker-0")
        await spool_held.aclose()

        assert await house.fetchval("SELECT count(*) FROM spool") > 0
        await house.fetchval("UPDATE spool SET leased_until = '-infinity'")  # a minute later
        await house.start_worker("worker-1")
        await stage.settled()


@pytest.mark.rabbitmq
@pytest.mark.parametrize("victim", ["queue", "exchange"])
async def test_what_is_deleted_in_rabbitmq_is_passed_by_and_heals(stage, broker_url, victim):
    house, webhooks = stage.house, iter(stage.script.webhooks)
    await delete(broker_url, house, victim)
    await stage.post(list(itertools.islice(webhooks, 50)))
    assert await house.fetchval("SELECT count(*) FROM spool") > 0

    async def reaches_the_queue_again() -> bool:
        await stage.post([next(webhooks)])
        return await house.queue_depth() > 0

    await until(reaches_the_queue_again)
    await stage.post(list(webhooks))
    await house.start_worker("worker")
    await stage.settled()


async def delete(broker_url: str, house: House, victim: str) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        if victim == "queue":
            await channel.queue_delete(house.topology.queue(0))
        else:
            await channel.exchange_delete(house.topology.exchange)
