"""Implements `tillkeeper bank`: takes in statements of a bank account, and looks for the gateways' payouts in them."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, By, Config, exits, person, policy_from, serving_settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.domain.books.bank import BankStatement, PayoutArrival, Terms
    from tillkeeper.settings import BankSettings, Settings
    from tillkeeper.store.books.bank import TakenBankStatement

app = typer.Typer()

Bank = Annotated[
    str, typer.Argument(metavar="BANK", parser=unicode, help="A bank account of the settings, [banks.NAME].")
]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Its statements: camt.053, MT940, or tables.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Tell how they are read and what becomes of payouts; change nothing.")
]


@app.command(
    "bank",
    epilog=exits(
        yes="done; no payout is missing",
        no="a payout is missing or differs",
        example="tillkeeper bank main statement-2026-11-22.xml",
    ),
)
def bank_command(
    bank: Bank,
    files: Files,
    dry_run: DryRun = False,
    by: By = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take in statements of a bank account, and look for the gateways' payouts in them.

    The gateways' own statements (`tillkeeper reconcile`) say what they sent.  A payout that is not there by the day on
    which the bank's statements should have it becomes a case, once, which closes by itself when a later statement lists
    it.  The same file again changes nothing, and entries that stand in two files are kept once.
    """
    who = person(by)
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.domain.books.statement import StatementRefused

        known = settings.banks.get(bank)
        if known is None:
            there_are = ", ".join(sorted(settings.banks)) or "none"
            raise CommandError(f"no bank account {bank!r} is configured; known are {there_are}", code=WRONG)
        try:
            read = [(file, *_read(file, known)) for file in files]
            taken, arrivals = ask(settings, lambda pool: _take(settings, pool, bank, read, who, dry_run))
        except StatementRefused as refused:
            raise CommandError(f"{refused}; nothing was taken in", code=WRONG) from None
        _print(taken, arrivals, as_json=as_json, dry_run=dry_run)
        if any(arrival.verdict in {"missing", "differs"} for arrival in arrivals):
            raise typer.Exit(NO)


def _read(file: Path, settings: "BankSettings") -> "tuple[bytes, list[BankStatement]]":
    from tillkeeper.banks.reading import bank_statements
    from tillkeeper.domain.books.statement import StatementRefused

    try:
        with file.open("rb") as opened:
            digest = hashlib.sha256(opened.read()).digest()
            opened.seek(0)
            return digest, list(bank_statements(opened, settings.table))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", code=WRONG) from None
    except StatementRefused as refused:
        raise StatementRefused(f"{file.name}: {refused}") from None


async def _take(
    settings: "Settings",
    pool: "Pool",
    bank: str,
    read: "list[tuple[Path, bytes, list[BankStatement]]]",
    by: str,
    dry_run: bool,
) -> "tuple[list[TakenBankStatement], list[PayoutArrival]]":
    from tillkeeper import clock
    from tillkeeper.store.books.bank import settle_payouts, take_bank_file

    known, now = settings.banks[bank], clock.now()
    taken: list[TakenBankStatement] = []
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        try:
            for file, digest, statements in read:
                taken += await take_bank_file(
                    conn, bank, statements, digest=digest, name=file.name, iban=known.iban, by=by, now=now
                )
            policy = policy_from(settings).cases
            arrivals = await settle_payouts(conn, bank, terms_of(known), policy=policy, now=now)
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.rollback() if dry_run else transaction.commit())
    return taken, arrivals


def terms_of(settings: "BankSettings") -> "Terms":
    """Returns by what a bank account's payouts are known; what its statements cover the store adds."""
    from tillkeeper.domain.books.bank import Terms

    return Terms(words=settings.payouts, within_days=settings.within_days, covered_until=None)


def _print(taken: "list[TakenBankStatement]", arrivals: "list[PayoutArrival]", *, as_json: bool, dry_run: bool) -> None:
    import msgspec

    from tillkeeper.cli.output import print_json, print_table

    if as_json:
        statements = [msgspec.to_builtins(each) for each in taken]
        print_json({"dry_run": dry_run, "statements": statements, "payouts": [_as_json(each) for each in arrivals]})
        return
    rows = (
        (each.begins, each.ends, each.currency, f"{each.entries:,}", f"{each.new_entries:,}", each.gap)
        for each in taken
    )
    print_table("Statements", ("from", "to", "currency", ">entries", ">new", "look here"), rows)
    columns = ("account", "payout", ">amount", "sent on", "verdict", "arrived on", "found by")
    print_table("Payouts that had not arrived before", columns, map(_row, arrivals))
    counts = Counter(each.verdict for each in arrivals)
    said = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in sorted(counts.items()))
    print(f"{said or 'No payout was looked for: the gateways statements list none that has not arrived'}.")


def _row(arrival: "PayoutArrival") -> tuple[object, ...]:
    from tillkeeper.cli.output import TextStyle, Toned

    payout, entry = arrival.payout, arrival.entry
    tone = TextStyle.ALARM if arrival.verdict in {"missing", "differs"} else TextStyle.PLAIN
    return (
        payout.account,
        payout.ref,
        in_words(payout.amount, payout.currency),
        payout.sent_on,
        Toned(arrival.verdict.replace("_", " "), tone),
        entry.booked_on if entry else None,
        arrival.found_by,
    )


def _as_json(arrival: "PayoutArrival") -> dict[str, Any]:
    payout, entry = arrival.payout, arrival.entry
    return {
        "account": payout.account,
        "payout_ref": payout.ref,
        "amount_minor": payout.amount,
        "currency": payout.currency,
        "sent_on": payout.sent_on,
        "verdict": arrival.verdict,
        "arrived_on": entry.booked_on if entry else None,
        "arrived_minor": entry.amount if entry else None,
        "found_by": arrival.found_by,
    }
