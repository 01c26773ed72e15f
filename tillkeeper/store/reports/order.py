"""Reads an order for people and the merchant's systems: its present state, and its history."""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from tillkeeper.domain.order.view import view_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.shown_order import (
    HistoryEntry,
    OrderDetails,
    ShownCase,
    ShownDispute,
    ShownPayment,
    ShownRefund,
)
from tillkeeper.store.rows import order_in, shown_summary_in

SHOW_ORDER = """
SELECT id, order_ref, accounts, status, amount_minor, currency, captured_minor, refunding_minor, refunded_minor,
       discount_minor,
       (SELECT coalesce(sum(d.amount_minor), 0)::bigint FROM disputes d
        WHERE d.order_id = orders.id AND d.status = 'lost' AND d.currency = orders.currency
          AND d.account = ANY(orders.accounts)) AS charged_back_minor,
       version, registered_at, changed_at, expires_at, phase_since, held_until, closed_at,
       (SELECT due_at FROM due_orders WHERE order_id = orders.id) AS due_at,
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
    view = view_of(order_in(row), shown_summary_in(row), charged_back=row["charged_back_minor"])
    return {**view.fields(), **_as_json(await _details(conn, row))}


async def _details(conn: Conn, row: asyncpg.Record) -> OrderDetails:
    order_id = row["id"]
    return OrderDetails(
        version=row["version"],
        registered_at=row["registered_at"],
        changed_at=row["changed_at"],
        expires_at=row["expires_at"],
        stands_since=row["phase_since"],
        swept_next_at=row["due_at"],
        held_until=row["held_until"],
        closed_at=row["closed_at"],
        erased_at=row["erased_at"],
        payments=tuple([ShownPayment(**payment) for payment in await conn.fetch(SHOW_PAYMENTS, order_id)]),
        refunds=tuple([ShownRefund(**refund) for refund in await conn.fetch(SHOW_REFUNDS, order_id)]),
        disputes=tuple([ShownDispute(**dispute) for dispute in await conn.fetch(SHOW_DISPUTES, order_id)]),
        cases=tuple(
            [
                ShownCase(**{**case, "details": msgspec.json.decode(case["details"])})
                for case in await conn.fetch(SHOW_CASES, order_id)
            ]
        ),
    )


def _as_json(shown: OrderDetails | HistoryEntry) -> dict[str, Any]:
    """Returns its fields, with times as they are."""
    fields: dict[str, Any] = msgspec.to_builtins(shown, builtin_types=(datetime,))
    return fields


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
SELECT 'act', 'order.bind', at, at, 'operator', 'done', NULL, NULL, account, NULL, payment_ref, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, concat_ws(', confirmed by ', by, confirmed_by), note, 2, 0
FROM bound_payments WHERE order_id = $1
UNION ALL
SELECT 'step', 'sweep.' || action, taken_at, at, NULL, coalesce(result, 'under way'), NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, CASE WHEN tries > 1 THEN tries || ' tries' END, 0, 0
FROM steps WHERE order_id = $1
ORDER BY recorded_at, rank, seq, kind
"""


async def history(pool: asyncpg.Pool, order_ref: str) -> list[dict[str, Any]] | None:
    """Reads every event, act and step of the order, oldest first by our clock, or None if there is no such order."""
    async with pool.acquire() as conn:
        order_id = await conn.fetchval(ORDER_ID, order_ref)
        return None if order_id is None else await history_of(conn, order_id)


async def history_of(conn: Conn, order_id: int) -> list[dict[str, Any]]:
    """Reads the history of an order that is known to exist."""
    rows = await conn.fetch(HISTORY, order_id)
    return [_as_json(HistoryEntry(**{name: row[name] for name in HistoryEntry.__struct_fields__})) for row in rows]
