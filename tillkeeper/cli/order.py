"""`tillkeeper order`: what is known of an order."""

from typing import Annotated, Any

import typer

from tillkeeper.cli.failed import NO, Failed, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

app = typer.Typer()
commands = typer.Typer(help="What is known of an order.", no_args_is_help=True)
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
        from tillkeeper.store import orders

        async def question(pool: Any) -> dict[str, Any] | None:
            found = await orders.show(pool, ref)
            return None if found is None else {**found, "history": await orders.history(pool, ref)}

        found = ask(settings, question)
        if found is None:
            raise Failed(f"no order {ref!r} is registered", code=NO)
        if as_json:
            print_json(found)
        else:
            _print(found)


def _print(order: dict[str, Any]) -> None:
    from tillkeeper.cli.output import print_facts, print_table

    currency = order["currency"]
    print_facts(
        {
            "order": order["order_ref"],
            "status": f"{order['status']} {order['status_zh']}",
            "amount": in_words(order["amount"], currency),
            "paid": in_words(order["paid"], currency),
            "refunding": in_words(order["refunding"] or None, currency),
            "refunded": in_words(order["refunded"] or None, currency),
            "registered": order["registered_at"],
            "changed": order["changed_at"],
            "version": order["version"],
        }
    )
    print()
    print_table(
        "Payments",
        ("account", "payment", "status", ">amount", ">captured", "failure"),
        (
            (it["account"], it["payment_ref"], it["status"], _amount(it), _captured(it, currency), it["failure"])
            for it in order["payments"]
        ),
    )
    print_table(
        "Refunds",
        ("account", "refund", "payment", "status", ">amount"),
        ((it["account"], it["refund_ref"], it["payment_ref"], it["status"], _amount(it)) for it in order["refunds"]),
    )
    print_table(
        "Disputes",
        ("account", "dispute", "payment", "status", ">amount"),
        ((it["account"], it["dispute_ref"], it["payment_ref"], it["status"], _amount(it)) for it in order["disputes"]),
    )
    print_table(
        "Cases",
        ("case", "kind", "about", "details", "opened"),
        ((it["id"], it["kind"], it["subject"], _pairs(it["details"]), it["opened_at"]) for it in order["cases"]),
    )
    print_table(
        "History, the first to arrive first",
        ("arrived", "happened", "account", "event", ">amount", "evidence", "outcome", "status then"),
        (
            (
                it["recorded_at"],
                it["occurred_at"],
                it["account"],
                it["kind"],
                _amount(it) or _total(it),
                it["evidence"],
                _joined(it["outcome"], it["reason"]),
                it["status_after"],
            )
            for it in order["history"]
        ),
    )


def _amount(it: dict[str, Any]) -> str | None:
    return in_words(it["amount"], it["currency"])


def _captured(it: dict[str, Any], currency: str) -> str | None:
    return in_words(it["captured"] or None, it["currency"] or currency)


def _total(it: dict[str, Any]) -> str | None:
    total = in_words(it["total"], it["currency"])
    return total and f"{total} in all"


def _pairs(details: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items())


def _joined(outcome: str, reason: str | None) -> str:
    return f"{outcome}: {reason}" if reason else outcome
