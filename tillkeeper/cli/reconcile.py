"""Implements `tillkeeper reconcile`: takes in statements of a gateway, and compares them with the orders."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import msgspec
import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, By, Config, exits, person, policy_from, serving_settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.domain.books.statement import StatementLine
    from tillkeeper.settings import Settings
    from tillkeeper.store.books.matching import VerdictCount
    from tillkeeper.store.books.taking import StatementFile, TakenStatement
    from tillkeeper.workers.reconcile import Reconciled

app = typer.Typer()

FILES_MAX: Final = 100
FIRST_LINES: Final = 5  # of each file, for people to see how it was read
CHUNK_BYTES: Final = 1024 * 1024

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", parser=unicode, help="An account of the settings.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Statements of it, as the gateway gave them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell how they are read and what differs; change nothing.")]


@app.command(
    "reconcile",
    epilog=exits(
        yes="done; nothing differs",
        no="something differs, or another reconciles the account, or the guard has paused it",
        example="tillkeeper reconcile wechatpay-main bill-2026-11-22.csv --dry-run",
    ),
)
def reconcile_command(
    account: Account,
    files: Files,
    dry_run: DryRun = False,
    by: By = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take in an account's statements, and compare them with its orders.

    What the gateway alone has is applied as an event, like a webhook's.  What differs otherwise becomes a case, once,
    which closes by itself when a later statement or event settles it.  Packed files are read as they are (gz, zip).

    Each file is taken in whole or refused with its line.  The same file again changes nothing, and completes a run that
    was cut off; a newer one of the same time takes the place of the older.  Give the parts of one day together.
    """
    who = person(by)
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.domain.books.statement import StatementRefused
        from tillkeeper.logs import set_up_logging

        if account not in settings.accounts:
            known = ", ".join(sorted(settings.accounts)) or "none"
            raise CommandError(f"no account {account!r} is configured; known are {known}", code=WRONG)
        if len(files) > FILES_MAX:
            raise CommandError(f"{FILES_MAX} files are the most; give the rest in another command", code=WRONG)
        set_up_logging("reconcile", level="WARNING")
        reading = _Reading(settings, account)
        try:
            opened = [reading.open(file) for file in files]
            done = ask(settings, lambda pool: _reconcile(settings, pool, account, opened, who, dry_run))
        except StatementRefused as refused:
            raise CommandError(f"{reading.name}: {refused}; nothing was taken in", code=WRONG) from None
        finally:
            reading.close()
        _print(account, done, reading, dry_run=dry_run, as_json=as_json)
        differs = any(_differs(count) for count in _counts(done)) if dry_run else done.left
        if differs or done.failed:
            raise typer.Exit(NO)


class _Reading:
    """The files, and their first lines once they were read; `name` is the one that is read."""

    def __init__(self, settings: "Settings", account: str) -> None:
        self._account = account
        self._settings = settings.accounts[account]
        self._mapping = settings.books.statements.get(account)
        self._forms = settings.build_gateways()[account].statement_forms
        self._opened: list[BinaryIO] = []
        self.name = ""
        self.first: list[list[StatementLine]] = []  # of each file

    def open(self, path: Path) -> "StatementFile":
        """Opens a file and finds its form.  Raises StatementRefused or CommandError."""
        from tillkeeper.gateways.statement_reading import read_statement
        from tillkeeper.store.books.taking import StatementFile

        self.name = path.name
        try:
            file = path.open("rb")
            self._opened.append(file)
            digest = _digest(file)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}", code=WRONG) from None
        reading = read_statement(self._forms, self._account, self._settings, file, self._mapping)
        self.first.append([])
        lines = self._watched(path.name, reading.lines(), self.first[-1])
        return StatementFile(
            name=path.name, digest=digest, form=reading.form.name, lines=lines, statement=reading.statement
        )

    def _watched(
        self, name: str, lines: "Iterator[StatementLine]", first: "list[StatementLine]"
    ) -> "Iterator[StatementLine]":
        self.name = name
        for line in lines:
            if len(first) < FIRST_LINES:
                first.append(line)
            yield line

    def close(self) -> None:
        """Closes the files."""
        for file in self._opened:
            file.close()


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.digest()


async def _reconcile(
    settings: "Settings", pool: "Pool", account: str, files: "list[StatementFile]", by: str, dry_run: bool
) -> "Reconciled":
    from uuid import uuid4

    from tillkeeper import clock
    from tillkeeper.cli.reconcile_progress import shown_progress
    from tillkeeper.store.books.exclusive import AnotherReconciles
    from tillkeeper.workers.reconcile import AccountPaused, MostlyForeign, Reconciler

    with shown_progress() as heard:
        reconciler = Reconciler(
            pool,
            account,
            policy=policy_from(settings),
            run=uuid4(),
            by=by,
            now=clock.now,
            guard=settings.guard.rules(),
            heard=heard,
        )
        try:
            done = await reconciler.reconcile(files, dry_run=dry_run)
        except AnotherReconciles:
            raise CommandError(f"somebody else reconciles {account}; try again once they are done", code=NO) from None
        except MostlyForeign as foreign:
            raise CommandError(
                f"{foreign}: nothing was taken in",
                "is the file of this account, and of this shop?  --dry-run shows it; whose lines are yours, "
                f"order_prefixes of [books.accounts.{account}] in the policy says: then they wait for their orders",
                code=WRONG,
            ) from None
        except AccountPaused:
            raise CommandError(
                f"the guard has paused {account}: see `tillkeeper guard show {account}`; the statements are taken in, "
                "and giving them again goes on once somebody has decided",
                code=NO,
            ) from None
    if not dry_run:
        await _look_for_payouts(settings, pool, account)
    return done


async def _look_for_payouts(settings: "Settings", pool: "Pool", account: str) -> None:
    """Looks for the payouts that these statements list, in what is known of the banks that they go to."""
    from tillkeeper import clock
    from tillkeeper.cli.bank import terms_of
    from tillkeeper.store.books.bank import settle_payouts

    for name, bank in settings.banks.items():
        if account in bank.payouts:
            async with pool.acquire() as conn, conn.transaction():
                policy = policy_from(settings).cases
                await settle_payouts(conn, name, terms_of(bank), policy=policy, now=clock.now())


# --- what is told -----------------------------------------------------------------------------------------------------


def _counts(done: "Reconciled") -> "list[VerdictCount]":
    return [count for tally in done.tallies.values() for count in tally.counts.values()]


def _differs(count: "VerdictCount") -> bool:
    from tillkeeper.domain.books.matching import DIFFERENCES

    return count.verdict in DIFFERENCES


def _print(account: str, done: "Reconciled", reading: _Reading, *, dry_run: bool, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json

    if as_json:
        print_json(
            {
                "account": account,
                "dry_run": dry_run,
                "statements": [_statement_as_json(taken, done) for taken in done.taken],
                "outcomes": dict(done.outcomes),
                "failed": done.failed,
                "settled": done.settled,
                "left": done.left,
                "cases": dict(done.cases),
            }
        )
        return
    for taken, first in zip(done.taken, reading.first, strict=True):
        _print_taken(taken, first)
    _print_verdicts(done)
    _print_left(done, dry_run=dry_run)


def _statement_as_json(taken: "TakenStatement", done: "Reconciled") -> dict[str, Any]:
    tally = done.tallies.get(taken.id)
    return {
        **msgspec.to_builtins(taken, builtin_types=()),
        "verdicts": [msgspec.to_builtins(count) for count in tally.counts.values()] if tally else [],
    }


def _print_taken(taken: "TakenStatement", first: "list[StatementLine]") -> None:
    from tillkeeper.cli.output import print_facts, print_table

    print_facts(
        {
            "statement": taken.id,
            "form": taken.form,
            "from": taken.begins,
            "to": taken.ends,
            "its days": taken.zone,
            "covers": ", ".join(sorted(taken.covers)) or "nothing whole: it lists what was settled",
            "lines": f"{taken.lines:,}",
            "known": None if taken.is_new else "it was taken in before",
            "takes the place of": ", ".join(map(str, taken.superseded)) or None,
            "superseded by": taken.superseded_by,
        }
    )
    print()
    columns = ("line", "kind", ">amount", "order", "payment", "refund or dispute", "when")
    print_table("Its first lines, as they were read", columns, map(line_row, first))
    rows = ((each.kind, f"{each.lines:,}", signed(each.amount, each.currency)) for each in taken.sums)
    print_table("Its sums", ("kind", ">lines", ">amount"), rows)
    rows = ((each.kind, f"{each.lines:,}", signed(each.amount, each.currency)) for each in taken.unnamed)
    print_table("Compared with nothing: they name no payment, refund or dispute", ("kind", ">lines", ">amount"), rows)


def line_row(line: "StatementLine") -> tuple[object, ...]:
    """Returns a line of a statement as a row of a table."""
    return (
        line.number,
        line.kind,
        signed(line.amount, line.currency),
        line.order_ref,
        line.payment_ref,
        line.refund_ref or line.dispute_ref,
        line.occurred_at or line.settled_on,
    )


def signed(amount: int, currency: str) -> str:
    """Writes an amount that may be negative."""
    words = in_words(abs(amount), currency) or ""
    return f"-{words}" if amount < 0 else words


def _print_verdicts(done: "Reconciled") -> None:
    from tillkeeper.cli.output import TextStyle, Toned, print_table

    counts = sorted(_counts(done), key=lambda each: (not _differs(each), each.verdict, each.object, each.currency))
    rows = (
        (
            Toned(count.verdict, TextStyle.LOOK if _differs(count) else TextStyle.PLAIN),
            count.object,
            f"{count.count:,}",
            signed(count.amount, count.currency),
        )
        for count in counts
    )
    print_table("What comes of comparing", ("verdict", "of", ">number", ">amount"), rows)


def _print_left(done: "Reconciled", *, dry_run: bool) -> None:
    if dry_run:
        print("Nothing was changed.")
        return
    if done.outcomes:
        print("events applied: " + ", ".join(f"{count} {what}" for what, count in sorted(done.outcomes.items())))
    if done.failed:
        print(f"{done.failed} events could not be applied; the log says why")
    if done.settled:
        print(f"settled by now: {done.settled}")
    if done.cases:
        print("cases opened: " + ", ".join(f"{count} {kind}" for kind, count in sorted(done.cases.items())))
    print(f"{done.left} differ still: `tillkeeper books differences`" if done.left else "Nothing differs.")
