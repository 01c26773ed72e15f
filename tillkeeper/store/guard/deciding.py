"""Takes a person's decision about a paused account: of two at once the first, and the other person is told."""

from datetime import datetime
from typing import Any, Final, Literal

from tillkeeper.store.postgres.pool import Conn

Decision = Literal["go", "park"]  # apply what was held, or park it for people to look at one by one

DEAF_MAX_S: Final = 7 * 86400  # longer would be a rule that is off: [guard] says that


class NotPaused(Exception):
    """The account is not paused; the text says who decided, where somebody has."""


DECIDE = """
UPDATE account_pauses SET decision = $2, decided_by = $3, note = $4, deaf_s = $5, decided_at = $6
WHERE account = $1 AND ended_at IS NULL AND decision IS NULL AND ($7::bigint IS NULL OR id = $7)
RETURNING id
"""
LAST = """
SELECT decision, decided_by, decided_at, ended_at FROM account_pauses WHERE account = $1 ORDER BY id DESC LIMIT 1
"""


async def decide(
    conn: Conn,
    account: str,
    decision: Decision,
    *,
    by: str,
    note: str,
    deaf_s: int = 0,
    now: datetime,
    pause_id: int | None = None,
) -> int:
    """Decides about the account's open pause, or about that one alone; returns its number.

    Workers carry it out (releasing.py).  Raises NotPaused.
    """
    decided = await conn.fetchval(DECIDE, account, decision, by, note, deaf_s, now, pause_id)
    if decided is None:
        raise NotPaused(_why_not(account, await conn.fetchrow(LAST, account)))
    return int(decided)


def _why_not(account: str, last: Any) -> str:
    if last is None:
        return f"{account} was never paused"
    if last["decision"] is None:
        return f"{account} was paused anew since you looked; look again"
    did = "let it go on" if last["decision"] == "go" else "had what was held parked"
    under_way = "" if last["ended_at"] else ", and workers are still carrying that out"
    return f"{account} is not paused: {last['decided_by']} {did} at {last['decided_at']:%Y-%m-%d %H:%M:%S}Z{under_way}"
