"""Lists and counts cases for people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tillkeeper.store.cases.writing import TILLKEEPER
from tillkeeper.store.postgres.pool import Conn


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Selects cases; None means any."""

    closed_too: bool = False
    level: int | None = None  # and those above
    owner: str | None = None  # "" for those without one
    kind: str | None = None
    account: str | None = None  # or of an order that is paid there
    due_before: datetime | None = None


class CasePlace(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the list: that of the case after which the next part begins."""

    is_closed: bool
    level: int
    opened_at: datetime
    id: int


# Most urgent first: those of the highest level, of these the oldest.  While only open ones are asked for, the partial
# index on the follow-up finds them.
LIST_CASES = """
SELECT c.id, c.kind, c.subject, c.account, c.level, c.owner, c.opened_at, c.follow_up_at, c.closed_at, c.closed_by,
       c.outcome, coalesce(o.order_ref, c.details ->> 'order_ref') AS order_ref, o.status,
       CASE WHEN o.id IS NOT NULL THEN o.amount_minor
            WHEN jsonb_typeof(c.details -> 'amount') = 'number' THEN (c.details ->> 'amount')::bigint END AS amount,
       coalesce(o.currency, c.details ->> 'currency') AS currency
FROM cases c LEFT JOIN orders o ON o.id = c.order_id
WHERE (c.follow_up_at IS NOT NULL OR $1) AND ($2::int IS NULL OR c.level >= $2)
  AND ($3::text IS NULL OR coalesce(c.owner, '') = $3) AND ($4::text IS NULL OR c.kind = $4)
  AND ($5::text IS NULL OR c.account = $5 OR $5 = ANY(o.accounts))
  AND ($6::timestamptz IS NULL OR c.follow_up_at < $6)
  AND ($7::boolean IS NULL
       OR (c.closed_at IS NOT NULL, -c.level, c.opened_at, c.id) > ($7, -$8::int, $9::timestamptz, $10::bigint))
ORDER BY c.closed_at IS NOT NULL, c.level DESC, c.opened_at, c.id LIMIT $11
"""


async def list_cases(
    conn: Conn, filters: Filters, *, limit: int, after: CasePlace | None = None
) -> list[dict[str, Any]]:
    """Lists cases, the most urgent first, closed ones last."""
    place = (None,) * 4 if after is None else (after.is_closed, after.level, after.opened_at, after.id)
    wanted = (filters.closed_too, filters.level, filters.owner, filters.kind, filters.account, filters.due_before)
    return [dict(row) for row in await conn.fetch(LIST_CASES, *wanted, *place, limit)]


class CaseChoices(msgspec.Struct, frozen=True, kw_only=True):
    """The kinds and owners of all cases."""

    kinds: frozenset[str]
    owners: frozenset[str]


KNOWN_CASES = """
SELECT array_agg(DISTINCT kind) AS kinds, array_agg(DISTINCT owner) FILTER (WHERE owner IS NOT NULL) AS owners
FROM cases
"""


async def known(conn: Conn) -> CaseChoices:
    """Reads the kinds and owners of all cases, also of closed ones."""
    row = await conn.fetchrow(KNOWN_CASES)
    assert row is not None
    return CaseChoices(kinds=frozenset(row["kinds"] or ()), owners=frozenset(row["owners"] or ()))


class OpenCases(msgspec.Struct, frozen=True, kw_only=True):
    """How many cases are open, and of these how many are somebody's, nobody's, due until then, and urgent."""

    open: int
    yours: int
    nobodys: int
    due: int
    urgent: int


COUNT_OPEN = """
SELECT count(*) AS open, count(*) FILTER (WHERE owner = $1) AS yours, count(*) FILTER (WHERE owner IS NULL) AS nobodys,
       count(*) FILTER (WHERE follow_up_at < $2) AS due, count(*) FILTER (WHERE level > 1) AS urgent
FROM cases WHERE follow_up_at IS NOT NULL
"""


async def count_open(conn: Conn, *, owner: str, until: datetime) -> OpenCases:
    """Counts open cases: the `owner`'s, nobody's, and those to be followed up until then."""
    row = await conn.fetchrow(COUNT_OPEN, owner, until)
    assert row is not None
    return OpenCases(**dict(row))


# With the last entry of each that is more than a reminder: who decides about them says that they know of it.
CASES_NAMED = """
SELECT c.id, c.kind, c.subject, c.account, c.level, c.owner, c.opened_at, c.follow_up_at, c.closed_at, c.closed_by,
       c.outcome, coalesce(o.order_ref, c.details ->> 'order_ref') AS order_ref, o.status, e.id AS seen,
       e.what AS last_what, e.by AS last_by, e.note AS last_note, e.at AS last_at
FROM cases c LEFT JOIN orders o ON o.id = c.order_id
CROSS JOIN LATERAL (
    SELECT id, what, by, note, at FROM case_entries
    WHERE case_id = c.id AND NOT (what = 'followed_up' AND by = $2) ORDER BY id DESC LIMIT 1
) AS e
WHERE c.id = ANY($1::bigint[]) ORDER BY c.level DESC, c.opened_at, c.id
"""


async def cases_named(conn: Conn, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Reads those of these cases that exist, each with the last entry of its history."""
    return [dict(row) for row in await conn.fetch(CASES_NAMED, ids, TILLKEEPER)]
