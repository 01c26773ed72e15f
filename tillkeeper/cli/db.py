"""Implements `tillkeeper db`, which creates the database's schema."""

import asyncio

import typer

from tillkeeper.cli.failed import reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

app = typer.Typer()
commands = typer.Typer(help="The database's schema.", no_args_is_help=True)
app.add_typer(commands, name="db")


@commands.command("init", epilog=exits(example="tillkeeper db init --config tillkeeper.toml"))
def init_command(config: Config = None, as_json: AsJson = False) -> None:
    """Create the schema in the database of database_url.

    Safe to repeat, and to run from several machines at once: what is there stays as it is.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import named_failures
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.postgres.pool import create_schema
        from tillkeeper.telemetry import mask

        with named_failures(settings):
            created = asyncio.run(create_schema(settings.database_url))
        where = mask(settings.database_url)
        if as_json:
            print_json({"database": where, "created": created})
        elif created:
            print(f"created {len(created)} tables in {where}: {', '.join(created)}")
        else:
            print(f"nothing to do: every table is in {where} already")
