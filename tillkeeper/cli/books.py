"""Implements `tillkeeper books`: what statements were taken in, what is missing between them, and what differs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.books.listing import ListedDifference, ListedStatement, MissingTime
    from tillkeeper.store.jobs.statement_days import AwaitedDay

app = typer.Typer()
commands = typer.Typer(help="Gateways' statements: which were taken in, and what differs.", no_args_is_help=True)
app.add_typer(commands, name="books")

Account = Annotated[str | None, typer.Option("--account", metavar="NAME", parser=unicode, help="Of this account.")]
OfVerdict = Annotated[str | None, typer.Option("--verdict", metavar="VERDICT", help="Of this verdict, as here_only.")]
AcceptedToo = Annotated[bool, typer.Option("--all", help="Also those whose case somebody resolved.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="No more than so many.")]


@commands.command(
    "differences",
    epilog=exits(
        yes="nothing differs", no="something does", example="tillkeeper books differences --account wechatpay-main"
    ),
)
def differences_command(
    account: Account = None,
    verdict: OfVerdict = None,
    accepted_too: AcceptedToo = False,
    limit: Limit = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what statements and orders say differently still, the latest first, each with its case.

    docs/books.md says what each verdict means.  What nobody needs to look at closes by itself when a later statement or
    event settles it.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.domain.books.matching import DIFFERENCES
        from tillkeeper.store.books.listing import list_differences

        if verdict is not None and verdict not in DIFFERENCES:
            known = ", ".join(sorted(DIFFERENCES))
            raise CommandError(f"{verdict!r} is no verdict that differs; these are: {known}", code=WRONG)

        async def query(pool: "Pool") -> "list[ListedDifference]":
            async with pool.acquire() as conn:
                return await list_differences(
                    conn, account=account, verdict=verdict, accepted_too=accepted_too, limit=limit
                )

        found = ask(settings, query)
        if as_json:
            print_json({"differences": [_as_json(each) for each in found]})
        else:
            columns = ("account", "verdict", "of", "its number", "order", ">listed", ">known here", "line", "case")
            print_table("What statements say otherwise", columns, map(_row, found))
            print(f"{len(found)} differences." if found else "Nothing differs.")
        if found:
            raise typer.Exit(NO)


def _as_json(each: "ListedDifference | ListedStatement | MissingTime | AwaitedDay") -> dict[str, Any]:
    from datetime import datetime

    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(each, builtin_types=(datetime,))
    return fields


def _row(each: "ListedDifference") -> tuple[object, ...]:
    fee = each.said_fee_minor is not None
    listed, known = (each.said_fee_minor, each.agreed_fee_minor) if fee else (each.said_minor, each.known_minor)
    return (
        each.account,
        each.verdict,
        each.object,
        each.ref,
        each.order_ref,
        in_words(listed, each.said_currency),
        in_words(known, each.known_currency or each.said_currency),
        None if each.statement_id is None else f"{each.statement_id}:{each.number}",
        each.case_id,
    )


@commands.command(
    "statements",
    epilog=exits(
        yes="no time is missing between them",
        no="some is missing, or a run was cut off",
        example="tillkeeper books statements --account wechatpay-main",
    ),
)
def statements_command(
    account: Account = None, limit: Limit = 60, config: Config = None, as_json: AsJson = False
) -> None:
    """List the statements that were taken in, the latest first, and the time that is missing between them.

    Days whose statement the gateway was asked for ([books] fetch) and did not give yet stand below, with the reason.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.books.listing import list_missing_time, list_statements
        from tillkeeper.store.jobs.statement_days import list_awaited_days

        async def query(pool: "Pool") -> "tuple[list[ListedStatement], list[MissingTime], list[AwaitedDay]]":
            async with pool.acquire() as conn:
                found = await list_statements(conn, account=account, limit=limit)
                missing = await list_missing_time(conn, account=account)
                return found, missing, await list_awaited_days(conn, account=account)

        found, missing, awaited = ask(settings, query)
        if as_json:
            told: dict[str, Sequence[Any]] = {"statements": found, "missing": missing, "awaited": awaited}
            print_json({name: [_as_json(each) for each in rows] for name, rows in told.items()})
        else:
            columns = (
                *("number", "account", "form", "from", "to", "days of", ">lines", ">differ", "taken in"),
                "state",
            )
            print_table("Statements", columns, map(_statement_row, found))
            rows = ((gap.account, gap.form, gap.begins, gap.ends, gap.zone) for gap in missing)
            print_table("Missing between them", ("account", "form", "from", "to", "days of"), rows)
            heads = ("account", "day", "state", ">asked", "asked again", "why")
            days = ((day.account, day.day, day.state, day.attempts, day.again_at, day.last_error) for day in awaited)
            print_table("Asked for, and not there yet", heads, days)
            print(f"{len(found)} statements." if found else "No statement was taken in.")
        if missing or any(_is_cut_off(each) for each in found):
            raise typer.Exit(NO)


def _is_cut_off(statement: "ListedStatement") -> bool:
    return statement.matched_at is None and statement.superseded_by is None


def _statement_row(each: "ListedStatement") -> tuple[object, ...]:
    state = "cut off: give the file again" if _is_cut_off(each) else None
    superseded = None if each.superseded_by is None else f"superseded by {each.superseded_by}"
    return (
        *(each.id, each.account, each.form, each.begins, each.ends, each.zone, f"{each.lines:,}", each.differences),
        each.taken_at,
        superseded or state,
    )


PayoutVerdictOption = Annotated[
    str | None, typer.Option("--verdict", metavar="VERDICT", help="Of this verdict, as missing.")
]
OrderRef = Annotated[str, typer.Argument(metavar="ORDER", parser=unicode, help="The order's reference.")]


@commands.command(
    "payouts",
    epilog=exits(yes="none is missing", no="one is", example="tillkeeper books payouts --verdict missing"),
)
def payouts_command(
    account: Account = None,
    verdict: PayoutVerdictOption = None,
    limit: Limit = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the gateways' payouts and what became of them at the bank, the latest first.

    Statements of gateways say what was sent, statements of banks what arrived: `tillkeeper bank` compares them.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        import msgspec

        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.domain.books.bank import PayoutVerdict
        from tillkeeper.store.books.bank import ListedPayout, list_payouts

        if verdict is not None and verdict not in set(PayoutVerdict):
            raise CommandError(f"{verdict!r} is no verdict; these are: {', '.join(PayoutVerdict)}", code=WRONG)
        verdicts = set(PayoutVerdict) if verdict is None else {verdict}

        async def query(pool: "Pool") -> list[ListedPayout]:
            async with pool.acquire() as conn:
                return await list_payouts(conn, account=account, verdicts=verdicts, limit=limit)

        found = ask(settings, query)
        if as_json:
            print_json({"payouts": [msgspec.to_builtins(each) for each in found]})
        else:
            columns = ("account", "payout", ">amount", "sent on", "verdict", "arrived on", ">arrived", "case")
            rows = (
                (
                    each.account,
                    each.payout_ref,
                    in_words(each.amount_minor, each.currency),
                    each.sent_on,
                    each.verdict.replace("_", " "),
                    each.arrived_on,
                    in_words(each.arrived_minor, each.currency),
                    each.case_id,
                )
                for each in found
            )
            print_table("Payouts", columns, rows)
            if not found:
                print("No payout is known.")
        if any(each.verdict in {PayoutVerdict.MISSING, PayoutVerdict.DIFFERS} for each in found):
            raise typer.Exit(NO)


@commands.command(
    "order",
    epilog=exits(yes="statements list it", no="none does", example="tillkeeper books order SHOP-1042"),
)
def order_command(order: OrderRef, config: Config = None, as_json: AsJson = False) -> None:
    """Show the way of an order's money to the bank: each line of a statement about it, and where that money is.

    Held by the gateway, on its way to the bank, arrived there, or missing.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        import msgspec

        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.books.bank import OrdersLine, way_of_order

        async def query(pool: "Pool") -> list[OrdersLine]:
            async with pool.acquire() as conn:
                return await way_of_order(conn, order)

        found = ask(settings, query)
        if as_json:
            print_json(
                {"order_ref": order, "lines": [{**msgspec.to_builtins(each), "where": each.where} for each in found]}
            )
        else:
            columns = ("account", "line", ">amount", ">fee", "day", "payout", "where it is", "since")
            rows = (
                (
                    each.account,
                    each.kind,
                    in_words(each.amount_minor, each.currency),
                    in_words(each.fee_minor, each.settled),
                    each.day,
                    each.payout_ref,
                    each.where,
                    each.arrived_on or each.sent_on,
                )
                for each in found
            )
            print_table(f"The way of {order}'s money", columns, rows)
            if not found:
                print("No statement that was taken in lists it.")
        if not found:
            raise typer.Exit(NO)
