"""`tillkeeper sandbox`: gateways to play with."""

from typing import Annotated

import typer

from tillkeeper.cli.failed import reported
from tillkeeper.cli.options import AsJson, Config, exits

app = typer.Typer()

Up = Annotated[
    bool, typer.Option("--up", help="Bring up a PostgreSQL, a RabbitMQ and `tillkeeper run` of its own, and end them.")
]
Broker = Annotated[
    str,
    typer.Option(
        "--broker", metavar="auto|none", help="With --up: RabbitMQ where it can be had, or the database alone."
    ),
]
Seconds = Annotated[float, typer.Option("--seconds", min=0, help="How long to play; 0 is until Ctrl-C.")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, max=100_000, help="Events to post each second.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed plays the same story.")]
Url = Annotated[str | None, typer.Option("--url", help="The receiver to play to; with --up it is our own.")]


@app.command(
    "sandbox",
    epilog=exits(
        yes="the books balance and every status is as it should be",
        no="they do not",
        example="tillkeeper sandbox --up --seconds 20",
    ),
)
def sandbox_command(
    up: Up = False,
    broker: Broker = "auto",
    seconds: Seconds = 0,
    rate: Rate = 150,  # a machine of two cores shows it at ease
    seed: Seed = 1,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Play the gateways: register orders and post signed webhooks, some of them twice, late, shuffled or forged.

    Shows what is accepted and applied while it plays, and at the end a summary with the audit's verdict.

    With --up everything is its own, and --url and --config are refused.  Without, it plays to the Tillkeeper of
    --config, and only its Stripe accounts that are not live: their secret is the one that signs.  That needs api_tokens
    in the configuration, and its database within reach.
    """
    if broker not in ("auto", "none"):
        raise typer.BadParameter("must be auto or none", param_hint="--broker")
    with reported(as_json=as_json):
        from sandbox.command import main

        code = main(
            up=up, broker=broker, seconds=seconds, rate=rate, seed=seed, url=url, config=config, as_json=as_json
        )
        raise typer.Exit(code)
