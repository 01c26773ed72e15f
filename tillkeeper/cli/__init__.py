"""The command line: each subject has a module, whose commands are assembled here; others may be installed beside them.

Modules import what they need inside their commands, so that `--help` and short commands start quickly.
"""

import sys
from typing import Annotated

import typer

from tillkeeper import __version__
from tillkeeper.cli import (
    audit,
    backfill,
    bank,
    books,
    broker,
    case_acts,
    cases,
    chain,
    check,
    claim,
    db,
    erase,
    events,
    explain,
    find,
    guarding,
    handover,
    init,
    inspection,
    keys,
    ledger,
    order,
    outbox,
    parked,
    policy,
    reconcile,
    refused,
    rehearse,
    report,
    retention,
    roles,
    run,
    shadow,
    stuck,
    user,
    user_account,
    waiting,
    words,
)
from tillkeeper.cli.installed import Commands
from tillkeeper.cli.stdout import guard

app = typer.Typer(
    cls=Commands,
    help="Keeps a merchant's order payment state true: takes in the webhooks of payment gateways, and applies each to "
    "its order exactly once in effect.\n\n"
    "Settings come from a TOML file, named by --config or TILLKEEPER_CONFIG, and from the environment, which wins.\n\n"
    "Every command takes --json, and --help tells what it does, with an example and its exit codes.",
    epilog="Exit codes: 0 done, or yes; 1 the answer is no; 2 wrong usage or bad configuration; 3 the database or the "
    "broker is out of reach; 4 the database has a schema that this version cannot serve; 74 standard output could not "
    "be written; 130 ended by Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},  # commands inherit it
)
SUBJECTS = (
    *(init, check, run, roles),
    *(find, claim, explain, db, order, events, stuck, cases, case_acts, handover, backfill),
    *(reconcile, bank, books),
    *(user, user_account, waiting, parked, guarding, refused, outbox),
    *(keys, words, policy, broker, inspection, retention, erase, rehearse, shadow, ledger, report, chain, audit),
)
for subject in SUBJECTS:
    app.add_typer(subject.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tillkeeper {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
]


@app.callback()
def _take_common_options(version: Version = False) -> None:
    """Takes the options that stand before any command; the callback of each acts on it."""


def main() -> None:
    """Runs `tillkeeper`."""
    guard()
    try:
        app(prog_name="tillkeeper")
    finally:
        sys.stdout.flush()  # the last moment to report that output could not be written
