"""Decides about a paused account in two: one person proposes it, and another confirms.

A proposal is about one pause: where the account was paused anew since, nobody has looked at that.
"""

from datetime import datetime
from typing import Final

from tillkeeper.store.guard.deciding import Decision, NotPaused, decide
from tillkeeper.store.people.approvals import Approval, confirm, open_approval, open_number, propose, refuse
from tillkeeper.store.people.people import takes_two
from tillkeeper.store.postgres.pool import Conn

DECIDING: Final = "decide about a paused account"  # the act that a second person confirms


def subject_of(account: str) -> str:
    """Names an account in approvals and in the log of what people did."""
    return f"account {account}"


OPEN_PAUSE = "SELECT id FROM account_pauses WHERE account = $1 AND ended_at IS NULL AND decision IS NULL"


async def propose_decision(
    conn: Conn,
    account: str,
    decision: Decision,
    *,
    by: str,
    note: str,
    deaf_s: int,
    now: datetime,
    seen: int | None = None,
) -> Approval:
    """Proposes to let the account go on, or to have what is held parked.

    It is about the pause that was seen, where one is named.  Raises NotPaused or AlreadyProposed.
    """
    pause_id = await conn.fetchval(OPEN_PAUSE, account)
    if pause_id is None:
        raise NotPaused(f"{account} is not paused, or somebody has decided")
    if seen not in {None, pause_id}:
        raise NotPaused(f"{account} was paused anew since you looked; look again")
    content = {"account": account, "pause_id": pause_id, "decision": decision, "deaf_s": deaf_s}
    return await propose(conn, act=DECIDING, subject=subject_of(account), content=content, reason=note, by=by, now=now)


async def proposal_about(conn: Conn, account: str, *, now: datetime) -> Approval | None:
    """Reads what somebody proposed about the account, where nobody has decided on that yet."""
    return await open_approval(conn, act=DECIDING, subject=subject_of(account), now=now)


async def confirm_decision(conn: Conn, account: str, approval_id: int, *, by: str, now: datetime) -> Approval:
    """Decides as somebody else proposed, in the names of both.  Raises NotOpen, SamePerson or NotPaused."""
    approval = await confirm(conn, await _proposed(conn, account, approval_id, now), by=by, now=now)
    content = approval.content
    await decide(
        conn,
        account,
        content["decision"],
        by=f"{approval.proposed_by}, {by}",
        note=approval.reason,
        deaf_s=content["deaf_s"],
        now=now,
        pause_id=content["pause_id"],
    )
    return approval


async def refuse_decision(conn: Conn, account: str, approval_id: int, *, by: str, now: datetime) -> None:
    """Ends a proposal without deciding about the account.  Raises NotOpen."""
    await refuse(conn, await _proposed(conn, account, approval_id, now), by=by, now=now)


async def _proposed(conn: Conn, account: str, approval_id: int, now: datetime) -> int:
    return await open_number(conn, approval_id, act=DECIDING, subject=subject_of(account), now=now)


async def decide_at_terminal(
    conn: Conn, account: str, decision: Decision, *, by: str, note: str, deaf_s: int, now: datetime
) -> Approval | None:
    """Decides about the account; proposes it instead where another person is known who can confirm.

    Raises NotPaused or AlreadyProposed.
    """
    if await conn.fetchval(OPEN_PAUSE, account) is not None and await takes_two(conn):
        return await propose_decision(conn, account, decision, deaf_s=deaf_s, by=by, note=note, now=now)
    await decide(conn, account, decision, deaf_s=deaf_s, by=by, note=note, now=now)
    return None
