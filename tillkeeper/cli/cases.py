"""Implements `tillkeeper cases` and `tillkeeper case`: lists, shows and closes what a person must look at."""

import os
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, By, Config, exits, person, policy_from, settings_from, unicode
from tillkeeper.cli.order_view import head_of

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()
commands = typer.Typer(help="One case: see it, take it over, note what you found, resolve it.", no_args_is_help=True)
app.add_typer(commands, name="case")

ID_MAX: Final = 2**63 - 1
LIMIT_MAX: Final = 10_000  # more than a person reads
LEVEL_MAX: Final = 9  # as the database limits it
BODY_CHARS_SHOWN: Final = 4_000  # --json and --bundle hold all of it
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
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="The most urgent so many.")]
Raw = Annotated[bool, typer.Option("--raw", help="With the deliveries' headers and bodies, contacts and all.")]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle", metavar="FILE", help="Write all of it, raw deliveries too, to a new file of JSON for support."
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", parser=unicode, help="Whose it is from now on.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", parser=unicode, help="What you found out.")]
Outcome = Annotated[
    str, typer.Option("--outcome", metavar="TEXT", parser=unicode, help="How it ended, in a few words.")
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", parser=unicode, help="What else is to be kept.")]


@app.command("cases", epilog=exits(example="tillkeeper cases --level 2 --owner -"))
def cases_command(
    closed_too: ClosedToo = False,
    level: Level = None,
    owner: Owner = None,
    kind: Kind = None,
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
        from tillkeeper.store.reports.case_files import Filters, Known, known, list_cases

        filters = Filters(closed_too=closed_too, level=level, owner="" if owner == NOBODY else owner, kind=kind)

        async def query(pool: "Pool") -> tuple[list[dict[str, Any]], Known]:
            async with pool.acquire() as conn:
                return await list_cases(conn, filters, limit=limit + 1), await known(conn)

        found, in_use = ask(settings, query)
        refuse_unknown("kind of case", kind, CASE_KINDS | in_use.kinds, found=found)
        refuse_unknown("owner of a case", owner, {NOBODY} | in_use.owners, found=found)
        if not found and level is not None and level > (levels := policy_from(settings).cases.levels):
            raise CommandError(f"there is no level {level}; the policy lets a case go up to {levels}", code=WRONG)
        rows, more = found[:limit], len(found) > limit
        if as_json:
            print_json({"cases": rows, "more": more})
        else:
            _print_list(rows, clock.now(), more=more)


def _print_list(rows: list[dict[str, Any]], now: datetime, *, more: bool) -> None:
    from tillkeeper.cli.output import Tone, Toned, lasting, print_table, tone_of_level, when

    print_table(
        "Cases",
        ("case", ">level", "kind", "age", "order", "status", ">amount", "owner", "next follow-up"),
        (
            (
                case["id"],
                Toned(case["level"], tone_of_level(case["level"]) if case["closed_at"] is None else Tone.FAINT),
                case["kind"],
                lasting((case["closed_at"] or now) - case["opened_at"]),
                case["order_ref"] or case["subject"],
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
            _print_case(found, raw=raw)
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
    "resolve",
    epilog=exits(
        no="there is none of this number, or it is closed",
        example='tillkeeper case resolve 17 --outcome "refunded by hand" --note "ticket 4711"',
    ),
)
def resolve_command(
    case_id: Id, outcome: Outcome, note: Note = "", by: By = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Close a case for good: the same cause does not open it again, unless more money comes in.

    A case also closes by itself once its cause is gone; that one opens again if the cause is back.
    """
    from tillkeeper.store.cases import acts as case_acts

    if not outcome.strip():
        raise typer.BadParameter("say how it ended", param_hint="--outcome")
    act, said = case_acts.resolve, f"resolved: {outcome.strip()}"
    more = {"outcome": outcome.strip(), "text": note.strip()}
    _act(case_id, act, person(by), config, said=said, as_json=as_json, **more)


def _act(
    case_id: int,
    act: Callable[..., Awaitable[None]],
    by: str,
    config: Path | None,
    *,
    said: str,
    as_json: bool,
    **more: str,
) -> None:
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, shown
        from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
        from tillkeeper.store.postgres.transactions import repeat_on_conflict
        from tillkeeper.store.reports.case_files import file_of

        async def work(conn: "Conn") -> None:
            await act(conn, case_id, by=by, now=clock.now(), **more)

        async def query(pool: "Pool") -> dict[str, Any] | None:
            await repeat_on_conflict(pool, work)
            return await file_of(pool, case_id)

        try:
            found = ask(settings, query)
        except NoSuchCase:
            raise CommandError(f"there is no case {case_id}", code=NO) from None
        except ClosedCase:
            raise CommandError(
                f"case {case_id} is closed already; `case show` tells how, `case note` adds", code=NO
            ) from None
        if as_json:
            assert found is not None  # cases are never removed
            print_json({**found["case"], "entries": found["entries"]})
        else:
            print(f"{case_id}  {shown(said)}")


def _print_case(found: dict[str, Any], *, raw: bool) -> None:
    from tillkeeper.cli.output import cells, print_facts, print_table

    case, order = found["case"], found["order"]
    print_facts(
        {
            "case": case["id"],
            "kind": case["kind"],
            "about": case["subject"],
            "account": case["account"],
            "level": case["level"],
            "owner": case["owner"] or "nobody",
            "opened": case["opened_at"],
            "follow-up": case["follow_up_at"],
            "closed": case["closed_at"],
            "closed by": case["closed_by"],
            "outcome": case["outcome"],
            **{f"  {name}": _in_words(name, value, case["details"]) for name, value in case["details"].items()},
        }
    )
    print()
    entries = (cells(entry, "at", "what", "by", "note") for entry in found["entries"])
    print_table("Entries", ("at", "what", "by", "note"), entries)
    if order is not None:
        _print_order(order)
    _print_timeline(found["timeline"])
    columns = ("run", ">number", "account", "received", "verified by", ">events", ">bytes")
    print_table(
        "Deliveries; --raw shows them" if not raw else "Deliveries",
        columns,
        (
            cells({**delivery, "body_bytes": _size_of_body(delivery)}, *DELIVERY_CELLS)
            for delivery in found["deliveries"]
        ),
    )
    if raw:
        erased_at = order and order["erased_at"]
        for delivery in found["deliveries"]:
            _print_raw(delivery, erased_at)


DELIVERY_CELLS: Final = ("run", "number", "account", "received_at", "key", "events", "body_bytes")


def _size_of_body(delivery: dict[str, Any]) -> object:
    """Returns the bytes of a body, or says that retention or an erasure removed it."""
    return "not kept" if delivery["body_bytes"] is None else delivery["body_bytes"]


AMOUNTS: Final = frozenset({"amount", "due", "paid", "captured", "refunding", "refunded", "proposed_refund"})


def _in_words(name: str, value: object, details: dict[str, Any]) -> object:
    """Writes a detail for people: amounts with their currency."""
    return in_words(value, details.get("currency")) if name in AMOUNTS and isinstance(value, int) else value


def _print_order(order: dict[str, Any]) -> None:
    from tillkeeper.cli.output import print_facts

    print_facts(
        {
            **head_of(order),
            "stands since": order["stands_since"],
            "swept next": order["swept_next_at"],
            "held until": order["held_until"],
            "closed": order["closed_at"],
            "erased": order["erased_at"],
        }
    )
    print()


def _print_timeline(timeline: list[dict[str, Any]]) -> None:
    from tillkeeper.cli.output import print_table

    print_table(
        "Timeline, oldest first",
        ("recorded", "is", "what", "account or audience", ">amount", "evidence", "outcome", "more"),
        (
            (
                row["recorded_at"],
                row["what"],
                row["kind"],
                row.get("account") or row.get("audience"),
                in_words(row.get("amount"), row.get("currency")),
                row.get("evidence"),
                row["outcome"],
                _further_details(row),
            )
            for row in timeline
        ),
    )


def _further_details(row: dict[str, Any]) -> str:
    """Returns the further details of an entry of the timeline."""
    match row["what"]:
        case "act":
            return f"{row['by']}: {row['note']}" if row["note"] else row["by"]
        case "notice":
            sent = [f"{channel} {entry.get('outcome')}" for channel, entry in row["channels"].items()]
            return ", ".join([*sent, *([row["last_error"]] if row["last_error"] else [])])
        case "step":
            return row["note"] or ""
        case _:
            refs = (row["payment_ref"], row["refund_ref"], row["dispute_ref"], row["reason"], row["failure"])
            return ", ".join(text for text in refs if text)


def _print_raw(delivery: dict[str, Any], erased_at: datetime | None) -> None:
    from tillkeeper.cli.output import print_facts, shown

    print(f"{delivery['run']} {delivery['number']}")
    print_facts({f"  {name}": value for name, value in delivery["headers"]})
    body = delivery.get("body", delivery.get("body_b64"))
    if body is None:
        gone = f"erased at {shown(erased_at)}" if erased_at else "not kept any more: its days of [retention] are over"
        print(f"  ({gone})")
    else:
        print("\n".join(shown(line) for line in body[:BODY_CHARS_SHOWN].splitlines()))
        if len(body) > BODY_CHARS_SHOWN:
            print("... --json shows all of it")
    print()
