"""Each process serves its metrics on a port of its own by default, and several on one machine do not collide."""

import itertools
import socket
from contextlib import AsyncExitStack, ExitStack

import aiohttp
import pytest

from tests.system.commands import serving, tillkeeper, toml, written
from tillkeeper import status_server
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.settings import IngestSettings, SweepSettings, WorkSettings
from tillkeeper.status_server import PORTS_EACH, ports_to_try, reserved_metrics_port, serving_status


def room() -> int:
    """A port that is free, with those after it."""
    for port in free_ports(200):
        with ExitStack() as stack:
            try:
                for each in range(port, port + PORTS_EACH):
                    stack.enter_context(socket.create_server(("127.0.0.1", each)))
            except OSError:
                continue
        return port
    raise AssertionError("no ten ports in a row are free")


@pytest.fixture
def unnamed() -> WorkSettings:
    """Settings that name no port, whose default is one that is free here."""
    return WorkSettings.model_construct(_fields_set=set(), metrics_port=room())


def taking(port: int, count: int) -> ExitStack:
    stack = ExitStack()
    for each in range(port, port + count):
        stack.enter_context(socket.create_server(("127.0.0.1", each)))
    return stack


def test_the_default_ports_of_the_roles_have_room_for_ten_of_each():
    first = sorted(settings().metrics_port for settings in (IngestSettings, WorkSettings, SweepSettings))
    assert all(later - earlier >= PORTS_EACH for earlier, later in itertools.pairwise(first))


def test_a_port_that_is_named_is_the_only_one_and_none_is_none():
    assert list(ports_to_try(WorkSettings(metrics_port=8081))) == [8081]
    assert list(ports_to_try(WorkSettings(metrics_port=0))) == []
    assert len(ports_to_try(WorkSettings())) == PORTS_EACH


async def answers(port: int) -> bool:
    async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
        return answer.status == 200


async def test_the_next_process_takes_the_next_port(unnamed):
    first = unnamed.metrics_port
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(serving_status(unnamed, is_ready=lambda: True))
        assert [await answers(first + number) for number in range(3)] == [True, True, True]


async def test_a_process_runs_on_without_metrics_when_all_ten_are_taken(unnamed, capsys):
    with taking(unnamed.metrics_port, PORTS_EACH):
        async with serving_status(unnamed, is_ready=lambda: True):
            pass
        with reserved_metrics_port(unnamed) as port:
            assert port == 0
    assert capsys.readouterr().out.count("metrics_not_served") == 2


async def test_a_named_port_that_is_taken_is_an_error():
    [port] = free_ports(1)
    settings = WorkSettings(metrics_port=port)
    with taking(port, 1), pytest.raises(OSError, match=str(port)):
        async with serving_status(settings, is_ready=lambda: True):
            pass


async def test_two_supervisors_share_no_port(unnamed, monkeypatch):
    with reserved_metrics_port(unnamed) as first:
        monkeypatch.setattr(status_server.telemetry, "MULTIPROCESS", True)
        child = WorkSettings(metrics_port=first)
        async with serving_status(child, is_ready=lambda: True), serving_status(child, is_ready=lambda: True):
            with reserved_metrics_port(unnamed) as second:
                assert (first, second) == (unnamed.metrics_port, unnamed.metrics_port + 1)


async def test_a_worker_says_which_port_it_serves_and_several_share_it(tmp_path, database):
    config = written(tmp_path, toml(database, work="processes = 2"))
    async with serving("work", "--config", config) as workers:
        said = [await workers.saw("status_server_listening", times=times) for times in (1, 2)]
        assert said[0]["port"] == said[1]["port"]
        assert await answers(said[0]["port"])


async def test_a_supervisors_named_port_that_is_taken_is_said_in_a_line(tmp_path, database):
    [port] = free_ports(1)
    config = written(tmp_path, toml(database, work=f"processes = 2\nmetrics_port = {port}"))
    with taking(port, 1):
        ended = await tillkeeper("work", "--config", config)
    assert ended.code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.err
