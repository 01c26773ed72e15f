"""Implements `tillkeeper inspect`, which explains captured requests."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, name_file

if TYPE_CHECKING:
    from tillkeeper.accounts import KnownAccounts

app = typer.Typer()

FILE_BYTES_MAX: Final = 32 * 1024 * 1024  # the largest body that a receiver can be set to take, in base64, and headers
STANDARD_INPUT: Final = Path("-")

Files = Annotated[list[Path], typer.Argument(metavar="REQUEST.json", help="Captured requests; - is standard input.")]
Account = Annotated[str | None, typer.Option("--account", help="The account that received them.")]
Now = Annotated[
    int | None,
    typer.Option("--now", metavar="UNIX", min=0, max=253_402_300_799, help="When, in seconds since 1970."),
]


Statement = Annotated[bool, typer.Option("--statement", help="The files are statements of --account.")]


@app.command(
    "inspect",
    epilog=exits(
        yes="all are verified, or can be read",
        no="one is not, or cannot",
        needs_servers=False,
        example="tillkeeper inspect --account stripe-main --now 1798000000 request.json",
    ),
)
def inspect_command(
    files: Files,
    account: Account = None,
    now: Now = None,
    statement: Statement = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Explain captured requests: verified or why not, and the events in them.  Changes nothing, needs no server.

    With --statement the files are a gateway's statements, or tables that [books.statements.ACCOUNT] reads: their first
    lines as they are understood, their sums, and the line at which one is refused.

    REQUEST.json is {"method", "url", "headers": {}, "body": "..."} or "body_b64"; "account" and "now" in it count
    where the options do not say.  What `refused show --json` prints is such a file, too.  Only the accounts of the
    configuration are needed.  What is refused is examined as `tillkeeper refused` does.  With --json: one line a file.
    """
    with reported(as_json=as_json):
        if statement:
            _inspect_statements(files, account, config, as_json=as_json)
            return
        accounts = _accounts(config)
        if account is not None and account not in accounts.gateways:
            there_are = ", ".join(sorted(accounts.gateways))
            raise CommandError(f"there is no account {account!r}; there are: {there_are}", code=WRONG)
        from tillkeeper import clock
        from tillkeeper.cli.output import print_json

        all_verified = True
        for file in files:
            found = _inspected(file, accounts, account, _moment(now), clock.now())
            all_verified &= found["verified"]
            if as_json:
                print_json(found)
            else:
                _print(file, found)
        if not all_verified:
            raise typer.Exit(NO)


def _inspect_statements(files: list[Path], account: str | None, config: Path | None, *, as_json: bool) -> None:
    from tillkeeper.cli.inspect_statement import inspect_statements
    from tillkeeper.cli.options import settings_from

    settings = settings_from(config)
    if account not in settings.accounts:
        known = ", ".join(sorted(settings.accounts)) or "none"
        raise CommandError(f"--statement needs --account, one of: {known}", code=WRONG)
    if not inspect_statements(settings, account, files, as_json=as_json):
        raise typer.Exit(NO)


def _accounts(config: Path | None) -> "KnownAccounts":
    from tillkeeper.accounts import KnownAccounts
    from tillkeeper.settings import BadSettings, load_accounts

    name_file(config)
    try:
        accounts = KnownAccounts(load_accounts())
    except BadSettings as error:
        raise CommandError(*error.problems, code=WRONG) from None
    if not accounts.gateways:
        raise CommandError(
            "no account is configured; name the file with --config PATH or TILLKEEPER_CONFIG", code=WRONG
        )
    return accounts


def _inspected(
    file: Path,
    accounts: "KnownAccounts",
    account: str | None,
    now: datetime | None,
    default_now: datetime,
) -> dict[str, Any]:
    from tillkeeper.gateways.inspection import inspect_request

    try:
        captured = _read(file)
    except OSError as error:
        return {"verified": False, "reason": f"the file cannot be read: {error.strerror}", "events": []}
    if len(captured) > FILE_BYTES_MAX:
        return {"verified": False, "reason": f"the file is greater than {FILE_BYTES_MAX} bytes", "events": []}
    return inspect_request(
        captured, accounts.gateways, account, now, default_now=default_now, examine=accounts.diagnosis
    )


def _read(file: Path) -> bytes:
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
    with file.open("rb") as opened:
        return opened.read(FILE_BYTES_MAX + 1)


def _moment(seconds: int | None) -> datetime | None:
    from tillkeeper.gateways.kit.fields import moment_from_unix

    return None if seconds is None else moment_from_unix(seconds)


def _print(file: Path, found: dict[str, Any]) -> None:
    from tillkeeper.cli.output import shown

    name = "standard input" if file == STANDARD_INPUT else shown(file)
    if not found["verified"]:
        print(f"{name}: NOT verified: {shown(found['reason'])}")
        if diagnosis := found.get("diagnosis"):
            print(f"  {diagnosis['finding']}" + (f": {shown(diagnosis['detail'])}" if diagnosis["detail"] else ""))
            print(f"  {diagnosis['advice']}")
        return
    events, fetches = found["events"], found.get("fetches", ())
    proof = "verified" if found.get("proven", True) else "nothing is signed, anybody could have sent it"
    if events:
        print(f"{name}: {proof}, {len(events)} events")
    elif fetches:
        print(f"{name}: {proof}; it says only that something happened")
    else:
        print(f"{name}: {proof}; it holds no event that matters")
    for event in events:
        print(f"  {event['kind']}  {shown(event['event_id'])}")
        for line in _lines(event):
            print(f"    {shown(line)}")
    for remark in found.get("remarks", ()):
        print(f"  look here: {shown(remark)}")
    for query in fetches:
        refs = (f"{name} {query[f'{name}_ref']}" for name in ("order", "payment", "refund") if query[f"{name}_ref"])
        print(f"  the gateway is asked about a {query['about']}: {shown(', '.join(refs))}")


def _lines(event: dict[str, Any]) -> list[str]:
    """Yields an event in words."""
    order = event["order_ref"]
    lines = [
        f"order {order}" if order else "names no order; it is found by its payment",
        event["payment_ref"] and f"payment {event['payment_ref']}",
        event["refund_ref"] and f"refund {event['refund_ref']}",
        (amount := in_words(event["amount"], event["currency"])) and f"amount {amount}",
        (total := in_words(event["total"], event["currency"])) and f"total so far {total}",
        event["failure"] and f"failed: {event['failure']}",
        f"happened {event['occurred_at']}",
    ]
    return [line for line in lines if line]
