"""Pauses accounts.

A pause is an open row, and whoever holds deliveries has it locked: a decision comes before or after, never between.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from tillkeeper.domain.guard import PauseReason
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases.writing import open_cases
from tillkeeper.store.postgres.pool import Conn

LOCK_OPEN = "SELECT id FROM account_pauses WHERE account = $1 AND ended_at IS NULL AND decision IS NULL FOR SHARE"
PAUSE = """
INSERT INTO account_pauses (account, sign, finding, paused_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (account) WHERE ended_at IS NULL DO NOTHING
RETURNING id
"""


async def pause(
    conn: Conn, findings: Mapping[str, PauseReason | None], *, policy: CasePolicy, now: datetime
) -> tuple[dict[str, int], list[str]]:
    """Pauses the accounts with a finding, unless they are; returns the pauses that are open, and new ones' accounts.

    A new pause is a case, whose notice tells the people on duty.
    """
    open_now: dict[str, int] = {}
    new: list[tuple[int | None, CaseReason]] = []
    for account, finding in sorted(findings.items()):
        pause_id = await conn.fetchval(LOCK_OPEN, account)
        if pause_id is None and finding is not None:
            pause_id = await conn.fetchval(PAUSE, account, finding.sign, msgspec.json.encode(finding).decode(), now)
            if pause_id is None:  # another worker was first, or a decision is being carried out
                pause_id = await conn.fetchval(LOCK_OPEN, account)
            else:
                new.append((None, _reason(account, pause_id, finding)))
        if pause_id is not None:
            open_now[account] = pause_id
    await open_cases(conn, new, policy=policy, now=now)
    return open_now, [str(reason.account) for _, reason in new]


def pause_subject(account: str, pause_id: int) -> str:
    """Names the pause of an account for its case."""
    return f"pause:{account}/{pause_id}"


def _reason(account: str, pause_id: int, finding: PauseReason) -> CaseReason:
    return CaseReason(
        kind=CaseKind.ACCOUNT_PAUSED,
        subject=pause_subject(account, pause_id),
        account=account,
        details={
            "sign": finding.sign,
            "text": finding.text,
            "orders": finding.orders,
            "orders_paid": finding.paid,
            "usual_most": finding.usual_most,
        },
    )
