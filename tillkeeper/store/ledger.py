"""Orders and the facts of their payments, refunds and disputes: locked, read and written in whole sets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from tillkeeper.domain.concerns import Concern
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.facts import ObjectKey, OrderFacts, PaymentFacts, ReturnFacts, apply, failure_of
from tillkeeper.domain.order import STATUS_ZH, Order, Status, Summary, captured_of, summarize
from tillkeeper.store.pool import Conn, as_json


class Raced(Exception):
    """Another transaction wrote first what this one took for new.  Repeat the whole transaction."""


class OpenOrder(msgspec.Struct, kw_only=True):
    """A locked order: as registered, as known when it was read, and as known by now."""

    id: int
    order: Order
    version: int
    status: Status
    known: OrderFacts
    facts: OrderFacts
    summary: Summary | None = None  # of `facts`, once asked for

    @property
    def changed(self) -> bool:
        """True once an event told something new."""
        return self.facts is not self.known

    def learn(self, event: PaymentEvent) -> bool:
        """Adds an event to the facts; False when it told nothing new."""
        facts = apply(self.facts, event)
        if facts is self.facts:
            return False
        self.facts, self.summary = facts, None
        return True

    def judge(self) -> Summary:
        """Status and sums of the facts as they are now."""
        if self.summary is None:
            self.summary = summarize(self.order, self.facts)
        return self.summary


# NO KEY UPDATE: foreign keys of others may still point at the row.
LOCK_ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, version, status
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

FACTS = """
SELECT 'payment' AS object, order_id, account, payment_ref AS ref, facts FROM payment WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'refund', order_id, account, refund_ref, facts FROM refund WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'dispute', order_id, account, dispute_ref, facts FROM dispute WHERE order_id = ANY($1::bigint[])
"""

_payment_facts = msgspec.json.Decoder(PaymentFacts).decode
_return_facts = msgspec.json.Decoder(ReturnFacts).decode


async def open_orders(conn: Conn, ids: Collection[int]) -> dict[int, OpenOrder]:
    """Locks the orders in the order of their ids, then reads what is known of them."""
    if not ids:
        return {}
    rows = await conn.fetch(LOCK_ORDERS, sorted(ids))
    facts = await facts_of(conn, ids)
    return {
        row["id"]: OpenOrder(
            id=row["id"],
            order=order_of(row),
            version=row["version"],
            status=Status(row["status"]),
            known=facts[row["id"]],
            facts=facts[row["id"]],
        )
        for row in rows
    }


async def facts_of(conn: Conn, ids: Collection[int]) -> dict[int, OrderFacts]:
    """What is known of each of these orders."""
    payments: dict[int, dict[ObjectKey, PaymentFacts]] = {order_id: {} for order_id in ids}
    refunds: dict[int, dict[ObjectKey, ReturnFacts]] = {order_id: {} for order_id in ids}
    disputes: dict[int, dict[ObjectKey, ReturnFacts]] = {order_id: {} for order_id in ids}
    for kind, order_id, account, ref, facts in await conn.fetch(FACTS, list(ids)):
        if kind == "payment":
            payments[order_id][account, ref] = _payment_facts(facts)
        else:
            (refunds if kind == "refund" else disputes)[order_id][account, ref] = _return_facts(facts)
    return {
        order_id: OrderFacts(payments=payments[order_id], refunds=refunds[order_id], disputes=disputes[order_id])
        for order_id in ids
    }


def order_of(row: asyncpg.Record) -> Order:
    """The registered part of an orders row."""
    return Order(
        order_ref=row["order_ref"],
        amount=row["amount_minor"],
        currency=row["currency"],
        accounts=frozenset(row["accounts"]),
    )


async def write_orders(conn: Conn, changed: Sequence[OpenOrder], *, now: datetime) -> None:
    """Writes what changed: facts, status and sums, and an outbox row for each new status."""
    if not changed:
        return
    await _write_payments(conn, changed)
    await _write_returns(
        conn, UPSERT_REFUNDS, "refund_ref", [(it.id, it.known.refunds, it.facts.refunds) for it in changed]
    )
    await _write_returns(
        conn, UPSERT_DISPUTES, "dispute_ref", [(it.id, it.known.disputes, it.facts.disputes) for it in changed]
    )
    summaries = [it.judge() for it in changed]
    await _write_summaries(conn, changed, summaries, now)
    await _write_outbox(conn, changed, summaries, now)


UPSERT_PAYMENTS = """
INSERT INTO payment AS p
    (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor, failure)
SELECT account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor, failure
FROM json_populate_recordset(NULL::payment, $1::json)
ON CONFLICT (account, payment_ref) DO UPDATE
SET status = excluded.status, facts = excluded.facts, amount_minor = excluded.amount_minor,
    currency = excluded.currency, captured_minor = excluded.captured_minor, failure = excluded.failure
WHERE p.order_id = excluded.order_id
RETURNING 1
"""


async def _write_payments(conn: Conn, changed: Sequence[OpenOrder]) -> None:
    rows = [
        _payment_row(it, key, payment)
        for it in changed
        for key, payment in it.facts.payments.items()
        if it.known.payments.get(key) is not payment
    ]
    await _write_all(conn, UPSERT_PAYMENTS, rows, "payment_ref")


def _payment_row(it: OpenOrder, key: ObjectKey, payment: PaymentFacts) -> dict[str, object]:
    account, payment_ref = key
    parts = payment.captures.values()
    told = payment.asked or next(iter(parts), None)
    return {
        "account": account,
        "payment_ref": payment_ref,
        "order_id": it.id,
        "status": payment.step,
        "facts": payment,
        "amount_minor": sum(part.minor for part in parts) or (told.minor if told else None),
        "currency": told.currency if told else None,
        "captured_minor": captured_of(it.order, account, payment),
        "failure": failure_of(payment),
    }


UPSERT_REFUNDS = """
INSERT INTO refund AS r (account, refund_ref, order_id, payment_ref, status, facts, amount_minor, currency)
SELECT account, refund_ref, order_id, payment_ref, status, facts, amount_minor, currency
FROM json_populate_recordset(NULL::refund, $1::json)
ON CONFLICT (account, refund_ref) DO UPDATE
SET payment_ref = excluded.payment_ref, status = excluded.status, facts = excluded.facts,
    amount_minor = excluded.amount_minor, currency = excluded.currency
WHERE r.order_id = excluded.order_id
RETURNING 1
"""

UPSERT_DISPUTES = """
INSERT INTO dispute AS d (account, dispute_ref, order_id, payment_ref, status, facts, amount_minor, currency)
SELECT account, dispute_ref, order_id, payment_ref, status, facts, amount_minor, currency
FROM json_populate_recordset(NULL::dispute, $1::json)
ON CONFLICT (account, dispute_ref) DO UPDATE
SET payment_ref = excluded.payment_ref, status = excluded.status, facts = excluded.facts,
    amount_minor = excluded.amount_minor, currency = excluded.currency
WHERE d.order_id = excluded.order_id
RETURNING 1
"""

_Returns = Mapping[ObjectKey, ReturnFacts]


async def _write_returns(
    conn: Conn, upsert: str, ref_column: str, objects: Iterable[tuple[int, _Returns, _Returns]]
) -> None:
    rows = [
        _return_row(order_id, ref_column, key, told)
        for order_id, known, facts in objects
        for key, told in facts.items()
        if known.get(key) is not told
    ]
    await _write_all(conn, upsert, rows, ref_column)


def _return_row(order_id: int, ref_column: str, key: ObjectKey, told: ReturnFacts) -> dict[str, object]:
    return {
        "account": key[0],
        ref_column: key[1],
        "order_id": order_id,
        "payment_ref": told.payment_ref,
        "status": told.standing.step,
        "facts": told,
        "amount_minor": told.amount.minor if told.amount else None,
        "currency": told.amount.currency if told.amount else None,
    }


async def _write_all(conn: Conn, statement: str, rows: list[dict[str, object]], ref_column: str) -> None:
    if rows:
        rows.sort(key=lambda row: (row["account"], row[ref_column]))
        written = await conn.fetch(statement, as_json(rows))
        if len(written) != len(rows):
            raise Raced


UPDATE_ORDERS = """
UPDATE orders AS o
SET status = w.status, captured_minor = w.captured, refunding_minor = w.refunding, refunded_minor = w.refunded,
    version = o.version + 1, changed_at = $6
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS w (id, status, captured, refunding, refunded)
WHERE o.id = w.id
"""


async def _write_summaries(
    conn: Conn, changed: Sequence[OpenOrder], summaries: Sequence[Summary], now: datetime
) -> None:
    await conn.execute(
        UPDATE_ORDERS,
        [it.id for it in changed],
        [summary.status for summary in summaries],
        [summary.captured for summary in summaries],
        [summary.refunding for summary in summaries],
        [summary.refunded for summary in summaries],
        now,
    )


STATUS_CHANGED = "order.status_changed"

INSERT_OUTBOX = """
INSERT INTO outbox (order_id, version, topic, payload, created_at)
SELECT order_id, version, topic, payload, $2 FROM json_populate_recordset(NULL::outbox, $1::json)
"""


async def _write_outbox(conn: Conn, changed: Sequence[OpenOrder], summaries: Sequence[Summary], now: datetime) -> None:
    rows = [
        {"order_id": it.id, "version": it.version + 1, "topic": STATUS_CHANGED, "payload": _notice(it, summary)}
        for it, summary in zip(changed, summaries, strict=True)
        if it.status != summary.status
    ]
    if rows:
        await conn.execute(INSERT_OUTBOX, as_json(rows), now)


def _notice(it: OpenOrder, summary: Summary) -> dict[str, object]:
    return {
        "order_ref": it.order.order_ref,
        "version": it.version + 1,
        "status": summary.status,
        "status_zh": STATUS_ZH[summary.status],
        "previous_status": it.status,
        "amount": it.order.amount,
        "currency": it.order.currency,
        "paid": summary.captured,
        "refunding": summary.refunding,
        "refunded": summary.refunded,
    }


INSERT_CASES = """
INSERT INTO cases (kind, subject, order_id, account, details, opened_at)
SELECT kind, subject, order_id, account, details, $2 FROM json_populate_recordset(NULL::cases, $1::json)
ON CONFLICT (kind, subject) DO NOTHING
RETURNING kind
"""


async def open_cases(conn: Conn, found: Sequence[tuple[int | None, Concern]], *, now: datetime) -> list[str]:
    """Opens a case for each concern that has none yet; returns the kinds of those opened."""
    if not found:
        return []
    found = sorted(found, key=lambda it: (it[1].kind, it[1].subject))
    rows = [{"order_id": order_id, **msgspec.structs.asdict(concern)} for order_id, concern in found]
    return [row["kind"] for row in await conn.fetch(INSERT_CASES, as_json(rows), now)]
