"""Runs a server as a child process: tied to this one, watched, and stopped by its own pid with its descendants."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tillkeeper import clock

# Below Linux's ephemeral ports: while a server is down, nobody's outgoing connection may get its port, nor a client
# that tries to reconnect be connected to itself.
PORTS: Final = range(20_000, 32_000)
POLL_S: Final = 0.02  # how often a starting server is asked whether it is ready
GONE_WITHIN_S: Final = 10.0  # after SIGKILL; only a process stuck in the kernel takes longer
EVERYBODYS: Final = Path("/tmp")  # noqa: S108 - mkdtemp makes an unforeseeable name in it
LOG_TAIL_CHARS: Final = 2_000
_TIE: Final = Path(__file__).with_name("tie.py")


class ServerFailed(Exception):
    """A server of one's own did not start, or a command to it failed."""


class Child:
    """One process of ours; its output goes to `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        directory: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> "Child":
        """Starts a command in a directory; it gets `death_signal` if we die first."""
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_TIE)),
                *(str(os.getpid()), str(int(death_signal)), user),
                *command,
                cwd=directory,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """Its process id, the server's own: the tie became the server."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Returns True until it has ended; a paused one runs."""
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Signals the process itself; nothing if it is gone."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def exit_status(self, *, within_s: float) -> int:
        """Returns what a command that ends by itself exited with; one that does not end in time is killed."""
        try:
            async with asyncio.timeout(within_s):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise ServerFailed(f"not done in {within_s} s:\n{self.tail()}") from None

    async def stop(self, number: signal.Signals, *, within_s: float) -> None:
        """Asks the process to stop, and insists when the time is over."""
        self.send(signal.SIGCONT)  # a paused one hears nothing
        self.send(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """Kills the process and everything it started, as a power cut would, and returns when they are gone."""
        if not self.running:
            return
        self.send(signal.SIGSTOP)  # so that the family does not grow while it is counted
        family = _pidfds(_descendants(self.pid))
        try:
            self.send(signal.SIGKILL)
            await self._process.wait()
            for process in family:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            async with asyncio.timeout(GONE_WITHIN_S):
                await asyncio.gather(*map(_ended, family))
        finally:
            for process in family:
                os.close(process)

    def tail(self) -> str:
        """Returns the last lines of its output."""
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:]

    async def ready(self, is_ready: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
        """Waits until the server says that it is ready; raises with its last words when it ends or takes too long."""
        deadline = clock.monotonic_s() + within_s
        while not await is_ready():
            if not self.running or clock.monotonic_s() > deadline:
                await self.kill()
                raise ServerFailed(f"did not start:\n{self.tail()}")
            await asyncio.sleep(POLL_S)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    found: set[int] = set()
    while len(found) < count:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


def new_directory(name: str, place: Path | None = None) -> Path:
    """Returns a directory for one server's files; another system user can pass through, not look around."""
    place = place or Path(tempfile.gettempdir()).resolve()
    if not all(above.stat().st_mode & stat.S_IXOTH for above in (place, *place.parents)):
        place = EVERYBODYS  # TMPDIR is closed to others
    directory = Path(tempfile.mkdtemp(prefix=f"tillkeeper-{name}-", dir=place))
    directory.chmod(0o711)
    return directory


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it, or a thread of it, has just ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (thread / "children").read_text().split()]
    return children + [below for child in children for below in _descendants(child)]


def _pidfds(pids: list[int]) -> list[int]:
    """Returns what stays the same process even when its pid is given to another; the ended ones left out."""
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


async def _ended(process: int) -> None:
    """Returns when the process behind a pidfd has ended, whoever reaps it."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)
