"""Writes the changes of cases that domain/order/cases.py decides, with their histories and the notices to ops."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.cases import SYSTEM, CaseChanges, CaseKey, KnownCase, Noted
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.closing import account_subject
from tillkeeper.domain.order.notices import CaseRow, case_notice
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.domain.topics import CaseTopic
from tillkeeper.store.outbox.writing import write_notices
from tillkeeper.store.postgres.pool import Conn, as_json

TILLKEEPER: Final = "tillkeeper"  # who opens a case

AtOrder = tuple[int | None, CaseReason]  # a reason, and its order


class NoSuchCase(Exception):
    """There is no case of this number."""


class ClosedCase(Exception):
    """The case is closed already."""


async def write_cases(conn: Conn, changes: Sequence[Changes], *, policy: CasePolicy, now: datetime) -> list[str]:
    """Writes the changes of the orders' cases; returns the kinds of those opened."""
    decided = [change for change in changes if change.decided_cases is not None]
    opening = await _without_those_elsewhere(conn, decided)
    opened = await _insert(conn, opening, policy, now)
    await _note(conn, [(change.after.id, noted) for change in decided for noted in change.cases.noted], now)
    await _forget_states(conn, [key for change in decided for key in change.cases.gone])
    await close_cases(
        conn, [key for change in decided for key in change.cases.closed], outcome="its cause is gone", now=now
    )
    await _escalate(conn, {key: level for change in decided for key, level in change.cases.escalated.items()}, now)
    return opened + await _write_account_cases(conn, changes, policy, now)


async def _without_those_elsewhere(conn: Conn, changes: Iterable[Changes]) -> list[AtOrder]:
    """Returns the cases to open: one that is new to its order may exist without one, where its event waited."""
    opening = [(change, reason) for change in changes for reason in change.cases.opened.values()]
    elsewhere = await _lock_cases(
        conn, {reason.key for change, reason in opening if reason.key not in change.before.cases}
    )
    found: list[AtOrder] = []
    for change, reason in opening:
        is_first_alone = reason.key in change.cases.first_alone
        decided = CaseChanges()
        if reason.key in elsewhere:
            decided.open(elsewhere, change.after.id, [reason], again=not is_first_alone)
        if reason.key not in elsewhere or decided.opened:
            found.append((change.after.id, reason))
    return found


async def open_cases(conn: Conn, found: Sequence[AtOrder], *, policy: CasePolicy, now: datetime) -> list[str]:
    """Opens a case for each reason without one, where nothing else is decided about its order.  Returns the kinds."""
    known = await _lock_cases(conn, {reason.key for _, reason in found})
    decided, order_ids = CaseChanges(), {reason.key: order_id for order_id, reason in found}
    for order_id, reason in found:
        decided.open(known, order_id, [reason])
    await _note(conn, [(order_ids[noted.reason.key], noted) for noted in decided.noted], now)
    opening = [(order_ids[key], reason) for key, reason in decided.opened.items()]
    return await _insert(conn, opening, policy, now)


async def _write_account_cases(conn: Conn, changes: Sequence[Changes], policy: CasePolicy, now: datetime) -> list[str]:
    """Opens and closes the cases of accounts that could not be queried about an order, or could again."""
    opened = await open_cases(
        conn, [(None, reason) for change in changes for reason in change.account_cases], policy=policy, now=now
    )
    askable = sorted({account for change in changes for account in change.askable_accounts})
    keys = [(CaseKind.CLOSE_IN_DOUBT, account_subject(account)) for account in askable]
    await close_cases(conn, keys, outcome="it can be asked", now=now)
    return opened


LOCK_CASES = """
SELECT kind, subject, order_id, state, level, closed_by, (details ->> 'captured')::bigint AS captured,
       (details ->> 'refunded')::bigint AS refunded
FROM cases WHERE (kind, subject) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY kind, subject FOR UPDATE
"""


async def _lock_cases(conn: Conn, keys: Collection[CaseKey]) -> dict[CaseKey, KnownCase]:
    """Locks and reads those of the cases that exist."""
    if not keys:
        return {}
    found = [KnownCase(**dict(row)) for row in await conn.fetch(LOCK_CASES, *_columns(keys))]
    return {case.key: case for case in found}


def _columns(keys: Iterable[CaseKey]) -> tuple[list[str], list[str]]:
    ordered = sorted(keys)
    return [kind for kind, _ in ordered], [subject for _, subject in ordered]


# --- opening, and updating open ones ----------------------------------------------------------------------------------

INSERT_CASES = """
INSERT INTO cases AS c (kind, subject, order_id, account, state, details, opened_at, follow_up_at)
SELECT kind, subject, order_id, account, state, details, $2, $3 FROM json_populate_recordset(NULL::cases, $1::json)
ON CONFLICT (kind, subject) DO UPDATE
SET order_id = excluded.order_id, state = excluded.state, details = excluded.details, opened_at = excluded.opened_at,
    follow_up_at = excluded.follow_up_at, closed_at = NULL, closed_by = NULL, outcome = NULL
WHERE c.closed_at IS NOT NULL
RETURNING id, kind, subject, order_id, account, details, level, (xmax = 0) AS fresh
"""


async def _insert(conn: Conn, opening: Sequence[AtOrder], policy: CasePolicy, now: datetime) -> list[str]:
    if not opening:
        return []
    once = {reason.key: (order_id, reason) for order_id, reason in opening}
    rows = as_json([_row(*once[key]) for key in sorted(once)])
    opened = await conn.fetch(INSERT_CASES, rows, now, now + policy.follow_up)
    entries = [(row["id"], "opened" if row["fresh"] else "reopened", TILLKEEPER, None) for row in opened]
    await write_entries(conn, entries, now=now)
    await notify(conn, [case_in(row, level=row["level"]) for row in opened], CaseTopic.OPENED, now=now)
    return [row["kind"] for row in opened]


def _row(order_id: int | None, reason: CaseReason) -> dict[str, object]:
    return {"order_id": order_id, **msgspec.structs.asdict(reason)}


NOTE_STATES = """
UPDATE cases AS c SET state = w.state, details = w.details, order_id = w.order_id
FROM json_populate_recordset(NULL::cases, $1::json) AS w
WHERE c.kind = w.kind AND c.subject = w.subject AND c.closed_at IS NULL
RETURNING c.id, c.kind, c.subject, c.state
"""


async def _note(conn: Conn, noted: Sequence[tuple[int | None, Noted]], now: datetime) -> None:
    """Updates open cases with the present state and order, which is what a person then resolves."""
    if not noted:
        return
    rows = as_json([_row(order_id, noted_case.reason) for order_id, noted_case in noted])
    another = {noted_case.reason.key for _, noted_case in noted if noted_case.is_another_state}
    written = await conn.fetch(NOTE_STATES, rows)
    entries = [
        (row["id"], "noted", TILLKEEPER, f"now {row['state']}")
        for row in written
        if (row["kind"], row["subject"]) in another
    ]
    await write_entries(conn, entries, now=now)


# --- closing by the system --------------------------------------------------------------------------------------------

FORGET_STATES = """
UPDATE cases SET state = '' WHERE (kind, subject) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND closed_by <> $3
"""


async def _forget_states(conn: Conn, keys: Sequence[CaseKey]) -> None:
    """Clears the state of resolved cases whose cause is gone, so that its return counts as new."""
    if keys:
        await conn.execute(FORGET_STATES, *_columns(keys), SYSTEM)


CLOSE_CASES = """
UPDATE cases SET closed_at = $3, closed_by = $4, outcome = $5, follow_up_at = NULL
WHERE (kind, subject) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND closed_at IS NULL
RETURNING id
"""


async def close_cases(conn: Conn, keys: Collection[CaseKey], *, outcome: str, now: datetime) -> None:
    """Closes those of the cases that are open, because their cause is gone."""
    if keys:
        rows = await conn.fetch(CLOSE_CASES, *_columns(keys), now, SYSTEM, outcome)
        await write_entries(conn, [(row["id"], "closed", SYSTEM, None) for row in rows], now=now)


async def close_matched(conn: Conn, subjects: Iterable[str], *, now: datetime) -> None:
    """Closes the cases of events that have found their order."""
    await close_cases(
        conn, [(CaseKind.UNMATCHED_PAYMENT, subject) for subject in subjects], outcome="its order is known", now=now
    )


async def close_agreed(conn: Conn, subjects: Iterable[str], *, now: datetime) -> None:
    """Closes the cases of refunds and disputes whose references lead to one order by now."""
    keys = [(CaseKind.REFERENCE_CONFLICT, subject) for subject in subjects]
    await close_cases(conn, keys, outcome="its names agree", now=now)


# --- escalating -------------------------------------------------------------------------------------------------------

ESCALATE = """
UPDATE cases AS c SET level = greatest(c.level, w.level)
FROM unnest($1::text[], $2::text[], $3::int[]) AS w (kind, subject, level)
WHERE c.kind = w.kind AND c.subject = w.subject AND c.closed_at IS NULL
RETURNING c.id, c.kind, c.subject, c.order_id, c.account, c.details, c.level
"""


async def _escalate(conn: Conn, levels: Mapping[CaseKey, int], now: datetime) -> None:
    """Raises open cases to these levels, and notifies the people there."""
    if levels:
        rows = await conn.fetch(ESCALATE, *_columns(levels), [levels[key] for key in sorted(levels)])
        await write_entries(conn, [(row["id"], "escalated", TILLKEEPER, None) for row in rows], now=now)
        await notify(conn, [case_in(row, level=row["level"]) for row in rows], CaseTopic.ESCALATED, now=now)


# --- notices and history
# ---------------------------------------------------------------------------------------------------

INSERT_ENTRIES = """
INSERT INTO case_entries (case_id, what, by, note, at)
SELECT case_id, what, by, note, $2 FROM json_populate_recordset(NULL::case_entries, $1::json)
"""


async def write_entries(conn: Conn, entries: Iterable[tuple[int, str, str, str | None]], *, now: datetime) -> None:
    """Adds (case, what, by, note) to the cases' histories."""
    rows = [{"case_id": case_id, "what": what, "by": by, "note": note} for case_id, what, by, note in entries]
    if rows:
        await conn.execute(INSERT_ENTRIES, as_json(rows), now)


async def notify(conn: Conn, cases: Iterable[CaseRow], topic: CaseTopic, *, now: datetime) -> None:
    """Writes the notices to people on duty about these cases."""
    await write_notices(conn, [case_notice(case, topic, now=now) for case in cases], now=now)


def case_in(row: asyncpg.Record, *, level: int) -> CaseRow:
    """Reads a case for its notices; `level` is the one that it has from now on."""
    return CaseRow(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        order_id=row["order_id"],
        account=row["account"],
        level=level,
        details=msgspec.json.decode(row["details"]),
    )
