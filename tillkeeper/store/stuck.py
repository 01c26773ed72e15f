"""Orders that are stuck, as people read them: since when, what their gateways said last, and what comes next."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.order import STATUS_ZH, Status
from tillkeeper.domain.policy import Due, Policy, Wait, next_rung
from tillkeeper.store.ledger import OpenOrder, read_orders
from tillkeeper.store.pool import Conn
from tillkeeper.store.sweeping import Climbed, climbs_of, ladder_of

STUCK: Final = (Status.PROCESSING, Status.REFUNDING, Status.FAILED, Status.PARTIALLY_PAID)


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders: in these statuses since before `until`, and, if told, at this account."""

    statuses: tuple[Status, ...] = STUCK
    account: str | None = None
    until: datetime


# One statement for each status, named in it: only so are the indexes of those that may be stuck of use, and nobody's
# finished orders read.
OF_STATUS = """
SELECT id, spell_since FROM orders
WHERE closed_at IS NULL AND status = '{status}' AND spell_since <= $1 AND ($2::text IS NULL OR $2 = ANY(accounts))
ORDER BY spell_since, id LIMIT $3
"""


def longest_first(statuses: Collection[Status]) -> str:
    """The statement that finds orders in these statuses."""
    each = " UNION ALL ".join(f"({OF_STATUS.format(status=it)})" for it in statuses)
    return f"SELECT id FROM ({each}) AS found ORDER BY spell_since, id LIMIT $3"  # noqa: S608 - of our own words


async def stuck_orders(
    pool: asyncpg.Pool, sought: Sought, *, policy: Policy, limit: int, now: datetime
) -> list[dict[str, Any]]:
    """Those that have stood the longest first."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        found = await conn.fetch(longest_first(sought.statuses), sought.until, sought.account, limit)
        ids = [row["id"] for row in found]
        orders = await read_orders(conn, ids)
        climbs = await climbs_of(conn, orders.values())
        asked = await _asked_last(conn, orders.values())
        cases = await _open_cases(conn, ids)
        return [
            {
                **_shown(orders[order_id]),
                "asked_last": asked.get(order_id),
                "next": _coming(orders[order_id], climbs[order_id], policy, now),
                "cases": cases.get(order_id, []),
            }
            for order_id in ids
        ]


def _shown(it: OpenOrder) -> dict[str, Any]:
    summary = it.judge()
    return {
        "order_ref": it.order.order_ref,
        "status": summary.status,
        "status_zh": STATUS_ZH[summary.status],
        "since": it.spell_since,
        "accounts": sorted(it.order.accounts),
        "amount": it.order.amount,
        "currency": it.order.currency,
        "paid": summary.captured,
        "refunding": summary.refunding,
        "refunded": summary.refunded,
        "held_until": it.held_until,
        "swept_next_at": it.due_at,
    }


def _coming(it: OpenOrder, climb: Climbed, policy: Policy, now: datetime) -> dict[str, Any] | None:
    """What the sweep does next, and when; None where it never looks again."""
    if it.held_until is not None and it.held_until > now:
        return {"what": "hold ends", "at": it.held_until}
    coming = [] if it.ask_at is None else [("asked for", it.ask_at)]
    if climb.retry is not None:
        coming.append((f"{climb.retry.rung.action} again", climb.retry.at))
    ladder, spell = ladder_of(it, climb, policy), it.standing(climb.climbed)
    decision = next_rung(ladder, spell, now)
    if isinstance(decision, Wait):
        decision = next_rung(ladder, spell, decision.until)
    if isinstance(decision, Due):
        coming.append((str(decision.rung.action), decision.rung.at))
    if not coming:
        return None
    what, at = min(coming, key=lambda it: it[1])
    return {"what": what, "at": at}


ASKED_LAST = """
SELECT DISTINCT ON (r.order_id) r.order_id, r.action, r.taken_at AS at, r.tries, r.result
FROM unnest($1::bigint[], $2::bigint[]) AS w (order_id, spell)
JOIN rung r ON r.order_id = w.order_id AND r.spell = w.spell AND r.action IN ('query', 'close')
ORDER BY r.order_id, r.taken_at DESC
"""


async def _asked_last(conn: Conn, orders: Collection[OpenOrder]) -> dict[int, dict[str, Any]]:
    """The last query of each present spell, and what came of it; a result of None is not known yet, or never."""
    rows = await conn.fetch(ASKED_LAST, [it.id for it in orders], [it.spell for it in orders])
    return {row["order_id"]: {name: row[name] for name in ("action", "at", "tries", "result")} for row in rows}


OPEN_CASES = """
SELECT order_id, array_agg(id ORDER BY id) AS ids FROM cases
WHERE order_id = ANY($1::bigint[]) AND closed_at IS NULL GROUP BY order_id
"""


async def _open_cases(conn: Conn, ids: list[int]) -> dict[int, list[int]]:
    return {row["order_id"]: row["ids"] for row in await conn.fetch(OPEN_CASES, ids)}
