"""Implements `tillkeeper run`: receiver, workers, sender and desk of one machine, in one process tree."""

import asyncio
from typing import TYPE_CHECKING, Final

import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.options import AsJson, Config, Tied, exits, serving_settings_from

if TYPE_CHECKING:
    from tillkeeper.settings import Settings
    from tillkeeper.supervise import Program

app = typer.Typer()

CHILD_STOP_S: Final = 60.0  # a child that has children of its own gives them 45


@app.command("run", epilog=exits(yes="stopped in good order", example="tillkeeper run --config tillkeeper.toml"))
def run_command(config: Config = None, as_json: AsJson = False, tied: Tied = False) -> None:
    """Run everything that one machine needs, until SIGTERM or Ctrl-C.

    Waits for the database, creates its schema where there is none, then keeps a receiver (ingest), workers (work), a
    sweep, a sender of notices (notify) and the pages for people (desk) going.  Stopping finishes what is in hand: first
    the receiver, then the others.  Pressing Ctrl-C again loses nothing.  Logs are JSON lines on standard error.
    """
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.logs import set_up_logging
        from tillkeeper.process import run_until_stopped
        from tillkeeper.supervise import ChildRefused

        set_up_logging("run")
        try:
            run_until_stopped(lambda stop: _run(settings, stop), loop_factory=asyncio.new_event_loop, tied=tied)
        except ChildRefused as refused:
            raise typer.Exit(refused.code) from None  # the child has said why


async def _run(settings: "Settings", stop: asyncio.Event) -> None:
    import structlog

    from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

    log = structlog.get_logger()
    try:
        created = await DatabaseRetry(stop).until_available(lambda: _create_schema(settings.database_url))
    except Stopped:
        return
    log.info("schema_ready", created=created)
    await _keep_roles(stop)
    log.info("run_stopped")


async def _create_schema(database_url: str) -> list[str]:
    """Creates the schema.  Raises CommandError where waiting would not help."""
    from tillkeeper.cli.database import REFUSALS, command_error_of
    from tillkeeper.store.postgres.sqlstates import SchemaUnfit
    from tillkeeper.store.schema.creating import create_schema

    try:
        return await create_schema(database_url)
    except (*REFUSALS, SchemaUnfit) as error:
        raise command_error_of(error, database_url) from None


async def _keep_roles(stop: asyncio.Event) -> None:
    """Keeps receiver and workers going until `stop`; the workers stay until the receiver has finished."""
    from tillkeeper.supervise import keep_running_child, ungrouped

    workers_stop = asyncio.Event()
    with ungrouped():
        async with asyncio.TaskGroup() as roles:
            roles.create_task(keep_running_child(_role("work"), workers_stop))
            roles.create_task(keep_running_child(_role("sweep"), workers_stop))
            roles.create_task(keep_running_child(_role("notify"), workers_stop))
            roles.create_task(keep_running_child(_role("desk"), workers_stop))
            await keep_running_child(_role("ingest"), stop)
            workers_stop.set()


def _role(name: str) -> "Program":
    from tillkeeper.supervise import Program

    return Program(name=name, arguments=("-m", "tillkeeper", name, "--tied"), stop_s=CHILD_STOP_S)
