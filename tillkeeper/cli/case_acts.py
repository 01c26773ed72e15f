"""Implements what people do to a case at a terminal: `tillkeeper case assign`, `resolve` and so on."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tillkeeper.cli.cases import Id, commands
from tillkeeper.cli.errors import NO, CommandError, reported
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
from tillkeeper.domain.people import folded

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()
app.add_typer(commands, name="case")

Name = Annotated[str, typer.Argument(metavar="NAME", parser=unicode, help="Whose it is from now on.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", parser=unicode, help="What you found out.")]
Span = Annotated[float, typer.Argument(metavar="SPAN", parser=seconds, help="In how long: 30m, 4h, 7d.")]
Outcome = Annotated[
    str, typer.Option("--outcome", metavar="TEXT", parser=unicode, help="How it ended, in a few words.")
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", parser=unicode, help="What else is to be kept.")]
Why = Annotated[str, typer.Option("--note", metavar="TEXT", parser=unicode, help="Why; it is kept.")]


@commands.command(
    "assign", epilog=exits(no="there is none of this number, or it is closed", example="tillkeeper case assign 17 mei")
)
def assign_command(case_id: Id, name: Name, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Make a case somebody's.  When it is due they are told again; one that is nobody's goes up a level instead."""
    from tillkeeper.store.cases import acts as case_acts

    owner = person(name)
    _act(case_id, case_acts.assign, person(by), config, said=f"is {owner}'s", as_json=as_json, owner=owner)


@commands.command(
    "note",
    epilog=exits(
        no="there is none of this number",
        example='tillkeeper case note 17 "their bank confirms the transfer, ref 4711"',
    ),
)
def note_command(case_id: Id, text: Text, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Add what you found out to a case, open or closed."""
    from tillkeeper.store.cases import acts as case_acts

    if not text.strip():
        raise typer.BadParameter("say something", param_hint="TEXT")
    _act(case_id, case_acts.note, person(by), config, said="noted", as_json=as_json, text=text.strip())


@commands.command(
    "follow-up",
    epilog=exits(
        no="there is none of this number, or it is closed",
        example='tillkeeper case follow-up 17 4h --note "the bank answers this afternoon"',
    ),
)
def follow_up_command(
    case_id: Id, span: Span, note: Why, by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Be reminded of a case then, and not before."""
    from tillkeeper import clock
    from tillkeeper.domain.order.cases import BadFollowUp, refuse_bad_follow_up
    from tillkeeper.store.cases import acts as case_acts

    at = clock.now() + timedelta(seconds=span)
    try:
        refuse_bad_follow_up(at, now=clock.now())
    except BadFollowUp as bad:
        raise typer.BadParameter(str(bad), param_hint="SPAN") from None
    said = f"is followed up at {at:%Y-%m-%d %H:%MZ}"
    _act(case_id, case_acts.follow_up_at, person(by), config, said=said, as_json=as_json, at=at, text=reason(note))


@commands.command(
    "escalate",
    epilog=exits(
        no="there is none of this number, it is closed, or it is at the highest level",
        example='tillkeeper case escalate 17 --note "the bank does not answer"',
    ),
)
def escalate_command(case_id: Id, note: Why, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Raise a case by one level; the people of that level are notified."""
    from tillkeeper.store.cases import acts as case_acts

    levels, why = policy_from(settings_from(config)).cases.levels, reason(note)
    act = case_acts.escalate
    _act(case_id, act, person(by), config, said="is a level higher", as_json=as_json, levels=levels, text=why)


@commands.command(
    "resolve",
    epilog=exits(
        no="there is none of this number, it is closed, or somebody has proposed how to resolve it",
        example='tillkeeper case resolve 17 --outcome "refunded by hand" --note "ticket 4711"',
    ),
)
def resolve_command(
    case_id: Id, outcome: Outcome, note: Note = "", by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Close a case for good: the same cause does not open it again, unless more money comes in.

    A case that says whether somebody's money counts takes two people: this proposes it, and `case confirm` by another
    one closes it.  A case also closes by itself once its cause is gone; that one opens again if the cause is back.
    """
    from tillkeeper.store.cases import acts as case_acts

    if not outcome.strip():
        raise typer.BadParameter("say how it ended", param_hint="--outcome")
    said = f"resolved: {outcome.strip()}"
    waits = f"proposed: {outcome.strip()}; another person confirms it: tillkeeper case confirm {case_id}"

    async def act(conn: "Conn", case_id: int, *, by: str, **more: Any) -> str:
        try:
            await case_acts.resolve(conn, case_id, by=by, **more)
        except case_acts.TakesTwo:
            await case_acts.propose_to_resolve(conn, case_id, by=folded(by), **more)
            return waits
        return said

    more = {"outcome": outcome.strip(), "text": note.strip()}
    _act(case_id, act, person(by), config, said=said, as_json=as_json, **more)


@commands.command(
    "confirm",
    epilog=exits(
        no="there is none of this number, nothing is proposed, or the same person proposed it",
        example="tillkeeper case confirm 17",
    ),
)
def confirm_command(case_id: Id, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """Resolve a case as another person has proposed; `case show` has what they said."""
    from tillkeeper.store.cases import acts as case_acts

    act = case_acts.confirm_resolution
    _act(case_id, act, folded(person(by)), config, said="resolved as proposed", as_json=as_json)


@commands.command(
    "refuse",
    epilog=exits(
        no="there is none of this number, or nothing is proposed",
        example="tillkeeper case refuse 17",
    ),
)
def refuse_command(case_id: Id, by: By = None, config: Config = None, as_json: AsJson = False) -> None:
    """End a proposal to resolve a case, one's own or another's; the case stays open."""
    from tillkeeper.store.cases import acts as case_acts

    act = case_acts.refuse_resolution
    _act(case_id, act, folded(person(by)), config, said="stays open", as_json=as_json)


def _act(
    case_id: int,
    act: Callable[..., Awaitable[str | None]],
    by: str,
    config: Path | None,
    *,
    said: str,
    as_json: bool,
    **more: object,
) -> None:
    """Does it and prints what it says of itself, else `said`."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.postgres.transactions import repeat_on_conflict
        from tillkeeper.store.reports.case_files import file_of

        async def work(conn: "Conn") -> str | None:
            return await act(conn, case_id, by=by, now=clock.now(), **more)

        async def query(pool: "Pool") -> tuple[str, dict[str, Any] | None]:
            told = await repeat_on_conflict(pool, work)
            return told or said, await file_of(pool, case_id)

        with _refused(case_id):
            told, found = ask(settings, query)
        if as_json:
            assert found is not None  # cases are never removed
            print_json({**found["case"], "entries": found["entries"]})
        else:
            print(f"{case_id}  {shown(told)}")


@contextmanager
def _refused(case_id: int) -> Iterator[None]:
    """Says why an act was not done.  Raises CommandError."""
    from tillkeeper.store.cases.acts import HighestLevel
    from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
    from tillkeeper.store.people.approvals import AlreadyProposed, MayBeSamePerson, ProposalNotOpen, SamePerson

    try:
        yield
    except NoSuchCase:
        raise CommandError(f"there is no case {case_id}", code=NO) from None
    except ClosedCase:
        raise CommandError(
            f"case {case_id} is closed already; `case show` tells how, `case note` adds", code=NO
        ) from None
    except HighestLevel:
        raise CommandError(f"case {case_id} is at the highest level of the policy", code=NO) from None
    except AlreadyProposed:
        raise CommandError(
            f"somebody has proposed how to resolve case {case_id}: `case confirm` or `case refuse` it", code=NO
        ) from None
    except ProposalNotOpen:
        raise CommandError(f"nothing is proposed for case {case_id}, or not any more", code=NO) from None
    except MayBeSamePerson:
        raise CommandError(
            f"case {case_id} is resolved by two people, and these may be one: one signs in with the company's account, "
            "the other does not; `tillkeeper user link` ties them",
            code=NO,
        ) from None
    except SamePerson:
        raise CommandError(f"case {case_id} is resolved by two people; another one must confirm", code=NO) from None
