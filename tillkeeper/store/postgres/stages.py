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


# What the transaction writes into the outbox remembers this as its cause.
SET_TRACE: Final = "; SET LOCAL tillkeeper.trace = '%s'"


class Watcher(Protocol):
    """Watches the transactions of this process."""

    def transaction(self) -> AbstractContextManager[str]:
        """Returns a context in which one transaction runs, from its wait for a connection to the end of its commit.

        Its value is added to the statement that begins the transaction."""
        ...

    def enter(self, stage: Stage) -> None:
        """Notes that the transaction of the running task enters a stage."""
        ...


_NOBODY: Final = nullcontext("")
_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Has `watcher` told from now on, or nobody."""
    global _watcher  # noqa: PLW0603 - one a process
    _watcher = watcher


def transaction() -> AbstractContextManager[str]:
    """Returns a context in which one transaction runs, and what is added to the statement that begins it."""
    return _NOBODY if _watcher is None else _watcher.transaction()


def enter(stage: Stage) -> None:
    """Says that the running transaction enters a stage."""
    if _watcher is not None:
        _watcher.enter(stage)
