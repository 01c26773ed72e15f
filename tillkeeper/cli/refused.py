"""Implements `tillkeeper refused`, which shows refused deliveries, why they were refused, and what to do."""

from base64 import b64encode
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, Note, exits, person, reason, settings_from

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.recovery.refused import Retried
    from tillkeeper.store.deliveries.refused import RefusedDelivery, Tallied

app = typer.Typer()
commands = typer.Typer(help="Deliveries that were refused: why, and what to do.", no_args_is_help=True)
app.add_typer(commands, name="refused")

ID_MAX: Final = 2**63 - 1
LIMIT_MAX: Final = 1_000
BODY_CHARS_SHOWN: Final = 4_000

Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Its number, as `refused list` shows it.")]
Account = Annotated[str | None, typer.Option("--account", help="Of this account alone.")]
Each = Annotated[bool, typer.Option("--each", help="Every delivery by itself, the latest first.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="With --each: the latest so many.")]


@commands.command("list", epilog=exits(example="tillkeeper refused list --account stripe-main"))
def list_command(
    account: Account = None,
    each: Each = False,
    limit: Limit = 50,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what was refused lately and why, the latest first.  Receivers keep a few a minute of each account."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.filters import refuse_unknown
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.deliveries.refused import list_refused, tally_refused

        async def query(pool: "Pool") -> "tuple[list[Tallied], list[RefusedDelivery]]":
            async with pool.acquire() as conn:
                tallied = await tally_refused(conn, account)
                return tallied, list(await list_refused(conn, account, limit=limit)) if each else []

        tallied, deliveries = ask(settings, query)
        refuse_unknown("account", account, settings.accounts, found=tallied)
        if as_json:
            print_json({"refused": [_as_json(row) for row in (deliveries if each else tallied)]})
        elif not tallied:
            print("Nothing was refused of late.")
        elif each:
            columns = ["id", "account", "received_at", "finding", "reason"]
            print_table("Refused", columns, ([getattr(delivery, name) for name in columns] for delivery in deliveries))
        else:
            columns = ["account", "finding", "count", "first_at", "last_at", "last_id", "reason"]
            print_table("Refused", columns, ([getattr(tally, name) for name in columns] for tally in tallied))
            _print_advice({tally.finding for tally in tallied})


@commands.command("show", epilog=exits(no="there is none of this number", example="tillkeeper refused show 17"))
def show_command(number: Id, config: Config = None, as_json: AsJson = False) -> None:
    """Show one refused delivery: at which step, why, what to do, and the request itself.

    Once the key is put right, `refused retry` takes it in.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.deliveries.refused import show_refused

        async def query(pool: "Pool") -> "RefusedDelivery | None":
            async with pool.acquire() as conn:
                return await show_refused(conn, number)

        found = ask(settings, query)
        if found is None:
            raise CommandError(f"there is no refused delivery {number}, or none any more", code=NO)
        if as_json:
            print_json(_as_json(found))
            return
        print(f"{found.account}, {shown(found.received_at)}: {found.finding}, at the step {found.step}")
        print(f"  {shown(found.reason)}" + (f"; {shown(found.detail)}" if found.detail else ""))
        _print_advice({found.finding})
        print(f"query: {shown(found.query)}" if found.query else "no query")
        for name, value in found.headers:
            print(f"{name}: {shown(value)}")
        print("the body was too large to be kept" if found.body is None else _body(found.body))


Ids = Annotated[list[int], typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Their numbers.")]


@commands.command(
    "retry",
    epilog=exits(
        yes="all are taken in",
        no="one is still refused, or is not there any more",
        example='tillkeeper refused retry 17 18 --note "the webhook secret was replaced"',
    ),
)
def retry_command(ids: Ids, note: Note, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Take in refused deliveries after all, once the key that they were signed with stands in the configuration.

    Each is verified anew with the present keys, as of the moment it was received, and then goes the usual way: workers
    apply it.  It is taken in once; where the gateway has sent it again meanwhile, its events are duplicates.  Who and
    why are kept with the delivery.
    """
    who, why = person(by), reason(note)
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.domain.delivery import EnvelopeKeys
        from tillkeeper.recovery.refused import RefusedAct, retry

        gateways = settings.build_gateways()
        act = RefusedAct(by=f"{who}: {why}", keys=EnvelopeKeys(settings.envelope_keys))
        results = ask(settings, lambda pool: retry(pool, gateways, ids, act))
        if as_json:
            print_json({"results": [_as_fields(result) for result in results]})
        else:
            for result in results:
                _print_retried(result)
        if not all(result.taken for result in results):
            raise typer.Exit(NO)


def _print_retried(result: "Retried") -> None:
    from tillkeeper.cli.output import shown

    if not result.taken:
        print(f"{result.id}  not taken in: {shown(result.error)}")
        return
    print(f"{result.id}  taken in, verified by {result.key}; workers apply it")
    for event in result.events:
        print(f"    {event['kind']}  {shown(event['event_id'])}  order {shown(event.get('order_ref') or 'not named')}")
    if result.queries:
        print("    it says only that something happened; its gateway is asked")


def _as_fields(result: "Retried") -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(result)


def _body(body: bytes) -> str:
    from tillkeeper.cli.output import shown

    text = body.decode("utf-8", "backslashreplace")
    more = f"\n... and {len(text) - BODY_CHARS_SHOWN} characters more" if len(text) > BODY_CHARS_SHOWN else ""
    return "\n".join(shown(line) for line in text[:BODY_CHARS_SHOWN].splitlines()) + more


def _print_advice(findings: set[str]) -> None:
    from tillkeeper.diagnostics.findings import ADVICE, Finding

    for finding in sorted(findings & set(Finding)):
        print(f"{finding}: {ADVICE[Finding(finding)]}")


def _as_json(row: Any) -> dict[str, Any]:
    """Renders a refused delivery for JSON, with advice."""
    import msgspec

    from tillkeeper.diagnostics.findings import ADVICE, Finding

    fields = msgspec.structs.asdict(row)
    if fields.get("body") is not None:
        fields["body_b64"] = b64encode(fields.pop("body")).decode()
    known = row.finding in set(Finding)
    return {**fields, "advice": ADVICE[Finding(row.finding)] if known else None}
