"""Lists which statements were taken in, which time is missing between them, and what differs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tillkeeper.domain.books.coverage import Covered, gaps, joined
from tillkeeper.domain.books.difference import CASE_KINDS_OF, StatementDifference
from tillkeeper.store.books.differences import difference_in
from tillkeeper.store.postgres.pool import Conn

FINISH_STATEMENTS = "UPDATE statements SET matched_at = $2 WHERE id = ANY ($1::bigint[])"


async def finish_statements(conn: Conn, ids: Sequence[int], *, now: datetime) -> None:
    """Notes that all is done that follows from these statements."""
    await conn.execute(FINISH_STATEMENTS, list(ids), now)


class ListedStatement(msgspec.Struct, kw_only=True):
    """A statement that was taken in."""

    id: int
    account: str
    form: str
    name: str
    begins: datetime
    ends: datetime
    zone: str
    covers: list[str]
    lines: int
    sums: list[dict[str, Any]]
    taken_at: datetime
    taken_by: str
    superseded_by: int | None
    matched_at: datetime | None
    differences: int  # that are open


STATEMENTS = """
SELECT s.id, s.account, s.form, s.name, s.begins, s.ends, s.zone, s.covers, s.lines, s.sums::text AS sums, s.taken_at,
       s.taken_by, s.superseded_by, s.matched_at,
       (SELECT count(*) FROM statement_differences d
        WHERE d.account = s.account AND d.form = s.form AND d.statement_id = s.id
          AND d.settled_at IS NULL) AS differences
FROM statements s WHERE ($1::text IS NULL OR s.account = $1)
ORDER BY s.begins DESC, s.id DESC LIMIT $2
"""


async def list_statements(conn: Conn, *, account: str | None, limit: int) -> list[ListedStatement]:
    """Reads the latest statements."""
    rows = await conn.fetch(STATEMENTS, account, limit)
    return [ListedStatement(**{**row, "sums": msgspec.json.decode(row["sums"])}) for row in rows]


class MissingTime(msgspec.Struct, kw_only=True):
    """A time of which an account's statements of a form list nothing, between two that do."""

    account: str
    form: str
    begins: datetime
    ends: datetime
    zone: str


COVERING = """
SELECT account, form, begins, ends, zone FROM statements
WHERE ($1::text IS NULL OR account = $1) AND superseded_by IS NULL AND cardinality(covers) > 0
ORDER BY account, form, begins
"""


async def list_missing_time(conn: Conn, *, account: str | None) -> list[MissingTime]:
    """Finds the gaps between the statements of each account and form."""
    spans: dict[tuple[str, str], list[Covered]] = {}
    zones: dict[tuple[str, str], str] = {}
    for row in await conn.fetch(COVERING, account):
        key = (row["account"], row["form"])
        spans.setdefault(key, []).append(Covered(row["begins"], row["ends"]))
        zones[key] = row["zone"]
    return [
        MissingTime(account=key[0], form=key[1], begins=gap.begins, ends=gap.ends, zone=zones[key])
        for key, covered in spans.items()
        for gap in gaps(joined(covered))
    ]


class ListedDifference(StatementDifference, kw_only=True, frozen=True):
    """An open difference, with its order and its case."""

    order_ref: str | None
    case_id: int | None
    accepted_by: str | None  # who resolved the case: it is as it should be


OPEN_DIFFERENCES = """
SELECT d.*, o.order_ref, c.id AS case_id, CASE WHEN c.closed_by <> 'system' THEN c.closed_by END AS accepted_by
FROM statement_differences d
LEFT JOIN orders o ON o.id = d.order_id
LEFT JOIN unnest($5::text[], $6::text[]) AS k (verdict, kind) ON k.verdict = d.verdict
LEFT JOIN cases c ON c.kind = k.kind AND c.subject = d.object || ':' || d.account || '/' || d.ref
WHERE d.settled_at IS NULL AND ($1::text IS NULL OR d.account = $1) AND ($2::text IS NULL OR d.verdict = $2)
  AND ($3 OR c.closed_by IS NULL OR c.closed_by = 'system')
ORDER BY d.found_at DESC, d.account, d.object, d.ref LIMIT $4
"""


async def list_differences(
    conn: Conn, *, account: str | None, verdict: str | None, accepted_too: bool, limit: int
) -> list[ListedDifference]:
    """Reads what differs still, the latest first."""
    kinds = list(CASE_KINDS_OF), list(CASE_KINDS_OF.values())
    rows = await conn.fetch(OPEN_DIFFERENCES, account, verdict, accepted_too, limit, *kinds)
    return [
        ListedDifference(
            **msgspec.structs.asdict(difference_in(row)),
            order_ref=row["order_ref"],
            case_id=row["case_id"],
            accepted_by=row["accepted_by"],
        )
        for row in rows
    ]


DIFFERING_FORMS = """
SELECT DISTINCT account, form FROM statement_differences WHERE settled_at IS NULL ORDER BY account, form
"""


async def list_differing_forms(conn: Conn) -> list[tuple[str, str]]:
    """Reads of which forms of which accounts something differs still."""
    return [(row["account"], row["form"]) for row in await conn.fetch(DIFFERING_FORMS)]


COUNT_DIFFERENCES = """
SELECT count(*) FROM statement_differences d
LEFT JOIN unnest($2::text[], $3::text[]) AS k (verdict, kind) ON k.verdict = d.verdict
LEFT JOIN cases c ON c.kind = k.kind AND c.subject = d.object || ':' || d.account || '/' || d.ref
WHERE d.settled_at IS NULL AND d.account = $1 AND (c.closed_by IS NULL OR c.closed_by = 'system')
"""


async def count_differences(conn: Conn, account: str) -> int:
    """Counts what differs still, and that nobody accepted."""
    number: int = await conn.fetchval(COUNT_DIFFERENCES, account, list(CASE_KINDS_OF), list(CASE_KINDS_OF.values()))
    return number
