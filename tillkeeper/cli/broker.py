"""Implements `tillkeeper broker check`, which finds policies of the broker that could lose confirmed messages."""

import asyncio
from typing import Annotated, Final

import msgspec
import typer

from tillkeeper.cli.errors import NO, UNAVAILABLE, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

app = typer.Typer()
commands = typer.Typer(help="What the broker would do with what it confirmed.", no_args_is_help=True)
app.add_typer(commands, name="broker")

BY_HAND: Final = "rabbitmqctl list_queues -p VHOST name policy operator_policy effective_policy_definition"

Management = Annotated[
    str | None,
    typer.Option("--management", metavar="URL", help="Its management API; else port 15672 of broker_url's first host."),
]


@commands.callback()
def _group() -> None:
    """Keeps `check` a subcommand while it is the only one."""


@commands.command(
    "check",
    epilog=exits(
        yes="no policy is in the way",
        no="one is",
        example="tillkeeper broker check --management http://127.0.0.1:15672",
    ),
)
def check_command(management: Management = None, config: Config = None, as_json: AsJson = False) -> None:
    """Look for policies of RabbitMQ that lose confirmed deliveries: a message TTL, a length, an expiry of the queue.

    Asks the management API, as the user of broker_url.  Where there is none, look by yourself:
    rabbitmqctl list_queues -p VHOST name policy operator_policy effective_policy_definition
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.lanes.base import LaneUnavailable
        from tillkeeper.lanes.policies import harmful_policies
        from tillkeeper.lanes.topology import Topology

        if settings.broker_url is None:
            raise CommandError(
                "there is no broker_url in the settings; the PostgreSQL lane has no policies", code=WRONG
            )
        topology = Topology(prefix=settings.broker_prefix, shards=settings.broker_shards)
        try:
            found = asyncio.run(harmful_policies(settings.broker_url, topology, management_url=management))
        except LaneUnavailable as error:
            raise CommandError(
                str(error),
                f"look by yourself: {BY_HAND}",
                code=UNAVAILABLE,
            ) from None
        if as_json:
            print_json({"harm": [msgspec.structs.asdict(harm) for harm in found]})
        else:
            columns = ("queue", "policy", "setting", "value", "means")
            print_table("Policies that lose deliveries", columns, (msgspec.structs.astuple(harm) for harm in found))
            if not found:
                print("No policy is in the way.")
        if found:
            raise typer.Exit(NO)
