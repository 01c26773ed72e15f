"""Runs several receiver processes on one port.

Each child listens for itself (SO_REUSEPORT) and the kernel spreads connections over them.  Settings, secrets among
them, reach a child on its standard input, and nowhere else.
"""

import asyncio
from tempfile import TemporaryDirectory

from prometheus_client.multiprocess import mark_process_dead

from tillkeeper.settings import Settings
from tillkeeper.status_server import reserved_metrics_port
from tillkeeper.supervise import Program, keep_all_running, reserved_port
from tillkeeper.telemetry import MULTIPROCESS_VARIABLE


async def supervise(settings: Settings, stop: asyncio.Event) -> None:
    """Keeps `ingest.processes` children running until `stop` is set, then until each has finished what it accepted."""
    with (
        reserved_port(settings.ingest.host, settings.ingest.port) as port,
        reserved_metrics_port(settings.ingest) as metrics_port,
        TemporaryDirectory(prefix="tillkeeper-metrics-") as metrics_directory,
    ):
        own = settings.ingest.model_copy(update={"port": port, "processes": 1, "metrics_port": metrics_port})
        child = Program(
            name="ingest",
            arguments=("-m", "tillkeeper.ingest.server"),
            stdin=settings.model_copy(update={"ingest": own}).dump() + b"\n",
            environ={MULTIPROCESS_VARIABLE: metrics_directory},
        )

        def forget(pid: int) -> None:
            mark_process_dead(pid, metrics_directory)  # type: ignore[no-untyped-call]

        await keep_all_running([child] * settings.ingest.processes, stop, ended=forget)
