"""`tillkeeper sandbox --scenario`: brings up a PostgreSQL, replays the scenario, and says how it ended.

Exit codes: 0 all holds, 1 something does not, 3 a server is missing, 130 stopped.
"""

import sys
from asyncio import Runner
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import orjson
import uvloop
from rich.console import Console

from tillkeeper.logs import set_up_logging
from tillkeeper.sandbox.scenarios.lossy_day import lossy_day
from tillkeeper.sandbox.scenarios.report import print_lossy_day, print_stuck
from tillkeeper.sandbox.scenarios.run import Say, ScenarioOptions
from tillkeeper.sandbox.scenarios.stuck import stuck_at_gateway
from tillkeeper.sandbox.servers import Postgres, ServerFailed
from tillkeeper.sandbox.servers.memory import place_in_memory
from tillkeeper.sandbox.traffic.command import DOES_NOT_HOLD, HOLDS, INTERRUPTED, OUT_OF_REACH, console_for, fail


class Ended(Protocol):
    """How a scenario ended."""

    def problems(self) -> list[str]:
        """Returns what does not hold."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """As one JSON document."""
        ...


Replay = Callable[[ScenarioOptions, Postgres, Say], Awaitable[Ended]]
SCENARIOS: Final[Mapping[str, tuple[Replay, Callable[[Any, Console], None], int]]] = {
    "lossy-day": (lossy_day, print_lossy_day, 10_000),
    "stuck-at-gateway": (stuck_at_gateway, print_stuck, 300),
}


def main(*, scenario: str, seed: int, payments: int | None, smtp_port: int | None, as_json: bool) -> int:
    """Replays and judges; returns the exit code."""
    replay, show, payments_default = SCENARIOS[scenario]
    console = console_for(to_errors=as_json)
    set_up_logging("scenario", level="CRITICAL")  # what gateways do wrong is the scenario's, and in its figures
    options = ScenarioOptions(seed=seed, payments=payments or payments_default, smtp_port=smtp_port)

    async def run() -> Ended:
        console.print("starting PostgreSQL", style="dim")
        async with Postgres(place_in_memory()) as postgres:
            return await replay(options, postgres, lambda line: console.print(line, style="dim"))

    try:
        with Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(run())
    except KeyboardInterrupt:
        return fail("stopped", code=INTERRUPTED)
    except ServerFailed as error:
        return fail(str(error), code=OUT_OF_REACH)
    if as_json:
        sys.stdout.write(orjson.dumps(ended.as_dict()).decode() + "\n")
    else:
        show(ended, console)
    return DOES_NOT_HOLD if ended.problems() else HOLDS
