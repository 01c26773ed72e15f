"""Implements `tillkeeper rehearse`: what the installed version would make of the deliveries that are kept."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.errors import NO, reported
from tillkeeper.cli.options import AsJson, Config, exits, seconds, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.domain.rehearsal import EventChange, OrderDifference, OrderOutcome
    from tillkeeper.recovery.rehearsal import Rehearsal, Tell
    from tillkeeper.settings import Settings

app = typer.Typer()

Since = Annotated[
    float, typer.Option("--since", metavar="SPAN", parser=seconds, help="Of what came within so long: 12h, 7d, 30d.")
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="A", parser=unicode, help="Deliveries of this account alone."),
]


@app.command(
    "rehearse", epilog=exits(yes="no order would differ", no="some would", example="tillkeeper rehearse --since 7d")
)
def rehearse_command(
    since: Since = "30d",  # type: ignore[assignment]
    account: Account = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse an upgrade: read kept deliveries with this version, and list each order that would come out otherwise.

    Run it with the new version, after `tillkeeper db upgrade` and before the old programs are replaced, with the same
    configuration: it reads, and writes nothing.  Each delivery is verified as of when it came and read anew; then the
    events of each order are merged anew.  What differs in an order's status, sums or reasons for cases is told, with
    the events that are read otherwise.  What time and people do to an order (reminders, holds) is not rehearsed.

    Deliveries whose body is not kept any more, or whose key is no longer configured, count as they were read.
    With --json each line is an object: an order that differs, and at the end what was done.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.filters import refuse_unknown

        refuse_unknown("account", account, settings.accounts, found=())
        if asyncio.run(_rehearse(settings, since_s=since, account=account, as_json=as_json)):
            raise typer.Exit(NO)


async def _rehearse(settings: "Settings", *, since_s: float, account: str | None, as_json: bool) -> int:
    """Rehearses, prints, and returns how many orders would differ."""
    from tillkeeper import clock
    from tillkeeper.cli.database import database_failures
    from tillkeeper.recovery.rehearsal import Rehearsal
    from tillkeeper.store.postgres.pool import open_pool
    from tillkeeper.store.schema.versions import refuse_unfit

    now = clock.now()
    with database_failures(settings), _shown_progress() as tell:
        async with await open_pool(settings.database_url, min_size=0, max_size=2) as pool:
            await refuse_unfit(pool)
            rehearsal = Rehearsal(
                pool,
                settings.build_gateways(),
                since=now - timedelta(seconds=since_s),
                now=now,
                account=account,
                tell=tell,
            )
            async for difference in rehearsal.differences():
                _print_difference(difference, as_json=as_json)
            _print_end(rehearsal, as_json=as_json)
    return rehearsal.done.differ


@contextmanager
def _shown_progress() -> Iterator["Tell"]:
    """Yields what shows how far it is, on a terminal; elsewhere it says nothing."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None  # noqa: ARG005 - what a bar would show
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("deliveries", "orders")}
        yield lambda what, done, total: bar.update(tasks[what], completed=done, total=max(done, total))


def _print_difference(difference: "OrderDifference", *, as_json: bool) -> None:
    import msgspec

    from tillkeeper.cli.output import print_json, shown

    if as_json:
        told = msgspec.to_builtins(difference)
        fields = [{name: list(map(str, pair)) for name, pair in each.fields.items()} for each in difference.changes]
        print_json({**told, "changed_fields": fields})
        return
    print(f"{shown(difference.order_ref)}: {_in_words(difference)}")
    for change in difference.changes:
        print(f"    {shown(_change_in_words(change))}")


def _in_words(difference: "OrderDifference") -> str:
    before, after = difference.before, difference.after
    parts = [
        f"{name} {told} -> {now}"
        for (name, told), (_, now) in zip(_parts(before), _parts(after), strict=True)
        if told != now
    ]
    parts += [f"case {case} would open" for case in sorted(after.cases - before.cases)]
    parts += [f"case {case} would not open" for case in sorted(before.cases - after.cases)]
    return "; ".join(parts) + ("" if difference.changes else "; its events are read as before")


def _parts(outcome: "OrderOutcome") -> list[tuple[str, object]]:
    summary = outcome.summary
    return [
        ("status", str(summary.status)),
        ("paid", summary.captured),
        ("refunding", summary.refunding),
        ("refunded", summary.refunded),
        ("discount", summary.discount),
    ]


def _change_in_words(change: "EventChange") -> str:
    if change.after is None:
        assert change.before is not None
        return f"{change.before.event_id} {change.before.kind} is not read any more {change.reason}".rstrip()
    if change.before is None:
        return f"{change.after.event_id} {change.after.kind} was not read before"
    fields = ", ".join(f"{name} {was} -> {now}" for name, (was, now) in change.fields.items())
    return f"{change.after.event_id} is read otherwise: {fields}"


def _print_end(rehearsal: "Rehearsal", *, as_json: bool) -> None:
    from tillkeeper.cli.output import TextStyle, print_json, print_toned

    done = rehearsal.done
    if as_json:
        told: dict[str, Any] = {"deliveries": done.deliveries, "read": done.read, "not_read": dict(done.not_read)}
        told |= {"changes": done.changes, "orders": done.orders, "differ": done.differ, "is_cut": done.is_cut}
        print_json({**told, "unplaced": [_change_in_words(each) for each in done.unplaced]})
        return
    print(f"{done.deliveries} deliveries, {done.read} of them read anew; {done.orders} orders merged anew")
    for why, count in done.not_read.most_common():
        print(f"    {count} count as they were read: {why}")
    for change in done.unplaced:
        print(f"    of no order: {_change_in_words(change)}")
    if done.is_cut:
        print(f"    {done.changes} events are read otherwise; not all of them were taken into account")
    if done.differ:
        print_toned(
            f"Orders that would differ: {done.differ}; events that are read otherwise: {done.changes}.", TextStyle.LOOK
        )
    else:
        print(f"No order would differ; events that are read otherwise: {done.changes}.")
