"""Adds up CPU by stage and by statement: this process's own, and that of the backend which runs a statement."""

import importlib
import pkgutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import tillkeeper.store
from tillkeeper.store.postgres.pool import Conn

VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


class Spent:
    """CPU seconds by stage, of this process and of the backends that it uses."""

    def __init__(self) -> None:
        self.ours_s: defaultdict[str, float] = defaultdict(float)
        self.backend_s: defaultdict[str, float] = defaultdict(float)
        self.looking_s = 0.0  # what the measuring itself took of this process

    def add(self, stage: str, ours_s: float, backend_s: float | None = None) -> None:
        """Adds to a stage; `backend_s` where a backend takes part in it."""
        self.ours_s[stage] += ours_s
        if backend_s is not None:
            self.backend_s[stage] += backend_s

    def add_all(self, other: "Spent", prefix: str) -> None:
        """Adds all stages of another."""
        for stage, ours_s in other.ours_s.items():
            self.add(prefix + stage, ours_s, other.backend_s.get(stage))

    def rest_of(self, ours_s: float, backend_s: float) -> tuple[float, float]:
        """Returns what of these seconds is in no stage."""
        return ours_s - self.looking_s - sum(self.ours_s.values()), backend_s - sum(self.backend_s.values())

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Adds what this process spends on the stage."""
        began_s = time.thread_time()
        yield
        self.add(stage, time.thread_time() - began_s)

    def us_an_event(self, events: int) -> dict[str, tuple[float, float | None]]:
        """Microseconds an event by stage: of this process, and of backends, if any take part."""
        per_event = 1_000_000 / events
        return {
            stage: (ours_s * per_event, self.backend_s[stage] * per_event if stage in self.backend_s else None)
            for stage, ours_s in self.ours_s.items()
        }


class TracedConnection:
    """A connection that adds up the CPU of each statement, by its name in tillkeeper/store."""

    def __init__(self, conn: Conn, spent: Spent, names: Mapping[str, str]) -> None:
        self._conn = conn
        self._spent = spent
        self._names = names
        self._pid = conn.get_server_pid()
        self._since_s = time.thread_time()

    @property
    def memory(self) -> object:
        """As ours."""
        return self._conn.memory  # type: ignore[union-attr]  # of a pool's connection

    async def fetch(self, query: str, *args: object) -> Any:
        """As asyncpg's own."""
        return await self._traced(query, self._conn.fetch, args)

    async def fetchrow(self, query: str, *args: object) -> Any:
        """As asyncpg's own."""
        return await self._traced(query, self._conn.fetchrow, args)

    async def fetchval(self, query: str, *args: object) -> Any:
        """As asyncpg's own."""
        return await self._traced(query, self._conn.fetchval, args)

    async def execute(self, query: str, *args: object) -> Any:
        """As asyncpg's own."""
        return await self._traced(query, self._conn.execute, args)

    async def _traced(self, query: str, run: Callable[..., Awaitable[Any]], args: Sequence[object]) -> Any:
        """Runs the statement.  What this process did since the last one was for this one: it made the arguments."""
        made_s, backend_s = time.thread_time() - self._since_s, backend_cpu_s(self._pid)
        began_s = time.thread_time()
        answer = await run(query, *args)
        ended_s = time.thread_time()
        stage = self._names.get(query, query)
        self._spent.add(stage, made_s + ended_s - began_s, backend_cpu_s(self._pid) - backend_s)
        self._spent.looking_s += began_s - self._since_s - made_s + time.thread_time() - ended_s
        self._since_s = time.thread_time()
        return answer


def backend_cpu_s(pid: int) -> float:
    """CPU seconds of a process with one thread, to the nanosecond: /proc/PID/stat counts in hundredths of a second."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def statement_names() -> dict[str, str]:
    """The name of each statement of tillkeeper/store, by its text."""
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(_PATH, "tillkeeper.store.")]
    return {
        value: name
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and value.strip().startswith(VERBS)
    }


_PATH: Final = tillkeeper.store.__path__
