"""Writes the changes of orders in sets, in the transaction that holds the orders' locks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.facts import ObjectKey, ObjectStatus, PaymentFacts, ReturnFacts, failure_of
from tillkeeper.domain.order.progress import StepTaken
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.sums import captured_of, held_of
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.domain.statuses import OPEN, Status
from tillkeeper.store.cases.writing import write_cases
from tillkeeper.store.due_orders import DueOrder, accounts_key, bring_forward, drop_due, set_due
from tillkeeper.store.orders.many_payments import remember_written
from tillkeeper.store.outbox.writing import write_notices
from tillkeeper.store.postgres.pool import Conn, as_json
from tillkeeper.store.postgres.sqlstates import WriteConflict


async def write_changes(conn: Conn, changes: Sequence[Changes], *, policy: CasePolicy, now: datetime) -> list[str]:
    """Writes all changes but the facts; returns the kinds of the cases opened."""
    await write_notices(conn, (notice for change in changes for notice in change.notices), now=now)
    return await write_orders(conn, changes, policy=policy, now=now)


async def write_orders(conn: Conn, changes: Sequence[Changes], *, policy: CasePolicy, now: datetime) -> list[str]:
    """Writes all changes but the facts and the notices; returns the kinds of the cases opened.

    Call it after writing all rows that refer to the orders: a foreign key's check finds the lock of `lock_orders` on
    the old version of the row, and would have to lock a new version again.
    """
    await _write_steps(conn, changes)
    await _write_acts(conn, changes)
    await _write_rows(conn, changes, now=now)
    return await write_cases(conn, changes, policy=policy, now=now)


# --- facts ------------------------------------------------------------------------------------------------------------


async def write_returns(conn: Conn, changes: Iterable[Changes]) -> None:
    """Writes the facts of the orders' refunds and disputes, and removes those that left an order, payments too.

    Raises WriteConflict.
    """
    changed = [change for change in changes if change.has_new_facts]
    placed_anew = [change for change in changed if change.are_placed_anew]
    for statement, name in ((DROP_PAYMENTS, "payments"), (DROP_REFUNDS, "refunds"), (DROP_DISPUTES, "disputes")):
        gone = sorted(
            key
            for change in placed_anew
            for key in getattr(change.before.facts, name).keys() - getattr(change.after.facts, name).keys()
        )
        if gone:
            await conn.execute(statement, [account for account, _ in gone], [ref for _, ref in gone])
    refunds = [(change.after.id, change.before.facts.refunds, change.after.facts.refunds) for change in changed]
    disputes = [(change.after.id, change.before.facts.disputes, change.after.facts.disputes) for change in changed]
    await _write_returns(conn, UPSERT_REFUNDS, "refund_ref", refunds)
    await _write_returns(conn, UPSERT_DISPUTES, "dispute_ref", disputes)


DROP_PAYMENTS = """
DELETE FROM payments WHERE (account, payment_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
DROP_REFUNDS = "DELETE FROM refunds WHERE (account, refund_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
DROP_DISPUTES = "DELETE FROM disputes WHERE (account, dispute_ref) IN (SELECT * FROM unnest($1::text[], $2::text[]))"


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A row of payments.  What is left out is null or 0: PostgreSQL reads each name that is there."""

    account: str
    payment_ref: str
    order_id: int
    status: ObjectStatus
    facts: PaymentFacts
    amount_minor: int | None
    currency: str | None
    captured_minor: int
    held_minor: int = 0
    failure: FailureClass | None = None
    method: str | None = None


def payment_rows(changes: Iterable[Changes]) -> list[PaymentRow]:
    """Makes rows of the payments about which something new is known, in the order in which all write them."""
    rows = [
        _payment_row(change.after.id, change.after.order, key, payment)
        for change in changes
        if change.has_new_facts
        for key, payment in change.after.facts.payments.items()
        if change.before.facts.payments.get(key) is not payment
    ]
    rows.sort(key=lambda row: (row.account, row.payment_ref))
    return rows


def _payment_row(order_id: int, order: Order, key: ObjectKey, payment: PaymentFacts) -> PaymentRow:
    account, payment_ref = key
    amount, currency = _amount_of(order, payment)
    return PaymentRow(
        account=account,
        payment_ref=payment_ref,
        order_id=order_id,
        status=payment.status,
        facts=payment,
        amount_minor=amount,
        currency=currency,
        captured_minor=captured_of(order, account, payment),
        held_minor=held_of(order, account, payment),
        failure=failure_of(payment),
        method=payment.method.text if payment.method else None,
    )


def _amount_of(order: Order, payment: PaymentFacts) -> tuple[int | None, str | None]:
    """Returns what was captured, or asked for before that, and its currency.

    It is of one currency only, the order's where there is a choice: amounts of two currencies cannot be added.
    """
    if not payment.captures:
        return (payment.asked.minor, payment.asked.currency) if payment.asked else (None, None)
    parts = list(payment.captures.values())
    currency = parts[0].currency
    if len(parts) == 1:
        return parts[0].minor, currency
    if any(part.currency == order.currency for part in parts):
        currency = order.currency
    return sum(part.minor for part in parts if part.currency == currency), currency


UPSERT_REFUNDS = """
INSERT INTO refunds AS r (account, refund_ref, order_id, payment_ref, status, facts, amount_minor, currency)
SELECT account, refund_ref, order_id, payment_ref, status, facts, amount_minor, currency
FROM json_populate_recordset(NULL::refunds, $1::json)
ON CONFLICT (account, refund_ref) DO UPDATE
SET payment_ref = excluded.payment_ref, status = excluded.status, facts = excluded.facts,
    amount_minor = excluded.amount_minor, currency = excluded.currency
WHERE r.order_id = excluded.order_id
RETURNING 1
"""

UPSERT_DISPUTES = """
INSERT INTO disputes AS d (account, dispute_ref, order_id, payment_ref, status, facts, amount_minor, currency)
SELECT account, dispute_ref, order_id, payment_ref, status, facts, amount_minor, currency
FROM json_populate_recordset(NULL::disputes, $1::json)
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
    if rows:
        rows.sort(key=lambda row: (row["account"], row[ref_column]))
        written = await conn.fetch(upsert, as_json(rows))
        if len(written) != len(rows):
            raise WriteConflict


def _return_row(order_id: int, ref_column: str, key: ObjectKey, told: ReturnFacts) -> dict[str, object]:
    return {
        "account": key[0],
        ref_column: key[1],
        "order_id": order_id,
        "payment_ref": told.payment_ref,
        "status": told.latest.status,
        "facts": told,
        "amount_minor": told.amount.minor if told.amount else None,
        "currency": told.amount.currency if told.amount else None,
    }


# --- steps and acts ---------------------------------------------------------------------------------------------------

TAKE_STEPS = """
INSERT INTO steps AS r (order_id, phase, action, at, taken_at, tries, retry_at, result)
SELECT order_id, phase, action, at, taken_at, tries, retry_at, result
FROM json_populate_recordset(NULL::steps, $1::json)
ON CONFLICT (order_id, phase, action, at) DO UPDATE
SET tries = excluded.tries, taken_at = excluded.taken_at, retry_at = excluded.retry_at WHERE r.retry_at IS NOT NULL
"""
SET_RESULTS = """
UPDATE steps AS r SET result = w.result, retry_at = w.retry_at
FROM json_populate_recordset(NULL::steps, $1::json) AS w
WHERE r.order_id = w.order_id AND r.phase = w.phase AND r.action = w.action AND r.at = w.at
"""


async def _write_steps(conn: Conn, changes: Iterable[Changes]) -> None:
    steps = [_step_row(change.after.id, step) for change in changes for step in change.steps]
    if steps:
        await conn.execute(TAKE_STEPS, as_json(steps))
    results = [_step_row(change.after.id, step) for change in changes for step in change.results]
    if results:
        await conn.execute(SET_RESULTS, as_json(results))


def _step_row(order_id: int, taken: StepTaken) -> dict[str, object]:
    return {
        "order_id": order_id,
        "phase": taken.phase,
        "action": taken.step.action,
        "at": taken.step.at,
        "taken_at": taken.taken_at,
        "tries": taken.tries,
        "retry_at": taken.retry_at,
        "result": taken.result,
    }


INSERT_ACTS = """
INSERT INTO acts (order_id, what, by, note, at)
SELECT order_id, what, by, note, at FROM json_populate_recordset(NULL::acts, $1::json)
"""


async def _write_acts(conn: Conn, changes: Iterable[Changes]) -> None:
    acts = [
        {"order_id": change.after.id, "what": act.what, "by": act.by, "note": act.note, "at": act.at}
        for change in changes
        for act in change.acts
    ]
    if acts:
        await conn.execute(INSERT_ACTS, as_json(acts))


# --- orders -----------------------------------------------------------------------------------------------------------

# The rows of orders, and of due_orders: those with an `accounts_key`.  While an order is open, its status and phase
# stand there, too.  The ids are given twice, so that the rows are found by index and not by a scan.
UPDATE_ORDERS = """
WITH w AS MATERIALIZED (
    SELECT *, closed_at IS NULL
              AND status IN ('unpaid', 'processing', 'failed', 'partially_paid', 'refunding') AS is_open
    FROM json_to_recordset($1::json) AS w (
        id bigint, status text, captured_minor bigint, refunding_minor bigint, refunded_minor bigint,
        discount_minor bigint, phase bigint, phase_since timestamptz, due_at timestamptz, ask_at timestamptz,
        held_until timestamptz, closed_at timestamptz, version bigint, accounts_key text, expires_at timestamptz
    )
), due AS (
    INSERT INTO due_orders (order_id, due_at, accounts_key, status, phase_since, expires_at)
    SELECT id, due_at, accounts_key, CASE WHEN is_open THEN status END, CASE WHEN is_open THEN phase_since END,
           expires_at
    FROM w WHERE accounts_key IS NOT NULL ORDER BY id
    ON CONFLICT (order_id) DO UPDATE
    SET due_at = excluded.due_at, status = excluded.status, phase_since = excluded.phase_since
), over AS (
    DELETE FROM due_orders WHERE order_id = ANY($4::bigint[])
)
UPDATE orders AS o
SET status = w.status, captured_minor = coalesce(w.captured_minor, 0),
    refunding_minor = coalesce(w.refunding_minor, 0), refunded_minor = coalesce(w.refunded_minor, 0),
    discount_minor = coalesce(w.discount_minor, 0), phase = w.phase,
    phase_since = w.phase_since, due_at = least(o.due_at, w.due_at), ask_at = w.ask_at, held_until = w.held_until,
    closed_at = w.closed_at, changed_at = CASE WHEN w.version > o.version THEN $2 ELSE o.changed_at END,
    version = w.version
FROM w
WHERE (SELECT set_config('tillkeeper.due_orders', 'written', true)) = 'written'
  AND o.id = w.id AND o.id = ANY($3::bigint[])
"""


async def _write_rows(conn: Conn, changes: Sequence[Changes], *, now: datetime) -> None:
    """Writes the rows of the orders, when each is due, and where it stands while it is open."""
    rows = [_order_row(change) for change in changes if _is_another_row(change)]
    if rows:
        over = [row.id for row in rows if row.is_over]
        await conn.execute(UPDATE_ORDERS, as_json(rows), now, [row.id for row in rows], over)
        await remember_written(conn, [(change.after.id, change.after.facts.payments) for change in changes])
    await _move_due(conn, [change for change in changes if change.is_due_otherwise and not _is_another_row(change)])


class _Standing(NamedTuple):
    """What changes of an order's row in due_orders: when it is due and, while it is open, its status and phase."""

    due_at: datetime | None = None
    status: Status | None = None
    phase_since: datetime | None = None


_NOWHERE: Final = _Standing()  # of an order without a row


def _standing(order: OrderState, status: Status) -> _Standing:
    if order.closed_at is None and status in OPEN:
        return _Standing(order.due_at, status, order.phase_since)
    return _Standing(order.due_at)


async def _move_due(conn: Conn, moved: Sequence[Changes]) -> None:
    """Writes when the orders are due that do not change otherwise."""
    orders = [change.after for change in moved]
    await drop_due(conn, [order.id for order in orders if order.due_at is None])
    await set_due(
        conn,
        [
            DueOrder(order.id, order.due_at, accounts_key(order.order.accounts))
            for order in orders
            if order.due_at is not None
        ],
    )
    await bring_forward(
        conn,
        {
            change.after.id: change.after.due_at
            for change in moved
            if change.after.due_at is not None and change.is_due_sooner
        },
    )


def _is_another_row(change: Changes) -> bool:
    """Returns whether the row in `orders` changes; when the order is due stands beside it."""
    before, after = change.before, change.after
    if change.has_new_facts or change.is_another_version:
        return True
    return (after.ask_at, after.held_until, after.closed_at) != (before.ask_at, before.held_until, before.closed_at)


class _OrderRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What changes of a row of orders, and its row of due_orders.  What is left out is null, 0 or false."""

    id: int
    status: Status
    captured_minor: int = 0
    refunding_minor: int = 0
    refunded_minor: int = 0
    discount_minor: int = 0
    phase: int
    phase_since: datetime
    due_at: datetime | None = None
    ask_at: datetime | None = None
    held_until: datetime | None = None
    closed_at: datetime | None = None
    version: int
    accounts_key: str | None = None  # if the row of due_orders changes
    expires_at: datetime | None = None  # likewise
    is_over: bool = False  # its row of due_orders goes


def _order_row(changes: Changes) -> _OrderRow:
    order, known = changes.after, changes.before
    summary = order.summary if changes.has_new_facts else order.stored  # time alone decides no case
    stands, stood = _standing(order, summary.status), _standing(known, known.stored.status)
    is_written = stands not in (stood, _NOWHERE)
    return _OrderRow(
        id=order.id,
        status=summary.status,
        captured_minor=summary.captured,
        refunding_minor=summary.refunding,
        refunded_minor=summary.refunded,
        discount_minor=summary.discount,
        phase=order.phase,
        phase_since=order.phase_since,
        due_at=order.due_at,
        ask_at=order.ask_at,
        held_until=order.held_until,
        closed_at=order.closed_at,
        version=order.version,
        accounts_key=accounts_key(order.order.accounts) if is_written else None,
        expires_at=order.expires_at if is_written else None,
        is_over=stands == _NOWHERE != stood,
    )
