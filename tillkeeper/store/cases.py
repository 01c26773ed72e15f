"""Cases: opened once for each cause, followed up until they are closed, by a person or by the truth itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from tillkeeper.domain.concerns import Concern
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.pool import Conn, as_json
from tillkeeper.store.telling import Audience, Notice, tell

TRUTH: Final = "truth"  # who closes a case whose cause is gone
TILLKEEPER: Final = "tillkeeper"  # who opens one

# While such a case is open, money may be there that does not count: nobody is asked to pay, and nothing is closed.
MONEY_UNCLEAR: Final = frozenset({"answer_not_applied", "reference_conflict", "unexpected_account", "wrong_currency"})

OPENED: Final = "case.opened"
ESCALATED: Final = "case.escalated"
FOLLOWED_UP: Final = "case.followed_up"


class NoSuchCase(Exception):
    """There is no case of this number."""


class ClosedCase(Exception):
    """The case is closed already."""


# One that closed itself opens again when its cause is back.  One that a person resolved stays resolved while the world
# stands as it did then: another state opens it again, and so does more money than they knew of that came in (or went
# back, where that is the cause).
INSERT_CASES = """
INSERT INTO cases AS c (kind, subject, order_id, account, state, details, opened_at, follow_up_at)
SELECT kind, subject, order_id, account, state, details, $2, $3 FROM json_populate_recordset(NULL::cases, $1::json)
ON CONFLICT (kind, subject) DO UPDATE
SET order_id = excluded.order_id, state = excluded.state, details = excluded.details, opened_at = excluded.opened_at,
    follow_up_at = excluded.follow_up_at, closed_at = NULL, closed_by = NULL, outcome = NULL
WHERE c.closed_by = 'truth'
   OR c.closed_at IS NOT NULL AND excluded.state <> ''
      AND (c.state <> excluded.state OR c.order_id <> excluded.order_id)  -- what moved is news at its new order
   OR c.closed_at IS NOT NULL AND c.kind <> 'refunded_more_than_captured'
      AND (excluded.details ->> 'captured')::bigint > (c.details ->> 'captured')::bigint
   OR c.closed_at IS NOT NULL AND c.kind = 'refunded_more_than_captured'
      AND (excluded.details ->> 'refunded')::bigint > (c.details ->> 'refunded')::bigint
RETURNING id, kind, subject, order_id, account, details, level, (xmax = 0) AS fresh
"""

# What an event said that leaves no fact behind, for a later word is known: a case that there is knows as much.
INSERT_NEW_CASES = """
INSERT INTO cases (kind, subject, order_id, account, state, details, opened_at, follow_up_at)
SELECT kind, subject, order_id, account, state, details, $2, $3 FROM json_populate_recordset(NULL::cases, $1::json)
ON CONFLICT (kind, subject) DO NOTHING
RETURNING id, kind, subject, order_id, account, details, level, true AS fresh
"""

# An open case shows how things stand now, so that whoever resolves it settles that, and at which order they do.
UPDATE_STATES = """
WITH changed AS (
    SELECT c.id, c.state AS before, w.state, w.details, w.order_id
    FROM json_populate_recordset(NULL::cases, $1::json) AS w JOIN cases c ON c.kind = w.kind AND c.subject = w.subject
    WHERE c.closed_at IS NULL AND w.state IS NOT NULL
      AND (c.state IS DISTINCT FROM w.state OR c.order_id IS DISTINCT FROM w.order_id
           OR c.details -> 'captured' <> w.details -> 'captured'
           OR c.details -> 'refunded' <> w.details -> 'refunded')
    ORDER BY c.id FOR NO KEY UPDATE OF c
)
UPDATE cases AS c SET state = n.state, details = n.details, order_id = n.order_id FROM changed n WHERE c.id = n.id
RETURNING c.id, n.before, n.state
"""

INSERT_ENTRIES = """
INSERT INTO case_entry (case_id, what, by, note, at)
SELECT case_id, what, by, note, $2 FROM json_populate_recordset(NULL::case_entry, $1::json)
"""


async def open_cases(
    conn: Conn,
    found: Sequence[tuple[int | None, Concern]],
    *,
    again: bool = True,
    policy: CasePolicy,
    now: datetime,
) -> list[str]:
    """Opens a case for each concern that has none, and has ops told; returns the kinds of those opened.

    Cases that are closed open again where there is a new reason, unless `again` is false.
    """
    if not found:
        return []
    once = {(concern.kind, concern.subject): (order_id, concern) for order_id, concern in found}
    rows = as_json(
        [{"order_id": order_id, **msgspec.structs.asdict(concern)} for _, (order_id, concern) in sorted(once.items())]
    )
    if again:
        await _update_states(conn, rows, now=now)
    opened = await conn.fetch(INSERT_CASES if again else INSERT_NEW_CASES, rows, now, now + policy.follow_up)
    await write_entries(
        conn, [(row["id"], "opened" if row["fresh"] else "reopened", TILLKEEPER, None) for row in opened], now=now
    )
    await tell(conn, [notice_of(dict(row), OPENED, now) for row in opened], now=now)
    return [row["kind"] for row in opened]


async def _update_states(conn: Conn, rows: str, *, now: datetime) -> None:
    changed = await conn.fetch(UPDATE_STATES, rows)
    noted = [(it["id"], "noted", TILLKEEPER, f"now {it['state']}") for it in changed if it["before"] != it["state"]]
    await write_entries(conn, noted, now=now)


async def write_entries(conn: Conn, entries: Iterable[tuple[int, str, str, str | None]], *, now: datetime) -> None:
    """Adds (case, what, by, note) to the cases' histories."""
    rows = [{"case_id": case_id, "what": what, "by": by, "note": note} for case_id, what, by, note in entries]
    if rows:
        await conn.execute(INSERT_ENTRIES, as_json(rows), now)


def notice_of(row: dict[str, Any], topic: str, now: datetime) -> Notice:
    """What ops are told of a case; `row` is a row of cases."""
    return Notice(
        key=f"case/{row['id']}/{topic}/{now:%Y%m%dT%H%M%S.%f}",
        audience=Audience.OPS,
        topic=topic,
        order_id=row["order_id"],
        payload={
            "case": row["id"],
            "kind": row["kind"],
            "subject": row["subject"],
            "account": row["account"],
            "level": row["level"],
            "details": msgspec.json.decode(row["details"]),
        },
    )


ESCALATE = """
UPDATE cases SET level = least($3, greatest(cases.level, w.level + 1))
FROM unnest($1::text[], $2::int[]) AS w (subject, level)
WHERE cases.kind = 'stuck' AND cases.subject = w.subject AND cases.closed_at IS NULL
RETURNING cases.id, cases.kind, cases.subject, cases.order_id, cases.account, cases.details, cases.level
"""


async def escalate(conn: Conn, subjects: Sequence[tuple[str, int]], *, policy: CasePolicy, now: datetime) -> None:
    """Takes the open cases of stuck orders (subject, which escalation it is) a level up, and tells the people there."""
    if subjects:
        rows = await conn.fetch(
            ESCALATE, [subject for subject, _ in subjects], [level for _, level in subjects], policy.levels
        )
        await write_entries(conn, [(row["id"], "escalated", TILLKEEPER, None) for row in rows], now=now)
        await tell(conn, [notice_of(dict(row), ESCALATED, now) for row in rows], now=now)


# Kinds whose cause the facts show: they close by themselves once it is gone.
SHOWN_BY_FACTS: Final = (
    "close_in_doubt",
    "disputed",
    "overpaid",
    "paid_after_closing",
    "paid_twice",
    "payment_reversed",
    "refund_failed",
    "refund_unknown",
    "refunded_more_than_captured",
    "stuck",
    "unexpected_account",
    "wrong_currency",
)

# These are about a spell, or about the closing of an order: while no sum moves, they stand.
OF_A_SPELL: Final = frozenset({"close_in_doubt", "stuck"})
SHOWN_WITHIN_A_SPELL: Final = tuple(kind for kind in SHOWN_BY_FACTS if kind not in OF_A_SPELL)

CLOSE_BY_TRUTH = """
WITH gone AS (
    -- One that a person resolved has its cause back as a new reason.
    UPDATE cases SET state = ''
    WHERE order_id = ANY($1::bigint[]) AND closed_by <> 'truth' AND state <> '' AND kind = ANY($2::text[])
      AND (kind, subject) NOT IN (SELECT * FROM unnest($3::text[], $4::text[]))
)
UPDATE cases SET closed_at = $5, closed_by = 'truth', outcome = 'its cause is gone', follow_up_at = NULL
WHERE order_id = ANY($1::bigint[]) AND closed_at IS NULL AND kind = ANY($2::text[])
  AND (kind, subject) NOT IN (SELECT * FROM unnest($3::text[], $4::text[]))
RETURNING id
"""


async def close_by_truth(
    conn: Conn,
    order_ids: Sequence[int],
    still: Sequence[Concern],
    *,
    kinds: Sequence[str] = SHOWN_BY_FACTS,
    now: datetime,
) -> None:
    """Closes what stood open about these orders, of these kinds, and is not among the concerns that `still` hold."""
    if order_ids:
        rows = await conn.fetch(
            CLOSE_BY_TRUTH,
            sorted(order_ids),
            list(kinds),
            [it.kind for it in still],
            [it.subject for it in still],
            now,
        )
        await write_entries(conn, [(row["id"], "closed", TRUTH, None) for row in rows], now=now)


UNMATCHED: Final = "unmatched_payment"

CLOSE_SUBJECTS = """
UPDATE cases SET closed_at = $2, closed_by = 'truth', outcome = $4, follow_up_at = NULL
WHERE kind = $3 AND subject = ANY($1::text[]) AND closed_at IS NULL
RETURNING id
"""


def event_subject(account: str, event_id: str) -> str:
    """How a case names an event."""
    return f"event:{account}/{event_id}"


async def close_matched(conn: Conn, subjects: Sequence[str], *, now: datetime) -> None:
    """Closes the cases of events that have found their order."""
    await _close(conn, UNMATCHED, subjects, outcome="its order is known", now=now)


async def close_agreed(conn: Conn, subjects: Sequence[str], *, now: datetime) -> None:
    """Closes the cases of refunds and disputes whose names lead to one order by now."""
    await _close(conn, "reference_conflict", subjects, outcome="its names agree", now=now)


async def _close(conn: Conn, kind: str, subjects: Sequence[str], *, outcome: str, now: datetime) -> None:
    if subjects:
        rows = await conn.fetch(CLOSE_SUBJECTS, sorted(subjects), now, kind, outcome)
        await write_entries(conn, [(row["id"], "closed", TRUTH, None) for row in rows], now=now)
