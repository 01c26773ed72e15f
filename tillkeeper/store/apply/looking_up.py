"""Looks up what the database knows of a batch before it is applied, all in one statement: each costs a round trip."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.domain.batch import DeliveryKey, EventKey, KnownEvent
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.references import Bindings
from tillkeeper.store.postgres.pool import Conn, as_json

# Lookups, not joins: for joins PostgreSQL read small tables whole, and still did so when they had grown.  OFFSET 0
# keeps it from making joins of the last two.
LOOK_UP = """
SELECT e.i,
       (SELECT true FROM deliveries d WHERE d.run = e.run AND d.number = e.number) AS is_kept,
       (SELECT order_id FROM payments p WHERE p.account = e.account AND p.payment_ref = e.payment_ref) AS by_payment,
       CASE WHEN e.refund_ref IS NOT NULL THEN
           (SELECT order_id FROM refunds r WHERE r.account = e.account AND r.refund_ref = e.refund_ref)
       END AS by_refund,
       CASE WHEN e.dispute_ref IS NOT NULL THEN
           (SELECT order_id FROM disputes d WHERE d.account = e.account AND d.dispute_ref = e.dispute_ref)
       END AS by_dispute,
       (SELECT id FROM orders o WHERE o.order_ref = e.order_ref) AS by_order,
       x.digest, x.outcome = 'waiting' AS waits, k.id AS parked_id, coalesce(x.as_of, x.occurred_at) AS known_at
FROM json_to_recordset($1::json) AS e (i int, run uuid, number bigint, account text, event_id text, payment_ref text,
                                       refund_ref text, dispute_ref text, order_ref text)
LEFT JOIN LATERAL (
    SELECT digest, outcome, as_of, occurred_at FROM inbox
    WHERE account = e.account AND event_id = e.event_id OFFSET 0
) x ON true
LEFT JOIN LATERAL (
    SELECT id FROM parked WHERE account = e.account AND event_id = e.event_id AND outcome IS NULL OFFSET 0
) k ON true
"""


class KnownRows(msgspec.Struct, kw_only=True):
    """What the database knows: the deliveries that it keeps, and the events that it has under the same ids."""

    kept: set[DeliveryKey] = msgspec.field(default_factory=set)
    events: dict[EventKey, KnownEvent] = msgspec.field(default_factory=dict)


class _Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the question: an event, a delivery, or both."""

    i: int
    run: UUID | None = None
    number: int | None = None
    account: str | None = None
    event_id: str | None = None
    payment_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    order_ref: str | None = None


async def look_up_deliveries(conn: Conn, deliveries: Iterable[Delivery], bindings: Bindings) -> KnownRows:
    """Looks up deliveries with their events, and adds to `bindings` which orders these name."""
    return await _look_up(conn, list(_parts_of(deliveries)), bindings)


def _parts_of(deliveries: Iterable[Delivery]) -> Iterator[tuple[DeliveryKey, PaymentEvent | None]]:
    for delivery in deliveries:
        key = delivery.run, delivery.number
        yield from ((key, event) for event in delivery.events or (None,))


async def is_kept(conn: Conn, delivery: Delivery) -> bool:
    """Returns whether a delivery is stored already, whatever its events are."""
    return bool((await _look_up(conn, [((delivery.run, delivery.number), None)], Bindings())).kept)


async def look_up(conn: Conn, events: Iterable[PaymentEvent], bindings: Bindings) -> KnownRows:
    """Looks up events, and adds to `bindings` which orders these name."""
    return await _look_up(conn, [(None, event) for event in events], bindings)


async def _look_up(
    conn: Conn, asked: Sequence[tuple[DeliveryKey | None, PaymentEvent | None]], bindings: Bindings
) -> KnownRows:
    found = KnownRows()
    if not asked:
        return found
    rows = as_json([_asked(position, key, event) for position, (key, event) in enumerate(asked)])
    for i, is_kept, by_payment, by_refund, by_dispute, by_order, *known in await conn.fetch(LOOK_UP, rows):
        key, event = asked[i]
        if is_kept and key is not None:
            found.kept.add(key)
        if event is None:
            continue
        if by_payment is not None and event.payment_ref is not None:
            bindings.known["payment", event.account, event.payment_ref] = by_payment
        if by_refund is not None and event.refund_ref is not None:
            bindings.known["refund", event.account, event.refund_ref] = by_refund
        if by_dispute is not None and event.dispute_ref is not None:
            bindings.known["dispute", event.account, event.dispute_ref] = by_dispute
        if by_order is not None and event.order_ref is not None:
            bindings.known["order", event.order_ref] = by_order
        if known != _UNKNOWN:
            found.events[event.account, event.event_id] = _known_event(*known)
    return found


_UNKNOWN: list[object] = [None, None, None, None]


def _asked(position: int, key: DeliveryKey | None, event: PaymentEvent | None) -> _Asked:
    run, number = key or (None, None)
    if event is None:
        return _Asked(position, run, number)
    return _Asked(
        position,
        run,
        number,
        event.account,
        event.event_id,
        event.payment_ref,
        event.refund_ref,
        event.dispute_ref,
        event.order_ref,
    )


def _known_event(
    digest: bytes | None, waits: bool | None, parked_id: int | None, known_at: datetime | None
) -> KnownEvent:
    return KnownEvent(digest=digest, waits=bool(waits), parked_id=parked_id, known_at=known_at)
