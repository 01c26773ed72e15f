"""Reads stuck orders for people: since when, the gateways' last answers, and what comes next."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.order.advancing import what_comes_next
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import OPEN, Status
from tillkeeper.store.orders.loading import read_orders
from tillkeeper.store.postgres.pool import Conn

STUCK: Final = tuple(status for status in OPEN if status is not Status.UNPAID)  # unpaid ones: no payment began


class StuckFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects orders in these statuses since before `until`, and at this account if one is given."""

    statuses: tuple[Status, ...] = STUCK
    account: str | None = None
    until: datetime


class StuckPlace(msgspec.Struct, frozen=True, kw_only=True):
    """An order's place in the list: the list goes on behind it."""

    since: datetime
    order_id: int


class StuckPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the list, the longest first; `ends_at` is None where nothing comes behind it."""

    orders: list[dict[str, Any]]
    ends_at: StuckPlace | None


FROM_THE_BEGINNING: Final = StuckPlace(since=datetime(1970, 1, 1, tzinfo=UTC), order_id=0)

# One statement for each status, as a literal: only so PostgreSQL uses the partial indexes, and reads no unpaid orders.
OF_STATUS = """
SELECT order_id AS id, phase_since FROM due_orders
WHERE status = '{status}' AND phase_since <= $1
  AND ($2::text IS NULL OR $2 = ANY(string_to_array(accounts_key, ' ')))
  AND phase_since >= $4 AND (phase_since, order_id) > ($4, $5)
ORDER BY phase_since, order_id LIMIT $3
"""
# Those in which no money moves are in no such index, and seldom asked for: it reads all orders.
OF_SETTLED = """
SELECT id, phase_since FROM orders
WHERE closed_at IS NULL AND status = '{status}' AND phase_since <= $1 AND ($2::text IS NULL OR $2 = ANY(accounts))
  AND phase_since >= $4 AND (phase_since, id) > ($4, $5)
ORDER BY phase_since, id LIMIT $3
"""
COUNT_STATUS = """
SELECT '{status}' AS status, count(*), min(phase_since) AS oldest FROM (
    SELECT phase_since FROM due_orders
    WHERE status = '{status}' AND phase_since <= $1
      AND ($2::text IS NULL OR $2 = ANY(string_to_array(accounts_key, ' ')))
    ORDER BY phase_since LIMIT $3
) AS found
"""


def longest_first(statuses: Collection[Status]) -> str:
    """Returns the statement that finds orders in these statuses."""
    parts = ((OF_STATUS if status in OPEN else OF_SETTLED).format(status=status) for status in statuses)
    each = " UNION ALL ".join(f"({part})" for part in parts)
    return f"SELECT id, phase_since FROM ({each}) AS found ORDER BY phase_since, id LIMIT $3"  # noqa: S608 - our words


async def count_stuck(conn: Conn, sought: StuckFilter, *, limit: int) -> dict[Status, tuple[int, datetime | None]]:
    """Counts stuck orders of each status, up to the limit, and says since when the oldest stands."""
    statement = " UNION ALL ".join(COUNT_STATUS.format(status=status) for status in sought.statuses)
    rows = await conn.fetch(statement, sought.until, sought.account, limit)
    return {Status(row["status"]): (row["count"], row["oldest"]) for row in rows}


async def stuck_orders(
    pool: asyncpg.Pool, sought: StuckFilter, *, policy: Policy, limit: int, now: datetime
) -> list[dict[str, Any]]:
    """Reads stuck orders, the longest first."""
    return (await stuck_part(pool, sought, policy=policy, limit=limit, now=now)).orders


async def stuck_part(
    pool: asyncpg.Pool,
    sought: StuckFilter,
    *,
    policy: Policy,
    limit: int,
    now: datetime,
    after: StuckPlace = FROM_THE_BEGINNING,
) -> StuckPart:
    """Reads a part of the stuck orders, the longest first."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        bounds = (sought.until, sought.account, limit + 1, after.since, after.order_id)
        rows = await conn.fetch(longest_first(sought.statuses), *bounds)
        found, has_more = rows[:limit], len(rows) > limit
        ids = [row["id"] for row in found]
        orders = await read_orders(conn, ids)
        asked = await _asked_last(conn, orders.values())
        cases = await _open_cases(conn, ids)
        shown = [
            {
                **_shown(orders[order_id]),
                "asked_last": asked.get(order_id),
                "next": _coming(orders[order_id], policy, now),
                "cases": cases.get(order_id, []),
            }
            for order_id in ids
        ]
        last = StuckPlace(since=found[-1]["phase_since"], order_id=ids[-1]) if has_more else None
        return StuckPart(orders=shown, ends_at=last)


def _shown(order: OrderState) -> dict[str, Any]:
    return {
        **order.view().fields(),
        "since": order.phase_since,
        "accounts": sorted(order.order.accounts),
        "held_until": order.held_until,
        "swept_next_at": order.due_at,
    }


def _coming(order: OrderState, policy: Policy, now: datetime) -> dict[str, Any] | None:
    """Returns what the sweep does next, and when; None where it never will."""
    coming = what_comes_next(order, policy=policy, now=now)
    return None if coming is None else {"what": coming[0], "at": coming[1]}


ASKED_LAST = """
SELECT DISTINCT ON (r.order_id) r.order_id, r.action, r.taken_at AS at, r.tries, r.result
FROM unnest($1::bigint[], $2::bigint[]) AS w (order_id, phase)
JOIN steps r ON r.order_id = w.order_id AND r.phase = w.phase AND r.action IN ('query', 'close')
ORDER BY r.order_id, r.taken_at DESC
"""


async def _asked_last(conn: Conn, orders: Collection[OrderState]) -> dict[int, dict[str, Any]]:
    """Reads the last query of each present phase with its result, which is None while it is not known."""
    rows = await conn.fetch(ASKED_LAST, [order.id for order in orders], [order.phase for order in orders])
    return {row["order_id"]: {name: row[name] for name in ("action", "at", "tries", "result")} for row in rows}


OPEN_CASES = """
SELECT order_id, array_agg(id ORDER BY id) AS ids FROM cases
WHERE order_id = ANY($1::bigint[]) AND closed_at IS NULL GROUP BY order_id
"""


async def _open_cases(conn: Conn, ids: list[int]) -> dict[int, list[int]]:
    return {row["order_id"]: row["ids"] for row in await conn.fetch(OPEN_CASES, ids)}
