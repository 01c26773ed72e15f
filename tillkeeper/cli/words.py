"""Implements `tillkeeper words`, which lists values of gateways that Tillkeeper does not know."""

from typing import TYPE_CHECKING

import msgspec
import typer

from tillkeeper.cli.errors import reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.deliveries.unknown_words import WordUse

app = typer.Typer()


@app.command("words", epilog=exits(example="tillkeeper words"))
def words_command(config: Config = None, as_json: AsJson = False) -> None:
    """List the words of gateways that Tillkeeper does not know: a new status, reason or type.

    Nothing was refused for them and nothing guessed; what they mean for an order is for a person, or a newer version.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.deliveries.unknown_words import seen_words

        async def query(pool: "Pool") -> "list[WordUse]":
            async with pool.acquire() as conn:
                return await seen_words(conn)

        rows = [msgspec.structs.asdict(use) for use in ask(settings, query)]
        if as_json:
            print_json({"words": rows})
            return
        columns = ["account", "field", "word", "seen", "first_at", "last_at"]
        print_table("Unknown words", columns, ([row[name] for name in columns] for row in rows))
        if not rows:
            print("No unknown word was met.")
