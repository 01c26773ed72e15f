"""Finds statements whose lines do not add up to what was read of their file."""

from datetime import datetime
from typing import Any

from tillkeeper.store.postgres.pool import Conn

MISADDED = """
WITH taken AS (
    SELECT id, account, sums FROM statements WHERE lines_removed_at IS NULL AND taken_at >= $1
), read AS (
    SELECT t.id, t.account, s.kind, s.currency, s.lines, s.amount FROM taken t
    CROSS JOIN LATERAL jsonb_to_recordset(t.sums) AS s (kind text, currency text, lines bigint, amount numeric)
), added AS (
    SELECT l.statement_id AS id, l.kind, l.currency, count(*) AS lines, sum(l.amount_minor) AS amount
    FROM taken t JOIN statement_lines l ON l.statement_id = t.id GROUP BY 1, 2, 3
)
SELECT id AS statement, read.account, kind, currency, coalesce(read.lines, 0) AS read_lines,
       coalesce(read.amount, 0)::bigint AS read_amount, coalesce(added.lines, 0) AS stored_lines,
       coalesce(added.amount, 0)::bigint AS stored_amount
FROM read FULL JOIN added USING (id, kind, currency)
WHERE (read.lines, read.amount) IS DISTINCT FROM (added.lines, added.amount)
ORDER BY id, kind, currency LIMIT $2
"""


async def misadded_statements(conn: Conn, *, since: datetime, limit: int) -> list[dict[str, Any]]:
    """Returns what differs, of the statements that were taken in since then."""
    return [dict(row) for row in await conn.fetch(MISADDED, since, limit)]
