"""Stores the days whose statements gateways are asked for: a row for each, with a lease (store/postgres/lease.py)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.books.calendar import NextAttempt, late_case
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases.writing import close_cases, open_cases
from tillkeeper.store.postgres.lease import check_held
from tillkeeper.store.postgres.pool import Conn

LEASE: Final = timedelta(minutes=30)  # a million lines are fetched, taken in and matched within it
ERROR_CHARS_MAX: Final = 500
CAME: Final = "the statement came"  # the outcome of a case that closes by itself


class ClaimedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that this process has leased."""

    account: str
    day: date
    attempts: int
    claims: int


LAST_DAYS = "SELECT account, max(day) AS day FROM statement_days WHERE account = ANY ($1::text[]) GROUP BY account"


async def last_days(conn: Conn, accounts: Sequence[str]) -> dict[str, date]:
    """Reads the last day of each account that is known."""
    return {row["account"]: row["day"] for row in await conn.fetch(LAST_DAYS, accounts)}


ADD = """
INSERT INTO statement_days (account, day, due_at)
SELECT account, day, $3 FROM unnest($1::text[], $2::date[]) AS w (account, day)
ON CONFLICT (account, day) DO NOTHING
"""


async def add_days(conn: Conn, days: Mapping[str, Sequence[date]], *, now: datetime) -> None:
    """Adds days that are complete; each is fetched once, whoever adds it again."""
    pairs = sorted((account, day) for account, its_days in days.items() for day in its_days)
    await conn.execute(ADD, [account for account, _ in pairs], [day for _, day in pairs], now)


CLAIM_DAY = """
UPDATE statement_days SET leased_until = $3, claims = claims + 1
WHERE (account, day) = (
    SELECT account, day FROM statement_days
    WHERE due_at <= $2 AND leased_until <= $2 AND account = ANY ($1::text[])
    ORDER BY due_at, account, day LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING account, day, attempts, claims
"""


async def claim_day(conn: Conn, accounts: Sequence[str], *, now: datetime) -> ClaimedDay | None:
    """Leases a due day of one of the accounts."""
    row = await conn.fetchrow(CLAIM_DAY, accounts, now, now + LEASE)
    return None if row is None else ClaimedDay(**dict(row))


FINISH = """
UPDATE statement_days
SET state = $4, due_at = NULL, statement_id = $5, finished_at = $6, last_error = NULL, leased_until = '-infinity'
WHERE account = $1 AND day = $2 AND claims = $3 RETURNING 1
"""


async def finish_day(conn: Conn, claimed: ClaimedDay, statement_id: int, *, is_empty: bool, now: datetime) -> None:
    """Notes which statement the day's is, and closes its case.  Raises LeaseLost."""
    state = "empty" if is_empty else "taken"
    key = (claimed.account, claimed.day, claimed.claims)
    check_held(await conn.fetchval(FINISH, *key, state, statement_id, now))
    await close_cases(conn, [late_case(claimed.account, claimed.day).key], outcome=CAME, now=now)


PUT_OFF = """
UPDATE statement_days
SET state = $4, due_at = $5, attempts = attempts + 1, last_error = $6, leased_until = '-infinity'
WHERE account = $1 AND day = $2 AND claims = $3 RETURNING 1
"""


async def put_off_day(
    conn: Conn, claimed: ClaimedDay, then: NextAttempt, reason: str, *, policy: CasePolicy, now: datetime
) -> None:
    """Notes why there is no statement and when it is asked for again; one that is late is a case.  Raises LeaseLost."""
    state = "given_up" if then.due_at is None else "late" if then.is_late else "due"
    error = reason[:ERROR_CHARS_MAX]
    key = (claimed.account, claimed.day, claimed.claims)
    check_held(await conn.fetchval(PUT_OFF, *key, state, then.due_at, error))
    if then.is_late:
        await open_cases(conn, [(None, late_case(claimed.account, claimed.day, error))], policy=policy, now=now)


class AwaitedDay(msgspec.Struct, kw_only=True):
    """A complete day whose statement was asked for and did not come so far."""

    account: str
    day: date
    state: str  # due; late, where it has a case
    attempts: int
    again_at: datetime
    last_error: str


LIST_AWAITED = """
SELECT account, day, state, attempts, due_at AS again_at, last_error FROM statement_days
WHERE due_at IS NOT NULL AND attempts > 0 AND ($1::text IS NULL OR account = $1) ORDER BY account, day
"""


async def list_awaited_days(conn: Conn, *, account: str | None) -> list[AwaitedDay]:
    """Reads the days that are asked for again, a few of each account at the most."""
    return [AwaitedDay(**dict(row)) for row in await conn.fetch(LIST_AWAITED, account)]
