"""Checks, once a batch is decided, whether one of its accounts is paused or must be: then nothing of it is written.

What the batch does is counted by the statement that records its events (store/apply/recording.py), which also reads
what others counted within the window.  So all workers see the same window, and it costs no round trip.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.guard import USUAL, OrderCounts, PauseReason, Rules, judge
from tillkeeper.store.postgres.pool import Conn

OPEN_MAX: Final = 20_000  # open orders that are looked at, the latest first


class AccountsPaused(Exception):
    """Accounts of the batch are paused, or must be; `findings` says why where that is new."""

    def __init__(self, findings: Mapping[str, PauseReason | None]) -> None:
        super().__init__(f"paused: {', '.join(sorted(findings))}")
        self.findings = findings


class CountedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch does to the orders of one account, as the statement takes it."""

    account: str
    paid: int
    failed: int
    taken_back: int
    mismatched: int
    far_off: int


class Standing(OrderCounts, frozen=True, kw_only=True):
    """What is known of an account: whether it is paused, and what others counted in the window."""

    account: str
    is_paused: bool | None
    is_deaf: bool | None  # a person has just decided, and what follows is no news to them


def counted_rows(accounts: set[str], counted: Mapping[str, OrderCounts]) -> list[CountedRow]:
    """Returns a row for each account of a batch, in the order in which all write them."""
    none = OrderCounts()
    return [
        CountedRow(account=account, **msgspec.structs.asdict(counted.get(account, none)))
        for account in sorted(accounts)
    ]


_standings = msgspec.json.Decoder(list[Standing]).decode


def standings_in(told: str | None) -> list[Standing]:
    """Reads what the statement says of the accounts."""
    return _standings(told) if told else []


# Read only where the batch gives a reason to.
USUAL_MOST = """
SELECT coalesce(max(failed), 0) AS failed, coalesce(max(taken_back), 0) AS taken_back,
       coalesce(max(mismatched), 0) AS mismatched, coalesce(max(far_off), 0) AS far_off
FROM guard_usual WHERE account = $1 AND hour >= $2
"""
# In two parts, as the indexes of open orders are.
OPEN_ORDERS = """
SELECT count(*) FROM (
    (SELECT accounts_key FROM due_orders
     WHERE status IN ('processing', 'partially_paid', 'refunding') ORDER BY phase_since DESC LIMIT $2)
    UNION ALL
    (SELECT accounts_key FROM due_orders
     WHERE status IN ('unpaid', 'failed') ORDER BY coalesce(expires_at, phase_since) DESC LIMIT $2)
) AS open WHERE $1 = ANY (string_to_array(accounts_key, ' '))
"""


async def refuse_paused(
    conn: Conn, standings: list[Standing], counted: Mapping[str, OrderCounts], rules: Rules, *, now: datetime
) -> None:
    """Raises AccountsPaused for the accounts that are paused, and for those that must be."""
    findings: dict[str, PauseReason | None] = {}
    for standing in standings:
        account = standing.account
        if standing.is_paused:
            findings[account] = None
        elif not standing.is_deaf and account in counted:
            in_all = standing + counted[account]
            if judge(in_all, rules) is None:
                continue
            usual_most = OrderCounts(**dict(await conn.fetchrow(USUAL_MOST, account, now - USUAL) or {}))
            open_orders = await conn.fetchval(OPEN_ORDERS, account, OPEN_MAX)
            finding = judge(in_all, rules, usual_most=usual_most, open_orders=open_orders)
            if finding is not None:
                findings[account] = finding
    if findings:
        raise AccountsPaused(findings)
