"""The servers of one's own: they keep what they were given, and leave nothing behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from yarl import URL

from tillkeeper.sandbox.servers import Postgres


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that has just ended has no children
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(below for child in children for below in family(int(child)))]
    return []


def running(pid: int) -> bool:
    """Whether a process is there and no mere entry for a parent that has not asked."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def one(server: Postgres, sql: str) -> object:
    connection = await asyncpg.connect(server.dsn())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_postgres_is_durable_and_in_utf8(postgres_server):
    settings = ("fsync", "full_page_writes", "synchronous_commit", "server_encoding")
    values = [await one(postgres_server, f"SELECT current_setting('{name}')") for name in settings]
    assert values == ["on", "on", "on", "UTF8"]


async def test_postgres_keeps_what_was_committed_over_kill_and_restart():
    async with Postgres() as server:
        dsn = server.dsn()
        await one(server, "CREATE TABLE kept AS SELECT 7 AS number")
        await server.kill()
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(dsn)
        await server.start()
        assert await one(server, "SELECT number FROM kept") == 7
        await server.restart()
        assert server.dsn() == dsn
        assert await one(server, "SELECT number FROM kept") == 7


async def test_a_killed_postgres_leaves_no_backend():
    async with Postgres() as server:
        processes = family(server.pid)
        assert len(processes) > 3
        await server.kill()
        assert not [pid for pid in processes if running(pid)]


async def test_a_database_from_a_template_holds_what_the_template_holds(postgres_server, database):
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM orders") == 0
    await connection.close()


@pytest.mark.rabbitmq
async def test_rabbitmq_keeps_a_confirmed_message_over_kill_and_restart(rabbitmq, broker_url, broker_prefix):
    connection = await aio_pika.connect(broker_url)
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    queue = await channel.declare_queue(broker_prefix, durable=True, arguments={"x-queue-type": "quorum"})
    message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, queue.name)
    await rabbitmq.sync_queues()
    processes = family(rabbitmq.pid)

    await rabbitmq.kill()
    assert not [pid for pid in processes if running(pid)]
    await connection.close()
    await rabbitmq.start()

    assert rabbitmq.url == broker_url
    connection = await aio_pika.connect(broker_url)
    channel = await connection.channel()
    queue = await channel.get_queue(broker_prefix)
    kept = await queue.get(timeout=120)
    assert kept.body == b"kept"
    await kept.ack()
    await queue.delete(if_unused=False, if_empty=False)  # quorum queues know no conditions
    await connection.close()


@pytest.mark.rabbitmq
async def test_a_paused_rabbitmq_answers_nobody_until_it_is_resumed(rabbitmq, broker_url):
    rabbitmq.pause()
    refused = aio_pika.Connection(URL(broker_url))
    with pytest.raises(TimeoutError):
        await refused.connect(timeout=0.3)
    await refused.close()  # or it would close itself when collected, in another test's loop
    rabbitmq.resume()
    connection = await aio_pika.connect(broker_url, timeout=120)
    await connection.close()


@pytest.mark.rabbitmq
async def test_ctl_asks_the_node(rabbitmq, broker_url):
    assert "tillkeeper" in await rabbitmq.ctl("list_users")


PARENT = """
import asyncio, sys
from tillkeeper.sandbox.servers import Postgres, RabbitMQ
from tests.system.test_servers import family

async def main():
    server = {"Postgres": Postgres, "RabbitMQ": RabbitMQ}[sys.argv[1]]()
    await server.start()
    extra = [server._epmd.pid] if sys.argv[1] == "RabbitMQ" else []
    print(server._directory)
    print(*extra, *family(server.pid), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def gone(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(process, ended.set)
            await ended.wait()
            asyncio.get_running_loop().remove_reader(process)
            os.close(process)


@pytest.mark.parametrize("name", ["Postgres", pytest.param("RabbitMQ", marks=pytest.mark.rabbitmq)])
async def test_servers_do_not_outlive_a_killed_parent(name, request):
    if name == "RabbitMQ":
        request.getfixturevalue("rabbitmq")  # skips, or fails, where there is none
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, name),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    directory = Path((await parent.stdout.readline()).decode().strip())
    servers = [int(pid) for pid in (await parent.stdout.readline()).split()]
    assert servers
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(120):
        await gone(servers)
    shutil.rmtree(directory)
