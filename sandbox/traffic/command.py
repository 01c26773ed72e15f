"""`tillkeeper sandbox`: chooses the stage, plays on it, and says how it ended.

    stage (our own with --up, or a given one) ──> playing ──> summary ──> exit code

Exit codes: 0 all holds, 1 something does not, 2 wrong usage or configuration, 3 a server is missing, 130 stopped before
anything was played.
"""

import asyncio
import io
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import msgspec
import orjson
from rich.console import Console

from tillkeeper.logs import mask
from tillkeeper.loops import start
from tillkeeper.sandbox.servers import RabbitMQ, ServerFailed
from tillkeeper.sandbox.simulators.registry import DEFAULT_GATEWAYS, NoSuchGateway, parse_gateways
from tillkeeper.sandbox.traffic.run import Load, run_traffic
from tillkeeper.sandbox.traffic.screen import Screen
from tillkeeper.sandbox.traffic.summary import TrafficSummary, print_summary
from tillkeeper.sandbox.traffic.target import CannotRun, StoppedEarly, Target, own_target, running_target
from tillkeeper.settings import BadSettings, load_settings
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

HOLDS: Final = 0
DOES_NOT_HOLD: Final = 1
WRONG: Final = 2
OUT_OF_REACH: Final = 3
INTERRUPTED: Final = 130
PIPE_COLUMNS: Final = 200  # where no terminal says how wide it is


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Which Tillkeeper to play to.

    Without `up` only Stripe is played, to the Tillkeeper of `config` (or TILLKEEPER_CONFIG) at `url` (or where the
    configuration says it listens): the other gateways sign with keys that no merchant has.
    """

    up: bool
    gateways: str | None  # names with commas between, or `all`
    broker: str
    url: str | None
    config: Path | None


def main(options: Options, load: Load, *, as_json: bool) -> int:
    """Plays and judges; returns the exit code."""
    console = console_for(to_errors=as_json)
    try:
        summary = asyncio.run(_run(options, load, Screen(console)))
    except (StoppedEarly, asyncio.CancelledError, KeyboardInterrupt):
        return fail("stopped", code=INTERRUPTED)
    except BadSettings as error:
        return fail(*error.problems, code=WRONG)
    except (CannotRun, NoSuchGateway) as error:
        return fail(str(error), code=WRONG)
    except ServerFailed as error:
        return fail(str(error), code=OUT_OF_REACH)
    except DATABASE_ERRORS as error:
        return fail(f"the database is out of reach: {mask(str(error) or repr(error))}", code=OUT_OF_REACH)
    if as_json:
        sys.stdout.write(orjson.dumps(summary.as_dict()).decode() + "\n")
    else:
        print_summary(summary, console)
    return DOES_NOT_HOLD if summary.problems() else HOLDS


async def _run(options: Options, load: Load, screen: Screen) -> TrafficSummary:
    stop, playing = asyncio.Event(), list[asyncio.Task[TrafficSummary]]()
    _heed_signals(stop, playing, screen.say)
    async with _target(options, screen.say, stop) as target:
        screen.say(f"playing to {target.url} with {load.rate:g} posts a second; Ctrl-C ends it")
        playing.append(start(run_traffic(target, load, screen, stop), name="sandbox"))
        return await playing[0]


def _heed_signals(
    stop: asyncio.Event, playing: Sequence[asyncio.Task[TrafficSummary]], say: Callable[[str], None]
) -> None:
    """The first signal ends the play, and what was posted is judged; another gives up judging.  None cuts the cleaning
    up."""
    loop = asyncio.get_running_loop()

    def heed() -> None:
        if stop.is_set():
            for task in playing:
                task.cancel()
        else:
            say("stopping in good order; Ctrl-C again gives up the summary")
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, heed)


def _target(options: Options, say: Callable[[str], None], stop: asyncio.Event) -> AbstractAsyncContextManager[Target]:
    if not options.up:
        if options.gateways is not None:
            raise CannotRun("--gateways chooses what --up plays; of a given Tillkeeper its Stripe accounts are played")
        return running_target(
            load_settings(options.config), url=options.url, config=options.config and options.config.absolute()
        )
    if options.url is not None or options.config is not None:
        raise CannotRun("--up brings its own Tillkeeper: give neither --url nor --config with it")
    gateways = DEFAULT_GATEWAYS if options.gateways is None else parse_gateways(options.gateways)
    why_not = "as asked" if options.broker == "none" else RabbitMQ.available()
    if why_not is not None:
        say(f"no RabbitMQ ({why_not}): the PostgreSQL lane alone carries everything")
    return own_target(gateways=gateways, with_broker=why_not is None, say=say, stop=stop)


def console_for(*, to_errors: bool) -> Console:
    """Returns where progress is shown: beside the JSON, if that is wanted."""
    stream = sys.stderr if to_errors else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that knows no Chinese shows ? for it
    width = None if stream.isatty() else PIPE_COLUMNS
    return Console(stderr=to_errors, markup=False, highlight=False, emoji=False, width=width)


def fail(*lines: str, code: int) -> int:
    """Says why on standard error, and returns the exit code."""
    for line in lines:
        sys.stderr.write(f"tillkeeper: {line}\n")
    return code
