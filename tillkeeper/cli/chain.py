"""Implements `tillkeeper chain`: the head of the chain of hashes, for paper, and the public half of its key."""

from typing import TYPE_CHECKING, Any

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.domain.books.chain import ChainedTable, Link
    from tillkeeper.settings import Settings

app = typer.Typer()
chain = typer.Typer(help="The chain of hashes over events, acts and entries of cases.", no_args_is_help=True)
app.add_typer(chain, name="chain")

TABLES = {"inbox": "events", "acts": "acts of people", "case_entries": "entries of cases"}


@chain.command("head", epilog=exits(no="nothing is chained yet", example="tillkeeper chain head"))
def head_command(config: Config = None, as_json: AsJson = False) -> None:
    """Print the head of the chain, short enough for paper: keep it where nobody who could change the database gets.

    `tillkeeper audit --chain --head HEAD` says later whether all that came before it is as it was.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.store.books.chain import last_link, sealed_to

        async def query(pool: "Pool") -> "tuple[Link | None, dict[ChainedTable, int]]":
            return await last_link(pool), await sealed_to(pool)

        link, reached = ask(settings, query)
        if link is None:
            print("null" if as_json else "Nothing is chained yet: `tillkeeper sweep` does so, a minute behind.")
            raise typer.Exit(NO)
        _print_head(settings, link, reached, as_json=as_json)


def _print_head(settings: "Settings", link: "Link", reached: "dict[ChainedTable, int]", *, as_json: bool) -> None:
    from tillkeeper.cli.output import print_facts, print_json
    from tillkeeper.domain.books.chain import printed_head
    from tillkeeper.domain.books.chain_keys import public_key

    key = settings.books.chain_key
    told: dict[str, Any] = {
        "head": printed_head(link),
        "sealed_at": link.sealed_at,
        "signature": link.signature.hex() if link.signature else None,
        "public_key": public_key(key) if key else None,
    }
    if as_json:
        print_json(
            {
                **told,
                "hash": link.hash.hex(),
                "sealed_to": {str(subject): last_id for subject, last_id in reached.items()},
            }
        )
        return
    shown = {name.replace("_", " "): value for name, value in told.items()}
    shown |= {"signature": shown["signature"] or "none: books.chain_key names no key"}
    print_facts({**shown, **{f"{TABLES[subject]} to": last_id for subject, last_id in reached.items()}})


@chain.command("key", epilog=exits(needs_servers=False, example="tillkeeper chain key"))
def key_command(config: Config = None, as_json: AsJson = False) -> None:
    """Print the public half of books.chain_key, for whoever verifies the chain without being able to sign it."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.output import print_json
        from tillkeeper.domain.books.chain_keys import public_key

        key = settings.books.chain_key
        if key is None:
            raise CommandError("books.chain_key names no key; make one with: openssl rand -hex 32", code=WRONG)
        if as_json:
            print_json({"public_key": public_key(key)})
        else:
            print(public_key(key))
