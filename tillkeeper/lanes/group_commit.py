"""Group commit: collects what arrives while a message is being sent, and sends it together in the next one.

                put ──> waiting ──> sending (at most `in_flight`) ──> every put of the group gets the group's outcome

No wait is added when idle.  While a group is being sent, another is sent only if it is well filled: a message costs as
much as some ten items.  Each item costs one future; tasks are made for groups only.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.loops import pause, start

IN_FLIGHT: Final = 2  # one is sent while the next is built; more only makes groups smaller
FILLED_ITEMS: Final = 32  # 64 connections fill it twice
WAITING_ITEMS_MAX: Final = 20_000  # some seconds at the highest rate ever measured; nobody waits longer
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Waiting(msgspec.Struct, Generic[Item, Outcome], frozen=True):
    item: Item
    size_bytes: int
    outcome: asyncio.Future[Outcome]


class GroupCommit(Generic[Item, Outcome]):
    """Collects items and sends them in groups of at most `items_max` and `bytes_max` (but at least one item)."""

    def __init__(
        self,
        send: Callable[[list[Item]], Coroutine[Any, Any, Outcome]],
        *,
        items_max: int,
        bytes_max: int,
        in_flight: int = IN_FLIGHT,
        filled_items: int = FILLED_ITEMS,
        waiting_items_max: int = WAITING_ITEMS_MAX,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self._send = send
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._in_flight = in_flight
        self._filled_items = filled_items
        self._waiting_items_max = waiting_items_max
        self._waiting_bytes_max = waiting_bytes_max
        self._waiting: deque[_Waiting[Item, Outcome]] = deque()
        self._waiting_bytes = 0
        self._sending = 0
        self._scheduled = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def put(self, item: Item, *, size_bytes: int) -> Outcome:
        """Waits for the send of the item's group, and returns its outcome.  Cancelling the wait does not stop it."""
        return await self.begin(item, size_bytes=size_bytes)

    def begin(self, item: Item, *, size_bytes: int) -> asyncio.Future[Outcome]:
        """Returns the outcome to come of the send of the item's group.

        Raises LaneUnavailable where nothing more may wait.
        """
        if self._closed:
            raise LaneUnavailable("shutting down")
        if len(self._waiting) >= self._waiting_items_max or self._waiting_bytes + size_bytes > self._waiting_bytes_max:
            raise LaneUnavailable("too many deliveries wait to be made durable")
        if (loop := self._loop) is None:  # kept: asking for it makes a system call (Python 3.11)
            loop = self._loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append(_Waiting(item, size_bytes, outcome))
        self._waiting_bytes += size_bytes
        if not self._scheduled and self._is_worth_sending():
            # At the end of this turn of the loop: requests read in the same turn go together.
            self._scheduled = True
            self._idle.clear()
            loop.call_soon(self._send_waiting)
        return outcome

    async def drain(self, *, within_s: float) -> None:
        """Takes nothing new and sends what waits; the rest fails with LaneUnavailable.  Safe to repeat."""
        self._closed = True
        await pause(self._idle, within_s)
        while self._waiting:
            _settle([self._waiting.popleft()], error=LaneUnavailable("shut down before it was durable"))
        self._waiting_bytes = 0

    def _send_waiting(self) -> None:
        self._scheduled = False
        while self._waiting and self._is_worth_sending():
            group = self._next_group()
            self._sending += 1
            task = start(self._send([each.item for each in group]), name="group")
            task.add_done_callback(partial(self._sent, group))
        if not self._sending:
            self._idle.set()

    def _is_worth_sending(self) -> bool:
        if not self._sending:
            return True
        is_filled = len(self._waiting) >= self._filled_items or self._waiting_bytes >= self._bytes_max
        return is_filled and self._sending < self._in_flight

    def _next_group(self) -> list[_Waiting[Item, Outcome]]:
        group = [self._waiting.popleft()]
        size_bytes = group[0].size_bytes
        while self._waiting and len(group) < self._items_max:
            size_bytes += self._waiting[0].size_bytes
            if size_bytes > self._bytes_max:
                break
            group.append(self._waiting.popleft())
        self._waiting_bytes -= sum(each.size_bytes for each in group)
        return group

    def _sent(self, group: list[_Waiting[Item, Outcome]], task: asyncio.Task[Outcome]) -> None:
        self._sending -= 1
        if task.cancelled():
            _settle(group, error=LaneUnavailable("the send was cancelled"))
        elif (error := task.exception()) is not None:
            _settle(group, error=error)
        else:
            outcome = task.result()
            for each in group:
                if not each.outcome.done():  # else its put was cancelled: the client is gone
                    each.outcome.set_result(outcome)
        self._send_waiting()


def _settle(group: list[_Waiting[Item, Outcome]], *, error: BaseException) -> None:
    for each in group:
        if not each.outcome.done():
            # One error for each, or their tracebacks would grow into one.
            each.outcome.set_exception(LaneUnavailable(*error.args) if isinstance(error, LaneUnavailable) else error)
