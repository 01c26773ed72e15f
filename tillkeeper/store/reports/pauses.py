"""Reads the accounts that the guard has paused: why, what people decided, and how much waits."""

from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.guard import GuardSign, PauseReason
from tillkeeper.store.guard.deciding import Decision
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.rows import shown_word

LIMIT_MAX: Final = 1_000
OPEN_MAX: Final = 200  # at once: more accounts than that nobody has
HELD_COUNTED_MAX: Final = 100_000  # of each account; a person sees that there are more


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """The pause of an account."""

    id: int
    account: str
    sign: GuardSign
    finding: PauseReason
    paused_at: datetime
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    note: str | None
    ended_at: datetime | None
    deaf_until: datetime | None
    held: int  # deliveries that wait still, up to HELD_COUNTED_MAX
    oldest_at: datetime | None  # when the first of them came

    @property
    def state(self) -> str:
        """Says in a word how it stands."""
        if self.decision is None:
            return "paused"
        under_way = "going on" if self.decision == "go" else "being parked"
        return under_way if self.ended_at is None else "over"


PAUSES = """
SELECT p.id, p.account, p.sign, p.finding, p.paused_at, p.decision, p.decided_by, p.decided_at, p.note, p.ended_at,
       p.deaf_until, h.held, h.oldest_at
FROM account_pauses p
CROSS JOIN LATERAL (
    SELECT count(*) AS held, min(received_at) AS oldest_at FROM (
        SELECT received_at FROM held_deliveries WHERE pause_id = p.id ORDER BY position LIMIT $3
    ) AS first
) h
WHERE (p.ended_at IS NULL OR $1) AND ($2::text IS NULL OR p.account = $2) ORDER BY p.id DESC LIMIT $4
"""


async def list_pauses(conn: Conn, *, ended_too: bool, account: str | None = None, limit: int) -> list[Pause]:
    """Reads the pauses that are not over, or all of them, the latest first."""
    rows = await conn.fetch(PAUSES, ended_too, account, HELD_COUNTED_MAX, limit)
    return [Pause(**{**dict(row), "finding": _finding(row["finding"])}) for row in rows]


async def open_pauses(conn: Conn, account: str | None = None) -> dict[str, Pause]:
    """Reads the pauses that are not over, by account: each has one at most."""
    return {pause.account: pause for pause in await list_pauses(conn, ended_too=False, account=account, limit=OPEN_MAX)}


def _finding(text: str) -> PauseReason:
    """Reads why it was paused; by a rule of a later version, with as much of it as this version knows."""
    told = msgspec.json.decode(text)
    known = {name: told.get(name, 0) for name in PauseReason.__struct_fields__ if name != "open_orders"}
    return PauseReason(**{**known, "sign": shown_word(GuardSign, told["sign"])}, open_orders=told.get("open_orders"))
