"""Reads what statements and facts say of each object, one after the other, in bounded memory.

What a statement lists is read with all lines of its form about the same objects, and so are the objects of which
something differs still: whoever compares them anew sees what was settled meanwhile.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.books.coverage import Covered, joined
from tillkeeper.domain.books.known import KnownMoney, known_dispute, known_payment, known_refund
from tillkeeper.domain.books.matching import LISTED_AFTER, OBJECTS, Comparison, MatchedObject, Verdict
from tillkeeper.domain.books.statement import LineKind, StatementLine
from tillkeeper.domain.order.facts import PaymentFacts, ReturnFacts
from tillkeeper.domain.statement_terms import BooksTerms
from tillkeeper.store.postgres.pool import Conn

ROWS_AT_ONCE: Final = 2_000
READ_S: Final = 300.0  # until the first row, where a million are sorted
CLOCKS_APART: Final = timedelta(days=1)  # an event is recorded after it happened, but for clocks


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: the objects of a statement, if there is one, and those of which something differs still.

    From `begins` to `ends` also what no line lists, where the form covers that time.
    """

    account: str
    form: str
    statement_id: int | None = None
    begins: datetime | None = None
    ends: datetime | None = None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """An object to compare, its order, what differed so far, and the moment up to which its lines are complete."""

    comparison: Comparison
    order_id: int | None = None
    differed: Verdict | None = None
    is_told: bool = False  # its event was applied, whatever came of it
    as_of: datetime | None = None
    statement_id: int | None = None


PAYMENTS = """
WITH keys AS (
    SELECT payment_ref AS ref FROM statement_lines
    WHERE statement_id = $3 AND kind = 'payment' AND payment_ref IS NOT NULL AND superseded_by IS NULL
    UNION
    SELECT ref FROM statement_differences
    WHERE account = $1 AND form = $2 AND object = 'payment' AND settled_at IS NULL
)
SELECT k.ref, p.facts::text AS facts, coalesce(p.order_id, o.id) AS order_id, d.verdict AS differed,
       d.told_at, least(s.ends, s.taken_at) AS as_of, s.id AS statement_id,
       l.number, l.kind, l.amount_minor, l.currency, l.fee_minor, l.net_minor, l.settled_currency, l.occurred_at,
       l.settled_on, l.order_ref, l.payment_ref, l.capture_ref, l.refund_ref, l.dispute_ref, l.payout_ref, l.method,
       l.pending
FROM keys k
LEFT JOIN (statement_lines l JOIN statements s ON s.id = l.statement_id AND s.form = $2)
       ON l.account = $1 AND l.payment_ref = k.ref AND l.superseded_by IS NULL AND l.kind = 'payment'
LEFT JOIN payments p ON p.account = $1 AND p.payment_ref = k.ref
LEFT JOIN orders o ON o.order_ref = l.order_ref AND p.order_id IS NULL
LEFT JOIN statement_differences d
       ON d.account = $1 AND d.form = $2 AND d.object = 'payment' AND d.ref = k.ref AND d.settled_at IS NULL
ORDER BY k.ref, l.statement_id, l.place
"""
REFUNDS = """
WITH keys AS (
    SELECT refund_ref AS ref FROM statement_lines
    WHERE statement_id = $3 AND kind IN ('refund', 'refund_failed') AND refund_ref IS NOT NULL
      AND superseded_by IS NULL
    UNION
    SELECT ref FROM statement_differences
    WHERE account = $1 AND form = $2 AND object = 'refund' AND settled_at IS NULL
)
SELECT k.ref, r.facts::text AS facts, coalesce(r.order_id, p.order_id, o.id) AS order_id, d.verdict AS differed,
       d.told_at, least(s.ends, s.taken_at) AS as_of, s.id AS statement_id,
       l.number, l.kind, l.amount_minor, l.currency, l.fee_minor, l.net_minor, l.settled_currency, l.occurred_at,
       l.settled_on, l.order_ref, l.payment_ref, l.capture_ref, l.refund_ref, l.dispute_ref, l.payout_ref, l.method,
       l.pending
FROM keys k
LEFT JOIN (statement_lines l JOIN statements s ON s.id = l.statement_id AND s.form = $2)
       ON l.account = $1 AND l.refund_ref = k.ref AND l.superseded_by IS NULL AND l.kind IN ('refund', 'refund_failed')
LEFT JOIN refunds r ON r.account = $1 AND r.refund_ref = k.ref
LEFT JOIN payments p ON p.account = $1 AND p.payment_ref = l.payment_ref AND r.order_id IS NULL
LEFT JOIN orders o ON o.order_ref = l.order_ref AND r.order_id IS NULL
LEFT JOIN statement_differences d
       ON d.account = $1 AND d.form = $2 AND d.object = 'refund' AND d.ref = k.ref AND d.settled_at IS NULL
ORDER BY k.ref, l.statement_id, l.place
"""
DISPUTES = """
WITH keys AS (
    SELECT dispute_ref AS ref FROM statement_lines
    WHERE statement_id = $3 AND kind IN ('chargeback', 'chargeback_reversed') AND dispute_ref IS NOT NULL
      AND superseded_by IS NULL
    UNION
    SELECT ref FROM statement_differences
    WHERE account = $1 AND form = $2 AND object = 'dispute' AND settled_at IS NULL
)
SELECT k.ref, r.facts::text AS facts, coalesce(r.order_id, p.order_id, o.id) AS order_id, d.verdict AS differed,
       d.told_at, least(s.ends, s.taken_at) AS as_of, s.id AS statement_id,
       l.number, l.kind, l.amount_minor, l.currency, l.fee_minor, l.net_minor, l.settled_currency, l.occurred_at,
       l.settled_on, l.order_ref, l.payment_ref, l.capture_ref, l.refund_ref, l.dispute_ref, l.payout_ref, l.method,
       l.pending
FROM keys k
LEFT JOIN (statement_lines l JOIN statements s ON s.id = l.statement_id AND s.form = $2)
       ON l.account = $1 AND l.dispute_ref = k.ref AND l.superseded_by IS NULL
      AND l.kind IN ('chargeback', 'chargeback_reversed')
LEFT JOIN disputes r ON r.account = $1 AND r.dispute_ref = k.ref
LEFT JOIN payments p ON p.account = $1 AND p.payment_ref = l.payment_ref AND r.order_id IS NULL
LEFT JOIN orders o ON o.order_ref = l.order_ref AND r.order_id IS NULL
LEFT JOIN statement_differences d
       ON d.account = $1 AND d.form = $2 AND d.object = 'dispute' AND d.ref = k.ref AND d.settled_at IS NULL
ORDER BY k.ref, l.statement_id, l.place
"""
# What happened around the time of a statement that covers such objects, and no line of its form lists.
UNLISTED_PAYMENTS = """
SELECT DISTINCT ON (p.payment_ref) p.payment_ref AS ref, p.facts::text AS facts, p.order_id
FROM inbox x JOIN payments p ON p.account = x.account AND p.payment_ref = x.payment_ref
WHERE x.account = $1 AND x.recorded_at >= $3 AND x.kind = 'payment.succeeded' AND x.outcome <> 'waiting'
  AND x.occurred_at >= $4 AND x.occurred_at < $5
  AND NOT EXISTS (
      SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id AND s.form = $2
      WHERE l.account = $1 AND l.payment_ref = p.payment_ref AND l.superseded_by IS NULL AND l.kind = 'payment')
ORDER BY p.payment_ref
"""
UNLISTED_REFUNDS = """
SELECT DISTINCT ON (r.refund_ref) r.refund_ref AS ref, r.facts::text AS facts, r.order_id
FROM inbox x JOIN refunds r ON r.account = x.account AND r.refund_ref = x.refund_ref
WHERE x.account = $1 AND x.recorded_at >= $3 AND x.kind = 'refund.succeeded' AND x.outcome <> 'waiting'
  AND x.occurred_at >= $4 AND x.occurred_at < $5
  AND NOT EXISTS (
      SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id AND s.form = $2
      WHERE l.account = $1 AND l.refund_ref = r.refund_ref AND l.superseded_by IS NULL
        AND l.kind IN ('refund', 'refund_failed'))
ORDER BY r.refund_ref
"""
UNLISTED_DISPUTES = """
SELECT DISTINCT ON (r.dispute_ref) r.dispute_ref AS ref, r.facts::text AS facts, r.order_id
FROM inbox x JOIN disputes r ON r.account = x.account AND r.dispute_ref = x.dispute_ref
WHERE x.account = $1 AND x.recorded_at >= $3 AND x.kind = 'dispute.lost' AND x.outcome <> 'waiting'
  AND x.occurred_at >= $4 AND x.occurred_at < $5
  AND NOT EXISTS (
      SELECT FROM statement_lines l JOIN statements s ON s.id = l.statement_id AND s.form = $2
      WHERE l.account = $1 AND l.dispute_ref = r.dispute_ref AND l.superseded_by IS NULL
        AND l.kind IN ('chargeback', 'chargeback_reversed'))
ORDER BY r.dispute_ref
"""

_payment_facts: Final = msgspec.json.Decoder(PaymentFacts)
_return_facts: Final = msgspec.json.Decoder(ReturnFacts)


class _Reading(msgspec.Struct, frozen=True):
    """How one kind of object is read."""

    listed: str
    unlisted: str
    line: LineKind  # that a statement covers where it covers the object
    known: Callable[[str], KnownMoney]


_READINGS: Final[Mapping[MatchedObject, _Reading]] = MappingProxyType(
    {
        MatchedObject.PAYMENT: _Reading(
            PAYMENTS, UNLISTED_PAYMENTS, LineKind.PAYMENT, lambda facts: known_payment(_payment_facts.decode(facts))
        ),
        MatchedObject.REFUND: _Reading(
            REFUNDS, UNLISTED_REFUNDS, LineKind.REFUND, lambda facts: known_refund(_return_facts.decode(facts))
        ),
        MatchedObject.DISPUTE: _Reading(
            DISPUTES, UNLISTED_DISPUTES, LineKind.CHARGEBACK, lambda facts: known_dispute(_return_facts.decode(facts))
        ),
    }
)

COVERED = """
SELECT begins, ends, covers, zone FROM statements
WHERE account = $1 AND form = $2 AND superseded_by IS NULL AND lines_removed_at IS NULL
"""


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """Which time the statements of a form cover, for each kind of line, and the zone of their days."""

    spans: Mapping[LineKind, tuple[Covered, ...]]
    zone: str


async def read_cover(conn: Conn, account: str, form: str) -> Cover:
    """Reads what the statements of a form cover together."""
    rows = await conn.fetch(COVERED, account, form)
    kinds = {kind for row in rows for kind in row["covers"]}
    spans = {
        LineKind(kind): joined(Covered(row["begins"], row["ends"]) for row in rows if kind in row["covers"])
        for kind in kinds
    }
    return Cover(spans=spans, zone=rows[-1]["zone"] if rows else "UTC")


async def compare(conn: Conn, scope: Scope, terms: BooksTerms, cover: Cover) -> AsyncIterator[Compared]:
    """Yields every object to compare, in the caller's transaction: listed ones, then what is not listed."""
    for kind, reading in _READINGS.items():
        covered = cover.spans.get(reading.line, ())
        base = Comparison(object=kind, ref="", covered=covered, zone=cover.zone, terms=terms)
        async for rows in _grouped(conn, reading.listed, scope):
            yield _compared(base, reading, rows)
        if scope.begins is None or scope.ends is None or not covered:
            continue
        begins, ends = scope.begins - terms.buffer - LISTED_AFTER[kind], scope.ends + terms.buffer
        arguments = (scope.account, scope.form, begins - CLOCKS_APART, begins, ends)
        async for row in conn.cursor(reading.unlisted, *arguments, prefetch=ROWS_AT_ONCE, timeout=READ_S):
            yield _unlisted(base, reading, row)


async def _grouped(conn: Conn, listed: str, scope: Scope) -> AsyncIterator[list[asyncpg.Record]]:
    """Yields the rows of each object together."""
    arguments = (scope.account, scope.form, scope.statement_id)
    rows: list[asyncpg.Record] = []
    async for row in conn.cursor(listed, *arguments, prefetch=ROWS_AT_ONCE, timeout=READ_S):
        if rows and rows[0]["ref"] != row["ref"]:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _compared(base: Comparison, reading: _Reading, rows: list[asyncpg.Record]) -> Compared:
    first, lines = rows[0], tuple(_line(row) for row in rows if row["number"] is not None)
    order_id = next((row["order_id"] for row in rows if row["order_id"] is not None), None)
    comparison = msgspec.structs.replace(
        base,
        ref=first["ref"],
        lines=lines,
        known=None if first["facts"] is None else reading.known(first["facts"]),
        has_order=order_id is not None,
    )
    return Compared(
        comparison=comparison,
        order_id=order_id,
        differed=None if first["differed"] is None else Verdict(first["differed"]),
        is_told=first["told_at"] is not None,
        as_of=rows[-1]["as_of"],
        statement_id=rows[-1]["statement_id"],
    )


def _unlisted(base: Comparison, reading: _Reading, row: asyncpg.Record) -> Compared:
    comparison = msgspec.structs.replace(base, ref=row["ref"], known=reading.known(row["facts"]), has_order=True)
    return Compared(comparison=comparison, order_id=row["order_id"])


_KINDS: Final[Mapping[str, LineKind]] = {kind.value: kind for kind in OBJECTS}


def _line(row: asyncpg.Record) -> StatementLine:
    return StatementLine(
        number=row["number"],
        kind=_KINDS[row["kind"]],
        amount=row["amount_minor"],
        currency=row["currency"],
        fee=row["fee_minor"],
        net=row["net_minor"],
        settled_currency=row["settled_currency"],
        occurred_at=row["occurred_at"],
        settled_on=row["settled_on"],
        order_ref=row["order_ref"],
        payment_ref=row["payment_ref"],
        capture_ref=row["capture_ref"],
        refund_ref=row["refund_ref"],
        dispute_ref=row["dispute_ref"],
        payout_ref=row["payout_ref"],
        method=row["method"],
        pending=row["pending"],
    )
