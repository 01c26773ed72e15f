"""Supervises child processes: starts them, restarts one that dies, and stops them together.

A child gets a session of its own, so that Ctrl-C reaches the supervisor alone, which chooses the order of stopping; and
a standard input that stays open, so that a child whose parent dies sees its end and stops.
"""

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
import structlog

from tillkeeper.domain.backoff import CHILD_PROCESS, CHILD_REFUSED
from tillkeeper.loops import pause, start

log = structlog.get_logger()

STOP_S: Final = 45.0  # the children's own limits add up to less
# Exit codes that a restart does not cure: wrong usage or bad settings, and a schema that the child may not serve.
REFUSALS: Final = frozenset({2, 4})


class ChildRefused(Exception):
    """A child refused to start at its first start, and has printed why; `code` is its exit code."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(name)
        self.code = code


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The program of a child: arguments to Python, the bytes on its standard input, and changes to its environment."""

    name: str
    arguments: tuple[str, ...]
    stdin: bytes = b""
    environ: Mapping[str, str] = msgspec.field(default_factory=dict)
    stop_s: float = STOP_S


async def keep_all_running(
    programs: Iterable[Program], stop: asyncio.Event, *, ended: Callable[[int], object] | None = None
) -> None:
    """Keeps a child running for each program until `stop` is set, then waits for each.  Raises ChildRefused."""
    with ungrouped():
        async with asyncio.TaskGroup() as children:
            for program in programs:
                children.create_task(keep_running_child(program, stop, ended=ended))


@contextlib.contextmanager
def ungrouped() -> Iterator[None]:
    """Unwraps ChildRefused from the group that a TaskGroup raises."""
    try:
        yield
    except* ChildRefused as group:
        raise group.exceptions[0] from None


async def keep_running_child(
    program: Program, stop: asyncio.Event, *, ended: Callable[[int], object] | None = None
) -> None:
    """Keeps a child running until `stop` is set, then waits for it.  Calls `ended` with the id of each that ended.

    Raises ChildRefused.
    """
    starts = 0
    while not stop.is_set():
        starts += 1
        child = await _start(program)
        try:
            await _until_either(child, stop)
        finally:
            if child.returncode is None:
                await _stop(program, child)
            if ended is not None:
                ended(child.pid)
        if stop.is_set():
            return
        if child.returncode in REFUSALS and starts == 1:
            raise ChildRefused(program.name, child.returncode)
        log.error("process_died", process=program.name, pid=child.pid, code=child.returncode)
        await pause(stop, (CHILD_REFUSED if child.returncode in REFUSALS else CHILD_PROCESS).pause_s(1))


async def _until_either(child: Process, stop: asyncio.Event) -> None:
    exited = start(child.wait(), name="child")
    stopping = start(stop.wait(), name="stop of child")
    try:
        await asyncio.wait({exited, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


async def _start(program: Program) -> Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *program.arguments,
        stdin=PIPE,
        env={**os.environ, **program.environ},
        start_new_session=True,
    )
    assert child.stdin is not None
    child.stdin.write(program.stdin)
    with contextlib.suppress(ConnectionError):  # it died at once; the caller sees its exit code
        await child.stdin.drain()
    return child


async def _stop(program: Program, child: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(program.stop_s):
            await child.wait()
            return
    log.error("process_killed", process=program.name, pid=child.pid)
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    await child.wait()


@contextlib.contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Holds the port without listening on it, so that it stays reserved while a child restarts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
        yield held.getsockname()[1]
