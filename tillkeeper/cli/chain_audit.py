"""Implements `tillkeeper audit --chain`, which names what was altered since it was chained."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.settings import Settings
    from tillkeeper.store.books.chain_audit import ChainAudit, IsSigned


def prove_chain(settings: "Settings", *, head: str | None, public_key: str | None, as_json: bool) -> None:
    """Prints what the audit found; ends with 1 where anything was altered, or where there is no such head."""
    from tillkeeper.cli.database import ask
    from tillkeeper.cli.output import print_json
    from tillkeeper.domain.books.chain import BadHead, read_head
    from tillkeeper.store.books.chain_audit import audit_chain

    try:
        sought = None if head is None else read_head(head)
    except BadHead as error:
        raise CommandError(f"--head: {error}", code=WRONG) from None
    is_signed = _verifier(settings, public_key)

    async def query(pool: "Pool") -> "tuple[ChainAudit, list[dict[str, Any]]]":
        found = await audit_chain(pool, is_signed=is_signed, head=sought)
        return found, [await _told(pool, fault) for fault in found.faults]

    found, faults = ask(settings, query)
    if as_json:
        print_json(_as_json(found, faults))
    else:
        _print(found, faults, can_verify=is_signed is not None)
    if not found.holds:
        raise typer.Exit(NO)


def _verifier(settings: "Settings", given: str | None) -> "IsSigned | None":
    from tillkeeper.domain.books.chain_keys import BadPublicKey, public_key, verifier

    key = settings.books.chain_key
    if given is None and key is None:
        return None
    try:
        return verifier(given or public_key(key or ""))
    except BadPublicKey as error:
        raise CommandError(f"--public-key: {error}", code=WRONG) from None


async def _told(pool: "Pool", fault: Any) -> dict[str, Any]:
    """Returns a fault with its row as it is now."""
    import msgspec

    from tillkeeper.domain.books.chain import RowFault
    from tillkeeper.store.books.chain_audit import name_of_row

    told = msgspec.to_builtins(fault)
    return {**told, "row": await name_of_row(pool, fault)} if isinstance(fault, RowFault) else told


def _as_json(found: "ChainAudit", faults: list[dict[str, Any]]) -> dict[str, Any]:
    from tillkeeper.domain.books.chain import printed_head

    return {
        "holds": found.holds,
        "links": found.links,
        "rows": found.rows,
        "unsigned_links": found.unsigned,
        "erased_notes": found.erased_notes,
        "has_head": found.has_head,
        "head": printed_head(found.head) if found.head else None,
        "faulty": found.faulty,
        "faults": faults,
    }


def _print(found: "ChainAudit", faults: list[dict[str, Any]], *, can_verify: bool) -> None:
    from tillkeeper.cli.output import TextStyle, print_facts, print_table, print_toned
    from tillkeeper.domain.books.chain import printed_head

    signed = found.links - found.unsigned
    print_facts(
        {
            "links": f"{found.links}, of {found.rows} rows",
            "signed": f"{signed}" + ("" if can_verify else ", and not verified: there is no key; give --public-key"),
            "notes": f"{found.erased_notes} whose contacts were erased" if found.erased_notes else None,
            "head": printed_head(found.head) if found.head else "none: nothing is chained yet",
        }
    )
    print()
    print_table(
        f"Altered since it was chained: {found.faulty}", ("where", ">number", "what", "now"), map(_fault_row, faults)
    )
    if found.has_head is False:
        print_toned("The head that was given is not in the chain: it was made anew.", TextStyle.ALARM)
    if found.holds:
        print("The chain holds: nothing that it covers was altered.")
    else:
        print_toned("The chain does NOT hold.", TextStyle.ALARM)


def _fault_row(fault: dict[str, Any]) -> tuple[object, ...]:
    if "subject" not in fault:
        return "the chain itself: link", fault["number"], fault["what"], None
    row = fault["row"]
    return fault["subject"], fault["id"], fault["what"], None if row is None else ", ".join(_named(row))


def _named(row: dict[str, Any]) -> Iterator[str]:
    for name, value in row.items():
        if value is not None and name not in ("seq", "digest", "note"):
            yield f"{name} {value}"
