"""Reads money that waits for its order, and the orders that it may be of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from tillkeeper.domain.likely_orders import EARLIER, PAID_WITHIN, Match, match_of
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.search.hits import READ_MAX
from tillkeeper.domain.search.probes import END_CHARS_MIN, ReferenceProbe
from tillkeeper.domain.similar_references import WaitingMoney, spellings
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.rows import order_in

# By so many last characters similar references are looked for: a typing error may be among the longer ones, and the
# shorter ones may be those of more orders than are read.
ENDS_CHARS: Final = (8, END_CHARS_MIN)
LIKELY_MAX: Final = 5  # orders shown for one payment


class LikelyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waiting money may be meant for."""

    order_ref: str
    status: str
    amount: int
    currency: str
    registered_at: datetime
    match: Match


class WaitingPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that waits for its order: what came of it, under which reference, and whose it may be."""

    account: str
    payment_ref: str
    order_ref: str | None
    kind: str  # of its most telling event
    amount: int | None
    currency: str | None
    since: datetime
    events: int
    likely: tuple[LikelyOrder, ...] = ()

    @property
    def money(self) -> WaitingMoney:
        """Returns it as orders are compared with it."""
        return WaitingMoney(
            account=self.account,
            order_ref=self.order_ref or "",
            payment_ref=self.payment_ref,
            amount=self.amount,
            currency=self.currency,
        )


class WaitingPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The place of an event that waits: the list goes on behind it."""

    at: datetime
    seq: int


class WaitingPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the payments that wait, the latest first; `ends_at` is None where nothing comes behind it."""

    payments: list[WaitingPayment]
    ends_at: WaitingPlace | None


# Events of orders that nobody registered wait for ever: the latest are read, as many as a person looks at.
WAITING = """
SELECT account, payment_ref, order_ref, kind, amount_minor AS amount, currency, recorded_at, seq
FROM inbox
WHERE outcome = 'waiting' AND payment_ref IS NOT NULL
  AND kind = ANY($5::text[]) AND ($4::text IS NULL OR account = $4)
  AND ($2::timestamptz IS NULL OR (recorded_at, seq) < ($2, $3))
ORDER BY recorded_at DESC, seq DESC LIMIT $1
"""
WAITING_LONGEST = """
SELECT account, payment_ref, order_ref, kind, amount_minor AS amount, currency, recorded_at, seq
FROM inbox
WHERE outcome = 'waiting' AND payment_ref IS NOT NULL
  AND kind = ANY($5::text[]) AND ($4::text IS NULL OR account = $4)
  AND ($2::timestamptz IS NULL OR (recorded_at, seq) > ($2, $3))
ORDER BY recorded_at, seq LIMIT $1
"""
WAITING_OF = """
SELECT account, payment_ref, order_ref, kind, amount_minor AS amount, currency, recorded_at
FROM inbox
WHERE outcome = 'waiting' AND account = $1 AND payment_ref = $2 ORDER BY recorded_at DESC LIMIT $3
"""
_TELLING: Final = ("payment.succeeded", "payment.authorized", "payment.pending")


async def list_waiting(conn: Conn, *, limit: int) -> list[WaitingPayment]:
    """Reads payments that wait, the latest first, each with orders of a similar reference."""
    return (await waiting_part(conn, limit=limit)).payments


class WaitingFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments that wait are read, and which come first."""

    account: str | None = None
    kinds: tuple[str, ...] = _TELLING
    longest_first: bool = False


EVERYTHING: Final = WaitingFilter()


async def waiting_part(
    conn: Conn, *, limit: int, after: WaitingPlace | None = None, wanted: WaitingFilter = EVERYTHING
) -> WaitingPart:
    """Reads a part of the payments that wait: those of the next `limit` events behind that place, the latest first.

    A payment whose events lie apart may stand in two parts.
    """
    place = (None, None) if after is None else (after.at, after.seq)
    statement = WAITING_LONGEST if wanted.longest_first else WAITING
    rows = await conn.fetch(statement, limit + 1, *place, wanted.account, list(wanted.kinds))
    events, goes_on = rows[:limit], len(rows) > limit
    payments = [
        msgspec.structs.replace(each, likely=await _likely(conn, each, by_amount=False)) for each in _payments(events)
    ]
    last = WaitingPlace(at=events[-1]["recorded_at"], seq=events[-1]["seq"]) if goes_on else None
    return WaitingPart(payments=payments, ends_at=last)


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How many payments wait, of the events that were counted, and since when the first does."""

    payments: int
    oldest: datetime | None
    is_cut: bool  # there are more events than were counted


COUNT_WAITING = """
SELECT count(DISTINCT (account, payment_ref)) AS payments, count(*) AS events, min(recorded_at) AS oldest FROM (
    SELECT account, payment_ref, recorded_at FROM inbox
    WHERE outcome = 'waiting' AND payment_ref IS NOT NULL
      AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
    ORDER BY recorded_at LIMIT $1
) AS waiting
"""
COUNTED_MAX: Final = 10_000  # events: nobody reads a greater number otherwise


async def count_waiting(conn: Conn) -> Waits:
    """Counts the payments that wait."""
    row = await conn.fetchrow(COUNT_WAITING, COUNTED_MAX)
    assert row is not None
    return Waits(payments=row["payments"], oldest=row["oldest"], is_cut=row["events"] >= COUNTED_MAX)


class Mismatched(msgspec.Struct, frozen=True, kw_only=True):
    """Money that was reported for an order and counts for nothing, by the case that says so."""

    case_id: int
    kind: str
    account: str | None
    opened_at: datetime
    order_ref: str
    status: str
    due: int
    due_currency: str
    payment_ref: str | None
    amount: int | None
    currency: str | None


MISMATCHED = """
SELECT c.id AS case_id, c.kind, c.account, c.opened_at, o.order_ref, o.status, o.amount_minor AS due,
       o.currency AS due_currency, p.payment_ref, p.amount_minor AS amount, p.currency
FROM cases c JOIN orders o ON o.id = c.order_id
LEFT JOIN payments p ON p.order_id = o.id AND c.subject = 'payment:' || p.account || '/' || p.payment_ref
WHERE c.follow_up_at IS NOT NULL AND c.kind = ANY($1::text[]) AND ($2::text IS NULL OR c.account = $2)
  AND ($3::bigint IS NULL OR c.id < $3)
ORDER BY c.id DESC LIMIT $4
"""


async def list_mismatched(
    conn: Conn, kinds: Iterable[str], *, account: str | None, before: int | None, limit: int
) -> list[Mismatched]:
    """Reads money that counts for nothing, of open cases of these kinds, the latest first."""
    rows = await conn.fetch(MISMATCHED, sorted(kinds), account, before, limit)
    return [Mismatched(**dict(row)) for row in rows]


async def show_waiting(conn: Conn, account: str, payment_ref: str) -> WaitingPayment | None:
    """Reads one payment that waits, with all orders that it may be of; None where it does not wait."""
    found = _payments(await conn.fetch(WAITING_OF, account, payment_ref, READ_MAX))
    if not found:
        return None
    return msgspec.structs.replace(found[0], likely=await _likely(conn, found[0], by_amount=True))


def _payments(rows: Sequence[Any]) -> list[WaitingPayment]:
    by_payment: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_payment.setdefault((row["account"], row["payment_ref"]), []).append(row)
    return [_payment(each) for each in by_payment.values()]


def _payment(rows: Sequence[Any]) -> WaitingPayment:
    told = min(rows, key=lambda row: _TELLING.index(row["kind"]) if row["kind"] in _TELLING else len(_TELLING))
    return WaitingPayment(
        account=told["account"],
        payment_ref=told["payment_ref"],
        order_ref=next((row["order_ref"] for row in rows if row["order_ref"] is not None), None),
        kind=told["kind"],
        amount=told["amount"],
        currency=told["currency"],
        since=min(row["recorded_at"] for row in rows),
        events=len(rows),
    )


ORDERS_ENDING = """
SELECT o.order_ref, o.status, o.amount_minor, o.currency, o.accounts, o.registered_at
FROM unnest($1::text[], $2::text[]) AS span (low, high) CROSS JOIN LATERAL (
    SELECT * FROM orders
    WHERE reverse(lower(order_ref COLLATE "C")) >= span.low AND reverse(lower(order_ref COLLATE "C")) < span.high
    LIMIT $3
) AS o
"""
# Orders of that amount from the days before, none of which is paid.
ORDERS_OF_AMOUNT = """
WITH found AS MATERIALIZED (
    SELECT id, order_ref, status, amount_minor, currency, accounts, registered_at FROM orders
    WHERE registered_at >= $1 AND registered_at <= $2 AND amount_minor = $3 AND currency = $4 AND $5 = ANY(accounts)
      AND status IN ('unpaid', 'failed', 'processing', 'partially_paid')
)
SELECT order_ref, status, amount_minor, currency, accounts, registered_at FROM found ORDER BY id DESC LIMIT $6
"""


async def _likely(conn: Conn, payment: WaitingPayment, *, by_amount: bool) -> tuple[LikelyOrder, ...]:
    rows = list[Any]()
    typed = payment.order_ref or ""
    rows += await conn.fetch(ORDERS_ENDING, *ends_of(typed), READ_MAX)
    if by_amount and payment.amount is not None and payment.currency is not None:
        since, until = payment.since - PAID_WITHIN, payment.since + EARLIER
        which = (payment.amount, payment.currency, payment.account)
        rows += await conn.fetch(ORDERS_OF_AMOUNT, since, until, *which, READ_MAX)
    return likeliest(payment, rows)


def ends_of(order_ref: str) -> tuple[list[str], list[str]]:
    """Returns the spans in which references stand that end as this one does, also with O for 0 and l for 1."""
    if len(order_ref) < END_CHARS_MIN or not order_ref.isprintable():
        return [], []
    ends = [*(order_ref[-chars:] for chars in ENDS_CHARS), *spellings(order_ref[-END_CHARS_MIN:])]
    spans = dict.fromkeys(ReferenceProbe(end).backwards for end in ends)
    return [low for low, _ in spans], [high for _, high in spans]


def likeliest(payment: WaitingPayment, rows: Iterable[Any]) -> tuple[LikelyOrder, ...]:
    """Returns the orders that fit, the likeliest first."""
    found = {row["order_ref"]: _likely_order(row, order_in(row), payment) for row in rows}
    fitting = [each for each in found.values() if each.match.is_possible]
    fitting.sort(key=lambda each: (-each.match.weight, each.order_ref))
    return tuple(fitting[:LIKELY_MAX])


def _likely_order(row: Any, order: Order, payment: WaitingPayment) -> LikelyOrder:
    match = match_of(order, payment.money, registered_at=row["registered_at"], seen_at=payment.since)
    return LikelyOrder(
        order_ref=order.order_ref,
        status=row["status"],
        amount=order.amount,
        currency=order.currency,
        registered_at=row["registered_at"],
        match=match,
    )
