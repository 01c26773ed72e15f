"""Implements `tillkeeper policy`, which checks a policy and draws it."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, name_file, unicode

if TYPE_CHECKING:
    from tillkeeper.domain.policy import Policy
    from tillkeeper.domain.statuses import Status

app = typer.Typer()
commands = typer.Typer(
    help="What becomes of stuck orders: whether the policy is right, and what it says.", no_args_is_help=True
)
app.add_typer(commands, name="policy")

File = Annotated[
    Path | None, typer.Argument(metavar="[PATH]", help="A policy; else the one that the settings name, or the default.")
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="A", parser=unicode, help="As it is at this account.")
]
Method = Annotated[
    str | None, typer.Option("--method", metavar="M", parser=unicode, help="For this way of paying there.")
]
InStatus = Annotated[str | None, typer.Option("--status", metavar="S", parser=unicode, help="One status alone.")]


@commands.command(
    "check",
    epilog=exits(
        yes="it is right", no="it is not", needs_servers=False, example="tillkeeper policy check deploy/policy.toml"
    ),
)
def check_command(path: File = None, config: Config = None, as_json: AsJson = False) -> None:
    """Check a policy before it is put in force, and tell all that is wrong with it.

    Needs no server and no secret.  The accounts that it names are checked where a configuration is at hand.
    With --json: {"path", "right", "problems", "digest"}.
    """
    with reported(as_json=as_json):
        named, accounts = _settings(config)
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.policy import BadPolicy, digest_of, load_policy

        path = path or named
        digest: str | None = None
        problems: tuple[str, ...] = ()
        try:
            digest = digest_of(load_policy(path, accounts))
        except BadPolicy as error:
            problems = error.problems
        if as_json:
            print_json({"path": path, "right": not problems, "problems": problems, "digest": digest})
        else:
            name = shown(path or "the default policy")
            print(f"{name}: is NOT right" if problems else f"{name}: is right, digest {digest}")
            for problem in problems:
                print(f"  {shown(problem)}")
        if problems:
            raise typer.Exit(NO)


@commands.command(
    "show",
    epilog=exits(needs_servers=False, example="tillkeeper policy show --account alipay-main --status processing"),
)
def show_command(
    account: Account = None,
    method: Method = None,
    in_status: InStatus = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Draw the ladders of the policy that the settings name, or of the default one: what is done, and when.

    Without --account: in general, and then where an account or method differs.  With --json: the digest, each
    status' moments by action as the policy writes them, and the other keys.
    """
    with reported(as_json=as_json):
        path, accounts = _settings(config)
        _check_place(account, method, accounts)
        statuses = _statuses(in_status)
        from tillkeeper.policy import BadPolicy, load_policy

        try:
            policy = load_policy(path, accounts)
        except BadPolicy as error:
            raise CommandError(*error.problems, code=WRONG) from None
        _check_method(policy, account, method)
        _print(policy, statuses, account, method, as_json=as_json)


def _settings(config: Path | None) -> tuple[Path | None, Collection[str] | None]:
    """Returns the policy's file and the accounts' names; None for what the settings do not have."""
    from tillkeeper.settings import BadSettings, load_policy_settings

    name_file(config)
    try:
        path, accounts = load_policy_settings()
    except BadSettings as error:
        raise CommandError(*error.problems, code=WRONG) from None
    return path, accounts or None


def _check_place(account: str | None, method: str | None, accounts: Collection[str] | None) -> None:
    if method is not None and account is None:
        raise CommandError("--method is one at an account: name it with --account", code=WRONG)
    if account is not None and accounts is not None and account not in accounts:
        raise CommandError(f"no account {account!r} is configured; known are {', '.join(sorted(accounts))}", code=WRONG)


def _check_method(policy: "Policy", account: str | None, method: str | None) -> None:
    """Raises CommandError for a method that the policy does not name at the account: its ladder would be another's."""
    if account is None or method is None:
        return
    at_account = policy.accounts.get(account)
    known = sorted(at_account.methods) if at_account is not None else []
    if method not in known:
        names = ", ".join(known) or "none"
        raise CommandError(
            f"the policy knows no method {method!r} at {account}; there are: {names}; any other has the account's "
            "ladders, which are shown without --method",
            code=WRONG,
        )


def _statuses(name: str | None) -> "tuple[Status, ...]":
    from tillkeeper.domain.statuses import Status

    if name is None:
        return tuple(Status)
    if name not in set(Status):
        raise CommandError(f"{name!r} is no status; known are {', '.join(Status)}", code=WRONG)
    return (Status(name),)


def _print(
    policy: "Policy", statuses: "tuple[Status, ...]", account: str | None, method: str | None, *, as_json: bool
) -> None:
    from tillkeeper.cli.output import print_facts, print_json, shown
    from tillkeeper.policy import digest_of
    from tillkeeper.policy.drawing import draw_policy, policy_as_json

    others = _tables(policy)
    if as_json:
        ladders = policy_as_json(policy, statuses, account, method)
        print_json({"digest": digest_of(policy), "account": account, "method": method, "ladders": ladders, **others})
        return
    for line in draw_policy(policy, statuses, account, method):
        print(shown(line))
    print_facts({f"{table}.{key}": value for table, keys in others.items() for key, value in keys.items()})


def _tables(policy: "Policy") -> dict[str, dict[str, str | int | float]]:
    """Returns the tables beside the ladders, as a policy writes them."""
    from tillkeeper.policy.spans import short, written_all

    silence, books = policy.silence, policy.books.terms
    closed = [moment for steps in policy.closed.actions for moment in written_all(steps)]
    return {
        "cases": {"follow_up": short(policy.cases.follow_up), "levels": policy.cases.levels},
        "unmatched": {"case": short(policy.unmatched_case)},
        "closing": {"after": policy.after_close},
        "closed": {"query": ", ".join(closed) or "never"},
        "silence": {
            "after": "learned" if silence.after is None else short(silence.after),
            "learning": short(silence.learning),
            "false_alarm": silence.false_alarm,
            "least": short(silence.least),
            "ask_every": short(silence.ask_every),
            "unanswering": short(silence.unanswering),
        },
        "hints": {"per_minute": policy.hints.per_minute, "again_after": short(policy.hints.again_after)},
        "books": {"buffer": short(books.buffer), "fetch": "yes" if books.fetch else "no"},
    }
