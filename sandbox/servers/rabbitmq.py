"""Runs a private RabbitMQ node from an installed rabbitmq-server: own epmd, cookie, ports and files, loopback only."""

import asyncio
import os
import secrets
import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aio_pika
import aiormq
from yarl import URL

from tillkeeper.sandbox.servers.child import Child, ServerFailed, free_ports, new_directory

# Debian's /usr/sbin/rabbitmq-server insists on the user rabbitmq; the scripts below run as whoever calls them.
DEBIAN_SCRIPTS: Final = "lib/rabbitmq_server-*/sbin"
READY_WITHIN_S: Final = 90.0  # five on two idle cores; recovery after a kill included
STOP_WITHIN_S: Final = 15.0
CTL_WITHIN_S: Final = 60.0  # each call starts an Erlang VM
LOOPBACK: Final = "-kernel inet_dist_use_interface {127,0,0,1}"
NO_BUSY_WAIT: Final = "+sbwt none +sbwtdcpu none +sbwtdio none"  # idle schedulers must not burn the cores they share


class RabbitMQ:
    """One node with its files in a temporary directory.  `async with` starts it, stops it and removes the files.

    Ports, user and data stay the same over stop, kill and start.
    """

    def __init__(self) -> None:
        self.port, self._dist_port, self._epmd_port = free_ports(3)
        self.node = f"tillkeeper-{self.port}@localhost"
        self._password = secrets.token_hex(16)
        self._directory: Path | None = None
        self._epmd: Child | None = None
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

    @staticmethod
    def available() -> str | None:
        """Returns why there can be no node here; None if there can."""
        if _scripts() is None:
            return "RabbitMQ is not installed"
        missing = [program for program in ("erl", "epmd") if shutil.which(program) is None]
        return f"RabbitMQ lacks {' and '.join(missing)} on the PATH" if missing else None

    @property
    def url(self) -> str:
        """Where to connect to."""
        return f"amqp://tillkeeper:{self._password}@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int | None:
        """The Erlang VM's pid while it runs, paused or not."""
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> None:
        """Starts the node and returns when it takes connections."""
        if self.pid is not None:
            return
        directory = self._directory or self._prepare()
        if self._epmd is None:
            self._epmd = await Child.start(
                ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                directory=directory,
                log=directory / "epmd.log",
            )
        self._child = await Child.start(
            [self._script("rabbitmq-server")],
            directory=directory,
            log=directory / "output.log",
            environment=self._environment(directory),
        )
        await self._child.ready(self._answers, within_s=READY_WITHIN_S)

    async def stop(self) -> None:
        """An orderly shutdown; also of a paused node."""
        if self._child is not None:
            await self._child.stop(signal.SIGTERM, within_s=STOP_WITHIN_S)

    async def kill(self) -> None:
        """Kill -9: what was not confirmed may be gone."""
        if self._child is not None:
            await self._child.kill()

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """The node hangs: connections stay open and nothing answers."""
        if self._child is not None:
            self._child.send(signal.SIGSTOP)

    def resume(self) -> None:
        """The node goes on as if nothing had been."""
        if self._child is not None:
            self._child.send(signal.SIGCONT)

    async def close(self) -> None:
        """Stops the node and its epmd, and removes their files."""
        await self.stop()
        if self._epmd is not None:
            await self._epmd.kill()
            self._epmd = None
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    async def ctl(self, *arguments: str) -> str:
        """Returns what `rabbitmqctl` prints for these arguments; a second or so each, for it starts an Erlang VM."""
        if self._directory is None:
            raise ServerFailed("rabbitmqctl: the node was never started")
        log = self._directory / f"ctl-{secrets.token_hex(8)}.log"
        command = await Child.start(
            [self._script("rabbitmqctl"), "--quiet", "--node", self.node, *arguments],
            directory=self._directory,
            log=log,
            environment=self._environment(self._directory),
        )
        try:
            if await command.exit_status(within_s=CTL_WITHIN_S) != 0:
                raise ServerFailed(f"rabbitmqctl {arguments[0]}:\n{command.tail()}")
            return log.read_text()
        finally:
            log.unlink()

    async def sync_queues(self) -> None:
        """Returns when quorum queues declared so far survive `kill`.

        RabbitMQ writes its register of them to disk only every second or so, whatever it confirmed: a node killed
        before that forgets the queue's log, and the queue comes back without its messages and without a leader.
        """
        await self.ctl("eval", "[ok = dets:sync(Table) || Table <- dets:all()].")

    def _prepare(self) -> Path:
        """Returns the node's directory with its configuration."""
        if (why_not := self.available()) is not None:
            raise ServerFailed(why_not)
        self._directory = directory = new_directory("rabbitmq")
        cookie = directory / ".erlang.cookie"
        cookie.touch(mode=0o400)
        cookie.chmod(0o600)
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (directory / "enabled_plugins").write_text("[].\n")
        configuration = directory / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "default_user = tillkeeper\n"
            f"default_pass = {self._password}\n"
            "disk_free_limit.absolute = 50MB\n"
            "vm_memory_high_watermark.absolute = 1GB\n"
            "log.console = false\n"
            "log.file.level = info\n"
        )
        return directory

    def _environment(self, directory: Path) -> dict[str, str]:
        """Returns everything a node and its commands would otherwise look for in places they share with others."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the Erlang VM instead of waiting for it
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_BASE": str(directory),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{LOOPBACK} {NO_BUSY_WAIT} +S 2:2",
            "RABBITMQ_CTL_ERL_ARGS": f"{LOOPBACK} {NO_BUSY_WAIT} +S 1:1",
        }

    @staticmethod
    def _script(name: str) -> str:
        scripts = _scripts()
        if scripts is None:
            raise ServerFailed("RabbitMQ is not installed")
        return str(scripts / name)

    async def _answers(self) -> bool:
        connection = aio_pika.Connection(URL(self.url))
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)  # for aiormq logs each refusal
            writer.close()
            await connection.connect(timeout=5)
        except (OSError, TimeoutError, aiormq.exceptions.AMQPError):
            return False
        finally:
            await connection.close()  # one that never connected, too: it would close itself when collected
        return True


def _scripts() -> Path | None:
    """Returns where RabbitMQ's own scripts are."""
    debian = sorted(Path("/usr/lib/rabbitmq").glob(DEBIAN_SCRIPTS))
    if debian:
        return debian[-1]
    program = shutil.which("rabbitmq-server")
    directory = Path(program).resolve().parent if program else None
    return directory if directory is not None and (directory / "rabbitmq-env").exists() else None
