"""The page of the books: what gateways' statements say otherwise, which were taken in, and which time is missing."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import query_of
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.numbers import up_to
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.books.bank import NOT_THERE
from tillkeeper.store.books.bank import list_payouts
from tillkeeper.store.books.listing import (
    ListedDifference,
    ListedStatement,
    MissingTime,
    list_differences,
    list_missing_time,
    list_statements,
)

DIFFERENCES: Final = 100  # shown; `tillkeeper books differences --limit` has more
STATEMENTS: Final = 40
PAYOUTS: Final = 40


async def show(request: web.Request) -> web.Response:
    """Answers GET /books, with ?account=."""
    desk, shower = desk_of(request), shower_for(request)
    account = query_of(request).text("account") or None
    async with desk.pool.acquire() as conn:
        found = await list_differences(conn, account=account, verdict=None, accepted_too=False, limit=DIFFERENCES + 1)
        statements = await list_statements(conn, account=account, limit=STATEMENTS)
        missing = await list_missing_time(conn, account=account)
        payouts = await list_payouts(conn, account=account, verdicts=NOT_THERE, limit=PAYOUTS)
    return page(
        request,
        "books.html",
        shower=shower,
        title=_title(shower, found, statements, missing),
        tone="look" if found or missing or any(each.case_id for each in payouts) else "calm",
        differences=found[:DIFFERENCES],
        are_more=len(found) > DIFFERENCES,
        statements=statements,
        missing=missing,
        payouts=payouts,
        account=account,
        accounts=sorted(desk.settings.accounts),
    )


def _title(
    shower: Shower,
    found: Sequence[ListedDifference],
    statements: Sequence[ListedStatement],
    missing: Sequence[MissingTime],
) -> str:
    if found:
        count: object = 1 if len(found) == 1 else up_to(len(found), DIFFERENCES)
        return shower.say("books.title_differ", count=count)
    if missing:
        return shower.say("books.title_missing", count=len(missing))
    return shower.say("books.title_agree" if statements else "books.title_none")
