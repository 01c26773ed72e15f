"""Bounds a call into a client library: it has a time limit, and every failure becomes LaneUnavailable."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.loops import start

Answer = TypeVar("Answer")


async def bounded(call: Coroutine[Any, Any, Answer], *, timeout_s: float, what: str) -> Answer:
    """Returns what `call` returns; raises LaneUnavailable if it fails in any way or takes too long.

    The call runs in a task of its own: aiormq ends calls on a stuck connection with a CancelledError that is not ours,
    and asyncpg may need seconds to cancel.
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


async def unavailable_if_it_fails(call: Coroutine[Any, Any, Answer], *, what: str) -> Answer:
    """Returns what `call` returns; raises LaneUnavailable if it fails in any way.

    It is for calls that limit their own time, in a task that their cancellation concerns alone, such as a group's: then
    a task of its own, which `bounded` makes, is a cost without a use.
    """
    try:
        return await call
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise LaneUnavailable(f"{what} was cut off") from None  # by the library
    except Exception as error:
        raise LaneUnavailable(f"{what} failed: {error!r}") from error


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
