"""Takes in a statement's lines, in one transaction: all of a file, or nothing.

a file's digest is known       ──> nothing is written; matching it again completes a run that was cut off
a form that covers a time      ──> older statements of the form over the same time count no more: the lines of this
                                   one do; files that were given together are parts of one another
one that lists what settled    ──> lines that an older one listed alike count once
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine
from tillkeeper.store.postgres.pool import Conn, as_json

COPY_S: Final = 600.0  # ten times what a million lines take; asyncpg would end after a command's time
UPDATE_S: Final = 300.0
NAME_CHARS_MAX: Final = 255


class StatementFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose form is known, to be read once; `statement` says what it says of itself once `lines` ended."""

    name: str
    digest: bytes
    form: str
    lines: Iterator[StatementLine]
    statement: Callable[[], Statement]


class LineSums(msgspec.Struct, kw_only=True):
    """What the lines of one kind and currency add up to."""

    kind: LineKind
    currency: str
    lines: int = 0
    amount: int = 0


class TakenStatement(msgspec.Struct, kw_only=True):
    """A statement as it was taken in, now or before."""

    id: int
    account: str
    form: str
    begins: datetime
    ends: datetime
    zone: str
    covers: frozenset[LineKind]
    lines: int
    sums: list[LineSums]
    is_new: bool
    superseded: list[int] = msgspec.field(default_factory=list)  # statements in whose place it came
    superseded_by: int | None = None
    unnamed: list[LineSums] = msgspec.field(default_factory=list)  # lines that name nothing to compare them with


KNOWN = """
SELECT id, account, form, begins, ends, zone, covers, lines, sums::text AS sums, superseded_by
FROM statements WHERE account = $1 AND form = $2 AND digest = $3
"""
# What it says of itself is known at its end: until then it is as empty as a statement may be.
INSERT = """
INSERT INTO statements (account, form, digest, name, run, begins, ends, zone, covers, lines, sums, taken_at, taken_by)
VALUES ($1, $2, $3, $4, $5, '-infinity', 'infinity', 'UTC', '{}', 0, '[]', $6, $7) RETURNING id
"""
FINISH = """
UPDATE statements SET begins = $2, ends = $3, zone = $4, covers = $5, lines = $6, sums = $7 WHERE id = $1
"""
COLUMNS: Final = (
    *("statement_id", "place", "number", "account", "kind", "amount_minor", "currency", "fee_minor", "net_minor"),
    *("settled_currency", "occurred_at", "settled_on", "order_ref", "payment_ref", "capture_ref", "refund_ref"),
    *("dispute_ref", "payout_ref", "method", "text", "pending"),
)


async def take(conn: Conn, file: StatementFile, account: str, *, run: UUID, by: str, now: datetime) -> TakenStatement:
    """Takes a file in, in the caller's transaction.  Raises what reading its lines raises."""
    if (known := await conn.fetchrow(KNOWN, account, file.form, file.digest)) is not None:
        return _known(known)
    name = file.name[-NAME_CHARS_MAX:]
    statement_id = await conn.fetchval(INSERT, account, file.form, file.digest, name, run, now, by)
    sums: dict[tuple[LineKind, str], LineSums] = {}
    records = _records(file.lines, statement_id, account, sums)
    await conn.copy_records_to_table("statement_lines", records=records, columns=COLUMNS, timeout=COPY_S)
    said, added = file.statement(), sorted(sums.values(), key=lambda each: (each.kind, each.currency))
    lines = sum(each.lines for each in added)
    covers = sorted(said.covers)
    await conn.execute(FINISH, statement_id, said.begins, said.ends, said.zone, covers, lines, as_json(added))
    superseded = await _supersede(conn, statement_id, account, said, run)
    return TakenStatement(
        id=statement_id,
        account=account,
        form=said.form,
        begins=said.begins,
        ends=said.ends,
        zone=said.zone,
        covers=said.covers,
        lines=lines,
        sums=added,
        is_new=True,
        superseded=superseded,
    )


def _known(row: Any) -> TakenStatement:
    return TakenStatement(
        id=row["id"],
        account=row["account"],
        form=row["form"],
        begins=row["begins"],
        ends=row["ends"],
        zone=row["zone"],
        covers=frozenset(map(LineKind, row["covers"])),
        lines=row["lines"],
        sums=msgspec.json.decode(row["sums"], type=list[LineSums]),
        is_new=False,
        superseded_by=row["superseded_by"],
    )


def _records(
    lines: Iterator[StatementLine], statement_id: int, account: str, sums: dict[tuple[LineKind, str], LineSums]
) -> Iterator[tuple[Any, ...]]:
    """Yields the rows, and adds them up."""
    for place, line in enumerate(lines, start=1):
        key = (line.kind, line.currency)
        added = sums.get(key)
        if added is None:
            added = sums[key] = LineSums(kind=line.kind, currency=line.currency)
        added.lines += 1
        added.amount += line.amount
        yield (
            *(statement_id, place, line.number, account, line.kind.value, line.amount, line.currency, line.fee),
            *(line.net, line.settled_currency, line.occurred_at, line.settled_on, line.order_ref, line.payment_ref),
            *(
                line.capture_ref,
                line.refund_ref,
                line.dispute_ref,
                line.payout_ref,
                line.method,
                line.text,
                line.pending,
            ),
        )


# --- lines that name their payment otherwise --------------------------------------------------------------------------

# By one of its captures; many gateways number these alone.  The index is the one that searches have.
BY_CAPTURE = """
UPDATE statement_lines l SET payment_ref = x.payment_ref
FROM inbox x
WHERE l.statement_id = $1 AND l.payment_ref IS NULL AND l.capture_ref IS NOT NULL
  AND reverse(lower(x.capture_ref COLLATE "C")) = reverse(lower(l.capture_ref COLLATE "C"))
  AND x.capture_ref = l.capture_ref AND x.account = l.account AND x.payment_ref IS NOT NULL
"""
# By its order, where that has one payment at the account that brought money in.
BY_ORDER = """
UPDATE statement_lines l SET payment_ref = p.payment_ref
FROM (
    SELECT o.order_ref, min(p.payment_ref) AS payment_ref
    FROM (SELECT DISTINCT order_ref FROM statement_lines
          WHERE statement_id = $1 AND payment_ref IS NULL AND order_ref IS NOT NULL) AS n
    JOIN orders o ON o.order_ref = n.order_ref
    JOIN payments p ON p.order_id = o.id AND p.account = $2 AND p.status = 'succeeded'
    GROUP BY o.order_ref HAVING count(*) = 1
) AS p
WHERE l.statement_id = $1 AND l.payment_ref IS NULL AND l.order_ref = p.order_ref
"""
# A chargeback by the one dispute of its payment.
BY_PAYMENT = """
UPDATE statement_lines l SET dispute_ref = d.dispute_ref
FROM (
    SELECT n.payment_ref, min(d.dispute_ref) AS dispute_ref
    FROM (SELECT DISTINCT payment_ref FROM statement_lines
          WHERE statement_id = $1 AND kind IN ('chargeback', 'chargeback_reversed') AND dispute_ref IS NULL
            AND payment_ref IS NOT NULL) AS n
    JOIN payments p ON p.account = $2 AND p.payment_ref = n.payment_ref
    JOIN disputes d ON d.order_id = p.order_id AND d.account = p.account AND d.payment_ref = p.payment_ref
    GROUP BY n.payment_ref HAVING count(*) = 1
) AS d
WHERE l.statement_id = $1 AND l.kind IN ('chargeback', 'chargeback_reversed') AND l.dispute_ref IS NULL
  AND l.payment_ref = d.payment_ref
"""
UNNAMED = """
SELECT kind, currency, count(*) AS lines, sum(amount_minor)::bigint AS amount FROM statement_lines
WHERE statement_id = $1 AND superseded_by IS NULL
  AND (kind = 'payment' AND payment_ref IS NULL OR kind IN ('refund', 'refund_failed') AND refund_ref IS NULL
       OR kind IN ('chargeback', 'chargeback_reversed') AND dispute_ref IS NULL)
GROUP BY kind, currency ORDER BY kind, currency
"""


async def name_lines(conn: Conn, statement_id: int, account: str) -> list[LineSums]:
    """Finds the payment or dispute of lines that do not name it; returns what nothing can be compared with."""
    await conn.execute(BY_CAPTURE, statement_id, timeout=UPDATE_S)
    await conn.execute(BY_ORDER, statement_id, account, timeout=UPDATE_S)
    await conn.execute(BY_PAYMENT, statement_id, account, timeout=UPDATE_S)
    rows = await conn.fetch(UNNAMED, statement_id, timeout=UPDATE_S)
    return [
        LineSums(kind=LineKind(row["kind"]), currency=row["currency"], lines=row["lines"], amount=row["amount"])
        for row in rows
    ]


# --- what an older statement said -------------------------------------------------------------------------------------

SUPERSEDE = """
UPDATE statements SET superseded_by = $1
WHERE account = $2 AND form = $3 AND id <> $1 AND run <> $4 AND superseded_by IS NULL
  AND begins >= $5 AND ends <= $6 AND covers <@ $7 AND cardinality(covers) > 0
RETURNING id
"""
SUPERSEDE_LINES_OF = """
UPDATE statement_lines SET superseded_by = $1 WHERE statement_id = ANY ($2::bigint[]) AND superseded_by IS NULL
"""
OVERLAPPING = """
SELECT id FROM statements
WHERE account = $2 AND form = $3 AND id <> $1 AND run <> $4 AND superseded_by IS NULL AND begins < $6 AND ends > $5
"""
SUPERSEDE_LINES_WITHIN = """
UPDATE statement_lines l SET superseded_by = $1
FROM statements s
WHERE s.id = ANY ($2::bigint[]) AND l.statement_id = s.id AND l.superseded_by IS NULL AND l.kind = ANY ($5::text[])
  AND coalesce(l.occurred_at, l.settled_on::timestamp AT TIME ZONE s.zone) >= $3
  AND coalesce(l.occurred_at, l.settled_on::timestamp AT TIME ZONE s.zone) < $4
"""
SUPERSEDE_REPEATED_LINES = """
UPDATE statement_lines l SET superseded_by = $1
FROM statement_lines n, statements s
WHERE n.statement_id = $1 AND s.account = $2 AND s.form = $3 AND s.id <> $1 AND s.run <> $4
  AND l.statement_id = s.id AND l.superseded_by IS NULL AND l.account = $2 AND l.payment_ref = n.payment_ref
  AND (l.kind, l.amount_minor, l.currency) = (n.kind, n.amount_minor, n.currency)
  AND (l.occurred_at, l.settled_on, l.capture_ref, l.refund_ref, l.dispute_ref, l.payout_ref)
      IS NOT DISTINCT FROM
      (n.occurred_at, n.settled_on, n.capture_ref, n.refund_ref, n.dispute_ref, n.payout_ref)
"""
# Lines that name no payment, as refunds of some forms; the older one may have been given one since (name_lines).  Many
# have the same amount, and how many there are the database does not know yet: it must not try each with each.
BY_HASH = "SET LOCAL enable_nestloop = off"
AS_BEFORE = "SET LOCAL enable_nestloop TO DEFAULT"
SUPERSEDE_REPEATED_UNNAMED = """
UPDATE statement_lines l SET superseded_by = $1
FROM statement_lines n, statements s
WHERE n.statement_id = $1 AND n.payment_ref IS NULL AND s.account = $2 AND s.form = $3 AND s.id <> $1 AND s.run <> $4
  AND l.statement_id = s.id AND l.superseded_by IS NULL
  AND (l.kind, l.amount_minor, l.currency) = (n.kind, n.amount_minor, n.currency)
  AND coalesce(l.occurred_at, '-infinity') = coalesce(n.occurred_at, '-infinity')
  AND coalesce(l.settled_on, '-infinity') = coalesce(n.settled_on, '-infinity')
  AND concat_ws('|', l.order_ref, '', l.capture_ref, '', l.refund_ref, '', l.payout_ref, '', l.text)
      = concat_ws('|', n.order_ref, '', n.capture_ref, '', n.refund_ref, '', n.payout_ref, '', n.text)
  AND (l.dispute_ref = n.dispute_ref OR n.dispute_ref IS NULL)
"""
# What a file's lines add up to for a payout, which has no time: a newer file that holds more of it says better.
SUPERSEDE_ADDED_PAYOUTS = """
UPDATE statement_lines l SET superseded_by = $1
FROM statement_lines n, statements s
WHERE n.statement_id = $1 AND n.kind = 'payout' AND n.occurred_at IS NULL
  AND s.account = $2 AND s.form = $3 AND s.id <> $1 AND s.run <> $4
  AND l.statement_id = s.id AND l.superseded_by IS NULL AND l.kind = 'payout' AND l.occurred_at IS NULL
  AND (l.payout_ref, l.currency) = (n.payout_ref, n.currency)
"""


async def _supersede(conn: Conn, statement_id: int, account: str, said: Statement, run: UUID) -> list[int]:
    """Lets what this statement says anew count in the place of what older ones said; returns those it replaces."""
    same = (statement_id, account, said.form, run)
    if not said.covers:
        await conn.execute(SUPERSEDE_REPEATED_LINES, *same, timeout=UPDATE_S)
        await conn.execute(BY_HASH)
        await conn.execute(SUPERSEDE_REPEATED_UNNAMED, *same, timeout=UPDATE_S)
        await conn.execute(SUPERSEDE_ADDED_PAYOUTS, *same, timeout=UPDATE_S)
        await conn.execute(AS_BEFORE)
        return []
    covers, span = sorted(said.covers), (said.begins, said.ends)
    replaced = [row["id"] for row in await conn.fetch(SUPERSEDE, *same, *span, covers)]
    if replaced:
        await conn.execute(SUPERSEDE_LINES_OF, statement_id, replaced, timeout=UPDATE_S)
    if overlapping := [row["id"] for row in await conn.fetch(OVERLAPPING, *same, *span)]:
        await conn.execute(SUPERSEDE_LINES_WITHIN, statement_id, overlapping, *span, covers, timeout=UPDATE_S)
    return replaced
