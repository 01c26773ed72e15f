"""`python -m bench`: measures, prints tables with the targets beside them, and writes the figures as JSON."""

import asyncio
import os
import platform
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from bench import accept, apply, books, confirms, end_to_end, memory, pages, reads, reports, stages, stalls, sweep
from bench.house import Broken, House
from bench.report import WIDTH, Section, as_json, show
from bench.sizes import MINIATURE, Sizes
from tillkeeper import __version__, clock
from tillkeeper.logs import set_up_logging
from tillkeeper.sandbox.servers import ServerFailed

Measure = Callable[[House, Sizes], Awaitable[Section]]
SECTIONS: Final[Mapping[str, Measure]] = {
    "accept": accept.measure,
    "apply": apply.measure,
    "end_to_end": end_to_end.measure,
    "sweep": sweep.measure,
    "stages": stages.measure,
    "confirms": confirms.measure,
    "stalls": stalls.measure,
    "memory": memory.measure,
    "reads": reads.measure,
    "pages": pages.measure,
    "books": books.measure,
    "reports": reports.measure,
}


def main(
    *,
    only: Annotated[str, typer.Option(help=f"Sections, with commas between them: {', '.join(SECTIONS)}.")] = "",
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each rate is measured.")] = 4.0,
    events: Annotated[int, typer.Option(min=1_000, help="How many events the memory run sends.")] = 60_000,
    orders: Annotated[int, typer.Option(min=3_000, help="How many orders reads and pages have.")] = 250_000,
    miniature: Annotated[
        bool, typer.Option("--miniature", help="Whether everything still runs, in seconds; its figures mean nothing.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Where to write the figures as JSON.")] = None,
) -> None:
    """Measures on private servers of its own.  Only ratios within one run hold: the machine's speed drifts."""
    names = [name.strip() for name in only.split(",")] if only else list(SECTIONS)
    if unknown := set(names) - set(SECTIONS):
        raise typer.BadParameter(f"no such section: {', '.join(sorted(unknown))}", param_hint="--only")
    set_up_logging("bench", level="WARNING")
    console = Console(width=WIDTH, highlight=False)
    bench = Bench(
        console, MINIATURE if miniature else Sizes(seconds=seconds, memory_events=events, years_orders=orders)
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bench.run(names))
    except ServerFailed as error:
        bench.tell_broken("the servers", error)
    if json is not None:
        about = {
            "version": __version__,
            "measured_at": clock.now().isoformat(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        }
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(as_json(bench.sections, about))
    if bench.is_broken:
        raise typer.Exit(1)


class Bench:
    """One run: its sections so far."""

    def __init__(self, console: Console, sizes: Sizes) -> None:
        self.sections: list[Section] = []
        self.is_broken = False
        self._console = console
        self._sizes = sizes

    async def run(self, names: list[str]) -> None:
        """Measures and shows one section after the other; one that breaks does not stop the next."""
        async with House() as house:
            if house.broker is None:
                self._console.print("RabbitMQ is not installed: everything on the PostgreSQL lane alone.\n")
            for name in names:
                try:
                    section = await SECTIONS[name](house, self._sizes)
                except (Broken, ServerFailed, TimeoutError) as error:
                    self.tell_broken(name, error)
                    continue
                show(self._console, section)
                self.sections.append(section)

    def tell_broken(self, name: str, error: Exception) -> None:
        """Says so, and the exit code will."""
        self.is_broken = True
        self._console.print(f"[red]{name} broke[/red]: {error or type(error).__name__}\n")


typer.run(main)
