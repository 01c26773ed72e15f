"""Reads what statements say otherwise, and which were taken in."""

from typing import Final

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types import books as types
from tillkeeper.domain.books.bank import NOT_THERE
from tillkeeper.store.books.bank import list_payouts
from tillkeeper.store.books.listing import list_differences, list_missing_time, list_statements

LISTED_MAX: Final = 200


async def books(call: CheckedCall) -> types.Books:
    """Answers GET /api/books."""
    account = call.query.account
    async with call.desk.pool.acquire() as conn:
        found = await list_differences(conn, account=account, verdict=None, accepted_too=False, limit=LISTED_MAX)
        statements = await list_statements(conn, account=account, limit=LISTED_MAX)
        missing = await list_missing_time(conn, account=account)
        payouts = await list_payouts(conn, account=account, verdicts=NOT_THERE, limit=LISTED_MAX)
    return types.Books(
        differences=[made(types.BooksDifference, each) for each in found],
        statements=[made(types.BooksStatement, each) for each in statements],
        missing=[made(types.BooksGap, each) for each in missing],
        payouts=[made(types.BooksPayout, each) for each in payouts],
    )
