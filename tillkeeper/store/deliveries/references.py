"""Finds the order of an event, under a lock by which an event and its order cannot miss each other.

An event finds its order by a known payment, refund or dispute of its account, else by order reference.  An event
without an order waits under all its references.  A transaction in which a reference appears (an order registered, an
object first seen) holds that reference's lock shared, and then looks for waiting events; one that is about to let an
event wait holds it exclusively, and then looks for the order once more.  So of two that run at once, the later sees the
earlier.  Locks are taken in sorted order.

Where an event's references lead to more than one order, store/apply/ambiguous_payments.py decides.
"""

import hashlib
from collections.abc import Collection, Iterable
from typing import Final

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.references import Reference
from tillkeeper.store.deliveries.inbox import event_of
from tillkeeper.store.postgres.pool import Conn

LOCK = """
SELECT CASE WHEN l.waits THEN pg_advisory_xact_lock(l.key) ELSE pg_advisory_xact_lock_shared(l.key) END
FROM unnest($1::bigint[], $2::boolean[]) AS l (key, waits)
"""


async def lock(conn: Conn, *, appearing: Iterable[Reference] = (), waiting: Iterable[Reference] = ()) -> None:
    """Takes the references' locks until the transaction ends."""
    modes = dict.fromkeys(map(_lock_key, appearing), False)
    modes |= dict.fromkeys(map(_lock_key, waiting), True)
    if modes:
        keys = sorted(modes)
        await conn.execute(LOCK, keys, [modes[key] for key in keys])


# A lock for each reference would fill the server's shared lock table, which by default has some 6,400 places for all
# transactions together: four workers with batches of 400 would.  References that share a bucket only wait needlessly.
LOCK_BUCKETS: Final = 4_096
# Apart from the keys of other advisory locks, which are hashes of 64 bits.
LOCK_BASE: Final = 0x7469_6C6C << 16


def _lock_key(reference: Reference) -> int:
    digest = hashlib.blake2b("\0".join(reference).encode(), digest_size=8).digest()
    return LOCK_BASE + int.from_bytes(digest, "big") % LOCK_BUCKETS


# One statement each: combined by OR they would read the whole inbox instead of the small indexes of waiting events.
WAITING_FOR_ORDERS = """
SELECT event_id, kind, account, occurred_at, evidence, order_ref, payment_ref, capture_ref, refund_ref, dispute_ref,
       amount_minor, total_minor, currency, failure, failure_code, method, as_of, discount_minor, has_refunds,
       on_top_minor, released_minor, may_be_release
FROM inbox
WHERE outcome = 'waiting' AND order_ref = ANY($1::text[])
ORDER BY account, event_id
FOR UPDATE
"""
WAITING_FOR_PAYMENTS = """
SELECT x.event_id, x.kind, x.account, x.occurred_at, x.evidence, x.order_ref, x.payment_ref, x.capture_ref,
       x.refund_ref, x.dispute_ref, x.amount_minor, x.total_minor, x.currency, x.failure, x.failure_code, x.method,
       x.as_of, x.discount_minor, x.has_refunds, x.on_top_minor, x.released_minor, x.may_be_release
FROM unnest($1::text[], $2::text[]) AS w (account, payment_ref)
JOIN inbox x ON x.account = w.account AND x.payment_ref = w.payment_ref AND x.outcome = 'waiting'
ORDER BY x.account, x.event_id
FOR UPDATE OF x
"""
WAITING_FOR_REFUNDS = """
SELECT x.event_id, x.kind, x.account, x.occurred_at, x.evidence, x.order_ref, x.payment_ref, x.capture_ref,
       x.refund_ref, x.dispute_ref, x.amount_minor, x.total_minor, x.currency, x.failure, x.failure_code, x.method,
       x.as_of, x.discount_minor, x.has_refunds, x.on_top_minor, x.released_minor, x.may_be_release
FROM unnest($1::text[], $2::text[]) AS w (account, refund_ref)
JOIN inbox x ON x.account = w.account AND x.refund_ref = w.refund_ref AND x.outcome = 'waiting'
ORDER BY x.account, x.event_id
FOR UPDATE OF x
"""
WAITING_FOR_DISPUTES = """
SELECT x.event_id, x.kind, x.account, x.occurred_at, x.evidence, x.order_ref, x.payment_ref, x.capture_ref,
       x.refund_ref, x.dispute_ref, x.amount_minor, x.total_minor, x.currency, x.failure, x.failure_code, x.method,
       x.as_of, x.discount_minor, x.has_refunds, x.on_top_minor, x.released_minor, x.may_be_release
FROM unnest($1::text[], $2::text[]) AS w (account, dispute_ref)
JOIN inbox x ON x.account = w.account AND x.dispute_ref = w.dispute_ref AND x.outcome = 'waiting'
ORDER BY x.account, x.event_id
FOR UPDATE OF x
"""
WAITING_FOR_OBJECTS: Final = {
    "payment": WAITING_FOR_PAYMENTS,
    "refund": WAITING_FOR_REFUNDS,
    "dispute": WAITING_FOR_DISPUTES,
}


async def take_waiting(conn: Conn, references: Collection[Reference]) -> list[PaymentEvent]:
    """Locks and returns the events that wait under any of these references."""
    orders = [reference[1] for reference in references if reference[0] == "order"]
    rows = await conn.fetch(WAITING_FOR_ORDERS, orders) if orders else []
    for kind, waiting in WAITING_FOR_OBJECTS.items():
        objects = [reference for reference in references if reference[0] == kind]
        if objects:
            rows += await conn.fetch(
                waiting, [reference[1] for reference in objects], [reference[2] for reference in objects]
            )
    found = {(row["account"], row["event_id"]): event_of(row) for row in rows}
    return list(found.values())
