"""Implements `tillkeeper audit --money`, which proves the ledger against what is stored of each order."""

from typing import TYPE_CHECKING, Any

import typer

from tillkeeper.cli.errors import NO

if TYPE_CHECKING:
    from tillkeeper.settings import Settings
    from tillkeeper.store.books.money_audit import MoneyAudit


def prove_money(settings: "Settings", *, as_json: bool) -> None:
    """Prints the balances and what does not agree; ends with 1 where anything does not."""
    from tillkeeper.cli.database import ask
    from tillkeeper.cli.output import print_json
    from tillkeeper.store.books.money_audit import audit_money

    found = ask(settings, audit_money)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    if not found.holds:
        raise typer.Exit(NO)


def _as_json(found: "MoneyAudit") -> dict[str, Any]:
    from tillkeeper.cli.ledger_formats.names import name_of

    return {
        "holds": found.holds,
        "orders": found.orders,
        "waiting": found.waiting,
        "sums": found.sums,
        "balances": [
            {"account": name_of(account), "currency": currency, "amount": minor}
            for account, currency, minor in found.balances
        ],
        "faulty_orders": found.faulty,
        "faults": [
            {
                "order_ref": fault.order_ref,
                "account": name_of(fault.account),
                "currency": fault.currency,
                "events_say": fault.events_say,
                "facts_say": fault.facts_say,
            }
            for fault in found.faults
        ],
    }


def _print(found: "MoneyAudit") -> None:
    from tillkeeper.cli.ledger_formats.names import major, name_of
    from tillkeeper.cli.output import TextStyle, print_table, print_toned

    print(f"{found.orders} orders booked anew from their events, and {found.waiting} events that wait for their order")
    print()
    balances = [
        (name_of(account), currency, major(max(minor, 0), currency), major(max(-minor, 0), currency))
        for account, currency, minor in found.balances
    ]
    print_table("Balances", ("account of the ledger", "currency", ">debit", ">credit"), balances)
    faults = [
        (
            fault.order_ref,
            name_of(fault.account),
            fault.currency,
            major(fault.events_say, fault.currency),
            major(fault.facts_say, fault.currency),
        )
        for fault in found.faults
    ]
    columns = ("order", "account of the ledger", "currency", ">its events say", ">facts and sums say")
    print_table(f"Orders whose events say otherwise than what is stored: {found.faulty}", columns, faults)
    for currency, minor in sorted(found.sums.items()):
        if minor:
            print_toned(f"{currency} does not sum to zero but to {major(minor, currency)}.", TextStyle.ALARM)
    if found.holds:
        print("The ledger holds: every currency sums to zero, and events and facts agree.")
    else:
        print_toned("The ledger does NOT hold.", TextStyle.ALARM)
