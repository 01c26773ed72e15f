"""Resolves cases as people do: one alone, or two where it takes two."""

from tests.database.factories import NOON
from tillkeeper.store.cases.acts import TakesTwo, confirm_resolution, propose_to_resolve, resolve


async def resolve_by_two(conn, case_id):
    """One person resolves it, or proposes to and another confirms, where it takes two."""
    said = {"outcome": "settled", "text": "", "by": "mei", "now": NOON}
    try:
        await resolve(conn, case_id, **said)
    except TakesTwo:
        await propose_to_resolve(conn, case_id, **said)
        await confirm_resolution(conn, case_id, by="li", now=NOON)
