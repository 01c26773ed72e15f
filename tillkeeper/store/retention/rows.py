"""Removes rows, or what of them need not be kept, some at a time: which, is a table.

Each statement takes a span of time ($1 and $2); those that remove also take the number of rows ($3), and return how
many it was and their bytes, which PostgreSQL uses for other rows then.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.retention import DataKind, TimeSpan
from tillkeeper.store.postgres.pool import Conn

ROWS_AT_ONCE: Final = 1_000  # a transaction of a few tens of milliseconds


class Removed(msgspec.Struct, frozen=True):
    """A number of rows, and their bytes."""

    rows: int
    bytes: int


class RetentionPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a kind, which is one table."""

    kind: DataKind
    what: str  # for people
    count: str
    remove: str


# What came in a week that has no partition.  The default partition alone is read.
COUNT_UNPLACED = """
SELECT count(*) AS rows, coalesce(sum(octet_length(body) + pg_column_size(headers) + octet_length(query)), 0)::bigint
       AS bytes
FROM delivery_bodies_other WHERE received_at >= $1 AND received_at < $2
"""
REMOVE_UNPLACED = """
WITH gone AS (
    DELETE FROM delivery_bodies_other WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM delivery_bodies_other WHERE received_at >= $1 AND received_at < $2 LIMIT $3
    )) RETURNING octet_length(body) + pg_column_size(headers) + octet_length(query) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

# What 0.1.0 stored.
COUNT_BEFORE = """
SELECT count(*) AS rows, coalesce(sum(octet_length(body) + pg_column_size(headers) + octet_length(query)), 0)::bigint
       AS bytes
FROM deliveries WHERE body IS NOT NULL AND received_at >= $1 AND received_at < $2
"""
REMOVE_BEFORE = """
WITH old AS (
    SELECT run, number, octet_length(body) + pg_column_size(headers) + octet_length(query) AS bytes FROM deliveries
    WHERE body IS NOT NULL AND received_at >= $1 AND received_at < $2
    ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE deliveries d SET body = NULL, headers = '[]', query = '' FROM old
    WHERE d.run = old.run AND d.number = old.number RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

# Up to the time of the last that is among the oldest: some of the same moment may be more.
COUNT_UNSIGNED = """
SELECT count(*) AS rows, coalesce(sum(octet_length(body) + pg_column_size(headers) + octet_length(query)), 0)::bigint
       AS bytes
FROM delivery_bodies WHERE NOT proven AND received_at >= $1 AND received_at < $2
"""
REMOVE_UNSIGNED = """
WITH gone AS (
    DELETE FROM delivery_bodies WHERE NOT proven AND received_at >= $1 AND received_at <= (
        SELECT max(received_at) FROM (
            SELECT received_at FROM delivery_bodies WHERE NOT proven AND received_at >= $1 AND received_at < $2
            ORDER BY received_at LIMIT $3
        ) oldest
    ) RETURNING octet_length(body) + pg_column_size(headers) + octet_length(query) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""
COUNT_UNSIGNED_BEFORE = """
SELECT count(*) AS rows, coalesce(sum(octet_length(body) + pg_column_size(headers) + octet_length(query)), 0)::bigint
       AS bytes
FROM deliveries WHERE key = 'unsigned' AND body IS NOT NULL AND received_at >= $1 AND received_at < $2
"""
REMOVE_UNSIGNED_BEFORE = """
WITH old AS (
    SELECT run, number, octet_length(body) + pg_column_size(headers) + octet_length(query) AS bytes FROM deliveries
    WHERE key = 'unsigned' AND body IS NOT NULL AND received_at >= $1 AND received_at < $2
    ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE deliveries d SET body = NULL, headers = '[]', query = '' FROM old
    WHERE d.run = old.run AND d.number = old.number RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

COUNT_REFUSED = """
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM refused
WHERE received_at >= $1 AND received_at < $2
"""
REMOVE_REFUSED = """
WITH gone AS (
    DELETE FROM refused WHERE id = ANY(ARRAY(
        SELECT id FROM refused WHERE received_at >= $1 AND received_at < $2 ORDER BY id LIMIT $3
    )) RETURNING bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

COUNT_PARKED = """
SELECT count(*) AS rows, coalesce(sum(octet_length(body)), 0)::bigint AS bytes FROM parked
WHERE outcome IS NOT NULL AND octet_length(body) > 0 AND closed_at >= $1 AND closed_at < $2
"""
REMOVE_PARKED = """
WITH old AS (
    SELECT id, octet_length(body) AS bytes FROM parked
    WHERE outcome IS NOT NULL AND octet_length(body) > 0 AND closed_at >= $1 AND closed_at < $2
    ORDER BY closed_at LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE parked k SET body = '' FROM old WHERE k.id = old.id RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

# Of dead ones the content stays with their case.
COUNT_OUTBOX = """
SELECT count(*) AS rows, coalesce(sum(pg_column_size(payload)), 0)::bigint AS bytes FROM outbox
WHERE state IN ('sent', 'uncertain', 'dropped') AND payload <> '{}' AND finished_at >= $1 AND finished_at < $2
"""
REMOVE_OUTBOX = """
WITH old AS (
    SELECT key, pg_column_size(payload) AS bytes FROM outbox
    WHERE state IN ('sent', 'uncertain', 'dropped') AND payload <> '{}' AND finished_at >= $1 AND finished_at < $2
    ORDER BY finished_at LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE outbox n SET payload = '{}' FROM old WHERE n.key = old.key RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

# A row without references adds up what its account's finished ones counted, so that audit balances as before.
COUNT_FETCHES = """
SELECT count(*) AS rows, coalesce(sum(pg_column_size(f.*)), 0)::bigint AS bytes FROM fetches f
WHERE due_at IS NULL AND num_nonnulls(payment_ref, refund_ref, order_ref) > 0
  AND finished_at >= $1 AND finished_at < $2
"""
REMOVE_FETCHES = """
WITH old AS (
    SELECT id FROM fetches
    WHERE due_at IS NULL AND num_nonnulls(payment_ref, refund_ref, order_ref) > 0
      AND finished_at >= $1 AND finished_at < $2
    ORDER BY finished_at LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM fetches f USING old WHERE f.id = old.id
    RETURNING f.account, f.run, f.number, f.requests, f.found, f.not_found, f.given_up, f.requested_at, f.finished_at,
              pg_column_size(f.*) AS bytes
), added AS (
    INSERT INTO fetches AS f (account, about, run, number, proven, requests, found, not_found, given_up, requested_at,
                              result, finished_at)
    SELECT account, 'payment', (array_agg(run ORDER BY finished_at DESC))[1],
           (array_agg(number ORDER BY finished_at DESC))[1], false, sum(requests), sum(found), sum(not_found),
           sum(given_up), min(requested_at), 'the sum of those that retention removed', max(finished_at)
    FROM gone GROUP BY account ORDER BY account
    ON CONFLICT (account, about, payment_ref, refund_ref, order_ref) DO UPDATE
    SET run = excluded.run, number = excluded.number, requests = f.requests + excluded.requests,
        found = f.found + excluded.found, not_found = f.not_found + excluded.not_found,
        given_up = f.given_up + excluded.given_up, finished_at = greatest(f.finished_at, excluded.finished_at)
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

# While something differs that a statement lists, its lines are compared anew.
COUNT_STATEMENT_LINES = """
SELECT count(*) AS rows, coalesce(sum(pg_column_size(l.*)), 0)::bigint AS bytes
FROM statements s JOIN statement_lines l ON l.statement_id = s.id
WHERE s.taken_at >= $1 AND s.taken_at < $2
  AND NOT EXISTS (SELECT FROM statement_differences d WHERE d.statement_id = s.id AND d.settled_at IS NULL)
"""
REMOVE_STATEMENT_LINES = """
WITH old AS (
    SELECT s.id FROM statements s
    WHERE s.taken_at >= $1 AND s.taken_at < $2
      AND EXISTS (SELECT FROM statement_lines l WHERE l.statement_id = s.id)
      AND NOT EXISTS (SELECT FROM statement_differences d WHERE d.statement_id = s.id AND d.settled_at IS NULL)
    ORDER BY s.taken_at LIMIT 1
), noted AS (
    UPDATE statements s SET lines_removed_at = coalesce(s.lines_removed_at, now()) FROM old WHERE s.id = old.id
), gone AS (
    DELETE FROM statement_lines WHERE (statement_id, place) IN (
        SELECT l.statement_id, l.place FROM statement_lines l JOIN old ON old.id = l.statement_id LIMIT $3
    ) RETURNING pg_column_size(statement_lines.*) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

# Sessions end two hours after they were used last, at the latest.
COUNT_SESSIONS = """
SELECT count(*) AS rows, coalesce(sum(octet_length(token_hash)), 0)::bigint AS bytes FROM sessions s
WHERE seen_at >= $1 AND seen_at < $2
"""
REMOVE_SESSIONS = """
WITH old AS (
    SELECT id, octet_length(token_hash) AS bytes FROM sessions s
    WHERE seen_at >= $1 AND seen_at < $2
    ORDER BY seen_at LIMIT $3
), gone AS (
    DELETE FROM sessions s USING old WHERE s.id = old.id RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""
COUNT_LINKS = """
SELECT count(*) AS rows, coalesce(sum(octet_length(token_hash)), 0)::bigint AS bytes FROM one_time_links l
WHERE expires_at >= $1 AND expires_at < $2
"""
REMOVE_LINKS = """
WITH old AS (
    SELECT person_id, octet_length(token_hash) AS bytes FROM one_time_links l
    WHERE expires_at >= $1 AND expires_at < $2
    ORDER BY expires_at LIMIT $3
), gone AS (
    DELETE FROM one_time_links l USING old WHERE l.person_id = old.person_id AND l.expires_at < $2 RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""
COUNT_TOKENS = """
SELECT count(*) AS rows, coalesce(sum(octet_length(token_hash)), 0)::bigint AS bytes FROM api_tokens t
WHERE least(expires_at, ended_at) >= $1 AND least(expires_at, ended_at) < $2
"""
REMOVE_TOKENS = """
WITH old AS (
    SELECT id, octet_length(token_hash) AS bytes FROM api_tokens t
    WHERE least(expires_at, ended_at) >= $1 AND least(expires_at, ended_at) < $2
    ORDER BY least(expires_at, ended_at) LIMIT $3
), gone AS (
    DELETE FROM api_tokens t USING old WHERE t.id = old.id RETURNING old.bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

PARTS: Final[Mapping[str, RetentionPart]] = {
    "bodies_without_a_week": RetentionPart(
        kind=DataKind.BODIES, what="bodies of weeks without a partition", count=COUNT_UNPLACED, remove=REMOVE_UNPLACED
    ),
    "bodies_in_deliveries": RetentionPart(
        kind=DataKind.BODIES, what="bodies that 0.1.0 stored", count=COUNT_BEFORE, remove=REMOVE_BEFORE
    ),
    "unsigned": RetentionPart(
        kind=DataKind.UNSIGNED, what="bodies that nobody signed", count=COUNT_UNSIGNED, remove=REMOVE_UNSIGNED
    ),
    "unsigned_in_deliveries": RetentionPart(
        kind=DataKind.UNSIGNED,
        what="bodies that nobody signed, stored by 0.1.0",
        count=COUNT_UNSIGNED_BEFORE,
        remove=REMOVE_UNSIGNED_BEFORE,
    ),
    "refused": RetentionPart(
        kind=DataKind.REFUSED, what="refused deliveries", count=COUNT_REFUSED, remove=REMOVE_REFUSED
    ),
    "parked": RetentionPart(
        kind=DataKind.PARKED, what="messages of parked events that are closed", count=COUNT_PARKED, remove=REMOVE_PARKED
    ),
    "outbox": RetentionPart(
        kind=DataKind.OUTBOX, what="content of finished notices", count=COUNT_OUTBOX, remove=REMOVE_OUTBOX
    ),
    "fetches": RetentionPart(
        kind=DataKind.FETCHES, what="finished queries", count=COUNT_FETCHES, remove=REMOVE_FETCHES
    ),
    "statement_lines": RetentionPart(
        kind=DataKind.STATEMENTS,
        what="lines of statements",
        count=COUNT_STATEMENT_LINES,
        remove=REMOVE_STATEMENT_LINES,
    ),
    "sessions": RetentionPart(
        kind=DataKind.ACCESS, what="sessions that are over", count=COUNT_SESSIONS, remove=REMOVE_SESSIONS
    ),
    "one_time_links": RetentionPart(
        kind=DataKind.ACCESS, what="one-time links that are over", count=COUNT_LINKS, remove=REMOVE_LINKS
    ),
    "api_tokens": RetentionPart(
        kind=DataKind.ACCESS, what="API tokens that are over", count=COUNT_TOKENS, remove=REMOVE_TOKENS
    ),
}


async def count(conn: Conn, part: RetentionPart, span: TimeSpan) -> Removed:
    """Counts what would be removed of a part."""
    return _removed(await conn.fetchrow(part.count, span.since, span.until))


async def remove_some(conn: Conn, part: RetentionPart, span: TimeSpan, *, limit: int = ROWS_AT_ONCE) -> Removed:
    """Removes up to about so many rows of a part, in the caller's transaction."""
    return _removed(await conn.fetchrow(part.remove, span.since, span.until, limit))


def _removed(row: asyncpg.Record | None) -> Removed:
    assert row is not None
    return Removed(row["rows"], row["bytes"])
