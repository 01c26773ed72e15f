"""Reads cases, and the hand-over of the shift."""

from typing import Any, Final

import msgspec

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made, page_of
from tillkeeper.desk.api.types.common import Page
from tillkeeper.desk.api.types.queues import CaseEntry, CaseFile, Handover, ListedCase
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.pages.cases.one_case import last_seen
from tillkeeper.store.reports.case_files import read_case
from tillkeeper.store.reports.case_list import CasePlace, Filters, list_cases
from tillkeeper.store.reports.handover import hand_over
from tillkeeper.store.reports.shown_order import ShownCase

CASES: Final = "cases"
NOBODY: Final = "-"


async def cases(call: CheckedCall) -> Page[ListedCase]:
    """Answers GET /api/cases."""
    wanted = call.query
    filters = Filters(
        closed_too=wanted.closed is not None,
        level=wanted.level,
        owner="" if wanted.owner == NOBODY else wanted.owner,
        kind=wanted.kind,
        account=wanted.account,
        due_before=wanted.due_before,
    )
    async with call.desk.pool.acquire() as conn:
        rows = await list_cases(conn, filters, limit=wanted.limit + 1, after=call.after(CASES, CasePlace))
    return page_of(rows, wanted.limit, CASES, place=_place, row=lambda row: made(ListedCase, row))


def _place(row: dict[str, Any]) -> CasePlace:
    return CasePlace(
        is_closed=row["closed_at"] is not None, level=row["level"], opened_at=row["opened_at"], id=row["id"]
    )


def no_such_case() -> ApiProblem:
    """Returns the problem of a case that was never opened."""
    return ApiProblem(404, "there is no case of this number", "Take the number from /api/cases or /api/find?q=.")


async def case(call: CheckedCall) -> CaseFile:
    """Answers GET /api/cases/{id}."""
    async with call.desk.pool.acquire() as conn:
        found = await read_case(conn, call.id)
    if found is None:
        raise no_such_case()
    return CaseFile(
        case=msgspec.convert({name: value for name, value in found.case.items() if name != "order_ref"}, ShownCase),
        order_ref=found.case["order_ref"],
        seen=last_seen(found),
        entries=[made(CaseEntry, entry) for entry in found.entries],
        events=found.events,
    )


async def handover(call: CheckedCall) -> Handover:
    """Answers GET /api/handover."""
    async with call.desk.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        told = await hand_over(conn, by=None, now=call.desk.now(), since=call.query.since)
    return made(Handover, told)
