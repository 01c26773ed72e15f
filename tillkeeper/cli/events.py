"""Implements `tillkeeper events`, which lists what gateways said, a line for each event, and follows what they say."""

import asyncio
import sys
from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, seconds, settings_from, unicode
from tillkeeper.cli.order_view import status_in_words

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.settings import Settings
    from tillkeeper.store.reports.events import EventFilter, Latest, RecordedEvent

app = typer.Typer()

LIMIT_MAX: Final = 10_000
LOOK_EVERY_S: Final = 0.5
REST: Final = 9  # looking takes a tenth of the time at most, however long one look takes
TONES: Final = {"mismatched": "bold red", "waiting": "yellow", "no_change": "dim"}
OUTCOMES: Final = ("applied", "no_change", "waiting", "mismatched")

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
Account = Annotated[str | None, typer.Option("--account", metavar="A", parser=unicode, help="From this account.")]
OfOrder = Annotated[str | None, typer.Option("--order", metavar="REF", parser=unicode, help="About this order.")]
OfKind = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", metavar="K", parser=unicode, help="payment.failed, or payment for all of them; may be repeated."
    ),
]
WithOutcome = Annotated[
    list[str] | None,
    typer.Option("--outcome", metavar="O", parser=unicode, help=f"{', '.join(OUTCOMES)}; may be repeated."),
]
Since = Annotated[
    float | None, typer.Option("--since", metavar="SPAN", parser=seconds, help="Recorded within so long: 30m, 2h, 3d.")
]
Limit = Annotated[int, typer.Option("--limit", min=0, max=LIMIT_MAX, help="The latest so many, to begin with.")]


@app.command("events", epilog=exits(example="tillkeeper events --follow --kind payment.failed --since 1h"))
def events_command(
    follow: Follow = False,
    account: Account = None,
    order: OfOrder = None,
    kind: OfKind = None,
    outcome: WithOutcome = None,
    since: Since = None,
    limit: Limit = 20,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the latest events with what became of each, a line for each, the oldest first.

    With --follow it goes on, live; none is passed over, though workers commit in no order.  An event that waited for
    its order comes again when it gets one.  With --json each line is an object.  What is parked is no event yet: see
    `parked list`.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.store.reports.events import EventFilter

        _refuse_unknown_words(kind or (), outcome or ())
        sought = EventFilter(
            account=account,
            order_ref=order,
            kinds=frozenset(kind or ()),
            outcomes=frozenset(outcome or ()),
            since=None if since is None else clock.now() - timedelta(seconds=since),
        )
        asyncio.run(_show(settings, sought, limit, follow=follow, as_json=as_json))


def _refuse_unknown_words(kinds: Collection[str], outcomes: Collection[str]) -> None:
    from tillkeeper.domain.events import Kind

    known = {*Kind, *(kind.partition(".")[0] for kind in Kind)}
    for kind in kinds:
        if kind not in known:
            raise CommandError(f"{kind!r} is no kind of event; known are {', '.join(sorted(known))}", code=WRONG)
    for outcome in outcomes:
        if outcome not in OUTCOMES:
            raise CommandError(f"{outcome!r} is no outcome; known are {', '.join(OUTCOMES)}", code=WRONG)


async def _show(settings: "Settings", sought: "EventFilter", limit: int, *, follow: bool, as_json: bool) -> None:
    from tillkeeper import clock
    from tillkeeper.cli.database import database_failures
    from tillkeeper.store.postgres.pool import open_pool
    from tillkeeper.store.reports.events import EventTail, latest_events
    from tillkeeper.store.schema.versions import refuse_unfit

    with database_failures(settings):
        async with await open_pool(settings.database_url, min_size=0, max_size=1) as pool:
            await refuse_unfit(pool)
            async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
                latest = await latest_events(conn, sought, limit=limit, now=clock.now())
                tail = await EventTail.from_now(conn, clock.now()) if follow else None
            _refuse_unknown_names(settings, sought, latest, follow=follow)
            _print(latest.events, as_json=as_json)
            if tail is None:
                _print_end(latest, as_json=as_json)
                return
            tail.watch(latest.events)
            await _follow(pool, tail, sought, as_json=as_json)


def _refuse_unknown_names(settings: "Settings", sought: "EventFilter", latest: "Latest", *, follow: bool) -> None:
    from tillkeeper.cli.filters import refuse_unknown

    refuse_unknown("account", sought.account, settings.accounts, found=latest.events)
    if latest.is_order_known or latest.events:
        return
    if not follow:
        raise CommandError(f"no order {sought.order_ref!r} is registered, and no event waits for it", code=WRONG)
    print(f"tillkeeper: no order {sought.order_ref!r} is registered yet", file=sys.stderr)


async def _follow(pool: "Pool", tail: Any, sought: "EventFilter", *, as_json: bool) -> None:
    """Prints what comes, for ever.  While the database is out of reach it says so once, and waits."""
    from tillkeeper import clock
    from tillkeeper.logs import one_line
    from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, SchemaUnfit, is_passing

    is_away, task = False, asyncio.current_task()
    while task is None or not task.cancelling():  # an end that came while a connection broke may look like a failure
        began_s = clock.monotonic_s()
        try:
            events = await tail.next_events(pool, clock.now())
        except DATABASE_ERRORS as error:
            if not is_passing(error) or isinstance(error, SchemaUnfit):
                raise
            if not is_away:
                print(f"tillkeeper: the database does not answer: {one_line(error)}; waiting", file=sys.stderr)
            is_away, events = True, []
        else:
            if is_away:
                print("tillkeeper: the database answers again; nothing was passed over", file=sys.stderr)
            is_away = False
        _print(list(filter(sought.admits, events)), as_json=as_json)
        if not events:
            await asyncio.sleep(max(LOOK_EVERY_S, REST * (clock.monotonic_s() - began_s)))
    raise asyncio.CancelledError


def _print(events: "Collection[RecordedEvent]", *, as_json: bool) -> None:
    import msgspec

    from tillkeeper.cli.output import TextStyle, print_json, print_toned

    for event in events:
        if as_json:
            print_json(msgspec.structs.asdict(event))
        else:
            print_toned(_line(event), TextStyle(TONES.get(event.outcome, "")))
    sys.stdout.flush()


def _line(event: "RecordedEvent") -> str:
    from tillkeeper.cli.output import shown

    amount = in_words(event.amount, event.currency) or in_words(event.total, event.currency)
    became = f"{event.outcome:<10}"
    parts = [
        *(shown(event.recorded_at), became, f"{event.kind:<18}", event.account),
        event.order_ref or "no order",
        *((amount,) if amount else ()),
        *((status_in_words(event.status_after),) if event.status_after else ()),
        *((event.reason,) if event.reason else ()),
        *((event.failure,) if event.failure else ()),
        event.payment_ref or event.refund_ref or event.dispute_ref or event.event_id,
    ]
    return "  ".join(map(shown, parts))


def _print_end(latest: "Latest", *, as_json: bool) -> None:
    if as_json:
        return
    if latest.more:
        print("There are more before these; --limit shows them.")
    elif not latest.events:
        print("No event was recorded that fits.")
