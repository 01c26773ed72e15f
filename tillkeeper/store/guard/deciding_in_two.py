"""Decides about a paused account in two: one person proposes it, and another confirms.

A proposal is about one pause: where the account was paused anew since, nobody has looked at that.
"""

from datetime import datetime
from typing import Final

from tillkeeper.store.guard.deciding import Decision, NotPaused, decide
from tillkeeper.store.people.approvals import Approval, confirm, propose
from tillkeeper.store.postgres.pool import Conn

DECIDING: Final = "decide about a paused account"  # the act that a second person confirms


def subject_of(account: str) -> str:
    """Names an account in approvals and in the log of what people did."""
    return f"account {account}"


OPEN_PAUSE = "SELECT id FROM account_pauses WHERE account = $1 AND ended_at IS NULL AND decision IS NULL"


async def propose_decision(
    conn: Conn, account: str, decision: Decision, *, by: str, note: str, deaf_s: int, now: datetime
) -> Approval:
    """Proposes to let the account go on, or to have what is held parked.  Raises NotPaused or AlreadyProposed."""
    pause_id = await conn.fetchval(OPEN_PAUSE, account)
    if pause_id is None:
        raise NotPaused(f"{account} is not paused, or somebody has decided")
    content = {"account": account, "pause_id": pause_id, "decision": decision, "deaf_s": deaf_s}
    return await propose(conn, act=DECIDING, subject=subject_of(account), content=content, reason=note, by=by, now=now)


async def confirm_decision(conn: Conn, approval_id: int, *, by: str, now: datetime) -> Approval:
    """Decides as somebody else proposed, in the names of both.  Raises NotOpen, SamePerson or NotPaused."""
    approval = await confirm(conn, approval_id, by=by, now=now)
    content = approval.content
    await decide(
        conn,
        content["account"],
        content["decision"],
        by=f"{approval.proposed_by}, {by}",
        note=approval.reason,
        deaf_s=content["deaf_s"],
        now=now,
        pause_id=content["pause_id"],
    )
    return approval
