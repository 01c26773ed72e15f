"""Implements `tillkeeper cases` and `tillkeeper case show`: lists and shows what a person must look at."""

import os
from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.case_view import print_case
from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import (
    AsJson,
    Config,
    exits,
    policy_from,
    settings_from,
    unicode,
)
from tillkeeper.domain.order.case_texts import subject_in_words

if TYPE_CHECKING:
    from asyncpg import Pool

app = typer.Typer()
commands = typer.Typer(help="One case: see it, take it over, note what you found, resolve it.", no_args_is_help=True)

ID_MAX: Final = 2**63 - 1
LIMIT_MAX: Final = 10_000  # more than a person reads
LEVEL_MAX: Final = 9  # as the database limits it
NOBODY: Final = "-"

Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Its number, as `cases` shows it.")]
ClosedToo = Annotated[bool, typer.Option("--all", help="Closed ones, too, behind the open ones.")]
Level = Annotated[
    int | None, typer.Option("--level", metavar="N", min=1, max=LEVEL_MAX, help="Of this level and above.")
]
Owner = Annotated[
    str | None, typer.Option("--owner", metavar="NAME", parser=unicode, help="Those of this person; - for nobody's.")
]
Kind = Annotated[
    str | None, typer.Option("--kind", metavar="K", parser=unicode, help="Of this kind: stuck, overpaid, disputed ...")
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="NAME", parser=unicode, help="Of this account, or of its orders.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="The most urgent so many.")]
Raw = Annotated[bool, typer.Option("--raw", help="With the deliveries' headers and bodies, contacts and all.")]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle", metavar="FILE", help="Write all of it, raw deliveries too, to a new file of JSON for support."
    ),
]


@app.command("cases", epilog=exits(example="tillkeeper cases --level 2 --owner -"))
def cases_command(
    closed_too: ClosedToo = False,
    level: Level = None,
    owner: Owner = None,
    kind: Kind = None,
    account: Account = None,
    limit: Limit = 50,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List open cases, the most urgent first: of the highest level, of these the oldest."""
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.filters import refuse_unknown
        from tillkeeper.cli.output import print_json
        from tillkeeper.domain.order.case_kinds import CASE_KINDS
        from tillkeeper.store.reports.case_list import CaseChoices, Filters, known, list_cases

        filters = Filters(
            closed_too=closed_too, level=level, owner="" if owner == NOBODY else owner, kind=kind, account=account
        )

        async def query(pool: "Pool") -> tuple[list[dict[str, Any]], CaseChoices]:
            async with pool.acquire() as conn:
                return await list_cases(conn, filters, limit=limit + 1), await known(conn)

        found, in_use = ask(settings, query)
        refuse_unknown("kind of case", kind, CASE_KINDS | in_use.kinds, found=found)
        refuse_unknown("owner of a case", owner, {NOBODY} | in_use.owners, found=found)
        refuse_unknown("account", account, settings.accounts, found=found)
        if not found and level is not None and level > (levels := policy_from(settings).cases.levels):
            raise CommandError(f"there is no level {level}; the policy lets a case go up to {levels}", code=WRONG)
        rows, more = found[:limit], len(found) > limit
        if as_json:
            print_json({"cases": rows, "more": more})
        else:
            _print_list(rows, clock.now(), more=more)


def _print_list(rows: list[dict[str, Any]], now: datetime, *, more: bool) -> None:
    from tillkeeper.cli.output import TextStyle, Toned, lasting, print_table, tone_of_level, when

    print_table(
        "Cases",
        ("case", ">level", "kind", "age", "order", "status", ">amount", "owner", "next follow-up"),
        (
            (
                case["id"],
                Toned(case["level"], tone_of_level(case["level"]) if case["closed_at"] is None else TextStyle.FAINT),
                case["kind"],
                lasting((case["closed_at"] or now) - case["opened_at"]),
                case["order_ref"] or subject_in_words(case["subject"]),
                case["status"],
                in_words(case["amount"], case["currency"]),
                case["owner"] or NOBODY,
                when(case["follow_up_at"], now)
                if case["follow_up_at"]
                else f"closed by {case['closed_by']}: {case['outcome']}",
            )
            for case in rows
        ),
    )
    print("There are more; --limit shows them." if more else f"{len(rows)} in all." if rows else "There is none.")


@commands.command(
    "show",
    epilog=exits(no="there is none of this number", example="tillkeeper case show 17 --bundle case-17.json"),
)
def show_command(
    case_id: Id, raw: Raw = False, bundle: Bundle = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show a case with all the evidence: its entries, its order, and a timeline.

    The timeline holds every event, every step of the sweep with what the gateway answered, every act of a person, and
    every notice with what became of it; then come the deliveries that brought the events.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.store.deliveries.raw import add_raw
        from tillkeeper.store.reports.case_files import file_of

        async def query(pool: "Pool") -> dict[str, Any] | None:
            found = await file_of(pool, case_id)
            if found is not None and (raw or bundle is not None):
                async with pool.acquire() as conn:
                    await add_raw(conn, found["deliveries"])
                _write_bodies(found["deliveries"])
            return found

        found = ask(settings, query)
        if found is None:
            raise CommandError(f"there is no case {case_id}", code=NO)
        if bundle is not None:
            _write_new_file(bundle, found)
        if as_json:
            print_json(found if bundle is None else {"case": case_id, "bundle": bundle})
        elif bundle is None:
            print_case(found, raw=raw)
        else:
            print(f"{bundle}: case {case_id}, {len(found['deliveries'])} deliveries; holds contacts, handle with care")


def _write_bodies(deliveries: list[dict[str, Any]]) -> None:
    """Writes bodies as JSON can hold them: text where they are UTF-8, else base64."""
    for delivery in deliveries:
        body = delivery["body"]
        try:
            delivery["body"] = None if body is None else body.decode()
        except UnicodeDecodeError:
            del delivery["body"]
            delivery["body_b64"] = b64encode(body).decode()


def _write_new_file(path: Path, content: dict[str, Any]) -> None:
    """Writes a new file that only its owner can read.  Raises CommandError."""
    import orjson

    text = orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path} is there already; name a new file", code=WRONG) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", code=WRONG) from None
