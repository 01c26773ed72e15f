"""Implements `tillkeeper backfill`, which takes in missed events from the gateway's list or by queries."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from uuid import UUID

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, seconds, serving_settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.settings import Settings
    from tillkeeper.store.postgres.pool import Conn
    from tillkeeper.workers.backfill import BackfillResult, GapFiller

app = typer.Typer()

Result = TypeVar("Result")

LOOK_EVERY_S: Final = 1.0
NOTHING_MOVES: Final = 120  # checks without a change, until it reports that no sweep runs

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", parser=unicode, help="An account of the settings.")]
Since = Annotated[
    float | None,
    typer.Option(metavar="SPAN", parser=seconds, help="How long ago it begins, such as 6h; else where the last ended."),
]
Until = Annotated[float, typer.Option(metavar="SPAN", parser=seconds, help="How long ago it ends.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the orders were asked about, and tell what came of it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done; change nothing.")]


@app.command(
    "backfill",
    epilog=exits(
        no="the gateway did not answer, an event could not be applied, or another backfill is under way",
        example="tillkeeper backfill stripe-main --since 6h",
    ),
)
def backfill_command(
    account: Account,
    since: Since = None,
    until: Until = "0",  # type: ignore[assignment]
    wait: Wait = False,
    dry_run: DryRun = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take in what an account's webhooks missed.

    A gateway with a list of events (Stripe, 30 days) has it listed; known events are no change.  Of another one, open
    orders are asked about by `tillkeeper sweep`, within half the account's limits: all that are partly paid, or whose
    payment or refund is under way, and those that could be paid in the span.

    Safe to repeat.  What is done stays done when it is stopped; without --since it goes on from there.
    """
    with reported(as_json=as_json):
        settings = serving_settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.logs import set_up_logging

        if account not in settings.accounts:
            known = ", ".join(sorted(settings.accounts)) or "none"
            raise CommandError(f"no account {account!r} is configured; known are {known}", code=WRONG)
        set_up_logging("backfill", level="WARNING")
        report = ask(settings, lambda pool: _backfill(settings, pool, account, (since, until), wait, dry_run))
        _print(report, as_json=as_json)
        if report["failed"] or report["unasked"]:
            raise typer.Exit(NO)


async def _backfill(
    settings: "Settings", pool: "Pool", account: str, ago_s: tuple[float | None, float], wait: bool, dry_run: bool
) -> dict[str, Any]:
    from uuid import uuid4

    from tillkeeper import clock
    from tillkeeper.api_client.client import QueryFailed, open_api_client
    from tillkeeper.policy import load_policy
    from tillkeeper.store.postgres.lease import LeaseLost
    from tillkeeper.store.postgres.transactions import repeat_on_conflict
    from tillkeeper.workers.backfill import GapFiller

    def transact(work: "Callable[[Conn], Awaitable[Result]]") -> Awaitable[Result]:
        return repeat_on_conflict(pool, work)

    now, by = clock.now(), uuid4()
    since, until = await _span(pool, account, ago_s, now)
    policy = load_policy(settings.policy, settings.accounts)
    async with open_api_client(settings.build_gateways(), settings.api_client) as api_client:
        if not api_client.can_query(account):
            raise CommandError(f"account {account!r} has no credentials to ask its gateway with", code=WRONG)
        gaps = GapFiller(
            lists=api_client,
            transact=transact,
            policy=lambda: policy,
            now=clock.now,
            calls_per_s=settings.api_client.calls_per_s,
            by=by,
            dry_run=dry_run,
        )
        try:
            result = await _fill(pool, gaps, account, since, until, None if dry_run else by)
        except QueryFailed as error:
            raise CommandError(f"{account} did not answer: {error}; what was taken in stays", code=NO) from None
        except LeaseLost:
            raise CommandError(f"another backfill of {account} took over, for this one was too slow", code=NO) from None
    answers = await _answers(pool, result.asked) if wait else None
    return _report(account, since, until, result, answers, dry_run)


async def _span(
    pool: "Pool", account: str, ago_s: tuple[float | None, float], now: datetime
) -> tuple[datetime, datetime]:
    from tillkeeper.store.jobs.backfill import good_until

    since_s, until_s = ago_s
    until = now - timedelta(seconds=until_s)
    if since_s is not None:
        since = now - timedelta(seconds=since_s)
    else:
        async with pool.acquire() as conn:
            last = await good_until(conn, account)
        if last is None:
            raise CommandError(f"no list of {account} was ever taken in: say --since", code=WRONG)
        since = last
    if since >= until:
        raise CommandError("the span ends before it begins: --since is longer ago than --until", code=WRONG)
    return since, until


async def _fill(
    pool: "Pool", gaps: "GapFiller", account: str, since: datetime, until: datetime, by: UUID | None
) -> "BackfillResult":
    """Fills the span while this run has leased the account; a dry run leases nothing."""
    from tillkeeper import clock
    from tillkeeper.store.jobs.backfill import claim_account, finish

    if by is None:
        return await gaps.fill(account, since, until)
    async with pool.acquire() as conn:
        if not await claim_account(conn, account, by=by, now=clock.now()):
            raise CommandError(
                f"a backfill of {account} is under way; it holds the account for minutes at most", code=NO
            )
    try:
        return await gaps.fill(account, since, until)
    finally:
        async with pool.acquire() as conn:
            await finish(conn, account, requested_since=None, until=until, by=by)


async def _answers(pool: "Pool", asked: dict[int, datetime]) -> Counter[str]:
    """Counts the results of the queries; waits as long as results come in."""
    from tillkeeper.store.jobs.backfill import UNDECIDED, count_results

    before, still = None, 0
    while True:
        async with pool.acquire() as conn:
            came = await count_results(conn, asked)
        still = still + 1 if came == before else 0
        if still >= NOTHING_MOVES or not any(came[result] for result in UNDECIDED):
            return came
        before = came
        await asyncio.sleep(LOOK_EVERY_S)


def _report(
    account: str,
    since: datetime,
    until: datetime,
    result: "BackfillResult",
    answers: Counter[str] | None,
    dry_run: bool,
) -> dict[str, Any]:
    from tillkeeper.store.jobs.backfill import UNDECIDED

    return {
        "account": account,
        "since": since,
        "until": until,
        "dry_run": dry_run,
        "by": result.by,
        "listed": result.listed,
        "new": result.new,
        "known": result.known,
        "failed": result.failed,
        "outcomes": dict(result.outcomes),
        "cases": dict(result.cases),
        "orders": result.orders,
        "orders_waiting": result.orders_waiting,
        "more_orders": result.more_orders,
        "passed_over": result.passed_over,
        "answers": answers,
        "unasked": sum(answers[result] for result in UNDECIDED) if answers else 0,
    }


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json, shown

    if as_json:
        print_json(report)
        return
    print(f"{report['account']}, from {shown(report['since'])} to {shown(report['until'])}:")
    if report["by"] == "list":
        print(f"{report['listed']} events listed, {report['new']} new, {report['known']} known.")
        for name in ("outcomes", "cases"):
            if report[name]:
                print(f"{name}: {_counted(report[name])}")
        if report["failed"]:
            print(f"{report['failed']} could not be applied; the log says why.")
    else:
        _print_asked(report)


def _print_asked(report: dict[str, Any]) -> None:
    from tillkeeper.store.jobs.backfill import PASSED_OVER_MAX

    would = "would be" if report["dry_run"] else "are"
    print(f"Its gateway has no list.  {report['orders']} open orders {would} asked about by the sweep.")
    if report["orders_waiting"]:
        print(f"{report['orders_waiting']} more wait to be asked about already.")
    if report["more_orders"]:
        print("There are more; run it again when these were asked about.")
    if passed_over := report["passed_over"]:
        or_more = " or more" if passed_over == PASSED_OVER_MAX else ""
        print(f"{passed_over}{or_more} open orders are passed over; they could hardly be paid in that time.")
    if report["answers"]:
        print(f"answers: {_counted(report['answers'])}")
    if report["unasked"]:
        print(f"{report['unasked']} were not asked about: does `tillkeeper sweep` run?")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
