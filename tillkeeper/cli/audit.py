"""Implements `tillkeeper audit`, which proves from the database alone that the books balance."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, exits, os_user, seconds, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.settings import Settings
    from tillkeeper.store.reports.audit import Audit

app = typer.Typer()

Grace = Annotated[
    float,
    typer.Option(
        "--grace",
        metavar="SPAN",
        parser=seconds,
        help="How long a delivery may be on its way before its absence counts: 60s, 5m, 2h, or 0 when all is quiet.",
    ),
]


Explain = Annotated[
    UUID | None,
    typer.Option(
        "--explain",
        metavar="RUN",
        help="First tick off what is missing of this receiver's run, for you know why; needs --note.",
    ),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", parser=unicode, help="With --explain: why; it is kept.")]


Since = Annotated[
    float | None,
    typer.Option(
        "--since",
        metavar="SPAN",
        parser=seconds,
        help="Only what came in the last so long (2d, 12h), whatever was audited before; it is not remembered.",
    ),
]
Money = Annotated[
    bool,
    typer.Option(
        "--money",
        help="Instead book every event of every order anew, and prove the ledger against facts and sums.",
    ),
]
OfChain = Annotated[
    bool, typer.Option("--chain", help="Instead prove that nothing that was chained was altered since.")
]
Head = Annotated[
    str | None,
    typer.Option("--head", metavar="HEAD", parser=unicode, help="With --chain: and that this head is in it."),
]
PublicKey = Annotated[
    str | None,
    typer.Option(
        "--public-key", metavar="HEX", parser=unicode, help="With --chain: who signed it; else books.chain_key."
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="Everything from the first delivery on: once a week.")]


@app.command("audit", epilog=exits(yes="the books balance", no="they do not", example="tillkeeper audit --grace 5m"))
def audit_command(
    grace: Grace = "60s",  # type: ignore[assignment]
    explain: Explain = None,
    note: Note = "",
    since: Since = None,
    everything: Everything = False,
    money: Money = False,
    chain: OfChain = False,
    head: Head = None,
    public_key: PublicKey = None,
    by: By = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Prove that nothing vanished: every accepted event has one outcome, and every status follows from its facts.

    The books: accepted = applied + no_change + waiting + mismatched + duplicates + parked + held.  Besides, no number
    that a receiver gave out is missing, every order's status is derived anew and compared, no order whose money is on
    its way is left to nobody, no case is open whose cause is gone, and statements' lines are those that were read.
    What is overdue by an hour is told, and is no fault of the books.

    It goes on from the last audit that balanced: it reads what receivers numbered since then, the events recorded
    since, and the orders that these concern, so exit code 0 says that the books balance from the first delivery on.
    Only --all sees what was changed by hand in rows that were proven before, and adds up deliveries' queries.  The
    first audit reads everything, and so does the one after an audit of everything that did not balance.

    --money audits another thing: the double entry of `tillkeeper ledger`, derived from every event anew, sums to zero
    for each currency, and is what each order's facts and sums say.  --chain audits the chain of hashes over events,
    acts and entries of cases, and names what was altered, removed or added since it was chained.
    """
    reads_all_or_part = since is not None or everything or explain is not None
    if (money or chain) and (reads_all_or_part or money is chain):
        raise typer.BadParameter("each goes alone, without --since, --all and --explain", param_hint="--money, --chain")
    if not chain and (head is not None or public_key is not None):
        raise typer.BadParameter("they are for --chain", param_hint="--head, --public-key")
    if since is not None and everything:
        raise typer.BadParameter("it leaves out what --all reads; give one of them", param_hint="--since")
    if explain is not None and not note.strip():
        raise typer.BadParameter("say why with --note; it is kept beside the numbers", param_hint="--explain")
    with reported(as_json=as_json):
        settings = settings_from(config)
        if money:
            from tillkeeper.cli.money_audit import prove_money

            prove_money(settings, as_json=as_json)
        elif chain:
            from tillkeeper.cli.chain_audit import prove_chain

            prove_chain(settings, head=head, public_key=public_key, as_json=as_json)
        else:
            if explain is not None:
                _explain(settings, explain, by=by or os_user(), note=note)
            _prove_books(settings, grace_s=grace, since_s=since, everything=everything, as_json=as_json)


def _explain(settings: "Settings", run: UUID, *, by: str, note: str) -> None:
    from tillkeeper import clock
    from tillkeeper.cli.database import ask
    from tillkeeper.store.reports.audit import explain_missing

    if not ask(settings, lambda pool: explain_missing(pool, run, by=by, note=note, now=clock.now())):
        raise CommandError(f"nothing of the run {run} is missing; `tillkeeper audit` names the runs", code=WRONG)


def _prove_books(
    settings: "Settings", *, grace_s: float, since_s: float | None, everything: bool, as_json: bool
) -> None:
    from tillkeeper import clock
    from tillkeeper.cli.database import ask
    from tillkeeper.cli.output import print_json
    from tillkeeper.store.reports.continued_audit import audit_on
    from tillkeeper.store.reports.recent_audit import audit_since

    now = clock.now()
    settled_until = now - timedelta(seconds=grace_s)
    if since_s is None:
        books = ask(settings, lambda pool: audit_on(pool, settled_until=settled_until, now=now, everything=everything))
    else:
        begin = now - timedelta(seconds=since_s)
        books = ask(settings, lambda pool: audit_since(pool, begin, settled_until=settled_until, now=now))
    if as_json:
        print_json(_as_json(books))
    else:
        _print(books)
    if not books.balances:
        raise typer.Exit(NO)


def _as_json(books: "Audit") -> dict[str, Any]:
    import msgspec

    more = {"accounted": books.accounted, "balances": books.balances, "is_whole": books.is_whole}
    return {**msgspec.to_builtins(books), **more}


def _print(books: "Audit") -> None:
    from tillkeeper.cli.output import TextStyle, print_toned

    _print_sums(books)
    _print_faults(books)
    _print_overdue(books)
    if books.not_remembered is not None:
        print(f"Not remembered, so the next audit begins where this one did: {books.not_remembered}.")
    if books.balances:
        print("The books balance.")
    else:
        print_toned("The books do NOT balance.", TextStyle.ALARM)


def _print_sums(books: "Audit") -> None:
    from tillkeeper.cli.output import print_facts, print_table

    outcomes = {name: books.outcomes.get(name, 0) for name in ("applied", "no_change", "waiting", "mismatched")}
    became = {**outcomes, **books.outcomes, "duplicates": books.duplicates, "parked": books.parked}
    became |= {"held": books.held} if books.held else {}
    print_table("What became of accepted events", ("became", ">events"), became.items())
    print_facts(
        {
            "read": _read(books),
            "last whole audit": _whole(books),
            "accepted": f"{books.accepted} events of {books.deliveries} deliveries",
            "accounted for": books.accounted,
            "on their way": f"{books.in_flight} deliveries, {books.spooled} messages in the PostgreSQL lane",
            "to be fetched": _fetched(books),
            "unreadable": f"{books.unreadable} parked messages" if books.unreadable else None,
            "orders": f"{books.orders}, each status derived anew",
        }
    )
    print()


def _read(books: "Audit") -> str:
    """Says what was read."""
    from tillkeeper.cli.output import shown

    if books.since is not None:
        return f"what came since {shown(books.since)}"
    if books.continues is not None:
        return f"what came since the audit of {shown(books.continues)}, which balanced"
    return "everything"


def _whole(books: "Audit") -> str | None:
    """Says when everything balanced last, where this audit did not read everything."""
    from tillkeeper.cli.output import shown

    if books.is_whole or books.since is not None:
        return None
    assert books.whole_at is not None, "the first of those that were continued"
    return f"{shown(books.whole_at)}; `tillkeeper audit --all` is the next"


def _print_faults(books: "Audit") -> None:
    """Prints a table for each kind of fault."""
    from tillkeeper.cli.output import cells, print_table

    tables: tuple[tuple[str, tuple[str, ...], Iterable[tuple[object, ...]]], ...] = (
        (
            "Missing: numbers that a receiver gave out and that stand nowhere",
            ("receiver's run", ">last number", ">missing"),
            (cells(run, "run", "last_number", "missing") for run in books.missing),
        ),
        (
            "Unbalanced deliveries",
            ("run", ">number", "account", ">events", ">duplicates", ">settled", ">parked"),
            (tuple(delivery.values()) for delivery in books.unbalanced),
        ),
        (
            "Unbalanced queries: so many were requested by deliveries, and so many have a result",
            ("account", ">wanted", ">accounted for"),
            (tuple(account.values()) for account in books.unfetched),
        ),
        (
            "Misjudged orders",
            ("order", "stored status", "the facts say"),
            (cells(order, "order_ref", "stored", "facts_say") for order in books.misjudged),
        ),
        (
            "Events whose order or delivery does not exist",
            ("account", "event", ">order", "run", ">number"),
            (cells(event, "account", "event_id", "order_id", "run", "number") for event in books.stray),
        ),
        (
            "Statements whose lines are not those that were read",
            (*("statement", "account", "kind", "currency"), *(">lines read", ">stored", ">amount read", ">stored")),
            (
                cells(
                    each,
                    *("statement", "account", "kind", "currency"),
                    *("read_lines", "stored_lines", "read_amount", "stored_amount"),
                )
                for each in books.misadded
            ),
        ),
        (
            "Nobody looks after these orders: no sweep will, and no case is open",
            ("order", "status", "since"),
            (cells(order, "order_ref", "status", "since") for order in books.unattended),
        ),
        (
            "Orders that stand otherwise in the list of open ones: lists and the sweep would miss them",
            ("order", "stands", "listed", "since", "listed since"),
            (tuple(order.values()) for order in books.mislisted),
        ),
        (
            "Open cases whose cause is gone",
            ("case", "kind", "about", "order"),
            (tuple(case.values()) for case in books.stale),
        ),
    )
    for table in tables:
        print_table(*table)


def _print_overdue(books: "Audit") -> None:
    from tillkeeper.cli.output import shown

    for what, overdue, role in (
        ("notices", books.overdue_notices, "notify"),
        ("orders", books.overdue_orders, "sweep"),
        ("queries of deliveries", books.overdue_fetches, "sweep"),
    ):
        if overdue.count:
            since = shown(overdue.oldest)
            print(f"Overdue {what}: {overdue.count}, the oldest since {since}; is `tillkeeper {role}` running?")


def _fetched(books: "Audit") -> str | None:
    """Says what became of the queries that deliveries caused; returns None where there were none."""
    if not books.fetches["wanted"]:
        return None
    became = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in books.fetches.items() if name != "wanted")
    return f"{books.fetches['wanted']} queries of deliveries: {became}"
