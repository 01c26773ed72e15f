"""Implements `tillkeeper order`, which shows an order and carries out what people do to it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import (
    AsJson,
    By,
    Config,
    Note,
    exits,
    person,
    policy_from,
    reason,
    seconds,
    settings_from,
    unicode,
)
from tillkeeper.cli.order_view import head_of, status_in_words

if TYPE_CHECKING:
    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()
commands = typer.Typer(help="What is known of an order, and what people do to it.", no_args_is_help=True)
app.add_typer(commands, name="order")

Ref = Annotated[str, typer.Argument(metavar="REF", parser=unicode, help="The order's reference, as registered.")]


@commands.command("show", epilog=exits(no="no such order is registered", example="tillkeeper order show A-1001"))
def show_command(ref: Ref, config: Config = None, as_json: AsJson = False) -> None:
    """Show an order: its status and sums, its payments, refunds, disputes and cases, and its history.

    With --json: what GET /orders/REF answers, and "history".
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.reports import order as order_report

        async def query(pool: Any) -> dict[str, Any] | None:
            found = await order_report.show(pool, ref)
            return None if found is None else {**found, "history": await order_report.history(pool, ref)}

        found = ask(settings, query)
        if found is None:
            raise CommandError(f"no order {ref!r} is registered", code=NO)
        if as_json:
            print_json(found)
        else:
            _print(found)


Span = Annotated[float, typer.Argument(metavar="SPAN", parser=seconds, help="For how long: 30m, 24h, 7d.")]
Force = Annotated[bool, typer.Option("--force", help="Although money is there, on its way, or waits nearby.")]


@commands.command(
    "hold",
    epilog=exits(
        no="no such order is registered, or it is closed",
        example='tillkeeper order hold A-1001 24h --note "the payer talks to their bank"',
    ),
)
def hold_command(
    ref: Ref, span: Span, note: Note, by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Have the sweep leave an order alone for a while: no queries, no reminders, no closing.

    Webhooks are applied all the same.  Holding it again sets the time anew.  Who, when and why stand in its history.
    """
    from tillkeeper import clock

    if span <= 0:
        raise typer.BadParameter("a hold needs time: 30m, 24h, 7d", param_hint="SPAN")
    until = clock.now() + timedelta(seconds=span)
    _act("hold", ref, person(by), reason(note), config, as_json=as_json, until=until)


@commands.command(
    "release",
    epilog=exits(
        no="no such order is registered, or it is not held",
        example='tillkeeper order release A-1001 --note "bank says no"',
    ),
)
def release_command(ref: Ref, note: Note, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have the sweep go on with a held order at once: what its ladder missed meanwhile is made good."""
    _act("release", ref, person(by), reason(note), config, as_json=as_json)


@commands.command(
    "close",
    epilog=exits(
        no="no such order is registered, it is closed already, or money is there or may be on its way",
        example='tillkeeper order close A-1001 --note "the customer cancelled by phone"',
    ),
)
def close_command(
    ref: Ref, note: Note, force: Force = False, by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Expect no payment for an order any more; merchant and payer are told.

    Refused while a payment is pending, was captured and not given back, or waits under a reference much like this one:
    uncertain is not failed.  If you are not
    sure, have the gateway asked first (order ask).  Money that comes in after closing follows the policy: the order is
    opened again, or a case proposes a refund.  Where the desk has more than one operator, --force only proposes it:
    another one confirms it at the desk.
    """
    _act("close", ref, person(by), reason(note), config, as_json=as_json, force=force)


@commands.command(
    "ask",
    epilog=exits(no="no such order is registered, or it is held", example="tillkeeper order ask A-1001"),
)
def ask_command(ref: Ref, note: Note = "", by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have the sweep ask the order's gateways now, whatever its ladder says.

    The sweep asks within seconds; `order show` tells what came of it.
    """
    _act("ask", ref, person(by), note.strip(), config, as_json=as_json)


@commands.command(
    "remind",
    epilog=exits(
        no="no such order is registered, nothing is due, its gateways were not just asked, or it was done today",
        example='tillkeeper order remind A-1001 --note "they asked for the link again"',
    ),
)
def remind_command(ref: Ref, note: Note, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have the payer reminded by mail that money is missing; once a day.

    Nobody is asked to pay in doubt: its gateways must have said in the last quarter of an hour that nothing came (order
    ask).  Limits of mails to payers hold as ever.
    """
    _act("remind", ref, person(by), reason(note), config, as_json=as_json)


@commands.command(
    "claimed",
    epilog=exits(
        no="no such order is registered, or a case says so already",
        example='tillkeeper order claimed A-1001 --note "they sent a receipt of their bank, 2 pm"',
    ),
)
def claimed_command(ref: Ref, note: Note, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Open a case: the customer says they paid.

    Until it is resolved, or the order is paid, the payer is not asked to pay, and the order is not closed.
    """
    _act("claimed", ref, person(by), reason(note), config, as_json=as_json)


def _act(what: str, ref: str, by: str, note: str, config: Path | None, *, as_json: bool, **more: Any) -> None:
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.domain.order.acts import ActRefused
        from tillkeeper.store.orders import acts as order_acts
        from tillkeeper.store.orders.closing_in_two import close_at_terminal
        from tillkeeper.store.people.approvals import AlreadyProposed, Approval
        from tillkeeper.store.postgres.transactions import repeat_on_conflict
        from tillkeeper.store.reports import order as order_report

        acts: dict[str, Callable[..., Awaitable[object]]] = {
            "hold": order_acts.hold,
            "release": order_acts.release,
            "close": close_at_terminal,
            "ask": order_acts.ask_gateway,
            "remind": order_acts.remind,
            "claimed": partial(order_acts.claim, policy=policy_from(settings).cases),
        }

        async def work(conn: "Conn") -> object:
            return await acts[what](conn, ref, by=by, note=note, now=clock.now(), **more)

        async def query(pool: Any) -> tuple[dict[str, Any], object]:
            came_of_it = await repeat_on_conflict(pool, work)
            found = await order_report.show(pool, ref)
            assert found is not None  # orders are never removed
            return found, came_of_it

        try:
            found, came_of_it = ask(settings, query)
        except order_acts.NoSuchOrder:
            raise CommandError(f"no order {ref!r} is registered", code=NO) from None
        except ActRefused as error:
            raise CommandError(f"order {ref!r}: {error}", code=NO) from None
        except AlreadyProposed:
            raise CommandError(f"order {ref!r}: it is proposed already; see /proposals at the desk", code=NO) from None
        proposal = came_of_it.id if isinstance(came_of_it, Approval) else None
        if as_json:
            told = {} if proposal is None else {"proposal": proposal}
            print_json({"act": what, "by": by, "note": note, **told, **found})
        elif proposal is not None:
            print(f"{shown(ref)}  proposed, for another operator to confirm at the desk: its page, or /proposals")
        else:
            print(f"{shown(ref)}  {_done(what, found)}")


def _done(what: str, order: dict[str, Any]) -> str:
    from tillkeeper.cli.output import shown

    match what:
        case "hold":
            return f"held until {shown(order['held_until'])}"
        case "close":
            return f"closed; {status_in_words(order['status'])}"
        case "release":
            return "released; the sweep looks at it next"
        case "remind":
            return "its payer is reminded"
        case "claimed":
            return "a case is open; `cases --kind claimed_paid` has its number"
        case _:
            return "its gateways are asked next"


def _print(order: dict[str, Any]) -> None:
    _print_head(order)
    _print_payments(order)
    _print_returns("Refunds", "refund", order["refunds"])
    _print_returns("Disputes", "dispute", order["disputes"])
    _print_cases(order["cases"])
    print_history(order["history"])


def _print_head(order: dict[str, Any]) -> None:
    from tillkeeper.cli.output import print_facts

    print_facts(
        {
            **head_of(order),
            "registered": order["registered_at"],
            "changed": order["changed_at"],
            "stands since": order["stands_since"],
            "swept next": order["swept_next_at"],
            "held until": order["held_until"],
            "expires": order["expires_at"],
            "closed": order["closed_at"],
            "erased": order["erased_at"],
            "version": order["version"],
        }
    )
    print()


def _print_payments(order: dict[str, Any]) -> None:
    from tillkeeper.cli.output import cells, print_table

    currency = order["currency"]
    print_table(
        "Payments",
        ("account", "payment", "status", ">amount", ">captured", "failure"),
        (
            (
                *cells(payment, "account", "payment_ref", "status"),
                _amount(payment),
                _captured(payment, currency),
                payment["failure"],
            )
            for payment in order["payments"]
        ),
    )


def _print_returns(title: str, name: str, rows: list[dict[str, Any]]) -> None:
    from tillkeeper.cli.output import cells, print_table

    print_table(
        title,
        ("account", name, "payment", "status", ">amount"),
        ((*cells(row, "account", f"{name}_ref", "payment_ref", "status"), _amount(row)) for row in rows),
    )


def _print_cases(cases: list[dict[str, Any]]) -> None:
    from tillkeeper.cli.output import print_table, shown

    print_table(
        "Cases",
        ("case", "kind", "about", "details", "level", "owner", "opened", "closed"),
        (
            (
                case["id"],
                case["kind"],
                case["subject"],
                _pairs(case["details"]),
                case["level"],
                case["owner"],
                case["opened_at"],
                case["closed_at"] and f"{shown(case['closed_at'])} by {case['closed_by']}: {case['outcome']}",
            )
            for case in cases
        ),
    )


def print_history(history: list[dict[str, Any]]) -> None:
    """Prints events, acts and steps of the ladder, a line each."""
    from tillkeeper.cli.output import print_table

    print_table(
        "History, oldest first",
        ("recorded", "happened", "account", "what", ">amount", "evidence", "outcome", "status then", "by", "note"),
        (
            (
                entry["recorded_at"],
                entry["occurred_at"] if entry["what"] == "event" else None,
                entry["account"],
                entry["kind"],
                _amount(entry) or _total(entry),
                entry["evidence"],
                _joined(entry["outcome"], entry["reason"]),
                entry["status_after"],
                entry["by"],
                entry["note"],
            )
            for entry in history
        ),
    )


def _amount(row: dict[str, Any]) -> str | None:
    return in_words(row["amount"], row["currency"])


def _captured(payment: dict[str, Any], currency: str) -> str | None:
    return in_words(payment["captured"] or None, payment["currency"] or currency)


def _total(entry: dict[str, Any]) -> str | None:
    total = in_words(entry["total"], entry["currency"])
    return total and f"{total} in all"


def _pairs(details: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items())


def _joined(outcome: str, reason: str | None) -> str:
    return f"{outcome}: {reason}" if reason else outcome
