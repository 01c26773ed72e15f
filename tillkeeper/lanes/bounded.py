"""A call into a client library: it ends in time, and every failure of it means the same."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.loops import start

Answer = TypeVar("Answer")


async def bounded(call: Coroutine[Any, Any, Answer], *, timeout_s: float, what: str) -> Answer:
    """What `call` returns; Unavailable if it fails in any way or takes too long.

    It runs in a task of its own, whose outcome is looked at: aiormq ends calls on a stuck connection with a
    CancelledError that is not ours, and asyncpg may need seconds to give up what it was told to cancel.
    """
    task: asyncio.Task[Answer] = start(call, name=what)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        if not task.done():
            task.add_done_callback(_retrieve)
            task.cancel()
    if not task.done():
        raise LaneUnavailable(f"{what} took longer than {timeout_s} s")
    if task.cancelled():
        raise LaneUnavailable(f"{what} was cut off")
    if (error := task.exception()) is not None:
        raise LaneUnavailable(f"{what} failed: {error!r}") from error
    return task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
