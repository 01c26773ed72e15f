"""Runs the role `work`: one worker process, or several under a supervisor."""

import asyncio
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from tillkeeper.schema_watch import SchemaWatch
from tillkeeper.settings import Settings
from tillkeeper.status_server import reserved_metrics_port, serving_status
from tillkeeper.supervise import Program, keep_all_running
from tillkeeper.telemetry import MULTIPROCESS_VARIABLE
from tillkeeper.workers import server

ONE: Final = {"TILLKEEPER_WORK__PROCESSES": "1"}  # the environment wins over the file


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Works until `stop` is set, then shuts down in order."""
    if settings.work.processes == 1:
        schema = SchemaWatch()
        async with serving_status(settings.work, is_ready=lambda: schema.is_fit):
            await server.serve(settings, stop, schema)
        return
    with (
        reserved_metrics_port(settings.work) as metrics_port,
        TemporaryDirectory(prefix="tillkeeper-metrics-") as metrics_directory,
    ):
        await keep_all_running(
            [_child(number, metrics_directory, metrics_port) for number in range(settings.work.processes)],
            stop,
            ended=lambda pid: mark_process_dead(pid, metrics_directory),  # type: ignore[no-untyped-call]
        )


def _child(number: int, metrics_directory: str, metrics_port: int) -> Program:
    return Program(
        name=f"work {number}",
        arguments=("-m", "tillkeeper", "work", "--tied"),
        environ=ONE | {MULTIPROCESS_VARIABLE: metrics_directory, "TILLKEEPER_WORK__METRICS_PORT": str(metrics_port)},
    )
