"""`tillkeeper sandbox`, an entry point of the group `tillkeeper.commands`.

It imports what it needs once it is called, so that `tillkeeper --help` starts quickly.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.options import AsJson, Config, exits
from tillkeeper.sandbox.trigger import command as trigger

app = typer.Typer()
commands = typer.Typer()
app.add_typer(commands, name="sandbox")
commands.add_typer(trigger.app)

Up = Annotated[
    bool, typer.Option("--up", help="Bring up a PostgreSQL, a RabbitMQ and `tillkeeper run` of its own, and end them.")
]
Broker = Annotated[
    str,
    typer.Option(
        "--broker", metavar="auto|none", help="With --up: RabbitMQ where it can be had, or the database alone."
    ),
]
Gateways = Annotated[
    str | None,
    typer.Option("--gateways", metavar="NAME,NAME|all", help="With --up or --capture: which to play."),
]
Seconds = Annotated[float, typer.Option("--seconds", min=0, help="How long to play; 0 is until Ctrl-C.")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, max=100_000, help="Events to post each second.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed plays the same story.")]
Scenario = Annotated[
    str | None,
    typer.Option(
        "--scenario",
        metavar="lossy-day|stuck-at-gateway",
        help="Replay days in simulated time instead, on a PostgreSQL of its own (docs/scenarios.md).",
    ),
]
Payments = Annotated[int | None, typer.Option("--payments", min=1, max=100_000, help="With --scenario: how many.")]
SmtpPort = Annotated[
    int | None,
    typer.Option("--smtp-port", min=1, max=65535, help="With --scenario: a mail server on loopback for payers' mails."),
]
Capture = Annotated[
    Path | None,
    typer.Option(
        "--capture", metavar="DIR", help="Write deliveries, genuine and forged, as files for `tillkeeper inspect`."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="With --capture: write over files that are there.")]
Url = Annotated[str | None, typer.Option("--url", help="The receiver to play to; with --up it is our own.")]


HELP: Final = """
Play the gateways: register orders and post signed webhooks, some of them twice, late, shuffled or forged.

Shows what is accepted and applied while it plays, and at the end a summary with the audit's verdict.

With --up everything is its own, and --url and --config are refused.  Without, it plays to the Tillkeeper of --config,
and only its Stripe accounts whose api_key is one of test mode: their secret is the one that signs.  That needs
api_tokens in the configuration, and its database within reach.

With --scenario days pass in minutes of simulated time: the gateways' webhooks, the real receiver's path, workers,
sweeps and notices, and the gateways' APIs that they ask.

With --capture nothing is played: DIR holds a few deliveries of each gateway afterwards, named by what they are, and the
configuration of the accounts that received them.  Nothing that is there already is written over.

`sandbox trigger` posts one delivery on demand; `sandbox accounts` makes accounts for that.
"""
# What cannot stand beside an option, and why.
REFUSED_BESIDE: Final = {
    "--capture": ("plays nothing", ("--up", "--url", "--config", "--scenario")),
    "--scenario": ("brings its own Tillkeeper", ("--up", "--gateways", "--url", "--config")),
}


@commands.callback(
    invoke_without_command=True,
    help=HELP,
    epilog=exits(
        yes="the books balance and every status is as it should be",
        no="they do not",
        example="tillkeeper sandbox --up --seconds 20",
    ),
)
def sandbox_command(
    context: typer.Context,
    up: Up = False,
    gateways: Gateways = None,
    broker: Broker = "auto",
    seconds: Seconds = 0,
    rate: Rate = 150,  # a machine of two cores shows it at ease
    seed: Seed = 1,
    url: Url = None,
    config: Config = None,
    scenario: Scenario = None,
    payments: Payments = None,
    smtp_port: SmtpPort = None,
    capture: Capture = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Writes deliveries as files, replays a scenario, or plays to a Tillkeeper, as the options say."""
    if context.invoked_subcommand is not None:
        return
    if broker not in ("auto", "none"):
        raise typer.BadParameter("must be auto or none", param_hint="--broker")
    given = {"--up": up, "--gateways": gateways, "--url": url, "--config": config, "--scenario": scenario}
    if capture is not None:
        _check_beside("--capture", given)
        raise typer.Exit(_capture(capture, gateways=gateways, seed=seed, force=force, as_json=as_json))
    if scenario is not None:
        _check_beside("--scenario", given)
        raise typer.Exit(_replay(scenario, seed=seed, payments=payments, smtp_port=smtp_port, as_json=as_json))
    target = {"up": up, "gateways": gateways, "broker": broker, "url": url, "config": config}
    raise typer.Exit(_play(target, seconds=seconds, rate=rate, seed=seed, as_json=as_json))


def _check_beside(option: str, given: Mapping[str, object]) -> None:
    """Refuses what cannot stand beside an option."""
    why, refused = REFUSED_BESIDE[option]
    if any(given[other] not in (None, False) for other in refused):
        raise typer.BadParameter(f"{why}: without {', '.join(refused[:-1])} and {refused[-1]}", param_hint=option)


def _capture(directory: Path, *, gateways: str | None, seed: int, force: bool, as_json: bool) -> int:
    from tillkeeper.sandbox.capture import main

    return main(directory=directory, gateways=gateways, seed=seed, force=force, as_json=as_json)


def _replay(scenario: str, *, seed: int, payments: int | None, smtp_port: int | None, as_json: bool) -> int:
    from tillkeeper.sandbox.scenarios.command import SCENARIOS, main

    if scenario not in SCENARIOS:
        raise typer.BadParameter(f"must be one of {', '.join(SCENARIOS)}", param_hint="--scenario")
    return main(scenario=scenario, seed=seed, payments=payments, smtp_port=smtp_port, as_json=as_json)


def _play(target: Mapping[str, Any], *, seconds: float, rate: float, seed: int, as_json: bool) -> int:
    from tillkeeper.sandbox.traffic.command import Options, main
    from tillkeeper.sandbox.traffic.run import Load

    with reported(as_json=as_json):
        return main(Options(**target), Load(seconds=seconds, rate=rate, seed=seed), as_json=as_json)
