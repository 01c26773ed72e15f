"""Finds by references: whole, or their last characters, in every table that has some.

Each index holds references backwards, so that one span of it answers for a whole reference as for its end.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tillkeeper.domain.search.hits import READ_MAX, Hit, HitKind, HitReason
from tillkeeper.domain.search.probes import ReferenceProbe
from tillkeeper.store.postgres.pool import Conn

ORDERS = """
SELECT w.i, o.order_ref AS ref, o.order_ref, o.status, o.amount_minor AS amount, o.currency, o.registered_at AS at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM orders
    WHERE reverse(lower(order_ref COLLATE "C")) >= w.low AND reverse(lower(order_ref COLLATE "C")) < w.high LIMIT $3
) AS o
"""
PAYMENTS = """
SELECT w.i, p.payment_ref AS ref, p.payment_ref, p.account, o.order_ref, p.status, p.amount_minor AS amount, p.currency,
       o.registered_at AS at, p.method AS detail
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM payments
    WHERE reverse(lower(payment_ref COLLATE "C")) >= w.low AND reverse(lower(payment_ref COLLATE "C")) < w.high LIMIT $3
) AS p, LATERAL (SELECT order_ref, registered_at FROM orders WHERE id = p.order_id) AS o
"""
REFUNDS = """
SELECT w.i, r.refund_ref AS ref, r.payment_ref, r.account, o.order_ref, r.status, r.amount_minor AS amount, r.currency,
       o.registered_at AS at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM refunds
    WHERE reverse(lower(refund_ref COLLATE "C")) >= w.low AND reverse(lower(refund_ref COLLATE "C")) < w.high LIMIT $3
) AS r, LATERAL (SELECT order_ref, registered_at FROM orders WHERE id = r.order_id) AS o
"""
DISPUTES = """
SELECT w.i, d.dispute_ref AS ref, d.payment_ref, d.account, o.order_ref, d.status, d.amount_minor AS amount, d.currency,
       o.registered_at AS at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM disputes
    WHERE reverse(lower(dispute_ref COLLATE "C")) >= w.low AND reverse(lower(dispute_ref COLLATE "C")) < w.high LIMIT $3
) AS d, LATERAL (SELECT order_ref, registered_at FROM orders WHERE id = d.order_id) AS o
"""
# A capture has no row of its own; the event that told of it does.
CAPTURES = """
SELECT w.i, x.capture_ref AS ref, x.payment_ref, x.account, o.order_ref, x.kind AS status, x.amount_minor AS amount,
       x.currency, x.recorded_at AS at, x.event_id AS detail
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM inbox
    WHERE capture_ref IS NOT NULL AND reverse(lower(capture_ref COLLATE "C")) >= w.low
      AND reverse(lower(capture_ref COLLATE "C")) < w.high LIMIT $3
) AS x LEFT JOIN LATERAL (SELECT order_ref FROM orders WHERE id = x.order_id) AS o ON true
"""
UNPLACED_BY_ORDER = """
SELECT w.i, x.outcome, x.event_id AS ref, x.payment_ref, x.account, x.order_ref, x.kind AS status,
       x.amount_minor AS amount, x.currency, x.recorded_at AS at, x.order_ref AS matched, x.reason AS detail
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM inbox
    WHERE outcome IN ('waiting', 'mismatched') AND order_ref IS NOT NULL
      AND reverse(lower(order_ref COLLATE "C")) >= w.low AND reverse(lower(order_ref COLLATE "C")) < w.high LIMIT $3
) AS x
"""
UNPLACED_BY_PAYMENT = """
SELECT w.i, x.outcome, x.event_id AS ref, x.payment_ref, x.account, x.order_ref, x.kind AS status,
       x.amount_minor AS amount, x.currency, x.recorded_at AS at, x.payment_ref AS matched, x.reason AS detail
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM inbox
    WHERE outcome IN ('waiting', 'mismatched') AND payment_ref IS NOT NULL
      AND reverse(lower(payment_ref COLLATE "C")) >= w.low AND reverse(lower(payment_ref COLLATE "C")) < w.high LIMIT $3
) AS x
"""
# Whole event ids alone: an index by their ends would be as large as the inbox's key.  The accounts come by leaps
# through that key.
EVENTS = """
WITH RECURSIVE accounts AS (
    (SELECT account FROM inbox ORDER BY account LIMIT 1)
    UNION ALL
    SELECT (SELECT account FROM inbox WHERE account > a.account ORDER BY account LIMIT 1)
    FROM accounts a WHERE a.account IS NOT NULL
)
SELECT w.i, x.event_id AS ref, x.payment_ref, x.account, o.order_ref, x.kind AS status, x.amount_minor AS amount,
       x.currency, x.recorded_at AS at, x.outcome AS detail
FROM unnest($1::text[]) WITH ORDINALITY AS w (event_id, i), accounts a,
     LATERAL (SELECT * FROM inbox WHERE account = a.account AND event_id = w.event_id) AS x
     LEFT JOIN LATERAL (SELECT order_ref FROM orders WHERE id = x.order_id) AS o ON true
"""
PARKED_BY_ORDER = """
SELECT w.i, k.id::text AS ref, k.account, k.order_ref, k.payment_ref, k.reason AS status, k.parked_at AS at,
       k.order_ref AS matched, k.error AS detail
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM parked
    WHERE outcome IS NULL AND order_ref IS NOT NULL AND reverse(lower(order_ref COLLATE "C")) >= w.low
      AND reverse(lower(order_ref COLLATE "C")) < w.high LIMIT $3
) AS k
"""
PARKED_BY_PAYMENT = """
SELECT w.i, k.id::text AS ref, k.account, k.order_ref, k.payment_ref, k.reason AS status, k.parked_at AS at,
       k.payment_ref AS matched, k.error AS detail
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM parked
    WHERE outcome IS NULL AND payment_ref IS NOT NULL AND reverse(lower(payment_ref COLLATE "C")) >= w.low
      AND reverse(lower(payment_ref COLLATE "C")) < w.high LIMIT $3
) AS k
"""
CASES = """
SELECT w.i, c.id::text AS ref, c.account, o.order_ref, c.kind AS detail, c.opened_at AS at, c.subject AS matched,
       CASE WHEN c.closed_at IS NULL THEN 'open' ELSE 'closed' END AS status
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (low, high, i), LATERAL (
    SELECT * FROM cases
    WHERE reverse(lower(subject COLLATE "C")) >= w.low AND reverse(lower(subject COLLATE "C")) < w.high LIMIT $3
) AS c LEFT JOIN LATERAL (SELECT order_ref FROM orders WHERE id = c.order_id) AS o ON true
"""
NOTICES = """
SELECT w.i, n.key AS ref, o.order_ref, n.topic AS detail, n.state AS status, n.created_at AS at
FROM unnest($1::text[]) WITH ORDINALITY AS w (key, i) JOIN outbox n ON n.key = w.key
LEFT JOIN LATERAL (SELECT order_ref FROM orders WHERE id = n.order_id) AS o ON true
"""

BY_END: Final[Mapping[str, tuple[HitKind | None, str]]] = {  # None: the row says whether it waits or is mismatched
    ORDERS: (HitKind.ORDER, "order"),
    PAYMENTS: (HitKind.PAYMENT, "payment"),
    REFUNDS: (HitKind.REFUND, "refund"),
    DISPUTES: (HitKind.DISPUTE, "dispute"),
    CAPTURES: (HitKind.EVENT, "capture"),
    UNPLACED_BY_ORDER: (None, "order"),
    UNPLACED_BY_PAYMENT: (None, "payment"),
    PARKED_BY_ORDER: (HitKind.PARKED, "order"),
    PARKED_BY_PAYMENT: (HitKind.PARKED, "payment"),
    CASES: (HitKind.CASE, "subject"),
}
WHOLE_ONLY: Final[Mapping[str, tuple[HitKind, str]]] = {
    EVENTS: (HitKind.EVENT, "event"),
    NOTICES: (HitKind.NOTICE, "notice"),
}


class Looked(msgspec.Struct, kw_only=True):
    """What a look found, and of which kinds there is more than it read."""

    hits: list[Hit] = msgspec.field(default_factory=list)
    overflowing: set[HitKind] = msgspec.field(default_factory=set)


async def by_reference(conn: Conn, probes: Sequence[ReferenceProbe], looked: Looked) -> None:
    """Looks references up: by their ends without regard to case, events and notices by whole ids."""
    if not probes:
        return
    lows, highs = map(list, zip(*(probe.backwards for probe in probes), strict=True))
    for statement, (kind, field) in BY_END.items():
        rows = await conn.fetch(statement, lows, highs, READ_MAX)
        _add(looked, rows, [probe.text for probe in probes], kind, field)
    written = [probe.written for probe in probes]
    for statement, (kind, field) in WHOLE_ONLY.items():
        _add(looked, await conn.fetch(statement, written), written, kind, field)


def _add(looked: Looked, rows: Sequence[Any], texts: Sequence[str], kind: HitKind | None, field: str) -> None:
    counts: dict[int, int] = {}
    for row in map(dict, rows):
        place, matched, outcome = row.pop("i"), row.pop("matched", row["ref"]), row.pop("outcome", None)
        its_kind = kind or HitKind(outcome)
        text = texts[place - 1]
        why = HitReason.WHOLE if _is_whole(matched, text) else HitReason.END
        looked.hits.append(Hit(kind=its_kind, why=why, probe=text, field=field, **row))
        counts[place] = counts.get(place, 0) + 1
        if counts[place] >= READ_MAX:
            looked.overflowing.add(its_kind)


def _is_whole(matched: str, text: str) -> bool:
    """Returns True if all of the reference was named; the subject of a case has its kind before it."""
    plain = matched.casefold()
    return text.casefold() in {plain, plain.rpartition("/")[2], plain.partition(":")[2]}
