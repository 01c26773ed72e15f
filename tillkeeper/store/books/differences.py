"""Writes what statements and facts say differently, with the cases that people settle them by, and settles the rest."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from tillkeeper.domain.books.difference import StatementDifference, case_key, case_reason
from tillkeeper.domain.books.matching import MatchedObject, Verdict
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases.writing import close_cases, open_cases
from tillkeeper.store.postgres.pool import Conn, as_json

CASES_AT_ONCE: Final = 500
SETTLED: Final = "statement and order agree"  # the outcome of a case that closes by itself

FIELDS: Final = (
    *("account", "form", "object", "ref", "verdict", "statement_id", "number", "order_id", "said_minor"),
    *("said_currency", "known_minor", "known_currency", "said_fee_minor", "agreed_fee_minor"),
)

WRITE = """
INSERT INTO statement_differences AS d
       (account, form, object, ref, verdict, statement_id, number, order_id, said_minor, said_currency, known_minor,
        known_currency, said_fee_minor, agreed_fee_minor, found_at)
SELECT account, form, object, ref, verdict, statement_id, number, order_id, said_minor, said_currency, known_minor,
       known_currency, said_fee_minor, agreed_fee_minor, $2
FROM json_populate_recordset(NULL::statement_differences, $1::json)
ON CONFLICT (account, form, object, ref) DO UPDATE
SET verdict = excluded.verdict, statement_id = excluded.statement_id, number = excluded.number,
    order_id = excluded.order_id, said_minor = excluded.said_minor, said_currency = excluded.said_currency,
    known_minor = excluded.known_minor, known_currency = excluded.known_currency,
    said_fee_minor = excluded.said_fee_minor, agreed_fee_minor = excluded.agreed_fee_minor,
    found_at = CASE WHEN d.settled_at IS NULL AND d.verdict = excluded.verdict THEN d.found_at
                    ELSE excluded.found_at END,
    told_at = CASE WHEN d.settled_at IS NULL AND d.verdict = excluded.verdict THEN d.told_at END, settled_at = NULL
WHERE (d.verdict, d.said_minor, d.said_currency, d.known_minor, d.known_currency, d.said_fee_minor, d.order_id)
      IS DISTINCT FROM
      (excluded.verdict, excluded.said_minor, excluded.said_currency, excluded.known_minor, excluded.known_currency,
       excluded.said_fee_minor, excluded.order_id)
   OR d.settled_at IS NOT NULL
"""


async def write_differences(conn: Conn, found: Sequence[StatementDifference], *, now: datetime) -> None:
    """Writes what differs; what is known to differ so already stays as it is."""
    rows = [{name: getattr(difference, name) for name in FIELDS} for difference in found]
    await conn.execute(WRITE, as_json(rows), now)


SETTLE = """
UPDATE statement_differences d SET settled_at = $6
FROM unnest($3::text[], $4::text[], $5::text[]) AS w (object, ref, verdict)
WHERE d.account = $1 AND d.form = $2 AND d.object = w.object AND d.ref = w.ref AND d.settled_at IS NULL
"""
# Other forms may say so still.
OPEN_ELSEWHERE = """
SELECT object, ref, verdict FROM statement_differences
WHERE account = $1 AND settled_at IS NULL AND form <> $2
  AND (object, ref) IN (SELECT object, ref FROM unnest($3::text[], $4::text[], $5::text[]) AS w (object, ref, verdict))
"""

Over = tuple[MatchedObject, str, Verdict]  # an object, and what differed so far


async def settle(
    conn: Conn, account: str, form: str, agreed: Collection[Over], changed: Collection[Over], *, now: datetime
) -> None:
    """Settles what agrees by now, and closes its cases; of what differs in another way by now, the cases alone."""
    if agreed:
        await conn.execute(SETTLE, account, form, *_columns(agreed), now)
    if over := [*agreed, *changed]:
        elsewhere = await conn.fetch(OPEN_ELSEWHERE, account, form, *_columns(over))
        still = {case_key(account, MatchedObject(kind), ref, Verdict(verdict)) for kind, ref, verdict in elsewhere}
        keys = {case_key(account, *each) for each in over} - still
        await close_cases(conn, keys, outcome=SETTLED, now=now)


def _columns(over: Collection[Over]) -> tuple[list[str], list[str], list[str]]:
    return [kind for kind, _, _ in over], [ref for _, ref, _ in over], [verdict for _, _, verdict in over]


# --- cases ------------------------------------------------------------------------------------------------------------

# Money whose event waits for its order has a case of its own, once it waited for too long (domain/policy.py).
WITHOUT_CASE = """
SELECT d.account, d.form, d.object, d.ref, d.verdict, d.statement_id, d.number, d.order_id, d.said_minor,
       d.said_currency, d.known_minor, d.known_currency, d.said_fee_minor, d.agreed_fee_minor, d.found_at
FROM statement_differences d
WHERE d.account = $1 AND d.form = $2 AND d.settled_at IS NULL AND (d.object, d.ref) > ($3, $4)
  AND NOT (d.told_at IS NOT NULL AND EXISTS (
      SELECT FROM inbox x WHERE x.account = d.account AND x.outcome = 'waiting'
      AND (d.object = 'payment' AND x.payment_ref = d.ref OR d.object = 'refund' AND x.refund_ref = d.ref
           OR d.object = 'dispute' AND x.dispute_ref = d.ref)))
ORDER BY d.object, d.ref LIMIT $5
"""


async def read_without_case(
    conn: Conn, account: str, form: str, after: tuple[str, str] = ("", "")
) -> list[StatementDifference]:
    """Reads the next open differences that want a case, whether they have it or not, in the order of their objects."""
    rows = await conn.fetch(WITHOUT_CASE, account, form, *after, CASES_AT_ONCE)
    return [difference_in(row) for row in rows]


async def open_their_cases(
    conn: Conn, found: Sequence[StatementDifference], *, policy: CasePolicy, now: datetime
) -> list[str]:
    """Opens a case for each, once; returns the kinds of those opened."""
    reasons = [(difference.order_id, case_reason(difference)) for difference in found]
    return await open_cases(conn, reasons, policy=policy, now=now)


async def open_all_cases(conn: Conn, account: str, form: str, *, policy: CasePolicy, now: datetime) -> None:
    """Opens the cases of all open differences of a form, in the caller's transaction."""
    after = ("", "")
    while found := await read_without_case(conn, account, form, after):
        after = (found[-1].object, found[-1].ref)
        await open_their_cases(conn, found, policy=policy, now=now)


def difference_in(row: asyncpg.Record) -> StatementDifference:
    """Reads a row."""
    fields = {name: row[name] for name in FIELDS if name not in {"object", "verdict"}}
    return StatementDifference(
        **fields, object=MatchedObject(row["object"]), verdict=Verdict(row["verdict"]), found_at=row["found_at"]
    )


# --- what the gateway alone has ---------------------------------------------------------------------------------------

UNTOLD = """
SELECT object, ref FROM statement_differences
WHERE account = $1 AND form = $2 AND settled_at IS NULL AND told_at IS NULL AND verdict = ANY ($3::text[])
"""
TOLD = """
UPDATE statement_differences d SET told_at = $5
FROM unnest($3::text[], $4::text[]) AS w (object, ref)
WHERE d.account = $1 AND d.form = $2 AND d.object = w.object AND d.ref = w.ref
"""


async def mark_told(
    conn: Conn, account: str, form: str, objects: Collection[tuple[MatchedObject, str]], *, now: datetime
) -> None:
    """Notes that the events of these objects were applied: whatever came of them, they are not applied again."""
    kinds, refs = [kind for kind, _ in objects], [ref for _, ref in objects]
    await conn.execute(TOLD, account, form, kinds, refs, now)
