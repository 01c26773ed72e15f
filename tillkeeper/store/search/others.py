"""Finds by contact, by amount and day, by numbers of ours, and in what was refused."""

from collections.abc import Sequence
from typing import Any, Final

from tillkeeper.domain.search.hits import READ_MAX, Hit, HitKind, HitReason
from tillkeeper.domain.search.probes import EmailProbe, MoneyProbe, NumberProbe, PhoneProbe
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.search.references import Looked

# What is found is read before it is sorted: a limit on sorted rows made PostgreSQL go through all orders by their ids.
BY_EMAIL = """
WITH found AS MATERIALIZED (
    SELECT id, order_ref, status, amount_minor, currency, registered_at FROM orders
    WHERE terms -> 'payer' ->> 'email' IS NOT NULL AND lower(terms -> 'payer' ->> 'email') COLLATE "C" = lower($1)
)
SELECT order_ref AS ref, order_ref, status, amount_minor AS amount, currency, registered_at AS at FROM found
ORDER BY id DESC LIMIT $2
"""
BY_PHONE = """
WITH found AS MATERIALIZED (
    SELECT id, order_ref, status, amount_minor, currency, registered_at FROM orders
    WHERE terms -> 'payer' ->> 'phone' IS NOT NULL
      AND reverse(regexp_replace(terms -> 'payer' ->> 'phone', '[^0-9]', '', 'g')) COLLATE "C" >= $1
      AND reverse(regexp_replace(terms -> 'payer' ->> 'phone', '[^0-9]', '', 'g')) COLLATE "C" < $2
)
SELECT order_ref AS ref, order_ref, status, amount_minor AS amount, currency, registered_at AS at FROM found
ORDER BY id DESC LIMIT $3
"""


async def by_email(conn: Conn, probe: EmailProbe, looked: Looked) -> None:
    """Finds the orders registered with a mail address."""
    _add(looked, await conn.fetch(BY_EMAIL, probe.text, READ_MAX), HitKind.ORDER, HitReason.EMAIL, probe.text)


async def by_phone(conn: Conn, probe: PhoneProbe, looked: Looked) -> None:
    """Finds the orders registered with a number that ends in these digits."""
    rows = await conn.fetch(BY_PHONE, *probe.backwards, READ_MAX)
    _add(looked, rows, HitKind.ORDER, HitReason.PHONE, probe.digits)


# Both tables are read by their days alone: an index of amounts would cost each order and event for this question only.
ORDERS_OF_AMOUNT = """
WITH found AS MATERIALIZED (
    SELECT id, order_ref, status, amount_minor, currency, registered_at FROM orders
    WHERE registered_at >= $1 AND registered_at < $2 AND amount_minor = ANY($3::bigint[])
)
SELECT order_ref AS ref, order_ref, status, amount_minor AS amount, currency, registered_at AS at FROM found
ORDER BY id DESC LIMIT $4
"""
EVENTS_OF_AMOUNT = """
WITH found AS MATERIALIZED (
    SELECT outcome, event_id, order_id, order_ref, payment_ref, account, kind, amount_minor, currency, recorded_at
    FROM inbox
    WHERE recorded_at >= $1 AND recorded_at < $2 AND amount_minor = ANY($3::bigint[])
      AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
    ORDER BY recorded_at DESC LIMIT $4
)
SELECT x.outcome, x.event_id AS ref, coalesce(o.order_ref, x.order_ref) AS order_ref, x.payment_ref, x.account,
       x.kind AS status, x.amount_minor AS amount, x.currency, x.recorded_at AS at
FROM found x LEFT JOIN orders o ON o.id = x.order_id
ORDER BY x.recorded_at DESC
"""
UNPLACED: Final = {"waiting": HitKind.WAITING, "mismatched": HitKind.MISMATCHED}


async def by_money(conn: Conn, probe: MoneyProbe, looked: Looked) -> None:
    """Finds orders registered, and money that came in, on a day."""
    span = probe.since, probe.until, probe.minors, READ_MAX
    rows = await conn.fetch(ORDERS_OF_AMOUNT, *span)
    _add(looked, _meant(probe, rows), HitKind.ORDER, HitReason.AMOUNT, probe.text, read=len(rows))
    events = await conn.fetch(EVENTS_OF_AMOUNT, *span)
    for row in _meant(probe, events):
        outcome = row.pop("outcome")
        if outcome in UNPLACED:
            _add(looked, [row], UNPLACED[outcome], HitReason.AMOUNT, probe.text, read=len(events))
        else:
            paid = {**row, "ref": row["payment_ref"] or row["ref"]}
            _add(looked, [paid], HitKind.PAYMENT, HitReason.AMOUNT, probe.text, read=len(events))


def _meant(probe: MoneyProbe, rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows if probe.is_meant_by(row["amount"], row["currency"] or "")]


CASE = """
SELECT c.id::text AS ref, c.account, o.order_ref, c.kind AS detail, c.opened_at AS at,
       CASE WHEN c.closed_at IS NULL THEN 'open' ELSE 'closed' END AS status
FROM cases c LEFT JOIN orders o ON o.id = c.order_id WHERE c.id = $1
"""
PARKED = """
SELECT id::text AS ref, account, order_ref, payment_ref, coalesce(outcome, reason) AS status, parked_at AS at,
       error AS detail
FROM parked WHERE id = $1
"""
REFUSED = """
SELECT id::text AS ref, account, step AS status, received_at AS at, finding AS detail FROM refused WHERE id = $1
"""
NUMBERED: Final = {CASE: HitKind.CASE, PARKED: HitKind.PARKED, REFUSED: HitKind.REFUSED}


async def by_number(conn: Conn, probe: NumberProbe, looked: Looked) -> None:
    """Finds the case, and what is parked or refused, of a number."""
    for statement, kind in NUMBERED.items():
        _add(looked, await conn.fetch(statement, probe.number), kind, HitReason.NUMBER, str(probe.number))


# Strangers decide what stands there, so that no index is made of it; store/deliveries/refused.py bounds its table.
REFUSED_WITH = """
SELECT w.text AS matched, f.id::text AS ref, f.account, f.step AS status, f.received_at AS at, f.finding AS detail
FROM (SELECT * FROM refused ORDER BY id DESC LIMIT $2) AS f, unnest($1::text[]) AS w (text)
WHERE position(convert_to(w.text, 'UTF8') IN f.body) > 0 OR position(w.text IN f.query) > 0
ORDER BY f.id DESC LIMIT $3
"""
REFUSED_READ_MAX: Final = 300  # the latest: of some 2 KB each
IN_BODY_CHARS_MIN: Final = 6  # fewer stand in every body


async def in_refused(conn: Conn, as_written: Sequence[str], looked: Looked) -> None:
    """Finds refused deliveries that hold a reference, among the latest."""
    texts = [text for text in as_written if len(text) >= IN_BODY_CHARS_MIN]
    if not texts:
        return
    for row in await conn.fetch(REFUSED_WITH, texts, REFUSED_READ_MAX, READ_MAX):
        fields = dict(row)
        _add(looked, [fields], HitKind.REFUSED, HitReason.IN_BODY, fields.pop("matched"))


def _add(
    looked: Looked, rows: Sequence[Any], kind: HitKind, why: HitReason, text: str, *, read: int | None = None
) -> None:
    looked.hits += [Hit(kind=kind, why=why, probe=text, **dict(row)) for row in rows]
    if (len(rows) if read is None else read) >= READ_MAX:
        looked.overflowing.add(kind)
