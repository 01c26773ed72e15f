"""Shows on a terminal, by a line that moves, how far a reconciliation is; elsewhere not, for it takes a minute."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tillkeeper.workers.reconcile import ReconcileProgress


@contextmanager
def shown_progress() -> Iterator["Callable[[ReconcileProgress], object]"]:
    """Yields what a reconciliation reports to."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.completed:,}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done: progress.update(task, description=done.doing, completed=done.done)
