"""Implements `tillkeeper erase`, which removes a payer's personal data and leaves the books whole."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, By, Config, Note, exits, person, reason, settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.domain.erasure import ErasureAct
    from tillkeeper.store.erasure.order import Erased
    from tillkeeper.store.postgres.pool import Conn

app = typer.Typer()

Refs = Annotated[
    list[str] | None, typer.Argument(metavar="ORDER_REF", parser=unicode, help="The orders whose payer it is.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")]


@app.command(
    "erase",
    epilog=exits(
        no="one of the orders is not registered; then nothing was erased",
        example='tillkeeper erase A-1001 --by mei --note "request 17 of 2026-11-30" --dry-run',
    ),
)
def erase_command(
    note: Note,
    refs: Refs = None,
    by: By = None,
    dry_run: DryRun = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of the payer of some orders: for good, and without harm to the books."""
    by, note = person(by), reason(note)
    if not refs:
        raise typer.BadParameter("name at least one order", param_hint="ORDER_REF")
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.domain.erasure import ErasureAct

        act = ErasureAct(by=by, note=note, at=clock.now())
        erased = ask(settings, lambda pool: _erase(pool, refs, act, dry_run=dry_run))
        _print(erased, dry_run=dry_run, as_json=as_json)


class _DryRun(Exception):
    """Carries what would have been erased out of the transaction that is rolled back."""

    def __init__(self, erased: "Erased") -> None:
        self.erased = erased


async def _erase(pool: "Pool", refs: Sequence[str], act: "ErasureAct", *, dry_run: bool) -> "list[Erased]":
    """Erases each order in a transaction of its own, once all are known to exist."""
    from tillkeeper.store.erasure.order import NoSuchOrder, order_to_erase

    async with pool.acquire() as conn:
        for ref in refs:
            try:
                order = await order_to_erase(conn, ref)
            except NoSuchOrder:
                raise CommandError(f"no order {ref!r} is registered; nothing was erased", code=NO) from None
            if order.contacts.removed_from(act.note) != act.note:
                raise CommandError("the note is kept: leave contacts out of it; nothing was erased", code=WRONG)
    return [await _erase_one(pool, ref, act, dry_run=dry_run) for ref in dict.fromkeys(refs)]


async def _erase_one(pool: "Pool", ref: str, act: "ErasureAct", *, dry_run: bool) -> "Erased":
    from tillkeeper.store.erasure.order import erase
    from tillkeeper.store.postgres.transactions import repeat_on_conflict

    async def work(conn: "Conn") -> "Erased":
        erased = await erase(conn, ref, act)
        if dry_run:
            raise _DryRun(erased)
        return erased

    try:
        return await repeat_on_conflict(pool, work)
    except _DryRun as told:
        return told.erased


WORDS: Final = {
    "terms": "contact or link of its registration",
    "notices_dropped": "notices to the payer that will not be sent",
    "links": "links to pay in notices",
    "deliveries": "raw deliveries: body, headers, query",
    "notices": "texts of notices",
    "cases": "texts of cases",
    "case_entries": "notes of cases",
    "acts": "notes of acts",
}


def _print(erased: "list[Erased]", *, dry_run: bool, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json, shown

    if as_json:
        print_json({"dry_run": dry_run, "erased": [_as_json(each) for each in erased]})
        return
    for each in erased:
        print(f"{shown(each.order_ref)}  {'would be erased' if dry_run else 'erased'}")
        for name, rows in each.rows.items():
            if rows:
                print(f"  {rows:>6}  {WORDS[name]}")
        if each.shared:
            print(f"          these deliveries also brought events of: {shown(', '.join(each.shared))}")


def _as_json(erased: "Erased") -> dict[str, Any]:
    return {"order_ref": erased.order_ref, "at": erased.at, "rows": erased.rows, "shared": erased.shared}
