"""Payments that are told with more than one order: seldom, so that all that is known of them is read and placed anew.

Which order each event belongs to is domain/ownership.py's to say, from everything that was ever told of the objects
concerned, the batch included.  Their facts are taken out of all orders and made again where they belong, so that no
order of arrival, and no moment of a registration, makes a difference.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain import facts as rules
from tillkeeper.domain.concerns import Concern, mismatch_of
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.facts import ObjectKey, OrderFacts, PaymentFacts
from tillkeeper.domain.ownership import EventKey, Placement, place
from tillkeeper.store.inbox import Item, Outcome
from tillkeeper.store.ledger import OpenOrder, Raced, open_orders
from tillkeeper.store.pool import Conn, as_json
from tillkeeper.store.references import (
    Bindings,
    Reference,
    event_of,
    lock,
    object_references_of,
    references_of,
    take_waiting,
)

REFERENCE_CONFLICT: Final = "reference_conflict"
NAMED_ELSEWHERE: Final = "named_elsewhere"  # why an event waits although something that it names is known


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the inbox has it."""

    event: PaymentEvent
    order_id: int | None
    outcome: str
    reason: str | None


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the inbox that belongs elsewhere now."""

    event: PaymentEvent
    order_id: int | None
    outcome: Outcome
    reason: str | None
    status_after: str | None


class Contested(msgspec.Struct, kw_only=True):
    """What is to be written of contested payments."""

    moved: list[Moved] = msgspec.field(default_factory=list)
    found: list[tuple[int | None, Concern]] = msgspec.field(default_factory=list)
    agreed: list[str] = msgspec.field(default_factory=list)  # the objects of which there is no conflict, or no more
    names: list[tuple[str, str, str]] = msgspec.field(default_factory=list)  # (order reference, account, payment)


class _Known(msgspec.Struct, kw_only=True):
    """All that is known of some objects."""

    objects: set[Reference]
    rows: dict[EventKey, Row]
    items: list[Item]
    order_ids: dict[str, int]  # of the orders concerned, by reference
    claims: dict[ObjectKey, str]

    @property
    def events(self) -> dict[EventKey, PaymentEvent]:
        """Each once, as it was first told, for the latest moment for which it was."""
        told = {key: row.event for key, row in self.rows.items()}
        for item in self.items:
            before = told.setdefault(_key(item.event), item.event)
            if before.known_at < item.event.known_at:
                told[_key(item.event)] = msgspec.structs.replace(before, as_of=item.event.known_at)
        return told


def _key(event: PaymentEvent) -> EventKey:
    return event.account, event.event_id


def contested_in(items: Iterable[Item], bindings: Bindings) -> set[Reference]:
    """The objects of events whose references lead to different orders, or to one while they name another."""
    found = set[Reference]()
    for item in items:
        event = item.event
        leads_to = {bindings.known.get(it) for it in references_of(event)} - {None}
        names_another = event.order_ref is not None and ("order", event.order_ref) not in bindings.known
        if len(leads_to) > 1 or (leads_to and names_another):
            found |= set(object_references_of(event))
    return found


NAMED = "SELECT account, payment_ref FROM named_elsewhere WHERE order_ref = ANY($1::text[])"


async def named_with(conn: Conn, order_refs: Collection[str]) -> set[Reference]:
    """The payments that were told with these orders and belong to another."""
    if not order_refs:
        return set()
    return {("payment", row["account"], row["payment_ref"]) for row in await conn.fetch(NAMED, list(order_refs))}


async def settle_contested(
    conn: Conn, contested: set[Reference], items: Sequence[Item]
) -> tuple[dict[int, OpenOrder], Contested]:
    """Opens the orders of all items and of the contested objects, with these placed anew.  Raises Raced."""
    known = await _gather(conn, contested, items)
    await lock(conn, waiting={it for event in known.events.values() for it in references_of(event)})
    known = await _gather(conn, known.objects, items)
    ids = {item.order_id for item in items if item.order_id is not None} | set(known.order_ids.values())
    orders = await open_orders(conn, ids)
    known = await _gather(conn, known.objects, items)
    if not set(known.order_ids.values()) <= ids:
        raise Raced
    placement = place(known.events.values(), registered=known.order_ids, claims=known.claims)
    _replace_facts(orders, known, placement)
    return orders, _what_follows(orders, known, placement)


ORDERS_OF_OBJECTS = """
SELECT order_id FROM payment WHERE (account, payment_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))
UNION
SELECT order_id FROM refund WHERE (account, refund_ref) IN (SELECT * FROM unnest($3::text[], $4::text[]))
UNION
SELECT order_id FROM dispute WHERE (account, dispute_ref) IN (SELECT * FROM unnest($5::text[], $6::text[]))
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


class _Claim(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    payment_ref: str


async def _gather(conn: Conn, objects: set[Reference], items: Sequence[Item]) -> _Known:
    """Follows the objects' events to other objects that these name, until there are no more."""
    rows, mine, ids, seen = dict[EventKey, Row](), list[Item](), set[int](), set[Reference]()
    objects, named = set(objects), list[PaymentEvent]()
    while new := objects - seen:
        seen |= new
        by_kind = [[it for it in objects if it[0] == kind] for kind in ("payment", "refund", "dispute")]
        columns = [[it[place] for it in of_kind] for of_kind in by_kind for place in (1, 2)]
        ids |= {row["order_id"] for row in await conn.fetch(ORDERS_OF_OBJECTS, *columns)}
        for row in await conn.fetch(OF_ORDERS, sorted(ids), *columns):
            told = Row(event=event_of(row), order_id=row["order_id"], outcome=row["outcome"], reason=row["reason"])
            rows[_key(told.event)] = told
        for event in await take_waiting(conn, objects):
            rows[_key(event)] = Row(event=event, order_id=None, outcome="waiting", reason=None)
        mine = [item for item in items if not objects.isdisjoint(object_references_of(item.event))]
        named = [*(row.event for row in rows.values()), *(item.event for item in mine)]
        objects |= {it for event in named for it in object_references_of(event)}
    refs = {event.order_ref for event in named if event.order_ref is not None}
    orders = await conn.fetch(ORDERS_CONCERNED, sorted(ids), sorted(refs))
    return _Known(
        objects=objects,
        rows=rows,
        items=mine,
        order_ids={row["order_ref"]: row["id"] for row in orders},
        claims={
            (claim.account, claim.payment_ref): row["order_ref"]
            for row in orders
            for claim in msgspec.json.decode(row["payments"] or "[]", type=list[_Claim])
            if ("payment", claim.account, claim.payment_ref) in objects
        },
    )


def _replace_facts(orders: Mapping[int, OpenOrder], known: _Known, placement: Placement) -> None:
    """Takes what is known of the objects out of every order, and makes it again where it belongs."""
    of_payments = {it[1:] for it in known.objects if it[0] == "payment"}
    of_refunds = {it[1:] for it in known.objects if it[0] == "refund"}
    of_disputes = {it[1:] for it in known.objects if it[0] == "dispute"}
    made = {}
    for order_id in known.order_ids.values():
        facts = orders[order_id].facts
        made[order_id] = OrderFacts(
            payments={key: it for key, it in facts.payments.items() if key not in of_payments},
            refunds={key: it for key, it in facts.refunds.items() if key not in of_refunds},
            disputes={key: it for key, it in facts.disputes.items() if key not in of_disputes},
        )
    for key, order_ref in known.claims.items():
        order_id = known.order_ids[order_ref]
        made[order_id] = msgspec.structs.replace(
            made[order_id], payments={**made[order_id].payments, key: PaymentFacts()}
        )
    for key, event in known.events.items():
        placed = placement.events[key]
        if placed.order_ref is not None and not placed.contradicts:
            order_id = known.order_ids[placed.order_ref]
            made[order_id] = rules.apply(made[order_id], event)
    for order_id, facts in made.items():
        orders[order_id].replace(facts)


def _what_follows(orders: Mapping[int, OpenOrder], known: _Known, placement: Placement) -> Contested:
    contested = Contested()
    events = known.events
    for key, placed in placement.events.items():
        order_id = None if placed.order_ref is None else known.order_ids[placed.order_ref]
        outcome, reason = _outcome(events[key], order_id, orders, contradicts=placed.contradicts)
        row, items = known.rows.get(key), [it for it in known.items if _key(it.event) == key]
        for item in items:
            item.placed, item.order_id, item.outcome, item.reason = True, order_id, outcome, reason
        if row is not None and not any(it.waited for it in items) and _is_elsewhere(row, order_id, reason):
            status = None if order_id is None else orders[order_id].judge().status
            contested.moved.append(
                Moved(event=row.event, order_id=order_id, outcome=outcome, reason=reason, status_after=status)
            )
    for subject, refs in placement.conflicts.items():
        contested.found.append(_conflict(subject, refs, known, placement))
    subjects = {f"{kind}:{account}/{ref}" for kind, account, ref in known.objects}
    contested.agreed = sorted(subjects - placement.conflicts.keys())
    contested.names = [(ref, *key) for key, refs in placement.names.items() for ref in refs]
    return contested


def _outcome(
    event: PaymentEvent, order_id: int | None, orders: Mapping[int, OpenOrder], *, contradicts: bool
) -> tuple[Outcome, str | None]:
    if order_id is None:
        return Outcome.WAITING, NAMED_ELSEWHERE
    if contradicts:
        return Outcome.MISMATCHED, REFERENCE_CONFLICT
    mismatch = mismatch_of(orders[order_id].order, event)
    return (Outcome.APPLIED, None) if mismatch is None else (Outcome.MISMATCHED, mismatch)


def _is_elsewhere(row: Row, order_id: int | None, reason: str | None) -> bool:
    told = {REFERENCE_CONFLICT, NAMED_ELSEWHERE}
    return row.order_id != order_id or (row.reason != reason and not told.isdisjoint({row.reason, reason}))


def _conflict(subject: str, refs: tuple[str, ...], known: _Known, placement: Placement) -> tuple[int | None, Concern]:
    """The case of a payment, at the order that it belongs to."""
    name, _, ref = subject.partition(":")
    homes = {
        placement.events[key].order_ref
        for key, event in known.events.items()
        if f"{event.account}/{getattr(event, name + '_ref')}" == ref
    }
    order_id = min((known.order_ids[it] for it in homes if it is not None), default=None)
    details: dict[str, object] = {"names_orders": list(refs), "counts_for": sorted(it for it in homes if it)}
    account = ref.partition("/")[0]
    state = " ".join(refs)
    return order_id, Concern(kind=REFERENCE_CONFLICT, subject=subject, state=state, account=account, details=details)


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


async def write_contested(conn: Conn, contested: Contested, *, now: datetime) -> None:
    """Writes where events belong now, and with which orders their payments were told."""
    if contested.moved:
        rows = [
            {
                "account": it.event.account,
                "event_id": it.event.event_id,
                "outcome": it.outcome,
                "reason": it.reason,
                "order_id": it.order_id,
                "status_after": it.status_after,
            }
            for it in contested.moved
        ]
        await conn.execute(MOVE, as_json(rows), now)
    if contested.names:
        await conn.execute(KEEP_NAMES, *map(list, zip(*contested.names, strict=True)))
