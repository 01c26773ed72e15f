"""Implements `tillkeeper ingest`, `work`, `sweep`, `notify` and `desk`: one role each, of which any number may run."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

from tillkeeper.cli import notify_trial
from tillkeeper.cli.errors import WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, Tied, exits, serving_settings_from

if TYPE_CHECKING:
    from tillkeeper.settings import Settings

app = typer.Typer()

PRIVILEGED_PORTS: Final = range(1, 1024)


@app.command("ingest", epilog=exits(yes="stopped in good order", example="tillkeeper ingest --config tillkeeper.toml"))
def ingest_command(config: Config = None, as_json: AsJson = False, tied: Tied = False) -> None:
    """Receive webhooks and orders over HTTP, until SIGTERM or Ctrl-C.

    Each delivery is verified and made durable before it is answered.  Any number may run; ingest.processes starts
    several on one port.  What is in hand is finished when it stops.  Logs are JSON lines on standard error;
    ingest.metrics_port serves /metrics.
    """
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.ingest.server import serve

        listens = (
            (settings.ingest.host, settings.ingest.port),
            (settings.ingest.metrics_host, settings.ingest.metrics_port),
        )
        _serve("ingest", settings, serve, listens, tied=tied)


@app.command("work", epilog=exits(yes="stopped in good order", example="tillkeeper work --config tillkeeper.toml"))
def work_command(config: Config = None, as_json: AsJson = False, tied: Tied = False) -> None:
    """Apply what the receivers made durable to orders, until SIGTERM or Ctrl-C.

    Drains the RabbitMQ lane and the PostgreSQL lane.  Any number may run; work.processes starts several.  While the
    database is away it waits.  Logs are JSON lines on standard error; work.metrics_port serves
    /metrics, /healthz and /readyz.
    """
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.workers.process import serve

        _serve("work", settings, serve, ((settings.work.metrics_host, settings.work.metrics_port),), tied=tied)


@app.command("desk", epilog=exits(yes="stopped in good order", example="tillkeeper desk --config tillkeeper.toml"))
def desk_command(config: Config = None, as_json: AsJson = False, tied: Tied = False) -> None:
    """Serve the pages for people, until SIGTERM or Ctrl-C.

    Whoever opens them signs in; `tillkeeper user add` adds people.  It listens on the loopback unless desk.host says
    otherwise: put a reverse proxy before it that speaks https.  Logs are JSON lines on standard error;
    desk.metrics_port serves /metrics, /healthz and /readyz.
    """
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.desk.server import serve

        listens = (
            (settings.desk.host, settings.desk.port),
            (settings.desk.metrics_host, settings.desk.metrics_port),
        )
        _serve("desk", settings, serve, listens, tied=tied)


notify = typer.Typer()
app.add_typer(notify, name="notify")
notify.command("test", epilog=notify_trial.HELP)(notify_trial.try_channels_command)


@notify.callback(
    invoke_without_command=True,
    epilog=exits(yes="stopped in good order", example="tillkeeper notify --config tillkeeper.toml"),
)
def notify_command(context: typer.Context, config: Config = None, as_json: AsJson = False, tied: Tied = False) -> None:
    """Send what the outbox holds to payers, to the merchant's systems and to ops, until SIGTERM or Ctrl-C.

    Any number may run.  Whom nothing is configured for is told nothing, and the row says so.  `notify test` tries the
    channels.  Logs are JSON lines on
    standard error; notify.metrics_port serves /metrics, /healthz and /readyz.
    """
    if context.invoked_subcommand is not None:
        return
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        if settings.notify.ops:
            from tillkeeper.notices.ops import unknown

            if problems := unknown(settings.notify):
                raise CommandError(*problems, code=WRONG)
        from tillkeeper.workers.notify_server import serve

        _serve("notify", settings, serve, ((settings.notify.metrics_host, settings.notify.metrics_port),), tied=tied)


@app.command("sweep", epilog=exits(yes="stopped in good order", example="tillkeeper sweep --config tillkeeper.toml"))
def sweep_command(config: Config = None, as_json: AsJson = False, tied: Tied = False) -> None:
    """Look after orders that are stuck, as the policy says, until SIGTERM or Ctrl-C.

    Asks gateways what really happened, reminds payers, opens cases and escalates them.  Any number may run: each step
    is taken once.  Logs are JSON lines on standard error; sweep.metrics_port serves
    /metrics, /healthz and /readyz.
    """
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.workers.sweep_server import serve

        _serve("sweep", settings, serve, ((settings.sweep.metrics_host, settings.sweep.metrics_port),), tied=tied)


def _serve(
    role: str,
    settings: "Settings",
    serve: Callable[["Settings", asyncio.Event], Awaitable[None]],
    listens: Sequence[tuple[str, int]],
    *,
    tied: bool,
) -> None:
    import structlog

    from tillkeeper.cli.database import database_failures
    from tillkeeper.logs import set_up_logging
    from tillkeeper.process import loop_factory, run_until_stopped
    from tillkeeper.supervise import ChildRefused

    set_up_logging(role)
    for doubt in settings.doubts():
        structlog.get_logger().warning("setting_doubtful", problem=doubt)
    try:
        with database_failures(settings), _named_refusal(listens):
            run_until_stopped(lambda stop: serve(settings, stop), loop_factory=loop_factory(settings), tied=tied)
    except ChildRefused as refused:
        raise typer.Exit(refused.code) from None  # the child has printed why


@contextmanager
def _named_refusal(listens: Sequence[tuple[str, int]]) -> Iterator[None]:
    """Raises CommandError where the system does not let us listen on one of these ports."""
    try:
        yield
    except OSError as error:
        host, port = next((listen for listen in listens if listen[1] and f" {listen[1]})" in str(error)), listens[0])
        reason = _refusal(error.errno or 0, host, port)
        if reason is None:
            raise
        raise CommandError(f"cannot listen on {host}:{port}: {reason}", code=WRONG) from None


def _refusal(code: int, host: str, port: int) -> str | None:
    """Says why listening is refused; returns None where the error is about something else, such as the database."""
    if code in (errno.EADDRINUSE, errno.EADDRNOTAVAIL) or (code == errno.EACCES and port in PRIVILEGED_PORTS):
        return os.strerror(code)
    is_about_names = code < 0  # as the resolver's codes are
    return "the host has no address" if is_about_names and not _resolves(host) else None


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except socket.gaierror:
        return False
