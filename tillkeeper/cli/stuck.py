"""Implements `tillkeeper stuck`, which lists orders that do not move."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import typer

from tillkeeper.cli.errors import WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, policy_from, seconds, settings_from, unicode
from tillkeeper.cli.order_view import status_in_words, sum_in_words

app = typer.Typer()

LIMIT_MAX: Final = 10_000  # more than a person reads

InStatus = Annotated[
    list[str] | None,
    typer.Option("--status", metavar="S", parser=unicode, help="In this status; may be given several times."),
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="A", parser=unicode, help="Expected to be paid at this account.")
]
Older = Annotated[
    float, typer.Option("--older", metavar="SPAN", parser=seconds, help="Without a movement for so long: 30m, 2h, 3d.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="Those that stand the longest.")]


@app.command("stuck", epilog=exits(example="tillkeeper stuck --status processing --older 30m"))
def stuck_command(
    in_status: InStatus = None,
    account: Account = None,
    older: Older = "0",  # type: ignore[assignment]
    limit: Limit = 50,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List orders that are processing, refunding, failed or partially paid, those that stand the longest first.

    Tells since when, when their gateways were asked last and what they said, what comes next and when by the policy,
    and which cases are open.  Closed orders are not among them.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        policy = policy_from(settings)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.filters import refuse_unknown
        from tillkeeper.cli.output import print_json
        from tillkeeper.domain.statuses import OPEN, Status
        from tillkeeper.store.reports.stuck import STUCK, StuckFilter, stuck_orders

        for name in in_status or ():
            if name not in set(Status):
                raise CommandError(f"{name!r} is no status; known are {', '.join(Status)}", code=WRONG)
            if name not in OPEN:
                may_be = ", ".join(status for status in Status if status in OPEN)
                raise CommandError(f"what is {name} is never stuck; what may be is {may_be}", code=WRONG)
        now = clock.now()
        sought = StuckFilter(
            statuses=tuple(map(Status, in_status)) if in_status else STUCK,
            account=account,
            until=now - timedelta(seconds=older),
        )
        found = ask(settings, lambda pool: stuck_orders(pool, sought, policy=policy, limit=limit + 1, now=now))
        refuse_unknown("account", account, settings.accounts, found=found)
        rows, more = found[:limit], len(found) > limit
        if as_json:
            print_json({"orders": rows, "more": more})
        else:
            _print(rows, now, more=more)


def _print(rows: list[dict[str, Any]], now: datetime, *, more: bool) -> None:
    from tillkeeper.cli.output import TextStyle, Toned, lasting, print_table

    print_table(
        "Stuck, the longest first",
        ("order", "status", "for", "accounts", ">amount", ">paid", "asked", "it said", "next", "cases"),
        (
            (
                order["order_ref"],
                status_in_words(order["status"]),
                lasting(now - order["since"]),
                ", ".join(order["accounts"]),
                in_words(order["amount"], order["currency"]),
                sum_in_words(order, "paid"),
                f"{lasting(now - order['asked_last']['at'])} ago" if order["asked_last"] else "never",
                (order["asked_last"]["result"] or "nothing yet") if order["asked_last"] else None,
                Toned(_next(order, now), TextStyle.LOOK if _is_overdue(order, now) else TextStyle.PLAIN),
                Toned(", ".join(f"{case}" for case in order["cases"]), TextStyle.ALARM),
            )
            for order in rows
        ),
    )
    print("There are more; --limit shows them." if more else f"{len(rows)} in all." if rows else "Nothing is stuck.")


def _is_overdue(order: dict[str, Any], now: datetime) -> bool:
    return order["next"] is not None and order["next"]["at"] <= now


def _next(order: dict[str, Any], now: datetime) -> str:
    from tillkeeper.cli.output import lasting

    coming = order["next"]
    if coming is None:
        return "nothing"
    if coming["at"] > now:
        return f"{coming['what']} in {lasting(coming['at'] - now)}"
    return f"{coming['what']}, due for {lasting(now - coming['at'])}"
