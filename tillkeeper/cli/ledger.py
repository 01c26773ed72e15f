"""Implements `tillkeeper ledger`: the double entry of orders' money, summed up, or exported for accounting programs."""

import asyncio
import calendar
import re
from collections.abc import AsyncIterator, Iterable
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.domain.books.ledger import Transaction
    from tillkeeper.settings import Settings
    from tillkeeper.store.books.ledger import Period

app = typer.Typer()

MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})")


class Format(StrEnum):
    """What the ledger can be exported as."""

    CSV = "csv"
    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    JSON = "json"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write 2026-10-31") from None


def _month(text: str) -> date:
    found = MONTH.fullmatch(text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), 1)
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is no month; write 2026-10")


Month = Annotated[
    date | None, typer.Option("--month", metavar="YYYY-MM", parser=_month, help="This month; else the present one.")
]
First = Annotated[date | None, typer.Option("--from", metavar="DAY", parser=_day, help="The first day, with --to.")]
Last = Annotated[date | None, typer.Option("--to", metavar="DAY", parser=_day, help="The last day, with --from.")]
OfOrder = Annotated[str | None, typer.Option("--order", metavar="REF", parser=unicode, help="Of this order alone.")]
Account = Annotated[str | None, typer.Option("--account", metavar="A", parser=unicode, help="At this account alone.")]
As = Annotated[
    Format | None, typer.Option("--format", help="Write each transaction to standard output, for another program.")
]
Zone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="Whose days: Asia/Shanghai; else notify.time_zone.")
]


@app.command("ledger", epilog=exits(example="tillkeeper ledger --month 2026-10 --format hledger > october.journal"))
def ledger_command(
    month: Month = None,
    first: First = None,
    last: Last = None,
    order: OfOrder = None,
    account: Account = None,
    export: As = None,
    zone: Zone = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the ledger: what moved on each of its accounts in a month, or in a span of days.

    It is derived from the events that are recorded, and every transaction sums to zero: what a gateway has of the
    merchant's (clearing) against what payers paid, refunds, chargebacks, and the suspense accounts for money that waits
    for its order or that does not fit it.  A transaction is booked on the day on which its event was recorded, so that
    a month that has ended stays as it is; when it happened stands beside it.  `tillkeeper audit --money` proves it.

    Exports are in order by order, not by day; hledger and beancount sort by themselves.  --json is --format json:
    a line for each transaction, amounts in minor units.
    """
    if export is not None and as_json and export is not Format.JSON:
        raise typer.BadParameter(f"--json and --format {export} contradict each other", param_hint="--format")
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.filters import refuse_unknown

        period = _period(month, first, last, zone or settings.notify.time_zone)
        refuse_unknown("account", account, settings.accounts, found=())
        export = Format.JSON if as_json else export
        asyncio.run(_show(settings, period, export, order=order, account=account))


def _period(month: date | None, first: date | None, last: date | None, zone: str) -> "Period":
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from tillkeeper import clock
    from tillkeeper.store.books.ledger import Period

    try:
        today = clock.now().astimezone(ZoneInfo(zone)).date()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CommandError(f"{zone!r} is no time zone; write one such as Asia/Shanghai", code=WRONG) from None
    if (first is None) != (last is None) or (first is not None and month is not None):
        raise CommandError("give --month, or both --from and --to", code=WRONG)
    if first is None or last is None:
        first = month or today.replace(day=1)
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    if first > last:
        raise CommandError(f"--from {first} is after --to {last}", code=WRONG)
    return Period(first=first, last=last, zone=zone)


async def _show(
    settings: "Settings", period: "Period", export: Format | None, *, order: str | None, account: str | None
) -> None:
    from tillkeeper.cli.database import database_failures
    from tillkeeper.store.books.ledger import is_registered, read_journal
    from tillkeeper.store.postgres.pool import open_pool
    from tillkeeper.store.schema.versions import refuse_unfit

    with database_failures(settings):
        async with await open_pool(settings.database_url, min_size=0, max_size=1) as pool:
            await refuse_unfit(pool)
            if order is not None and not await is_registered(pool, order):
                raise CommandError(f"no order {order!r} is registered", code=WRONG)
            journal = _of_account(read_journal(pool, period, order_ref=order), account)
            if export is None:
                await _print_sums(journal, period)
            else:
                await _write(journal, export, period.zone)


async def _of_account(journal: AsyncIterator["Transaction"], account: str | None) -> AsyncIterator["Transaction"]:
    async for each in journal:
        if account is None or each.event.account == account:
            yield each


async def _write(journal: AsyncIterator["Transaction"], export: Format, zone: str) -> None:
    from zoneinfo import ZoneInfo

    writer, of_zone = _writer(export), ZoneInfo(zone)
    _print_lines(writer.begin())
    async for each in journal:
        _print_lines(writer.transaction(each, of_zone))


def _writer(export: Format) -> Any:
    from tillkeeper.cli.ledger_formats.plain_text import Beancount, Hledger
    from tillkeeper.cli.ledger_formats.rows import Csv, JsonLines

    return {
        Format.CSV: Csv,
        Format.HLEDGER: Hledger,
        Format.BEANCOUNT: Beancount,
        Format.JSON: JsonLines,
    }[export]()


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


async def _print_sums(journal: AsyncIterator["Transaction"], period: "Period") -> None:
    from tillkeeper.cli.ledger_formats.names import major, name_of
    from tillkeeper.cli.output import print_table

    count, sums = 0, dict[tuple[str, str], list[int]]()
    async for each in journal:
        count += 1
        for posting in each.postings:
            sides = sums.setdefault((posting.currency, name_of(posting.account)), [0, 0])
            sides[posting.minor < 0] += abs(posting.minor)
    print(f"{period.first} to {period.last} ({period.zone}): {count} transactions")
    print()
    rows = [
        (name, currency, major(debit, currency), major(credit, currency), major(debit - credit, currency))
        for (currency, name), (debit, credit) in sorted(sums.items())
    ]
    print_table("What moved", ("account of the ledger", "currency", ">debit", ">credit", ">debit less credit"), rows)
