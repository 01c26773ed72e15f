"""Stores refused deliveries with their diagnosis, limited in number and bytes.

They are not verified, so that strangers decide how many come and how large: each row, each account and all accounts
together have a limit, and the oldest are deleted first.  Retention deletes what is old (store/retention/).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.store.postgres.pool import Conn, rows_of

KEPT_MAX: Final = 500  # of an account: a few days of one every 15 minutes, and enough of a flood to recognise it
BODY_BYTES_MAX: Final = 64 * 1024  # the largest real delivery seen is 38 KiB
HEADERS_BYTES_MAX: Final = 16 * 1024  # a signature and an id take under 1 KiB; a header may occur hundreds of times
ACCOUNT_BYTES_MAX: Final = 4 * 1024 * 1024  # 500 ordinary ones are under 2 MiB
TOTAL_BYTES_MAX: Final = 32 * 1024 * 1024  # over all accounts


class RefusedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A refused delivery as it was received.  `id` is 0 until it is stored."""

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
    """The number of stored refusals of an account for one finding."""

    account: str
    finding: str
    count: int
    first_at: datetime
    last_at: datetime
    last_id: int
    reason: str  # of the last


KEEP = """
INSERT INTO refused (account, received_at, step, finding, reason, detail, query, headers, body, bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10) RETURNING id
"""

DROP_OF_ACCOUNT = """
DELETE FROM refused WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER latest AS place, sum(bytes) OVER latest AS bytes
        FROM refused WHERE account = $1 WINDOW latest AS (ORDER BY id DESC)
    ) AS it WHERE place > $2 OR bytes > $3
)
"""

DROP_OF_ALL = """
DELETE FROM refused WHERE id IN (
    SELECT id FROM (SELECT id, sum(bytes) OVER (ORDER BY id DESC) AS bytes FROM refused) AS it WHERE bytes > $1
)
"""


async def keep_refused(conn: Conn, refusal: RefusedDelivery) -> int:
    """Stores a refusal, and deletes the oldest beyond the limits of its account and of all.  Returns its number."""
    body = refusal.body if refusal.body is None or len(refusal.body) <= BODY_BYTES_MAX else None
    headers = _bounded(refusal.headers)
    texts = (refusal.reason, refusal.detail, refusal.query, headers)
    size_bytes = sum(len(text.encode("utf-8", "replace")) for text in texts) + len(body or b"")
    number: int = await conn.fetchval(
        KEEP,
        refusal.account,
        refusal.received_at,
        refusal.step,
        refusal.finding,
        refusal.reason,
        refusal.detail,
        refusal.query,
        headers,
        body,
        size_bytes,
    )
    await conn.execute(DROP_OF_ACCOUNT, refusal.account, KEPT_MAX, ACCOUNT_BYTES_MAX)
    await conn.execute(DROP_OF_ALL, TOTAL_BYTES_MAX)
    return number


def _bounded(headers: Sequence[tuple[str, str]]) -> str:
    """Returns as many of the first headers as fit, as JSON."""
    kept: list[tuple[str, str]] = []
    left_bytes = HEADERS_BYTES_MAX
    for name, value in headers:
        left_bytes -= len(name) + len(value.encode("utf-8", "replace"))
        if left_bytes < 0:
            break
        kept.append((name, value))
    return msgspec.json.encode(kept).decode()


TALLY = """
SELECT account, finding, count(*) AS count, min(received_at) AS first_at, max(received_at) AS last_at,
       max(id) AS last_id, (array_agg(reason ORDER BY id DESC))[1] AS reason
FROM refused WHERE $1::text IS NULL OR account = $1
GROUP BY account, finding ORDER BY max(received_at) DESC, account, finding
"""


async def tally_refused(conn: Conn, account: str | None = None) -> list[Tallied]:
    """Counts the refusals by account and finding, the latest first."""
    return [Tallied(**dict(row)) for row in await conn.fetch(TALLY, account)]


LIST = """
SELECT id, account, received_at, step, finding, reason, detail, query, headers, body
FROM refused
WHERE ($1::text IS NULL OR account = $1) AND ($2::text IS NULL OR finding = $2) AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""


async def list_refused(
    conn: Conn, account: str | None = None, finding: str | None = None, *, limit: int, before: int | None = None
) -> Sequence[RefusedDelivery]:
    """Reads refusals, the latest first; those before that number, where one is named."""
    return [_delivery(dict(row)) for row in await conn.fetch(LIST, account, finding, before, limit)]


SHOW = """
SELECT id, account, received_at, step, finding, reason, detail, query, headers, body FROM refused WHERE id = $1
"""


async def show_refused(conn: Conn, number: int) -> RefusedDelivery | None:
    """Reads the refusal of that number; returns None where there is none any more."""
    row = await conn.fetchrow(SHOW, number)
    return None if row is None else _delivery(dict(row))


REMOVE = "DELETE FROM refused WHERE id = $1"


async def remove_refused(conn: Conn, number: int) -> bool:
    """Removes the refusal of that number, whose delivery is taken in; returns False where there is none any more."""
    return rows_of(await conn.execute(REMOVE, number)) == 1


def _delivery(row: dict[str, object]) -> RefusedDelivery:
    headers = msgspec.json.decode(str(row["headers"]), type=tuple[tuple[str, str], ...])
    return RefusedDelivery(**{**row, "headers": headers})  # type: ignore[arg-type]
