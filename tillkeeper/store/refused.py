"""Deliveries that were refused, with what the doctor says of each; a bounded number of every account."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.store.pool import Conn

KEPT_MAX: Final = 500  # of an account: a few days of one a quarter of an hour, and enough of a flood to know it by
BODY_BYTES_MAX: Final = 64 * 1024  # the largest real delivery seen is 38 KiB


class RefusedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One as it was received.  `id` is 0 until it is kept."""

    id: int = 0
    account: str
    received_at: datetime
    step: str
    finding: str
    reason: str
    detail: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class Tallied(msgspec.Struct, frozen=True, kw_only=True):
    """How often an account's deliveries were refused for one thing, of those that are kept."""

    account: str
    finding: str
    count: int
    first_at: datetime
    last_at: datetime
    last_id: int
    reason: str  # of the last


KEEP = """
INSERT INTO refused (account, received_at, step, finding, reason, detail, query, headers, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9) RETURNING id
"""

DROP_OLDEST = """
DELETE FROM refused
WHERE account = $1 AND id <= (SELECT id FROM refused WHERE account = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)
"""


async def keep_refused(conn: Conn, it: RefusedDelivery) -> int:
    """Keeps it, and lets go of the account's oldest ones beyond KEPT_MAX.  Returns its number."""
    body = it.body if it.body is None or len(it.body) <= BODY_BYTES_MAX else None
    headers = msgspec.json.encode(it.headers).decode()
    number: int = await conn.fetchval(
        KEEP, it.account, it.received_at, it.step, it.finding, it.reason, it.detail, it.query, headers, body
    )
    await conn.execute(DROP_OLDEST, it.account, KEPT_MAX)
    return number


TALLY = """
SELECT account, finding, count(*) AS count, min(received_at) AS first_at, max(received_at) AS last_at,
       max(id) AS last_id, (array_agg(reason ORDER BY id DESC))[1] AS reason
FROM refused WHERE $1::text IS NULL OR account = $1
GROUP BY account, finding ORDER BY max(received_at) DESC, account, finding
"""


async def tally_refused(conn: Conn, account: str | None = None) -> list[Tallied]:
    """What was refused and how often, the latest first."""
    return [Tallied(**dict(row)) for row in await conn.fetch(TALLY, account)]


LIST = """
SELECT id, account, received_at, step, finding, reason, detail, query, headers, body
FROM refused WHERE ($1::text IS NULL OR account = $1) AND ($2::text IS NULL OR finding = $2)
ORDER BY id DESC LIMIT $3
"""


async def list_refused(
    conn: Conn, account: str | None = None, finding: str | None = None, *, limit: int
) -> Sequence[RefusedDelivery]:
    """The latest first."""
    return [_delivery(dict(row)) for row in await conn.fetch(LIST, account, finding, limit)]


SHOW = """
SELECT id, account, received_at, step, finding, reason, detail, query, headers, body FROM refused WHERE id = $1
"""


async def show_refused(conn: Conn, number: int) -> RefusedDelivery | None:
    """The one of that number; None where there is none, or none any more."""
    row = await conn.fetchrow(SHOW, number)
    return None if row is None else _delivery(dict(row))


def _delivery(row: dict[str, object]) -> RefusedDelivery:
    headers = msgspec.json.decode(str(row["headers"]), type=tuple[tuple[str, str], ...])
    return RefusedDelivery(**{**row, "headers": headers})  # type: ignore[arg-type]
