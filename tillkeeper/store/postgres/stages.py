"""Tells whoever watches transactions when one begins and ends, and which stage it is in.  Mostly nobody does."""

from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Final, Protocol


class Stage(StrEnum):
    """What a transaction does, one after the other; it may come back to one."""

    LOAD = "load"
    DECIDE = "decide"
    WRITE = "write"
    COMMIT = "commit"


class Watcher(Protocol):
    """Watches the transactions of this process."""

    def transaction(self) -> AbstractContextManager[object]:
        """Returns a context in which one transaction runs, from its wait for a connection to the end of its commit."""
        ...

    def enter(self, stage: Stage) -> None:
        """Notes that the transaction of the running task enters a stage."""
        ...


_NOBODY: Final = nullcontext()
_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Has `watcher` told from now on, or nobody."""
    global _watcher  # noqa: PLW0603 - one a process
    _watcher = watcher


def transaction() -> AbstractContextManager[object]:
    """Returns a context in which one transaction runs."""
    return _NOBODY if _watcher is None else _watcher.transaction()


def enter(stage: Stage) -> None:
    """Says that the running transaction enters a stage."""
    if _watcher is not None:
        _watcher.enter(stage)
