"""Implements `tillkeeper db`, which creates the database's schema, upgrades it, and says how it stands."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.errors import NO, SCHEMA_UNFIT, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

if TYPE_CHECKING:
    from tillkeeper.settings import Settings
    from tillkeeper.store.schema.files import Migration
    from tillkeeper.store.schema.status import SchemaStatus

app = typer.Typer()
commands = typer.Typer(help="The database's schema: made, upgraded, looked at.", no_args_is_help=True)
app.add_typer(commands, name="db")

Init = Annotated[bool, typer.Option("--init", help="Create the schema where there is none.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@commands.command("init", epilog=exits(example="tillkeeper db init --config tillkeeper.toml"))
def init_command(config: Config = None, as_json: AsJson = False) -> None:
    """Create the schema in the database of database_url, which is empty.

    Safe to repeat, and to run from several machines at once: what is there stays as it is.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import database_failures
        from tillkeeper.cli.output import print_json
        from tillkeeper.logs import mask
        from tillkeeper.store.schema.creating import create_schema

        with database_failures(settings):
            created = asyncio.run(create_schema(settings.database_url))
        where = mask(settings.database_url)
        if as_json:
            print_json({"database": where, "created": created})
        elif created:
            print(f"created {len(created)} tables in {where}: {', '.join(created)}")
        else:
            print(f"nothing to do: every table is in {where} already")


@commands.command(
    "status",
    epilog=exits(
        yes="this version may serve the database, and nothing is left to do",
        no="something is left to do: `tillkeeper db upgrade`",
        example="tillkeeper db status",
    ),
)
def status_command(config: Config = None, as_json: AsJson = False) -> None:
    """Say which schema the database has, what an upgrade would do, and whether this version may serve it."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        status = _look(settings)
        _print_status(settings, status, as_json=as_json)
        if status.unfit is not None and not status.left:
            raise typer.Exit(SCHEMA_UNFIT)
        if status.left:
            raise typer.Exit(NO)


@commands.command("upgrade", epilog=exits(example="tillkeeper db upgrade --dry-run"))
def upgrade_command(
    dry_run: DryRun = False, init: Init = False, config: Config = None, as_json: AsJson = False
) -> None:
    """Bring the database to the schema that this version needs, while the version before serves it.

    Safe to repeat, and to run from several machines at once.  What was cut off goes on where it stopped.  A step that
    must keep others out waits for its locks for two seconds at most, lets everybody by, and tries again.  Upgrade the
    database first, then replace the programs.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        if dry_run:
            _print_status(settings, _look(settings), as_json=as_json)
            return
        created = _create(settings) if init else []
        done = [] if created else _upgrade(settings)
        if as_json:
            from tillkeeper.cli.output import print_json

            print_json({"created": created, "done": [_told(migration) for migration in done]})
        elif created:
            print(f"created {len(created)} tables")
        elif done:
            print(f"done: the schema has version {done[-1].version}; now replace the programs")
            print("where each process has a role of its own, run the SQL of `tillkeeper db roles` again")
        else:
            print("nothing to do: the schema is the one that this version needs")


@commands.command(
    "roles",
    epilog=exits(
        needs_servers=False,
        example="tillkeeper db roles | psql OWNER_URL --set ON_ERROR_STOP=1 --single-transaction",
    ),
)
def roles_command() -> None:
    """Print the SQL that makes a group for each process, with the rights that it needs and no others."""
    from tillkeeper.packaged import packaged

    print(packaged("roles.sql").read_text(), end="")


def _create(settings: "Settings") -> list[str]:
    """Returns the tables that were made; none where there are any already, of whichever version."""
    from tillkeeper.cli.database import database_failures
    from tillkeeper.store.postgres.sqlstates import SchemaUnfit
    from tillkeeper.store.schema.creating import create_schema

    with database_failures(settings), suppress(SchemaUnfit):
        return asyncio.run(create_schema(settings.database_url))
    return []


def _upgrade(settings: "Settings") -> "Sequence[Migration]":
    from tillkeeper.cli.database import database_failures
    from tillkeeper.cli.upgrade_progress import shown_progress
    from tillkeeper.store.schema.files import migrations
    from tillkeeper.store.schema.upgrading import ChangedMigration, upgrade

    with shown_progress() as shown, database_failures(settings):
        try:
            return asyncio.run(upgrade(settings.database_url, migrations(), report=shown.tell, waiting=shown.waiting))
        except ChangedMigration as error:
            raise CommandError(str(error), code=SCHEMA_UNFIT) from None


def _look(settings: "Settings") -> "SchemaStatus":
    from tillkeeper.cli.database import database_failures
    from tillkeeper.store.schema.files import migrations
    from tillkeeper.store.schema.status import look

    with database_failures(settings):
        status = asyncio.run(look(settings.database_url, migrations()))
        if status.found.version == 0 and status.unfit is not None:
            raise status.unfit
        return status


def _shut_out(status: "SchemaStatus") -> str | None:
    if status.shuts_out_before is None:
        return None
    return f"programs made for a schema before version {status.shuts_out_before}: none of them may be running"


def _told(migration: "Migration") -> dict[str, Any]:
    return {"version": migration.version, "name": migration.name, "steps": [str(step) for step in migration.steps]}


def _print_status(settings: "Settings", status: "SchemaStatus", *, as_json: bool) -> None:
    from tillkeeper.cli.output import print_facts, print_json, print_table
    from tillkeeper.logs import mask

    found, where = status.found, mask(settings.database_url)
    if as_json:
        print_json(
            {
                "database": where,
                "version": found.version,
                "oldest_program": found.oldest_program,
                "unfinished": found.unfinished,
                "needed": status.made_for,
                "may_serve": status.unfit is None,
                "shuts_out_before": status.shuts_out_before,
                "left": [_told(migration) for migration in status.left],
            }
        )
        return
    print_facts(
        {
            "database": where,
            "schema": f"version {found.version}{'' if found.counted else ', from before versions were counted'}",
            "cut off": None if found.unfinished is None else f"at {found.unfinished}; `tillkeeper db upgrade` goes on",
            "this program": f"needs version {status.made_for}",
            "may serve": "yes" if status.unfit is None else f"no: {status.unfit}",
            "left to do": None if status.left else "nothing",
            "shuts out": _shut_out(status),
        }
    )
    print()
    for migration in status.left:
        rows = [(number, str(step), *status.size_of(step)) for number, step in enumerate(migration.steps, start=1)]
        print_table(f"{migration}: {migration.title}", (">", "step", "table", ">rows, about", ">MB"), rows)
