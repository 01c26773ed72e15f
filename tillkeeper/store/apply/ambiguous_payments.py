"""Loads and writes payments that events name with several orders; domain/ambiguous_payments.py places them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tillkeeper.domain.ambiguous_payments import AmbiguousPayments, KeptEvent, SettledPayments, place_ambiguous
from tillkeeper.domain.batch import BatchItem, EventKey
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.facts import ObjectKey
from tillkeeper.domain.order.registration import ClaimedPayment
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.references import Reference, object_references_of, references_of
from tillkeeper.store.deliveries.inbox import event_of
from tillkeeper.store.deliveries.references import lock, take_waiting
from tillkeeper.store.orders.loading import lock_orders
from tillkeeper.store.postgres.pool import Conn, as_json
from tillkeeper.store.postgres.sqlstates import WriteConflict

NAMED = "SELECT account, payment_ref FROM named_elsewhere WHERE order_ref = ANY($1::text[])"


async def named_with(conn: Conn, order_refs: Collection[str]) -> set[Reference]:
    """Finds the payments that events named with these orders and that belong to another."""
    if not order_refs:
        return set()
    return {("payment", row["account"], row["payment_ref"]) for row in await conn.fetch(NAMED, list(order_refs))}


async def load_ambiguous(
    conn: Conn, ambiguous: set[Reference], items: Sequence[BatchItem]
) -> tuple[dict[int, OrderState], SettledPayments]:
    """Loads the orders of all items and of the ambiguous objects, with these placed anew.  Raises WriteConflict."""
    known = await _gather(conn, ambiguous, items)
    await lock(conn, waiting={reference for event in known.events.values() for reference in references_of(event)})
    known = await _gather(conn, known.objects, items)
    ids = {item.order_id for item in items if item.order_id is not None} | set(known.order_ids.values())
    orders = await lock_orders(conn, ids)
    known = await _gather(conn, known.objects, items)
    if not set(known.order_ids.values()) <= ids:
        raise WriteConflict
    return orders, place_ambiguous(known, orders)


ORDERS_OF_OBJECTS = """
SELECT order_id FROM payments WHERE (account, payment_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))
UNION
SELECT order_id FROM refunds WHERE (account, refund_ref) IN (SELECT * FROM unnest($3::text[], $4::text[]))
UNION
SELECT order_id FROM disputes WHERE (account, dispute_ref) IN (SELECT * FROM unnest($5::text[], $6::text[]))
"""
OF_ORDERS = """
SELECT x.* FROM inbox x
WHERE x.order_id = ANY($1::bigint[])
  AND ((x.account, x.payment_ref) IN (SELECT * FROM unnest($2::text[], $3::text[]))
    OR (x.account, x.refund_ref) IN (SELECT * FROM unnest($4::text[], $5::text[]))
    OR (x.account, x.dispute_ref) IN (SELECT * FROM unnest($6::text[], $7::text[])))
"""
ORDERS_CONCERNED = """
SELECT id, order_ref, terms -> 'payments' AS payments FROM orders
WHERE id = ANY($1::bigint[]) OR order_ref = ANY($2::text[])
"""
BOUND = """
SELECT b.account, b.payment_ref, b.order_id, o.order_ref FROM bound_payments b JOIN orders o ON o.id = b.order_id
WHERE (b.account, b.payment_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""


async def _gather(conn: Conn, objects: set[Reference], items: Sequence[BatchItem]) -> AmbiguousPayments:
    """Follows the objects' events to the other objects that they name, until there are no more."""
    rows, mine, ids, seen = dict[EventKey, KeptEvent](), list[BatchItem](), set[int](), set[Reference]()
    objects, named = set(objects), list[PaymentEvent]()
    while new := objects - seen:
        seen |= new
        by_kind = [
            [reference for reference in objects if reference[0] == kind] for kind in ("payment", "refund", "dispute")
        ]
        columns = [[reference[place] for reference in of_kind] for of_kind in by_kind for place in (1, 2)]
        ids |= {row["order_id"] for row in await conn.fetch(ORDERS_OF_OBJECTS, *columns)}
        for row in await conn.fetch(OF_ORDERS, sorted(ids), *columns):
            told = KeptEvent(
                event=event_of(row), order_id=row["order_id"], outcome=row["outcome"], reason=row["reason"]
            )
            rows[told.event.account, told.event.event_id] = told
        for event in await take_waiting(conn, objects):
            rows[event.account, event.event_id] = KeptEvent(event=event, order_id=None, outcome="waiting", reason=None)
        mine = [item for item in items if not objects.isdisjoint(object_references_of(item.event))]
        named = [*(row.event for row in rows.values()), *(item.event for item in mine)]
        objects |= {reference for event in named for reference in object_references_of(event)}
    refs = {event.order_ref for event in named if event.order_ref is not None}
    bound = await _bound_among(conn, objects)
    ids |= {row["order_id"] for row in bound.values()}
    orders = await conn.fetch(ORDERS_CONCERNED, sorted(ids), sorted(refs))
    claims = {
        (claim.account, claim.payment_ref): row["order_ref"]
        for row in orders
        for claim in msgspec.json.decode(row["payments"] or "[]", type=list[ClaimedPayment])
        if ("payment", claim.account, claim.payment_ref) in objects
    }
    return AmbiguousPayments(
        objects=objects,
        kept=rows,
        items=mine,
        order_ids={row["order_ref"]: row["id"] for row in orders},
        claims={**claims, **{key: row["order_ref"] for key, row in bound.items()}},
        bound=frozenset(bound),
    )


async def _bound_among(conn: Conn, objects: set[Reference]) -> dict[ObjectKey, Any]:
    """Returns those of the payments that a person bound to an order."""
    payments = [reference for reference in objects if reference[0] == "payment"]
    rows = await conn.fetch(BOUND, [payment[1] for payment in payments], [payment[2] for payment in payments])
    return {(row["account"], row["payment_ref"]): row for row in rows}


MOVE = """
UPDATE inbox AS x
SET outcome = w.outcome, reason = w.reason, order_id = w.order_id, status_after = w.status_after,
    recorded_at = CASE WHEN w.outcome = 'waiting' THEN $2 ELSE x.recorded_at END
FROM json_populate_recordset(NULL::inbox, $1::json) AS w
WHERE x.account = w.account AND x.event_id = w.event_id
"""
KEEP_NAMES = """
INSERT INTO named_elsewhere (order_ref, account, payment_ref)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS w (order_ref, account, payment_ref) ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
"""


async def write_ambiguous(conn: Conn, settled: SettledPayments, *, now: datetime) -> None:
    """Writes where events belong now, and which orders their payments were named with."""
    if settled.moved:
        rows = [
            {
                "account": moved.event.account,
                "event_id": moved.event.event_id,
                "outcome": moved.outcome,
                "reason": moved.reason,
                "order_id": moved.order_id,
                "status_after": moved.status_after,
            }
            for moved in settled.moved
        ]
        await conn.execute(MOVE, as_json(rows), now)
    if settled.names:
        await conn.execute(KEEP_NAMES, *map(list, zip(*settled.names, strict=True)))
