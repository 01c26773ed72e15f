"""Shows how far an upgrade is: by a bar on a terminal; elsewhere a line for each step, and one every ten seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tillkeeper import clock
from tillkeeper.cli.output import lasting

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from tillkeeper.store.schema.upgrading import UpgradeProgress

LINE_EVERY_S: Final = 10.0


class Lines:
    """Prints lines on standard error."""

    def __init__(self) -> None:
        self._step = ""
        self._began_s = self._told_s = 0.0

    def waiting(self) -> None:
        """Says that somebody else upgrades."""
        print("another upgrade of this database is under way; waiting for its end", file=sys.stderr)

    def tell(self, done: "UpgradeProgress") -> None:
        """Prints a line where there is something new to say."""
        now_s = clock.monotonic_s()
        if (step := step_of(done)) != self._step:
            self._step, self._began_s, self._told_s = step, now_s, now_s
            print(step, file=sys.stderr)
        elif done.waits_for:
            print(f"  waits for {done.waits_for}", file=sys.stderr)
        elif now_s - self._told_s >= LINE_EVERY_S:
            self._told_s = now_s
            print(f"  {part_of(done, now_s - self._began_s)}", file=sys.stderr)


class Bar:
    """Lists the steps one below the other, with a bar for the one under way."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._step = ""

    def waiting(self) -> None:
        """Says that somebody else upgrades."""
        self._say("another upgrade of this database is under way; waiting for its end")

    def tell(self, done: "UpgradeProgress") -> None:
        """Moves the bar."""
        if self._task is None or step_of(done) != self._step:
            self._begin(step_of(done))
        if done.waits_for:
            self._say(f"  waits for {done.waits_for}")
        assert self._task is not None
        self._progress.update(self._task, completed=done.done, total=done.total or None)

    def _begin(self, step: str) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._step = step
        self._say(step)
        self._task = self._progress.add_task("", total=None)

    def _say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False)


@contextmanager
def shown_progress() -> Iterator[Lines | Bar]:
    """Yields what an upgrade reports to."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(" "), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress)


def step_of(done: "UpgradeProgress") -> str:
    """Returns a step in words."""
    steps = done.migration.steps
    return f"{done.migration}, step {done.step + 1} of {len(steps)}: {steps[done.step]}"


def part_of(done: "UpgradeProgress", took_s: float) -> str:
    """Returns how much is done, and how long the rest takes if it goes on so."""
    if not done.total:
        return f"under way for {took_s:.0f} s"
    if not done.done:
        return "0 %"
    left_s = took_s * (done.total - done.done) / done.done
    return f"{100 * done.done // done.total} %, about {_span(left_s)} left"


def _span(seconds: float) -> str:
    from datetime import timedelta

    return lasting(timedelta(seconds=seconds))
