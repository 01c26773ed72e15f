"""Implements `tillkeeper explain`: an order as it was known at a moment, and the line of the status table that held."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode
from tillkeeper.cli.order_view import head_of

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.reports.order_as_of import OrderAsOf

app = typer.Typer()

Ref = Annotated[str, typer.Argument(metavar="REF", parser=unicode, help="The order's reference, as registered.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        parser=unicode,
        help="The moment, as 2026-12-01T14:02:00+08:00; without an offset in notify.time_zone; else now.",
    ),
]


@app.command(
    "explain",
    epilog=exits(
        yes="explained",
        no="no such order is registered, or nobody had registered it by then",
        example="tillkeeper explain A-1001 --at 2026-12-01T14:02:00",
    ),
)
def explain_command(ref: Ref, at: At = None, config: Config = None, as_json: AsJson = False) -> None:
    """Say what was known of an order at a moment: its status, its sums, and why.

    It is recomputed from the events that were recorded by then, so that it tells what a person could know who looked
    then: what came later is left out, also where it tells of before.  GET /api/orders/REF/explain answers the same.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.reports.order_as_of import NotRegisteredYet, read_as_of

        moment = _moment(at)

        async def query(pool: "Pool") -> "OrderAsOf | None":
            return await read_as_of(pool, ref, moment)

        try:
            found = ask(settings, query)
        except NotRegisteredYet as error:
            raise CommandError(f"order {ref!r} was registered later: {shown(error.registered_at)}", code=NO) from None
        if found is None:
            raise CommandError(f"no order {ref!r} is registered", code=NO)
        if as_json:
            print_json(_fields(found))
        else:
            _print(found)


def _moment(text: str | None) -> datetime:
    """Reads a time, in the configured zone where it has no offset.  Raises what typer reports as wrong usage."""
    from tillkeeper import clock
    from tillkeeper.cli.output import zone

    if text is None:
        return clock.now()
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone())).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("is no time; write 2026-12-01T14:02:00+08:00", param_hint="--at") from None


def _fields(found: "OrderAsOf") -> object:
    import msgspec

    return msgspec.to_builtins(found, builtin_types=(datetime,))


def _print(found: "OrderAsOf") -> None:
    import msgspec

    from tillkeeper.cli.output import print_facts

    latest = found.latest
    print_facts(
        {
            "as of": found.at,
            **head_of(msgspec.structs.asdict(found)),
            "because": found.because,
            "closed": found.closed_at,
            "events by then": found.events,
            "of a later version, left out": found.unread or None,
            "the latest": None if latest is None else f"{latest.kind} at {latest.account}",
            "recorded": None if latest is None else latest.recorded_at,
        }
    )
