"""Implements `tillkeeper guard`: accounts that are paused, what would happen if they went on, and the decision."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import (
    AsJson,
    By,
    Config,
    exits,
    person,
    policy_from,
    reason,
    seconds,
    settings_from,
    unicode,
)

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.apply.try_held import OrderChange, Trial, TrialSums
    from tillkeeper.store.guard.deciding import Decision
    from tillkeeper.store.people.approvals import Approval
    from tillkeeper.store.reports.pauses import Pause

app = typer.Typer()
commands = typer.Typer(
    help="Accounts that are paused because their events changed far more than is usual: see them, and decide.",
    no_args_is_help=True,
)
app.add_typer(commands, name="guard")

TRIED_MAX: Final = 2_000  # some seconds, in which their orders are locked

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", parser=unicode, help="The account that is paused.")]
EndedToo = Annotated[bool, typer.Option("--all", help="Those about which somebody decided, too.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="The latest so many.")]
Tried = Annotated[int, typer.Option("--limit", min=1, max=TRIED_MAX, help="Try the oldest so many deliveries.")]
Why = Annotated[str, typer.Option("--note", "--reason", metavar="TEXT", parser=unicode, help="Why; it is kept.")]
DeafFor = Annotated[
    float | None,
    typer.Option(
        "--deaf-for", metavar="SPAN", parser=seconds, help="Pause the account by no rule for so long; else deaf_min."
    ),
]


@commands.command("list", epilog=exits(example="tillkeeper guard list --all"))
def list_command(
    ended_too: EndedToo = False, limit: Limit = 50, config: Config = None, as_json: AsJson = False
) -> None:
    """List paused accounts: since when, why, and how many deliveries wait."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, print_table
        from tillkeeper.store.reports.pauses import list_pauses

        async def query(pool: "Pool") -> "list[Pause]":
            async with pool.acquire() as conn:
                return await list_pauses(conn, ended_too=ended_too, limit=limit)

        found = ask(settings, query)
        if as_json:
            print_json({"pauses": [_as_json(pause) for pause in found]})
            return
        columns = ("account", "state", "rule", "since", ">waiting", "why", "decided by", "note")
        print_table("Paused accounts", columns, map(_row, found))
        if not found:
            print("No account is paused.")


def _row(pause: "Pause") -> tuple[object, ...]:
    why = pause.finding.text
    return pause.account, pause.state, pause.sign, pause.paused_at, pause.held, why, pause.decided_by, pause.note


def _as_json(pause: "Pause") -> dict[str, Any]:
    from datetime import datetime

    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(pause, builtin_types=(datetime,))
    return {**fields, "state": pause.state, "text": pause.finding.text}


@commands.command("show", epilog=exits(no="it is not paused", example="tillkeeper guard show stripe-main"))
def show_command(account: Account, limit: Tried = 1_000, config: Config = None, as_json: AsJson = False) -> None:
    """Show why an account is paused, and what would happen if it went on.

    What waits is applied in a transaction that is rolled back: which orders would change, by their statuses before and
    after; the sums; the ten largest.  Nothing of it is kept.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        policy = policy_from(settings)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.apply.try_held import try_held
        from tillkeeper.store.reports.pauses import list_pauses

        async def query(pool: "Pool") -> "tuple[Pause, Trial] | None":
            async with pool.acquire() as conn:
                open_now = await list_pauses(conn, ended_too=False, account=account, limit=1)
            if not open_now:
                return None
            return open_now[0], await try_held(pool, open_now[0].id, limit=limit, policy=policy, now=clock.now())

        found = ask(settings, query)
        if found is None:
            raise CommandError(f"{account} is not paused; `tillkeeper guard list --all` shows what was", code=NO)
        if as_json:
            import msgspec

            print_json({**_as_json(found[0]), "trial": msgspec.to_builtins(found[1])})
        else:
            _print(*found)


def _print(pause: "Pause", trial: "Trial") -> None:
    from tillkeeper.cli.output import print_facts, print_table

    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(trial.outcomes.items()))
    print_facts(
        {
            "account": pause.account,
            "state": pause.state,
            "why": pause.finding.text,
            "rule": pause.sign,
            "since": pause.paused_at,
            "waiting": f"{pause.held} deliveries",
            "tried": f"the oldest {trial.tried}" if trial.more else f"all {trial.tried}",
            "events": outcomes or "none",
            "would be parked": trial.would_be_parked + trial.unreadable or None,
            "notices": ", ".join(f"{count} to {audience}" for audience, count in trial.notices.items()) or "none",
        }
    )
    print()
    print_table("Orders, if it goes on", ("status before -> after", ">orders"), trial.statuses.items())
    print_table("Sums", ("currency", ">would come in", ">would go back"), map(_sums_row, trial.sums))
    changed = ("order", "status", ">amount", ">came in", ">went back")
    print_table("The largest changes", changed, map(_change_row, trial.largest))
    print("Let it go on:     tillkeeper guard go ACCOUNT --note WHY")
    print("Have it parked:   tillkeeper guard discard ACCOUNT --note WHY")


def _sums_row(each: "TrialSums") -> tuple[object, ...]:
    return each.currency, _money(each.captured, each.currency), _money(each.refunded, each.currency)


def _money(amount: int, currency: str) -> str:
    return f"-{in_words(-amount, currency)}" if amount < 0 else str(in_words(amount, currency))


def _change_row(each: "OrderChange") -> tuple[object, ...]:
    return (
        each.order_ref,
        f"{each.status_before} -> {each.status_after}",
        in_words(each.amount, each.currency),
        f"{in_words(each.captured_before, each.currency)} -> {in_words(each.captured_after, each.currency)}",
        f"{in_words(each.refunded_before, each.currency)} -> {in_words(each.refunded_after, each.currency)}",
    )


@commands.command(
    "go",
    epilog=exits(
        no="it is not paused, or somebody decided before you",
        example='tillkeeper guard go stripe-main --note "the flood after their outage; the console says the same"',
    ),
)
def go_command(
    account: Account,
    note: Why,
    deaf_for: DeafFor = None,
    by: By = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a paused account go on: workers apply all that waits, in its order, and what comes from now on.

    Until then and for an hour after it (deaf_min of [guard], or --deaf-for) no rule pauses it again.  Where the desk
    has more than one operator, this only proposes it: another one confirms it at the desk.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        deaf_s = int(deaf_for if deaf_for is not None else settings.guard.deaf_min * 60)
        _decide(account, "go", person(by), reason(note), deaf_s, config, as_json=as_json)


@commands.command(
    "discard",
    epilog=exits(
        no="it is not paused, or somebody decided before you",
        example='tillkeeper guard discard stripe-main --note "forged with a key that leaked; it is replaced"',
    ),
)
def discard_command(account: Account, note: Why, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have all that waits parked instead of applied: nothing vanishes, and each can be looked at and replayed.

    What comes from now on is applied, and the rules watch it as ever.  Where the desk has more than one operator, this
    only proposes it: another one confirms it at the desk.
    """
    with reported(as_json=as_json):
        _decide(account, "park", person(by), reason(note), 0, config, as_json=as_json)


def _decide(account: str, decision: "Decision", by: str, note: str, deaf_s: int, config: Any, *, as_json: bool) -> None:
    settings = settings_from(config)
    from tillkeeper import clock
    from tillkeeper.cli.database import ask
    from tillkeeper.cli.output import print_json
    from tillkeeper.store.guard.deciding import NotPaused
    from tillkeeper.store.guard.deciding_in_two import decide_at_terminal
    from tillkeeper.store.people.approvals import AlreadyProposed
    from tillkeeper.store.postgres.transactions import repeat_on_conflict
    from tillkeeper.store.reports.pauses import list_pauses

    async def work(pool: "Pool") -> "tuple[Pause, Approval | None]":
        told: dict[str, Any] = {"by": by, "note": note, "deaf_s": deaf_s, "now": clock.now()}
        proposed = await repeat_on_conflict(pool, lambda conn: decide_at_terminal(conn, account, decision, **told))
        async with pool.acquire() as conn:
            return (await list_pauses(conn, ended_too=True, account=account, limit=1))[0], proposed

    try:
        pause, proposed = ask(settings, work)
    except NotPaused as refused:
        raise CommandError(str(refused), code=NO) from None
    except AlreadyProposed:
        raise CommandError(f"somebody has proposed it for {account}; see /proposals at the desk", code=NO) from None
    if as_json:
        print_json({"act": decision, "proposal": proposed.id if proposed else None, **_as_json(pause)})
    elif proposed is not None:
        print(f"{account}  proposed, for another operator to confirm at the desk: /accounts/{account}/pause")
    else:
        becomes = "applied" if decision == "go" else "parked"
        print(f"{account}  {pause.held} deliveries are being {becomes}; `guard list` shows how many are left")
