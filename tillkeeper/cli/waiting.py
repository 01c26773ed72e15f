"""Implements `tillkeeper waiting`: money without an order, the orders that it may be of, and binding it to one."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, By, Config, Note, exits, person, policy_from, reason, settings_from, unicode
from tillkeeper.cli.order_view import status_in_words

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.search.waiting import LikelyOrder, WaitingPayment

app = typer.Typer()
commands = typer.Typer(help="Money that waits for its order: see it, and bind it to one.", no_args_is_help=True)
app.add_typer(commands, name="waiting")

LIMIT_MAX: Final = 1_000  # events; each payment's likely orders are looked up

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", parser=unicode, help="The account that it came to.")]
Payment = Annotated[str, typer.Argument(metavar="PAYMENT", parser=unicode, help="The payment's number.")]
Order = Annotated[str, typer.Argument(metavar="ORDER", parser=unicode, help="The order that it is of.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="Of the latest so many events.")]
ConfirmedBy = Annotated[
    str | None,
    typer.Option("--confirmed-by", metavar="NAME", parser=unicode, help="A second person who looked at it, too."),
]


@commands.command("list", epilog=exits(example="tillkeeper waiting list --limit 200"))
def list_command(limit: Limit = 50, config: Config = None, as_json: AsJson = False) -> None:
    """List payments that came in or are on their way for an order that nobody registered, the latest first.

    Each with the orders whose references are much like the one that it names; `waiting show` looks at amounts, too.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.search.waiting import list_waiting

        async def query(pool: "Pool") -> "list[WaitingPayment]":
            async with pool.acquire() as conn:
                return await list_waiting(conn, limit=limit)

        found = ask(settings, query)
        if as_json:
            print_json({"waiting": [_as_json(each) for each in found]})
            return
        columns = ("account", "payment", "what", ">amount", "names", "since", "may be of")
        print_table("Payments that wait for their order", columns, map(_row, found))
        print(f"{len(found)} of the latest {limit} events." if found else "No money waits for an order.")


def _row(payment: "WaitingPayment") -> tuple[object, ...]:
    return (
        payment.account,
        payment.payment_ref,
        payment.kind,
        in_words(payment.amount, payment.currency),
        payment.order_ref,
        payment.since,
        ", ".join(order.order_ref for order in payment.likely),
    )


@commands.command(
    "show", epilog=exits(no="no such payment waits", example="tillkeeper waiting show alipay-main 2026112822001422")
)
def show_command(account: Account, payment_ref: Payment, config: Config = None, as_json: AsJson = False) -> None:
    """Show one payment that waits, and the orders that it may be of: why, and how to bind it."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.search.waiting import show_waiting

        async def query(pool: "Pool") -> "WaitingPayment | None":
            async with pool.acquire() as conn:
                return await show_waiting(conn, account, payment_ref)

        found = ask(settings, query)
        if found is None:
            raise CommandError(f"no payment {payment_ref!r} at {account!r} waits for an order", code=NO)
        if as_json:
            print_json(_as_json(found))
        else:
            _print(found)


def _as_json(payment: "WaitingPayment") -> dict[str, Any]:
    from datetime import datetime

    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(payment, builtin_types=(datetime,))
    return fields


def _print(payment: "WaitingPayment") -> None:
    from tillkeeper.cli.output import print_facts, print_table

    print_facts(
        {
            "account": payment.account,
            "payment": payment.payment_ref,
            "what": payment.kind,
            "amount": in_words(payment.amount, payment.currency),
            "names order": payment.order_ref,
            "since": payment.since,
            "events": payment.events,
        }
    )
    print()
    columns = ("order", "status", ">amount", "registered", "why")
    print_table("Orders that it may be of, the likeliest first", columns, map(_order_row, payment.likely))
    print("Bind it: tillkeeper waiting bind ACCOUNT PAYMENT ORDER --note WHY")


def _order_row(order: "LikelyOrder") -> tuple[object, ...]:
    from tillkeeper.domain.likely_orders import LIKENESS_WORDS

    why = "; ".join(LIKENESS_WORDS[reason].en for reason in order.match.reasons)
    return (
        order.order_ref,
        status_in_words(order.status),
        in_words(order.amount, order.currency),
        order.registered_at,
        why,
    )


@commands.command(
    "bind",
    epilog=exits(
        no="no such payment waits, no such order is registered, or somebody bound it",
        example='tillkeeper waiting bind alipay-main 20261128220014 A-1001 --note "the payer typed A-l001"',
    ),
)
def bind_command(
    account: Account,
    payment_ref: Payment,
    order_ref: Order,
    note: Note,
    by: By = None,
    confirmed_by: ConfirmedBy = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bind a payment that waits to the order that it is of; what came of it is applied to that order at once.

    Whether it counts is decided as ever: in another currency, or at an account where the order is not expected, it
    opens a case and pays nothing.  What comes of the payment later is the order's, too, whatever it names.  Who bound
    it, who confirmed it, when and why stand in the order's history.  There is no way back.
    """
    who, why = person(by), reason(note)
    second = None if confirmed_by is None else person(confirmed_by)
    if second == who:
        raise typer.BadParameter("is another person than --by", param_hint="--confirmed-by")
    with reported(as_json=as_json):
        settings = settings_from(config)
        policy = policy_from(settings)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.apply.bind_waiting import Binding, BindingRefused, bind_waiting
        from tillkeeper.store.orders.acts import NoSuchOrder
        from tillkeeper.store.reports import order as order_report

        binding = Binding(
            account=account, payment_ref=payment_ref, order_ref=order_ref, by=who, note=why, confirmed_by=second
        )

        async def work(pool: "Pool") -> tuple[dict[str, int], dict[str, Any]]:
            tally = await bind_waiting(pool, binding, policy=policy, now=clock.now())
            order = await order_report.show(pool, order_ref)
            assert order is not None  # orders are never removed
            return dict(tally.outcomes), order

        try:
            outcomes, order = ask(settings, work)
        except NoSuchOrder:
            raise CommandError(f"no order {order_ref!r} is registered", code=NO) from None
        except BindingRefused as refused:
            raise CommandError(f"payment {payment_ref!r} at {account!r}: {refused}", code=NO) from None
        if as_json:
            print_json({"act": "bind", "by": who, "confirmed_by": second, "note": why, "outcomes": outcomes, **order})
            return
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{shown(order_ref)}  bound: {told}; {status_in_words(order['status'])}")
