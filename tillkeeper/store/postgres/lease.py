"""Leases on rows, for work that outlasts a transaction.  The pattern is the same for five tables.

    claim    due_at <= now AND leased_until <= now, SKIP LOCKED ──> leased_until = now + lease, and a token
    extend   WHERE the token is ours                            ──> leased_until = now + lease
    settle   WHERE the token is ours                            ──> what came of it; leased_until = '-infinity'

When its lease expires, any process may claim the row, so that a process that dies loses nothing.  A process that is too
slow finds the token changed, and writes nothing.  The SQL is beside the functions of each table, which differ in the
token alone:

    fetches    claims        a number that grows with each claim
    outbox     attempts      likewise
    backfills  leased_by     the holder, who extends the lease over many transactions
    spool      leased_by     the holder, who deletes many rows at once
    due_orders  due_at       the end of the lease itself, when the order is due again; so it needs no index of its own
"""

from datetime import timedelta
from typing import Final

MARGIN_FACTOR: Final = 1.5  # the results must be applied and settled, too


class LeaseLost(Exception):
    """The lease expired, and another may hold the row by now."""


def lease_over(work_s: float) -> timedelta:
    """Returns the length of a lease for work that takes up to so many seconds."""
    return timedelta(seconds=MARGIN_FACTOR * work_s)


def check_held(returned: object) -> None:
    """Raises LeaseLost where a statement that names the token has found no row, and so returned None."""
    if returned is None:
        raise LeaseLost
