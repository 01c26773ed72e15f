"""Stores requests for backfills: spans of a gateway's list, and queries about open orders.

A row for each account holds the request and a lease, so that no two processes fill the same span at once.  A process
that dies leaves the position where it was: `requested_since` moves on with each finished part.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.domain.backoff import BACKFILL
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.guard import Rules
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.references import Bindings
from tillkeeper.domain.statuses import MOVING, OPEN, Status
from tillkeeper.store.apply.batch import Tally, apply_found
from tillkeeper.store.apply.looking_up import look_up
from tillkeeper.store.due_orders import set_due_by
from tillkeeper.store.postgres.lease import check_held
from tillkeeper.store.postgres.pool import Conn

LEASE: Final = timedelta(minutes=2)  # more than a page of a list takes with all its attempts
CHECKOUT: Final = timedelta(hours=2)  # a payment that began before the order expired is finished by then
# An order that never expires may be paid so long after it began or its payment failed.  Later payments are rare, and
# queries about all abandoned orders would take an account's calls from those that matter.
LATE_PAYMENT: Final = timedelta(days=7)
PASSED_OVER_MAX: Final = 10_000  # counted up to here; more need not be known
CHUNK_ORDERS: Final = 500  # locked at once

UNDER_WAY: Final = MOVING  # their payment is known, whatever a list leaves out


class RequestedBackfill(msgspec.Struct, frozen=True, kw_only=True):
    """A requested backfill that this process has leased."""

    account: str
    since: datetime
    reason: str
    tries: int


# --- requests and leases ----------------------------------------------------------------------------------------------

REQUEST = """
INSERT INTO backfills AS b (account, requested_since, requested_at, reason, due_at) VALUES ($1, $2, $3, $4, $3)
ON CONFLICT (account) DO UPDATE
SET requested_since = least(b.requested_since, excluded.requested_since), requested_at = excluded.requested_at,
    reason = coalesce(b.reason, excluded.reason), due_at = coalesce(b.due_at, excluded.due_at)
"""


async def request_backfill(conn: Conn, account: str, since: datetime, *, reason: str, now: datetime) -> None:
    """Requests everything from `since` to now; extends a request that exists already."""
    await conn.execute(REQUEST, account, since, now, reason)


CLAIM_DUE = """
UPDATE backfills SET leased_by = $2, leased_until = $4
WHERE account = (
    SELECT account FROM backfills
    WHERE due_at <= $3 AND leased_until <= $3 AND account = ANY($1::text[])
    ORDER BY due_at, account LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING account, requested_since, reason, tries
"""


async def claim_requested(
    conn: Conn, accounts: Collection[str], *, by: UUID, now: datetime
) -> RequestedBackfill | None:
    """Leases a due backfill of one of the accounts."""
    row = await conn.fetchrow(CLAIM_DUE, sorted(accounts), by, now, now + LEASE)
    if row is None:
        return None
    return RequestedBackfill(
        account=row["account"], since=row["requested_since"], reason=row["reason"], tries=row["tries"]
    )


CLAIM_ACCOUNT = """
INSERT INTO backfills AS b (account, leased_by, leased_until) VALUES ($1, $2, $4)
ON CONFLICT (account) DO UPDATE SET leased_by = excluded.leased_by, leased_until = excluded.leased_until
WHERE b.leased_until <= $3
RETURNING 1
"""


async def claim_account(conn: Conn, account: str, *, by: UUID, now: datetime) -> bool:
    """Leases the account for a person's backfill; returns False if one is running."""
    return await conn.fetchval(CLAIM_ACCOUNT, account, by, now, now + LEASE) is not None


GOOD_UNTIL = "SELECT good_until FROM backfills WHERE account = $1"


async def good_until(conn: Conn, account: str) -> datetime | None:
    """Reads until when the account's list is taken in; None where it never was."""
    at: datetime | None = await conn.fetchval(GOOD_UNTIL, account)
    return at


ADVANCE = """
UPDATE backfills
SET good_until = greatest(good_until, $3), leased_until = $4,
    requested_since = CASE WHEN requested_since = $5 THEN $3 ELSE requested_since END
WHERE account = $1 AND leased_by = $2
RETURNING 1
"""


async def advance(
    conn: Conn, account: str, until: datetime, *, requested_since: datetime | None, by: UUID, now: datetime
) -> None:
    """Notes that everything up to `until` is taken in, and moves the request on to there.  Raises LeaseLost."""
    check_held(await conn.fetchval(ADVANCE, account, by, until, now + LEASE, requested_since))


RENEW = "UPDATE backfills SET leased_until = $3 WHERE account = $1 AND leased_by = $2 RETURNING 1"


async def renew(conn: Conn, account: str, *, by: UUID, now: datetime) -> None:
    """Extends the lease.  Raises LeaseLost."""
    check_held(await conn.fetchval(RENEW, account, by, now + LEASE))


# What was requested after the span was fixed remains.
FINISH = """
UPDATE backfills
SET leased_by = NULL, leased_until = '-infinity', tries = 0,
    requested_since = CASE WHEN requested_since = $3 AND requested_at <= $4 THEN NULL ELSE requested_since END,
    requested_at = CASE WHEN requested_since = $3 AND requested_at <= $4 THEN NULL ELSE requested_at END,
    reason = CASE WHEN requested_since = $3 AND requested_at <= $4 THEN NULL ELSE reason END,
    due_at = CASE WHEN requested_since = $3 AND requested_at <= $4 THEN NULL ELSE due_at END
WHERE account = $1 AND leased_by = $2
"""


async def finish(conn: Conn, account: str, *, requested_since: datetime | None, until: datetime, by: UUID) -> None:
    """Ends the lease, and the request where it is fulfilled."""
    await conn.execute(FINISH, account, by, requested_since, until)


POSTPONE = """
UPDATE backfills SET leased_by = NULL, leased_until = '-infinity', tries = tries + 1, due_at = $3
WHERE account = $1 AND leased_by = $2 AND due_at IS NOT NULL
"""


async def postpone(conn: Conn, backfill: RequestedBackfill, *, by: UUID, now: datetime) -> datetime:
    """Ends the lease for a later attempt; returns when that is due."""
    due_at = now + BACKFILL.pause(backfill.tries + 1)
    await conn.execute(POSTPONE, backfill.account, by, due_at)
    return due_at


# --- a list's events --------------------------------------------------------------------------------------------------


async def apply_listed(
    conn: Conn, events: Sequence[PaymentEvent], *, policy: Policy, guard: Rules | None = None, now: datetime
) -> tuple[int, Tally]:
    """Applies the events of a list; returns how many of them were in the inbox before.  Raises AccountsPaused."""
    known = await count_known(conn, events)
    return known, await apply_found(conn, events, policy=policy, guard=guard, now=now)


async def count_known(conn: Conn, events: Sequence[PaymentEvent]) -> int:
    """Counts the events that are in the inbox."""
    found = (await look_up(conn, events, Bindings())).events
    rows = [found.get((event.account, event.event_id)) for event in events]
    return sum(row is not None and row.digest is not None for row in rows)


# --- open orders ------------------------------------------------------------------------------------------------------

# Each half begins with its index's condition.  Orders with a known payment come first, then the latest.
OPEN_ORDERS = """
SELECT o.id, o.ask_at IS NOT NULL AND d.due_at IS NOT NULL AND d.due_at <= greatest(o.ask_at, $5) AS waits FROM (
    SELECT * FROM due_orders WHERE status IN ('processing', 'partially_paid', 'refunding')
    UNION ALL
    SELECT * FROM due_orders
    WHERE status IN ('unpaid', 'failed')
      AND coalesce(expires_at, phase_since) >= $8 AND (expires_at IS NULL OR expires_at >= $2)
) AS d JOIN orders o ON o.id = d.order_id
WHERE d.phase_since <= $3 AND d.status = ANY($4::text[]) AND $1 = ANY(string_to_array(d.accounts_key, ' '))
  AND (o.held_until IS NULL OR o.held_until <= $5)
  AND NOT EXISTS (SELECT FROM steps s WHERE s.order_id = o.id AND s.phase = o.phase AND s.action = 'query'
                  AND s.taken_at > $6)
ORDER BY d.status NOT IN ('processing', 'refunding'), d.phase_since DESC, o.id DESC LIMIT $7
"""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The rate of queries about orders, besides those of their ladders."""

    gap: timedelta
    orders_max: int

    @classmethod
    def half_rate(cls, calls_per_s: float, *, orders_max: int, within: timedelta | None = None) -> "Pace":
        """Returns half of an account's rate; the other half is for ladders.  Without a limit there is no gap."""
        gap = timedelta(seconds=2 / calls_per_s) if calls_per_s else timedelta()
        fitting = int(within / gap) if within is not None and gap else orders_max
        return cls(gap=gap, orders_max=max(1, min(orders_max, fitting)))


class OpenOrders(msgspec.Struct, frozen=True, kw_only=True):
    """The open orders of a span: those to query, and the number of those with a query that is due already."""

    ids: tuple[int, ...]
    waiting: int


async def find_open_orders(
    conn: Conn,
    account: str,
    since: datetime,
    until: datetime,
    *,
    statuses: Collection[Status] = OPEN,
    not_asked_since: datetime | None = None,
    limit: int,
    now: datetime,
) -> OpenOrders:
    """Finds open orders that expect payment at the account and whose money may have moved in the span: those with a
    payment or refund under way, and those that could be paid within it."""
    rows = await conn.fetch(
        OPEN_ORDERS,
        account,
        since - CHECKOUT,
        until,
        [str(status) for status in statuses],
        now,
        not_asked_since or now,
        limit,
        since - LATE_PAYMENT,
    )
    ids = tuple(row["id"] for row in rows if not row["waits"])
    return OpenOrders(ids=ids, waiting=len(rows) - len(ids))


COUNT_OPEN = """
SELECT count(*) FROM (
    SELECT FROM due_orders d JOIN orders o ON o.id = d.order_id
    WHERE d.status IS NOT NULL AND d.phase_since <= $2 AND $1 = ANY(string_to_array(d.accounts_key, ' '))
      AND (o.held_until IS NULL OR o.held_until <= $3)
    LIMIT $4
) AS open
"""


async def count_passed_over(conn: Conn, account: str, until: datetime, found: OpenOrders, *, now: datetime) -> int:
    """Counts the open orders that are not queried, up to PASSED_OVER_MAX."""
    found_orders = len(found.ids) + found.waiting
    return int(await conn.fetchval(COUNT_OPEN, account, until, now, found_orders + PASSED_OVER_MAX)) - found_orders


# Locked in the order of ids, as everywhere.
REQUEST_QUERIES = """
WITH locked AS MATERIALIZED (
    SELECT id FROM orders WHERE id = ANY($1::bigint[]) AND closed_at IS NULL ORDER BY id FOR NO KEY UPDATE
)
UPDATE orders AS o SET ask_at = least(o.ask_at, w.at)
FROM locked JOIN unnest($1::bigint[], $2::timestamptz[]) AS w (id, at) ON w.id = locked.id
WHERE o.id = locked.id AND o.closed_at IS NULL
RETURNING o.id, o.ask_at
"""


async def request_queries(conn: Conn, ids: Sequence[int], moments: Sequence[datetime]) -> dict[int, datetime]:
    """Requests queries about the orders, each at its moment, or sooner where one is requested already."""
    asked = {row["id"]: row["ask_at"] for row in await conn.fetch(REQUEST_QUERIES, ids, moments)}
    await set_due_by(conn, asked)
    return asked


COUNT_RESULTS = """
SELECT count(*) AS orders,
       CASE
           WHEN s.result IS NOT NULL THEN s.result
           WHEN s.order_id IS NOT NULL THEN 'being asked'
           WHEN o.ask_at = w.at THEN 'waits'
           ELSE 'settled meanwhile'
       END AS result
FROM unnest($1::bigint[], $2::timestamptz[]) AS w (id, at)
JOIN orders o ON o.id = w.id
LEFT JOIN steps s ON s.order_id = w.id AND s.action = 'query' AND s.at = w.at
GROUP BY 2
"""
UNDECIDED: Final = ("waits", "being asked")


async def count_results(conn: Conn, asked: dict[int, datetime]) -> Counter[str]:
    """Counts the orders by the results of their queries; UNDECIDED where there is none yet."""
    rows = await conn.fetch(COUNT_RESULTS, list(asked), list(asked.values()))
    return Counter({row["result"]: row["orders"] for row in rows})
