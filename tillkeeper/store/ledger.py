"""Orders and the facts of their payments, refunds and disputes: locked, read and written in whole sets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import asyncpg
import msgspec

from tillkeeper.domain.concerns import Concern, concerns
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.facts import ObjectKey, OrderFacts, PaymentFacts, ReturnFacts, apply, failure_of
from tillkeeper.domain.implied import implied
from tillkeeper.domain.order import (
    MOVING,
    Order,
    Status,
    Summary,
    captured_of,
    held_in_all,
    held_of,
    paid_through,
    summarize,
)
from tillkeeper.domain.policy import Action, Ladder, Policy, Spell, first_due
from tillkeeper.domain.terms import Instalment, next_instalment
from tillkeeper.store.pool import Conn, as_json


class Raced(Exception):
    """Another transaction wrote first what this one took for new.  Repeat the whole transaction."""


class OpenOrder(msgspec.Struct, kw_only=True):
    """A locked order: as registered, as known when it was read, and as known by now."""

    id: int
    order: Order
    version: int
    before: Summary  # as stored
    known: OrderFacts
    facts: OrderFacts
    was_replaced: bool = False  # objects of it may belong to another order now
    summary: Summary | None = None  # of `facts`, once asked for
    expires_at: datetime | None = None
    instalments: tuple[Instalment, ...] = ()
    spell: int = 1
    spell_since: datetime
    due_at: datetime | None = None
    ask_at: datetime | None = None
    held_until: datetime | None = None
    closed_at: datetime | None = None
    case_kinds: frozenset[str] = frozenset()  # of those that are open
    has_parked: bool = False  # an event of it, if somebody looked for that
    has_settled_cases: bool = False  # whether a person resolved a case whose cause may still be there
    has_mail: bool = False
    pay_url: str | None = None

    @property
    def has_any_cases(self) -> bool:
        """Whether a case of it is open, or one was resolved whose cause may still be there."""
        return bool(self.case_kinds) or self.has_settled_cases

    @property
    def changed(self) -> bool:
        """True once an event told something new."""
        return self.facts is not self.known

    @property
    def moved(self) -> bool:
        """True once its status or a sum is another: a new spell begins."""
        return self.changed and self.judge() != self.before

    def learn(self, event: PaymentEvent) -> bool:
        """Adds an event to the facts; False when it told nothing new."""
        facts = apply(self.facts, event)
        if facts is self.facts:
            return False
        self.facts, self.summary = facts, None
        return True

    def replace(self, facts: OrderFacts) -> None:
        """Takes other facts for its own, unless they say the same."""
        if facts != self.facts:
            self.facts, self.summary, self.was_replaced = facts, None, True

    def judge(self) -> Summary:
        """Status and sums of the facts as they are now."""
        if self.summary is None:
            self.summary = summarize(self.order, self.facts)
        return self.summary

    @property
    def covered(self) -> int:
        """What of its amount needs no payment any more, in minor units."""
        return self.judge().captured + self.judge().discount

    def begin_spell(self, policy: Policy, *, now: datetime) -> None:
        """Starts the ladder of the status as it is now."""
        self.spell, self.spell_since = self.version + 1, now
        self.due_at = self.first_due(policy, now=now)

    def first_due(self, policy: Policy, *, now: datetime) -> datetime | None:
        """When the sweep must look at it, if nothing was climbed yet.  A held order waits for its time."""
        due_at = _earliest(first_due(self.ladder(policy), self.standing(), now), self.ask_at)
        return max(due_at, self.held_until) if due_at and self.held_until else due_at

    def ask_for_implied(self, *, now: datetime) -> None:
        """Has its gateways asked at once about money that its facts have come to imply and do not know."""
        implies = implied(self.order, self.facts)
        if implies and not set(implies) <= set(implied(self.order, self.known)):
            self.ask_at, self.due_at = _earliest(self.ask_at, now), _earliest(self.due_at, now)

    def ladder(self, policy: Policy) -> Ladder:
        """What the policy has for it as it stands now."""
        if self.is_over:
            return policy.closed
        return policy.ladder(self.judge().status, *paid_through(self.order, self.facts))

    @property
    def is_over(self) -> bool:
        """True of a closed order none of whose money is moving: late money alone is looked for."""
        return self.closed_at is not None and self.judge().status not in MOVING

    def standing(self, climbed: Mapping[Action, datetime] = MappingProxyType({})) -> Spell:
        """Its present spell, so far climbed; of an order that is over, the time since."""
        if self.closed_at is not None and self.is_over:
            return Spell(began_at=max(self.closed_at, self.spell_since), climbed=climbed)
        return Spell(
            began_at=self.spell_since,
            expires_at=self.expires_at,
            next_due_at=next_due_at(self.instalments, self.covered),
            climbed=climbed,
        )

    @property
    def remaining(self) -> int:
        """What its payer may be asked for: neither what was captured, nor what is held to be captured."""
        return max(0, self.order.amount - self.covered - held_in_all(self.order, self.facts))

    def next_instalment(self) -> Instalment | None:
        """The next part of its plan that is not covered, with what of it is missing; None while that is held."""
        due = next_instalment(self.instalments, self.covered)
        beyond = next_instalment(self.instalments, self.covered + held_in_all(self.order, self.facts))
        return beyond if due is not None and beyond is not None and beyond.due_at == due.due_at else None

    def concerns(self) -> list[Concern]:
        """What about it needs a person."""
        return list(concerns(self.order, self.facts, self.judge()))


def _earliest(first: datetime | None, second: datetime | None) -> datetime | None:
    if first is None or second is None:
        return first or second
    return min(first, second)


def next_due_at(instalments: Sequence[Instalment], captured: int) -> datetime | None:
    """When the next instalment that is not covered is due."""
    following = next_instalment(instalments, captured) if instalments else None
    return following.due_at if following else None


# NO KEY UPDATE: foreign keys of others may still point at the row.
LOCK_ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, version, status, captured_minor, refunding_minor,
       refunded_minor, discount_minor, expires_at, instalments, spell, spell_since, due_at, ask_at, held_until,
       closed_at, terms -> 'payer' ->> 'email' IS NOT NULL AS has_mail, terms ->> 'pay_url' AS pay_url
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

FACTS = """
SELECT 'payment' AS object, order_id, account, payment_ref AS ref, facts FROM payment WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'refund', order_id, account, refund_ref, facts FROM refund WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'dispute', order_id, account, dispute_ref, facts FROM dispute WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT CASE WHEN closed_at IS NULL THEN 'case' ELSE 'settled case' END, order_id, kind, NULL, NULL
FROM cases WHERE order_id = ANY($1::bigint[]) AND (closed_at IS NULL OR closed_by <> 'truth' AND state <> '')
"""

_payment_facts = msgspec.json.Decoder(PaymentFacts).decode
_return_facts = msgspec.json.Decoder(ReturnFacts).decode
_instalments = msgspec.json.Decoder(tuple[Instalment, ...]).decode


async def open_orders(conn: Conn, ids: Collection[int]) -> dict[int, OpenOrder]:
    """Locks the orders in the order of their ids, then reads what is known of them."""
    if not ids:
        return {}
    rows = await conn.fetch(LOCK_ORDERS, sorted(ids))
    known = await _read(conn, ids)
    return {row["id"]: _opened(row, known) for row in rows}


READ_ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, version, status, captured_minor, refunding_minor,
       refunded_minor, discount_minor, expires_at, instalments, spell, spell_since, due_at, ask_at, held_until,
       closed_at, terms -> 'payer' ->> 'email' IS NOT NULL AS has_mail, terms ->> 'pay_url' AS pay_url
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id
"""


async def read_orders(conn: Conn, ids: Collection[int]) -> dict[int, OpenOrder]:
    """As `open_orders`, to be shown and not written: nothing is locked."""
    rows = await conn.fetch(READ_ORDERS, sorted(ids))
    known = await _read(conn, ids)
    return {row["id"]: _opened(row, known) for row in rows}


def _opened(row: asyncpg.Record, known: "_Read") -> OpenOrder:
    facts = known.facts[row["id"]]
    return OpenOrder(
        id=row["id"],
        order=order_of(row),
        version=row["version"],
        before=stored_summary(row),
        known=facts,
        facts=facts,
        expires_at=row["expires_at"],
        instalments=_instalments(row["instalments"]) if row["instalments"] else (),
        spell=row["spell"],
        spell_since=row["spell_since"],
        due_at=row["due_at"],
        ask_at=row["ask_at"],
        held_until=row["held_until"],
        closed_at=row["closed_at"],
        case_kinds=frozenset(known.case_kinds[row["id"]]),
        has_settled_cases=row["id"] in known.with_settled_cases,
        has_mail=row["has_mail"],
        pay_url=row["pay_url"],
    )


def stored_summary(row: asyncpg.Record) -> Summary:
    """Status and sums as an orders row has them."""
    return Summary(
        status=Status(row["status"]),
        captured=row["captured_minor"],
        refunding=row["refunding_minor"],
        refunded=row["refunded_minor"],
        discount=row["discount_minor"],
    )


async def facts_of(conn: Conn, ids: Collection[int]) -> dict[int, OrderFacts]:
    """What is known of each of these orders."""
    return (await _read(conn, ids)).facts


class _Read(msgspec.Struct, kw_only=True):
    """What belongs to some orders, by their ids."""

    facts: dict[int, OrderFacts]
    case_kinds: dict[int, set[str]]  # of cases that are open
    with_settled_cases: set[int]


async def _read(conn: Conn, ids: Collection[int]) -> _Read:
    kinds: dict[int, set[str]] = {order_id: set() for order_id in ids}
    settled = set[int]()
    payments: dict[int, dict[ObjectKey, PaymentFacts]] = {order_id: {} for order_id in ids}
    refunds: dict[int, dict[ObjectKey, ReturnFacts]] = {order_id: {} for order_id in ids}
    disputes: dict[int, dict[ObjectKey, ReturnFacts]] = {order_id: {} for order_id in ids}
    for kind, order_id, account, ref, facts in await conn.fetch(FACTS, list(ids)):
        if kind == "payment":
            payments[order_id][account, ref] = _payment_facts(facts)
        elif kind == "case":  # whose kind stands where others have their account
            kinds[order_id].add(account)
        elif kind == "settled case":
            settled.add(order_id)
        else:
            (refunds if kind == "refund" else disputes)[order_id][account, ref] = _return_facts(facts)
    known = {
        order_id: OrderFacts(payments=payments[order_id], refunds=refunds[order_id], disputes=disputes[order_id])
        for order_id in ids
    }
    return _Read(facts=known, case_kinds=kinds, with_settled_cases=settled)


def order_of(row: asyncpg.Record) -> Order:
    """The registered part of an orders row."""
    return Order(
        order_ref=row["order_ref"],
        amount=row["amount_minor"],
        currency=row["currency"],
        accounts=frozenset(row["accounts"]),
    )


async def write_facts(conn: Conn, changed: Sequence[OpenOrder]) -> None:
    """Writes what is known of the changed orders' payments, refunds and disputes; what left an order goes first."""
    replaced = [it for it in changed if it.was_replaced]
    for statement, name in ((DROP_PAYMENTS, "payments"), (DROP_REFUNDS, "refunds"), (DROP_DISPUTES, "disputes")):
        gone = sorted(key for it in replaced for key in getattr(it.known, name).keys() - getattr(it.facts, name).keys())
        if gone:
            await conn.execute(statement, [account for account, _ in gone], [ref for _, ref in gone])
    await _write_payments(conn, changed)
    await _write_returns(
        conn, UPSERT_REFUNDS, "refund_ref", [(it.id, it.known.refunds, it.facts.refunds) for it in changed]
    )
    await _write_returns(
        conn, UPSERT_DISPUTES, "dispute_ref", [(it.id, it.known.disputes, it.facts.disputes) for it in changed]
    )


DROP_PAYMENTS = """
DELETE FROM payment WHERE (account, payment_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
DROP_REFUNDS = "DELETE FROM refund WHERE (account, refund_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
DROP_DISPUTES = "DELETE FROM dispute WHERE (account, dispute_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))"

UPSERT_PAYMENTS = """
INSERT INTO payment AS p
    (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor, held_minor, failure, method)
SELECT account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor, held_minor, failure,
       method
FROM json_populate_recordset(NULL::payment, $1::json)
ON CONFLICT (account, payment_ref) DO UPDATE
SET status = excluded.status, facts = excluded.facts, amount_minor = excluded.amount_minor,
    currency = excluded.currency, captured_minor = excluded.captured_minor, held_minor = excluded.held_minor,
    failure = excluded.failure, method = excluded.method
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
    parts = list(payment.captures.values()) or ([payment.asked] if payment.asked else [])
    # Of one currency only, the order's where there is a choice: amounts of two add up to nothing.
    told = next((part for part in parts if part.currency == it.order.currency), parts[0] if parts else None)
    return {
        "account": account,
        "payment_ref": payment_ref,
        "order_id": it.id,
        "status": payment.step,
        "facts": payment,
        "amount_minor": sum(part.minor for part in parts if part.currency == told.currency) if told else None,
        "currency": told.currency if told else None,
        "captured_minor": captured_of(it.order, account, payment),
        "held_minor": held_of(it.order, account, payment),
        "failure": failure_of(payment),
        "method": payment.method.text if payment.method else None,
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


# The ids stand there twice, so that the rows are looked up by them and not searched in the whole table.
UPDATE_ORDERS = """
UPDATE orders AS o
SET status = w.status, captured_minor = w.captured_minor, refunding_minor = w.refunding_minor,
    refunded_minor = w.refunded_minor, discount_minor = w.discount_minor, spell = w.spell,
    spell_since = w.spell_since, due_at = w.due_at, ask_at = w.ask_at, closed_at = w.closed_at,
    version = o.version + 1, changed_at = $2
FROM json_to_recordset($1::json) AS w (
    id bigint, status text, captured_minor bigint, refunding_minor bigint, refunded_minor bigint, discount_minor bigint,
    spell bigint, spell_since timestamptz, due_at timestamptz, ask_at timestamptz, closed_at timestamptz
)
WHERE o.id = w.id AND o.id = ANY($3::bigint[])
"""


async def write_orders(conn: Conn, changed: Sequence[OpenOrder], *, now: datetime) -> None:
    """Writes what follows from the facts: status and sums, spell and when it is due.

    Best after all rows that refer to the orders: a foreign key's check finds the lock of `open_orders` on the row as it
    was, and would have to lock it anew once it is written.
    """
    if not changed:
        return
    rows = [_order_row(it, it.judge()) for it in changed]
    await conn.execute(UPDATE_ORDERS, as_json(rows), now, [it.id for it in changed])


def _order_row(it: OpenOrder, summary: Summary) -> dict[str, object]:
    return {
        "id": it.id,
        "status": summary.status,
        "captured_minor": summary.captured,
        "refunding_minor": summary.refunding,
        "refunded_minor": summary.refunded,
        "discount_minor": summary.discount,
        "spell": it.spell,
        "spell_since": it.spell_since,
        "due_at": it.due_at,
        "ask_at": it.ask_at,
        "closed_at": it.closed_at,
    }
