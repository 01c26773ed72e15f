"""Implements `tillkeeper parked`, by which people see, replay or discard what could not be applied."""

from base64 import b64decode
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, Note, exits, os_user, policy_from, reason, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

app = typer.Typer()
commands = typer.Typer(help="What could not be applied: see it, replay it, discard it.", no_args_is_help=True)
app.add_typer(commands, name="parked")

ID_MAX: Final = 2**63 - 1
LIMIT_MAX: Final = 10_000  # more than a person reads; the rest is counted
BODY_CHARS_SHOWN: Final = 4_000  # --json shows all of it

Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Its number, as `parked list` shows it.")]
Ids = Annotated[list[int], typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Their numbers.")]
SomeIds = Annotated[list[int] | None, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Their numbers.")]
ClosedToo = Annotated[bool, typer.Option("--all", help="Those already replayed, superseded or discarded, too.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="The oldest so many.")]
Unsigned = Annotated[
    bool,
    typer.Option("--unsigned", help="Believe messages that no receiver signed, once you know where each comes from."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would do to which order, and do nothing; takes numbers.")
]
EveryOne = Annotated[bool, typer.Option("--all", help="Every one that is open.")]


@commands.command("list", epilog=exits(example="tillkeeper parked list --all --limit 100"))
def list_command(
    closed_too: ClosedToo = False, limit: Limit = 50, config: Config = None, as_json: AsJson = False
) -> None:
    """List parked events, the oldest first: why each was parked, and what became of it."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.deliveries.parked import list_parked

        async def query(pool: "Pool") -> list[dict[str, Any]]:
            async with pool.acquire() as conn:
                return await list_parked(conn, closed_too=closed_too, limit=limit + 1)

        found = ask(settings, query)
        rows, more = found[:limit], len(found) > limit
        if as_json:
            print_json({"parked": rows, "more": more})
            return
        columns = ["id", "account", "event_id", "reason", "error", "parked_at"]
        columns += ["outcome", "closed_at", "closed_by", "note"] if closed_too else []
        print_table("Parked", columns, ([row[column] for column in columns] for row in rows))
        print(
            "There are more; --limit shows them." if more else f"{len(rows)} in all." if rows else "Nothing is parked."
        )


@commands.command("show", epilog=exits(no="there is none of this number", example="tillkeeper parked show 17"))
def show_command(parked_id: Id, config: Config = None, as_json: AsJson = False) -> None:
    """Show one parked event: why, what it says, and the delivery that brought it."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.deliveries.parked import show_parked

        async def query(pool: "Pool") -> dict[str, Any] | None:
            async with pool.acquire() as conn:
                return await show_parked(conn, parked_id)

        found = ask(settings, query)
        if found is None:
            raise CommandError(f"nothing was ever parked under the number {parked_id}", code=NO)
        if as_json:
            print_json(found)
        else:
            _print(found)


@commands.command(
    "replay",
    epilog=exits(
        yes="all are applied",
        no="one is not open, or cannot be applied still",
        example='tillkeeper parked replay 17 18 --note "order registered late"',
    ),
)
def replay_command(
    ids: SomeIds = None,
    every_one: EveryOne = False,
    unsigned: Unsigned = False,
    dry_run: DryRun = False,
    by: By = None,
    note: Note = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Apply parked events again, each in a transaction of its own.

    One that still cannot be applied says why and stays parked.  One whose event was applied by a redelivery meanwhile
    is closed as superseded.  Who, when and why are kept.

    A message that was parked because no receiver of ours signed it is applied if a key of envelope_keys fits by now,
    or with --unsigned, which takes numbers alone.
    """
    if bool(ids) == every_one:
        raise typer.BadParameter("name the numbers, or --all")
    if unsigned and every_one:
        raise typer.BadParameter("takes numbers: look at each with `parked show` first", param_hint="--unsigned")
    if dry_run and every_one:
        raise typer.BadParameter("takes numbers", param_hint="--dry-run")
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.domain.delivery import EnvelopeKeys
        from tillkeeper.recovery.parked import ParkedAct, preview, replay

        policy, act = policy_from(settings), ParkedAct(by=by or os_user(), note=note)
        keys = EnvelopeKeys(() if unsigned else settings.envelope_keys)
        if ids and dry_run:
            _print_preview(ask(settings, lambda pool: preview(pool, ids, act, policy, keys)), as_json=as_json)
            return
        _finish(ask(settings, lambda pool: replay(pool, ids, act, policy, keys)), as_json=as_json)


@commands.command(
    "discard",
    epilog=exits(no="one is not open", example='tillkeeper parked discard 17 --note "a test of the gateway, no order"'),
)
def discard_command(ids: Ids, note: Note, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Give parked events up: they are never applied, and count as parked in the books.  Who, when and why are kept."""
    note = reason(note)
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.recovery.parked import ParkedAct, discard

        act = ParkedAct(by=by or os_user(), note=note)
        _finish(ask(settings, lambda pool: discard(pool, ids, act)), as_json=as_json)


def _finish(results: list[dict[str, Any]], *, as_json: bool) -> None:
    """Prints what became of each; exits with 1 if one is unchanged."""
    from tillkeeper.cli.output import print_json, shown

    failed = [replay for replay in results if replay["error"]]
    if as_json:
        print_json({"results": results, "done": len(results) - len(failed), "failed": len(failed)})
    else:
        for replay in results:
            why = f": {shown(replay['error'])}" if replay["error"] else ""
            became = f" ({', '.join(replay['event_outcomes'])})" if replay["event_outcomes"] else ""
            print(f"{replay['id']}  {replay['outcome'].replace('_', ' ')}{became}{why}")
        print(f"{len(results) - len(failed)} done, {len(failed)} not." if results else "Nothing is parked.")
    if failed:
        raise typer.Exit(NO)


def _print_preview(results: list[dict[str, Any]], *, as_json: bool) -> None:
    """Prints what replaying each would do; exits with 1 if one would stay parked."""
    from tillkeeper.cli.output import print_json, shown

    if as_json:
        print_json({"results": results})
    for result in () if as_json else results:
        if result["error"]:
            print(f"{result['id']}  would stay as it is: {shown(result['error'])}")
            continue
        print(f"{result['id']}  would be {result['outcome']}")
        for event in result["effects"]["events"]:
            became = f"{event['status_before']} -> {event['status_after']}" if event["order_ref"] else "no order yet"
            print(f"    {event['kind']}  {event['outcome']}  {shown(event['order_ref'] or '-')}  {became}")
        for audience, count in result["effects"]["notices"].items():
            print(f"    {count} notices to {audience}")
    if any(result["error"] for result in results):
        raise typer.Exit(NO)


def _print(row: dict[str, Any]) -> None:
    from tillkeeper.cli.output import print_facts, shown

    delivery = row["delivery"] or {}
    print_facts({name: value for name, value in row.items() if name != "delivery"})
    if not row["message_bytes"]:
        print("\nits message is not kept any more: it was closed more than parked_days of [retention] ago")
    for event in delivery.get("events", ()):
        print("\nevent")
        print_facts({f"  {name}": value for name, value in event.items()})
    if delivery:
        print("\nheaders")
        print_facts({f"  {name}": value for name, value in delivery["headers"]})
        body = b64decode(delivery["body"]).decode("utf-8", "backslashreplace")
        print("\nbody")
        print("\n".join(shown(line) for line in body[:BODY_CHARS_SHOWN].splitlines()))
        if len(body) > BODY_CHARS_SHOWN:
            print("... --json shows all of it")
