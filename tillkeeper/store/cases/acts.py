"""Writes what people do to cases: assign, note, follow up, escalate, resolve.  Each act is an entry of its history.

`seen` is the last entry that the person knew of when they decided, where they looked at the case before: whoever
decides after somebody else acted is told so, and changes nothing.
"""

from datetime import UTC, datetime
from typing import Any, Final

from tillkeeper.domain.order.cases import RESOLVED_BY_TWO, refuse_bad_follow_up
from tillkeeper.domain.topics import CaseTopic
from tillkeeper.store.cases.writing import TILLKEEPER, ClosedCase, NoSuchCase, case_in, notify, write_entries
from tillkeeper.store.due_orders import set_due_by
from tillkeeper.store.people.approvals import Approval, confirm, open_approval, open_number, propose, refuse
from tillkeeper.store.postgres.pool import Conn


class MovedOn(Exception):
    """Somebody acted on the case after the person looked at it; `entry` says what, by whom and when."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(f"{entry['by']} acted on the case meanwhile: {entry['what']}")
        self.entry = entry


class HighestLevel(Exception):
    """The case is at the highest level that the policy has."""


class TakesTwo(Exception):
    """Money counts for nobody once this case is resolved: one person proposes it, and another confirms."""


LOCK_CASE = "SELECT closed_at FROM cases WHERE id = $1 FOR UPDATE"
# A reminder changes nothing that a person decides by.
LAST_ENTRY = """
SELECT id, what, by, note, at FROM case_entries
WHERE case_id = $1 AND NOT (what = 'followed_up' AND by = $2) ORDER BY id DESC LIMIT 1
"""


async def _lock(conn: Conn, case_id: int, *, closed_too: bool = False, seen: int | None = None) -> None:
    row = await conn.fetchrow(LOCK_CASE, case_id)
    if row is None:
        raise NoSuchCase
    if seen is not None:
        last = await conn.fetchrow(LAST_ENTRY, case_id, TILLKEEPER)
        if last is not None and last["id"] != seen:
            raise MovedOn(dict(last))
    if row["closed_at"] is not None and not closed_too:
        raise ClosedCase


ASSIGN = "UPDATE cases SET owner = $2 WHERE id = $1"


async def assign(conn: Conn, case_id: int, *, owner: str, by: str, now: datetime, seen: int | None = None) -> None:
    """Assigns the case to a person, who is reminded when it is due, instead of the next level.

    Raises NoSuchCase, MovedOn or ClosedCase.
    """
    await _lock(conn, case_id, seen=seen)
    await conn.execute(ASSIGN, case_id, owner)
    await write_entries(conn, [(case_id, "assigned", by, owner)], now=now)


LAST_ASSIGNED = """
SELECT e.id, e.what, e.by, e.note, e.at FROM case_entries e JOIN cases c ON c.id = e.case_id
WHERE e.case_id = $1 AND e.what = 'assigned' AND c.owner IS NOT NULL AND c.owner <> $2 ORDER BY e.id DESC LIMIT 1
"""


async def take(conn: Conn, case_id: int, *, owner: str, by: str, now: datetime, seen: int | None = None) -> None:
    """Assigns the case to whoever takes it; another person's only to who saw that it is theirs.

    Raises NoSuchCase, MovedOn or ClosedCase.
    """
    await _lock(conn, case_id, seen=seen)
    if seen is None and (before := await conn.fetchrow(LAST_ASSIGNED, case_id, owner)) is not None:
        raise MovedOn(dict(before))
    await assign(conn, case_id, owner=owner, by=by, now=now)


async def note(conn: Conn, case_id: int, *, text: str, by: str, now: datetime) -> None:
    """Adds a person's note, also to a closed case.  Raises NoSuchCase."""
    await _lock(conn, case_id, closed_too=True)
    await write_entries(conn, [(case_id, "noted", by, text)], now=now)


FOLLOW_UP_AT = "UPDATE cases SET follow_up_at = $2 WHERE id = $1"


async def follow_up_at(
    conn: Conn, case_id: int, *, at: datetime, text: str, by: str, now: datetime, seen: int | None = None
) -> None:
    """Has people reminded of the case at that time, and not before.

    Raises BadFollowUp, NoSuchCase, MovedOn or ClosedCase.
    """
    refuse_bad_follow_up(at, now=now)
    await _lock(conn, case_id, seen=seen)
    await conn.execute(FOLLOW_UP_AT, case_id, at)
    await write_entries(
        conn, [(case_id, "followed_up", by, f"next at {at.astimezone(UTC):%Y-%m-%d %H:%MZ}: {text}")], now=now
    )


RAISE_LEVEL = """
UPDATE cases SET level = level + 1 WHERE id = $1 AND level < $2
RETURNING id, kind, subject, order_id, account, details, level
"""


async def escalate(
    conn: Conn, case_id: int, *, levels: int, text: str, by: str, now: datetime, seen: int | None = None
) -> None:
    """Raises the case by one of the policy's `levels`, and notifies the people there.

    Raises NoSuchCase, MovedOn, ClosedCase or HighestLevel.
    """
    await _lock(conn, case_id, seen=seen)
    row = await conn.fetchrow(RAISE_LEVEL, case_id, levels)
    if row is None:
        raise HighestLevel
    await write_entries(conn, [(case_id, "escalated", by, text)], now=now)
    await notify(conn, [case_in(row, level=row["level"])], CaseTopic.ESCALATED, now=now)


# A case about sums keeps those that it was resolved with: only greater ones open it again (INSERT_CASES in writing.py).
RESOLVE = """
UPDATE cases AS c
SET closed_at = $2, closed_by = $3, outcome = $4, follow_up_at = NULL,
    details = c.details || coalesce(
        (SELECT jsonb_build_object('captured', o.captured_minor, 'refunded', o.refunded_minor)
         FROM orders o WHERE o.id = c.order_id AND c.details ? 'captured'), '{}')
WHERE c.id = $1
"""


KIND = "SELECT kind FROM cases WHERE id = $1"
# What an open case held back may be due now.  Decisions about an order rely on its cases as they are, so that a closed
# one is locked as well.
LOCK_ITS_ORDER = """
SELECT id, closed_at, greatest($2::timestamptz, held_until) AS look_at
FROM orders WHERE id = (SELECT order_id FROM cases WHERE id = $1) FOR NO KEY UPDATE
"""


async def resolve(
    conn: Conn, case_id: int, *, outcome: str, text: str, by: str, now: datetime, seen: int | None = None
) -> None:
    """Closes the case for good: the same cause with the same sums does not open it again.

    Raises NoSuchCase, MovedOn, ClosedCase or TakesTwo.
    """
    await _lock_both(conn, case_id, seen=seen, now=now)
    if await conn.fetchval(KIND, case_id) in RESOLVED_BY_TWO:
        raise TakesTwo
    await _resolve(conn, case_id, outcome=outcome, text=text, by=by, now=now)


async def _lock_both(conn: Conn, case_id: int, *, seen: int | None, now: datetime) -> None:
    order = await conn.fetchrow(LOCK_ITS_ORDER, case_id, now)  # orders are locked before cases, as everywhere
    if order is not None and order["closed_at"] is None:
        await set_due_by(conn, {order["id"]: order["look_at"]})
    await _lock(conn, case_id, seen=seen)


async def _resolve(conn: Conn, case_id: int, *, outcome: str, text: str, by: str, now: datetime) -> None:
    await conn.execute(RESOLVE, case_id, now, by, outcome)
    await write_entries(conn, [(case_id, "resolved", by, _said(outcome, text))], now=now)


def _said(outcome: str, text: str) -> str:
    return f"{outcome}: {text}" if text else outcome


# --- in two -----------------------------------------------------------------------------------------------------------

RESOLVING: Final = "resolve a case about money"  # the act that a second person confirms


def subject_of(case_id: int) -> str:
    """Names a case in approvals and in the log of what people did."""
    return f"case {case_id}"


async def propose_to_resolve(
    conn: Conn, case_id: int, *, outcome: str, text: str, by: str, now: datetime, seen: int | None = None
) -> Approval:
    """Proposes to resolve a case, for another person to confirm.

    Raises NoSuchCase, MovedOn, ClosedCase or AlreadyProposed.
    """
    await _lock(conn, case_id, seen=seen)
    said = _said(outcome, text)
    approval = await propose(
        conn,
        act=RESOLVING,
        subject=subject_of(case_id),
        content={"case": case_id, "outcome": outcome, "text": text},
        reason=said,
        by=by,
        now=now,
    )
    await write_entries(conn, [(case_id, "proposed", by, said)], now=now)
    return approval


async def proposal_to_resolve(conn: Conn, case_id: int, *, now: datetime) -> Approval | None:
    """Reads how somebody proposed to resolve the case, where nobody has decided on that yet."""
    return await open_approval(conn, act=RESOLVING, subject=subject_of(case_id), now=now)


async def confirm_resolution(
    conn: Conn, case_id: int, *, by: str, now: datetime, approval_id: int | None = None, seen: int | None = None
) -> None:
    """Resolves the case as somebody else proposed it; `approval_id` is the proposal that the person read.

    Raises NoSuchCase, MovedOn, ClosedCase, NotOpen or SamePerson.
    """
    await _lock_both(conn, case_id, seen=seen, now=now)
    approval = await confirm(conn, await _proposed(conn, case_id, approval_id, now), by=by, now=now)
    await write_entries(conn, [(case_id, "confirmed", by, None)], now=now)
    content = approval.content
    said = {"outcome": content["outcome"], "text": content["text"]}
    await _resolve(conn, case_id, **said, by=approval.proposed_by, now=now)


async def refuse_resolution(
    conn: Conn, case_id: int, *, by: str, now: datetime, approval_id: int | None = None
) -> None:
    """Ends a proposal without resolving the case.  Raises NoSuchCase or NotOpen."""
    await _lock(conn, case_id, closed_too=True)
    await refuse(conn, await _proposed(conn, case_id, approval_id, now), by=by, now=now)
    await write_entries(conn, [(case_id, "refused", by, None)], now=now)


async def _proposed(conn: Conn, case_id: int, approval_id: int | None, now: datetime) -> int:
    return await open_number(conn, approval_id, act=RESOLVING, subject=subject_of(case_id), now=now)
