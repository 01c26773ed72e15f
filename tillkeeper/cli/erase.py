"""Implements `tillkeeper erase`, which removes a payer's personal data and leaves the books whole."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, exits, person, reason, settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.cli.erasing import ToErase
    from tillkeeper.domain.erasure import Contacts, ErasureAct
    from tillkeeper.settings import Settings
    from tillkeeper.store.erasure.order import Erased

app = typer.Typer()

STANDARD_INPUT: Final = Path("-")

Refs = Annotated[
    list[str] | None, typer.Argument(metavar="ORDER_REF", parser=unicode, help="The orders whose payer it is.")
]
Email = Annotated[
    str | None,
    typer.Option("--email", metavar="E", parser=unicode, help="All orders registered with this mail address."),
]
Phone = Annotated[
    str | None,
    typer.Option("--phone", metavar="P", parser=unicode, help="All orders registered with this number."),
]
InDeliveries = Annotated[
    bool,
    typer.Option(
        "--in-deliveries", help="With --email or --phone: and all whose raw deliveries hold it; reads them all."
    ),
]
Why = Annotated[
    str, typer.Option("--note", metavar="WHY", parser=unicode, help="Why; it is kept, so leave contacts out of it.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")]
ListThem = Annotated[bool, typer.Option("--list", help="List all erasures; with --json as --again reads them.")]
Again = Annotated[
    Path | None,
    typer.Option("--again", metavar="FILE", help="Repeat the erasures of a list; - is standard input."),
]

HELP: Final = """
Erase the personal data of a payer: for good, and without harm to the books.

What goes: the contact and the link to pay in the order's registration; notices that are not sent yet; body, headers and
query of the deliveries that brought the order's events, and of others that name it; refused, parked and held ones
likewise; contacts in notes of people.  What stays: references, amounts, statuses, times, and who erased it, when and
why.
Deliveries that come later count, and are kept without their content.

The payer of an erased order gets no mail any more.  Words of people that name a payer otherwise than by contact are
found by no program: read the notes that the command names.  Backups keep what they hold: after restoring one, repeat
the erasures since then, from a list that was kept elsewhere (--list --json, then --again).
"""


@app.command(
    "erase",
    help=HELP,
    epilog=exits(
        no="an order is not registered, or nobody has that contact",
        example='tillkeeper erase A-1001 --by mei --note "request 17" --dry-run',
    ),
)
def erase_command(
    refs: Refs = None,
    email: Email = None,
    phone: Phone = None,
    in_deliveries: InDeliveries = False,
    again: Again = None,
    list_them: ListThem = False,
    note: Why = "",
    by: By = None,
    dry_run: DryRun = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erases orders by reference, by contact or from a list, or lists what was erased."""
    _check_one_of(refs, email or phone, again, list_them)
    if in_deliveries and not (email or phone):
        raise typer.BadParameter("needs --email or --phone", param_hint="--in-deliveries")
    with reported(as_json=as_json):
        settings = settings_from(config)
        if list_them:
            _list(settings, as_json=as_json)
            return
        act = _act(by, note)
        contacts = _contacts(email, phone)
        listed = None if again is None else _read_list(again)
        from tillkeeper.cli.database import ask

        async def work(pool: "Pool") -> "tuple[list[Erased], list[str]]":
            orders, missing = await _orders(pool, refs, contacts, listed, act, settings, in_deliveries=in_deliveries)
            return await _erase(pool, orders, contacts, settings, dry_run=dry_run), missing

        erased, missing = ask(settings, work)
        _print(erased, missing, dry_run=dry_run, as_json=as_json)
    if missing:
        raise typer.Exit(NO)


def _check_one_of(*given: object) -> None:
    """Raises what typer reports where the orders are named in no way, or in several."""
    if sum(map(bool, given)) != 1:
        raise typer.BadParameter("name orders, or give --email or --phone, or --again FILE, or --list: one of these")


def _act(by: str | None, note: str) -> "ErasureAct":
    from tillkeeper import clock
    from tillkeeper.domain.erasure import ErasureAct
    from tillkeeper.domain.masking import without_any_contacts

    if without_any_contacts(note) != note:
        raise CommandError("--note is kept: leave mail addresses and phone numbers out of it", code=WRONG)
    return ErasureAct(by=person(by), note=reason(note), at=clock.now())


def _contacts(email: str | None, phone: str | None) -> "Contacts":
    from tillkeeper.domain.erasure import Contacts, digits_of

    if phone is not None and not digits_of(phone):
        raise CommandError("--phone is too short to be somebody's number: give 7 digits or more", code=WRONG)
    if email is not None and "@" not in email:
        raise CommandError("--email is no mail address: give it whole, such as payer@example.com", code=WRONG)
    return Contacts(emails=frozenset({email} if email else ()), phones=frozenset({phone} if phone else ()))


def _read_list(path: Path) -> "dict[str, tuple[ErasureAct, ...]]":
    """Reads what --list --json printed: the acts of each order.  Raises CommandError."""
    import msgspec

    from tillkeeper.cli.erasing import ErasureList

    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
        return msgspec.json.decode(content, type=ErasureList).by_order()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", code=WRONG) from None
    except msgspec.MsgspecError as error:
        raise CommandError(f"{path} is no list as `erase --list --json` prints it: {error}", code=WRONG) from None


async def _orders(
    pool: "Pool",
    refs: "Sequence[str] | None",
    contacts: "Contacts",
    listed: "dict[str, tuple[ErasureAct, ...]] | None",
    act: "ErasureAct",
    settings: "Settings",
    *,
    in_deliveries: bool,
) -> "tuple[list[ToErase], list[str]]":
    """Returns the orders to erase, and those of a list that are not registered.  Raises CommandError."""
    from tillkeeper.cli.erasing import ToErase, gateways_of, orders_with, unregistered

    acts = listed if listed is not None else dict.fromkeys(refs or (), ())
    if not acts and listed is None:
        found = await orders_with(pool, contacts, gateways_of(settings), in_deliveries=in_deliveries)
        if not found:
            raise CommandError("no order is known with this contact", code=NO)
        acts = dict.fromkeys(found, ())
    missing = await unregistered(pool, list(acts))
    if missing and listed is None:
        raise CommandError(f"no order {missing[0]!r} is registered; nothing was erased", code=NO)
    return [ToErase(order_ref=ref, acts=(*acts[ref], act)) for ref in acts if ref not in missing], missing


async def _erase(
    pool: "Pool", orders: "Sequence[ToErase]", contacts: "Contacts", settings: "Settings", *, dry_run: bool
) -> "list[Erased]":
    from tillkeeper.cli.erasing import erase_orders, gateways_of
    from tillkeeper.domain.delivery import EnvelopeKeys

    keys = EnvelopeKeys(settings.envelope_keys)
    return await erase_orders(pool, orders, gateways_of(settings), contacts=contacts, keys=keys, dry_run=dry_run)


WORDS: Final = {
    "terms": "contact or link of its registration",
    "notices_dropped": "notices to the payer that will not be sent",
    "links": "links to pay in notices",
    "deliveries": "raw deliveries: body, headers, query",
    "parked": "parked messages: their raw deliveries",
    "held": "deliveries that the guard holds: body, headers, query",
    "refused": "refused deliveries",
    "notices": "texts of notices",
    "cases": "texts of cases",
    "case_entries": "notes of cases",
    "acts": "notes of acts",
    "bound_payments": "notes of bindings",
    "answers": "answers to programs at the desk",
}
NOTES: Final = "people's notes may name a payer in other words: `order show` and `case show` have them"


def _print(erased: "Sequence[Erased]", missing: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json, shown

    if as_json:
        print_json({"dry_run": dry_run, "erased": [_as_json(each) for each in erased], "not_registered": missing})
        return
    for each in erased:
        print(f"{shown(each.order_ref)}  {'would be erased' if dry_run else 'erased'}")
        for name, rows in each.rows.items():
            if rows:
                print(f"  {rows:>6}  {WORDS[name]}")
        if each.shared:
            print(f"          these deliveries also brought events of {shown(', '.join(each.shared))}")
        for left in each.left:
            print(f"    left  {shown(left)}")
    for ref in missing:
        print(f"{shown(ref)}  is not registered here")
    if erased:
        print(NOTES)


def _as_json(erased: "Erased") -> dict[str, Any]:
    return {
        "order_ref": erased.order_ref,
        "at": erased.at,
        "rows": erased.rows,
        "shared": erased.shared,
        "left": erased.left,
    }


def _list(settings: "Settings", *, as_json: bool) -> None:
    from tillkeeper.cli.database import ask
    from tillkeeper.cli.erasing import SEARCH_S
    from tillkeeper.cli.output import cells, print_json, print_table
    from tillkeeper.store.erasure.order import erasures

    async def query(pool: "Pool") -> list[dict[str, object]]:
        async with pool.acquire() as conn:
            return await erasures(conn, within_s=SEARCH_S)

    found = ask(settings, query)
    if as_json:
        print_json({"erasures": found})
        return
    columns = ("at", "order_ref", "by", "note")
    print_table("Erasures", columns, (cells(each, *columns) for each in found))
    print(f"{len(found)} in all." if found else "Nothing was erased.")
