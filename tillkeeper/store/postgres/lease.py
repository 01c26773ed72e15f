"""Leases on rows: how work that outlasts a transaction is claimed, held and settled.  One pattern for five tables.

    claim    due_at <= now AND leased_until <= now, SKIP LOCKED ──> leased_until = now + lease, and a token
    extend   WHERE the token is ours                            ──> leased_until = now + lease
    settle   WHERE the token is ours                            ──> what came of it; leased_until = '-infinity'

Past its lease a row is anybody's, so that whoever dies loses nothing.  Whoever was too slow finds the token changed,
and writes nothing.  The SQL stands beside the functions of each table; they differ in the token alone:

    fetches    claims        a number that grows with each claim
    outbox     attempts      likewise
    backfills  leased_by     the holder, who extends the lease over many transactions
    spool      leased_by     the holder, who deletes many rows at once
    orders     due_at        the end of the lease itself: who died leaves it due again; no index more
"""

from datetime import timedelta
from typing import Final

MARGIN_FACTOR: Final = 1.5  # what was found out must be applied and settled, too


class LeaseLost(Exception):
    """The lease ran out, and another may hold the row by now."""


def lease_over(work_s: float) -> timedelta:
    """A lease that outlasts work of so many seconds."""
    return timedelta(seconds=MARGIN_FACTOR * work_s)


def check_held(returned: object) -> None:
    """Raises LeaseLost where a statement that names the token has found no row, and so returned None."""
    if returned is None:
        raise LeaseLost
