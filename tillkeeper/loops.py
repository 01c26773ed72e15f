"""Runs the loops of every process: `run_once` again and again until the process stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from tillkeeper.domain.backoff import LOOP_PASS

log = structlog.get_logger()

_tasks: Final[set[asyncio.Task[Any]]] = set()


def start(work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Starts a task and keeps a reference to it, for the event loop keeps none."""
    task = asyncio.create_task(work, name=name)  # noqa: TID251 - its one home
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def keep_running(
    run_once: Callable[[], Awaitable[int]], *, name: str, stop: asyncio.Event, idle_s: float, full: int = 1
) -> None:
    """Calls `run_once` until `stop` is set.  It returns how many it handled: after `full` or more it is called again at
    once, after fewer in `idle_s`.  A failed pass is logged, and the loop goes on."""
    while not stop.is_set():
        try:
            handled = await run_once()
        except Exception:
            log.exception("pass_failed", loop=name)
            await pause(stop, LOOP_PASS.pause_s(1))
            continue
        if handled < full:
            await pause(stop, idle_s)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Waits, but no longer than until `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
