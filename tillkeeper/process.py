"""Runs the event loop of a serving process, and handles the signals that stop it.

SIGTERM or SIGINT set the stop event, and so does the end of standard input where a parent holds the other end.
A second signal changes nothing: what was begun is finished.  SIGHUP, which would end a process at once, is ignored: the
process itself watches the files of accounts and policy, and everything else needs a restart.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tillkeeper.settings import Settings

log = structlog.get_logger()

GC_THRESHOLDS: Final = (100_000, 50, 1000)  # the default is 700, 10, 10
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def run_until_stopped(
    serve: Callable[[asyncio.Event], Awaitable[None]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    tied: bool,
) -> None:
    """Runs `serve` with an event that is set when it must stop; if `tied`, also when standard input ends."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(serve, tied=tied))
        for number in STOP_SIGNALS:  # the work is done; a late Ctrl-C must not end it in a traceback
            runner.get_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def _serve(serve: Callable[[asyncio.Event], Awaitable[None]], *, tied: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _ignore_hangup)
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    if not tied:
        await serve(stop)
        return
    parent = sys.stdin.fileno()

    def parent_has_gone() -> None:
        loop.remove_reader(parent)  # a closed pipe stays readable
        stop.set()

    loop.add_reader(parent, parent_has_gone)
    await serve(stop)
    loop.remove_reader(parent)


def _ignore_hangup() -> None:
    log.info("sighup_ignored", why="the files of accounts and policy are watched; for anything else restart")


def collect_garbage_seldom() -> None:
    """Makes the garbage collector run seldom; to be called once everything is set up.

    Reference counts free nearly all that a request or a batch allocates.  Looking for cycles at Python's default pace
    took a third of a worker's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns the event loop that the settings ask for, for asyncio.Runner."""
    if settings.event_loop == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 - not everybody who stops in order needs it

    return uvloop.new_event_loop
