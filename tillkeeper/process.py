"""The event loop of a process that serves, and the signals that stop it.

SIGTERM or SIGINT set the stop event, and so does the end of standard input where a parent holds the other end.
Another signal changes nothing: what was begun is finished.  SIGHUP, which would end a process at once, changes nothing
either, for accounts and policy are looked at by the process itself, and nothing else is taken up without a restart.
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
    """Runs `serve` with an event that is set when it is time to stop; `tied` to a parent that holds standard input."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(serve, tied=tied))
        for number in STOP_SIGNALS:  # the work is done; a late Ctrl-C must not end it in a trace
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
        loop.remove_reader(parent)  # the end of a pipe stays readable
        stop.set()

    loop.add_reader(parent, parent_has_gone)
    await serve(stop)
    loop.remove_reader(parent)


def _ignore_hangup() -> None:
    log.info("sighup_ignored", why="files of accounts and policy are looked at by themselves; else restart")


def collect_garbage_seldom() -> None:
    """Makes the garbage collector run seldom; to be called when everything is set up.

    Nearly all that a request or a batch makes dies by reference count.  Looking for cycles among it at Python's default
    pace took a third of a worker's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop that the settings ask for, for asyncio.Runner."""
    if settings.event_loop == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 - not everybody who stops in order needs it

    return uvloop.new_event_loop
