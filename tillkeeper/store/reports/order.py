"""Reads an order for people and the merchant's systems: its present state, and its history."""

from typing import Any

import asyncpg
import msgspec

from tillkeeper.domain.order.view import view_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.rows import order_in, summary_in

SHOW_ORDER = """
SELECT id, order_ref, accounts, status, amount_minor, currency, captured_minor, refunding_minor, refunded_minor,
       discount_minor,
       (SELECT coalesce(sum(d.amount_minor), 0)::bigint FROM disputes d
        WHERE d.order_id = orders.id AND d.status = 'lost' AND d.currency = orders.currency
          AND d.account = ANY(orders.accounts)) AS charged_back_minor,
       version, registered_at, changed_at, expires_at, phase_since, due_at, held_until, closed_at,
       (terms -> 'erased' -> 0 ->> 'at')::timestamptz AS erased_at
FROM orders WHERE order_ref = $1
"""
SHOW_PAYMENTS = """
SELECT account, payment_ref, status, amount_minor AS amount, currency, captured_minor AS captured, failure, method
FROM payments WHERE order_id = $1 ORDER BY account, payment_ref
"""
SHOW_REFUNDS = """
SELECT account, refund_ref, payment_ref, status, amount_minor AS amount, currency
FROM refunds WHERE order_id = $1 ORDER BY account, refund_ref
"""
SHOW_DISPUTES = """
SELECT account, dispute_ref, payment_ref, status, amount_minor AS amount, currency
FROM disputes WHERE order_id = $1 ORDER BY account, dispute_ref
"""
SHOW_CASES = """
SELECT id, kind, subject, account, details, level, owner, opened_at, follow_up_at, closed_at, closed_by, outcome
FROM cases WHERE order_id = $1 ORDER BY id
"""


async def show(pool: asyncpg.Pool, order_ref: str) -> dict[str, Any] | None:
    """Returns the order as the contract shows it, or None.  Amounts in minor units; `paid` is before refunds."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        return await show_in(conn, order_ref)


async def show_in(conn: Conn, order_ref: str) -> dict[str, Any] | None:
    """As `show`, in the caller's snapshot."""
    row = await conn.fetchrow(SHOW_ORDER, order_ref)
    if row is None:
        return None
    return {
        **view_of(order_in(row), summary_in(row), charged_back=row["charged_back_minor"]).fields(),
        "version": row["version"],
        "registered_at": row["registered_at"],
        "changed_at": row["changed_at"],
        "expires_at": row["expires_at"],
        "stands_since": row["phase_since"],
        "swept_next_at": row["due_at"],
        "held_until": row["held_until"],
        "closed_at": row["closed_at"],
        "erased_at": row["erased_at"],
        "payments": [dict(payment) for payment in await conn.fetch(SHOW_PAYMENTS, row["id"])],
        "refunds": [dict(refund) for refund in await conn.fetch(SHOW_REFUNDS, row["id"])],
        "disputes": [dict(dispute) for dispute in await conn.fetch(SHOW_DISPUTES, row["id"])],
        "cases": [
            {**dict(case), "details": msgspec.json.decode(case["details"])}
            for case in await conn.fetch(SHOW_CASES, row["id"])
        ],
    }


ORDER_ID = "SELECT id FROM orders WHERE order_ref = $1"

# Oldest first by our clock; at the same moment the query comes before the answer, and the answer before what follows.
HISTORY = """
SELECT 'event' AS what, kind, recorded_at,
       CASE WHEN evidence = 'operator' THEN recorded_at ELSE occurred_at END AS occurred_at,  -- no gateway's clock
       evidence, outcome, reason, status_after, account, event_id, payment_ref, refund_ref, dispute_ref,
       amount_minor AS amount, total_minor AS total, currency, failure, failure_code, NULL AS by, NULL AS note,
       1 AS rank, seq
FROM inbox WHERE order_id = $1
UNION ALL
SELECT 'act', 'order.' || what, at, at, CASE WHEN by <> 'policy' THEN 'operator' END, 'done', NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, by, note, 2, id
FROM acts WHERE order_id = $1
UNION ALL
SELECT 'act', 'order.erase', (act ->> 'at')::timestamptz, (act ->> 'at')::timestamptz, 'operator', 'done', NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, act ->> 'by', act ->> 'note', 2, 0
FROM orders CROSS JOIN jsonb_array_elements(terms -> 'erased') AS act WHERE id = $1
UNION ALL
SELECT 'step', 'sweep.' || action, taken_at, at, NULL, coalesce(result, 'under way'), NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, CASE WHEN tries > 1 THEN tries || ' tries' END, 0, 0
FROM steps WHERE order_id = $1
ORDER BY recorded_at, rank, seq, kind
"""


async def history(pool: asyncpg.Pool, order_ref: str) -> list[dict[str, Any]] | None:
    """Reads every event, act and step of the order, oldest first by our clock, or None if there is no such order.

    All have the same fields, null where they do not apply: `what` is "event", "act" or "step"; an act's `occurred_at`
    is when it was done, a step's is its moment in the ladder.
    """
    async with pool.acquire() as conn:
        order_id = await conn.fetchval(ORDER_ID, order_ref)
        return None if order_id is None else await history_of(conn, order_id)


async def history_of(conn: Conn, order_id: int) -> list[dict[str, Any]]:
    """Reads the history of an order that is known to exist."""
    found = [dict(row) for row in await conn.fetch(HISTORY, order_id)]
    return [{name: value for name, value in entry.items() if name not in ("rank", "seq")} for entry in found]
