"""Keeps statements of bank accounts, and writes what became of the gateways' payouts in them, with their cases."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from tillkeeper.domain.books.bank import (
    WITH_CASE,
    BankEntry,
    BankStatement,
    Payout,
    PayoutArrival,
    PayoutVerdict,
    Terms,
    find_payouts,
    payout_case,
    payout_case_key,
)
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases.writing import close_cases, open_cases
from tillkeeper.store.postgres.pool import Conn

NAME_CHARS_MAX: Final = 255
CLOSED: Final = "it is at the bank"  # the outcome of a case that closes by itself

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tillkeeper bank ' || $1, 0))"
IS_KNOWN = "SELECT EXISTS (SELECT FROM bank_statements WHERE bank = $1 AND digest = $2)"
INSERT_STATEMENT = """
INSERT INTO bank_statements (bank, digest, place, name, number, currency, begins, ends, opening_minor, closing_minor,
                             entries, taken_at, taken_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id
"""
INSERT_ENTRIES = """
INSERT INTO bank_entries (bank, key, statement_id, number, amount_minor, currency, booked_on, reference, text)
SELECT $1, w.key, $2, w.number, w.amount, $3, w.booked_on, w.reference, w.text
FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::date[], $8::text[], $9::text[])
     AS w (key, number, amount, booked_on, reference, text)
ON CONFLICT (bank, key) DO NOTHING
"""
COUNT_OF = "SELECT count(*) FROM bank_entries WHERE statement_id = $1"
NEIGHBOUR = """
SELECT closing_minor, ends FROM bank_statements
WHERE bank = $1 AND currency = $2 AND ends < $3 AND closing_minor IS NOT NULL ORDER BY ends DESC, id DESC LIMIT 1
"""


class TakenBankStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement as it was taken in; `gap` says what does not lead on from the one before it."""

    begins: date
    ends: date
    currency: str
    entries: int
    new_entries: int
    gap: str | None = None


async def take_bank_file(
    conn: Conn,
    bank: str,
    statements: Iterable[BankStatement],
    *,
    digest: bytes,
    name: str,
    iban: str | None,
    by: str,
    now: datetime,
) -> list[TakenBankStatement]:
    """Takes a file in, in the caller's transaction: all of it, or nothing; one that is known changes nothing.

    Raises StatementRefused where it is another account's.
    """
    await conn.execute(LOCK, bank)
    is_known = await conn.fetchval(IS_KNOWN, bank, digest)
    taken = []
    for place, statement in enumerate(statements, 1):
        _refuse_foreign(statement, iban)
        if is_known:
            taken.append(_taken(statement, 0, None))
            continue
        gap = await _gap(conn, bank, statement)
        statement_id = await conn.fetchval(
            INSERT_STATEMENT,
            *(bank, digest, place, name[-NAME_CHARS_MAX:], statement.number, statement.currency, statement.begins),
            *(statement.ends, statement.opening, statement.closing, len(statement.entries), now, by),
        )
        await conn.execute(INSERT_ENTRIES, bank, statement_id, statement.currency, *_columns(statement))
        taken.append(_taken(statement, await conn.fetchval(COUNT_OF, statement_id), gap))
    return taken


def _refuse_foreign(statement: BankStatement, iban: str | None) -> None:
    told = _plain(statement.iban)
    if iban is not None and told and _plain(iban) not in told and told not in _plain(iban):
        raise StatementRefused(f"it is of the account {statement.iban}, and the settings say {iban}")


def _plain(iban: str | None) -> str:
    return "".join(char for char in (iban or "").upper() if char.isalnum())


def _taken(statement: BankStatement, new_entries: int, gap: str | None) -> TakenBankStatement:
    return TakenBankStatement(
        begins=statement.begins,
        ends=statement.ends,
        currency=statement.currency,
        entries=len(statement.entries),
        new_entries=new_entries,
        gap=gap,
    )


async def _gap(conn: Conn, bank: str, statement: BankStatement) -> str | None:
    """Says where the balances do not lead on from the last statement before it."""
    before = await conn.fetchrow(NEIGHBOUR, bank, statement.currency, statement.begins)
    if before is None or statement.opening is None or before["closing_minor"] == statement.opening:
        return None
    return f"it begins with another balance than the one of {before['ends']} ends with: a statement between is missing"


def _columns(statement: BankStatement) -> tuple[list[Any], ...]:
    entries = keyed(statement.entries)
    return (
        [each.key for each in entries],
        [each.number for each in entries],
        [each.amount for each in entries],
        [each.booked_on for each in entries],
        [each.reference for each in entries],
        [each.text for each in entries],
    )


def keyed(entries: Iterable[BankEntry]) -> list[BankEntry]:
    """Returns the entries with their keys: what says the same is told apart by its place among its like."""
    seen: Counter[str] = Counter()
    found = []
    for entry in entries:
        said = "\x1f".join(
            (entry.booked_on.isoformat(), str(entry.amount), entry.currency, entry.reference or "", entry.text)
        )
        seen[said] += 1
        key = hashlib.sha256(f"{said}\x1f{seen[said]}".encode()).hexdigest()[:32]
        found.append(msgspec.structs.replace(entry, key=key))
    return found


# --- payouts ----------------------------------------------------------------------------------------------------------

# What a payout is known by: its own number, else the one that its line has.
PAYOUTS = """
SELECT account, coalesce(payout_ref, payment_ref, statement_id || '/' || number) AS ref,
       coalesce(settled_currency, currency) AS currency, -sum(coalesce(net_minor, amount_minor))::bigint AS amount,
       min(coalesce(settled_on, (occurred_at AT TIME ZONE 'UTC')::date)) AS sent_on
FROM statement_lines
WHERE kind = 'payout' AND superseded_by IS NULL AND account = ANY($1::text[])
GROUP BY 1, 2, 3
"""
ARRIVED = "SELECT account, payout_ref, amount_minor FROM payout_arrivals WHERE bank = $1 AND verdict = 'arrived'"
FREE_ENTRIES = """
SELECT e.key, e.number, e.amount_minor AS amount, e.currency, e.booked_on, e.reference, e.text
FROM bank_entries e
WHERE e.bank = $1 AND e.amount_minor > 0 AND e.booked_on >= $2
  AND NOT EXISTS (SELECT FROM payout_arrivals p
                  WHERE p.bank = $1 AND p.entry_key = e.key AND p.verdict = 'arrived' AND p.account = ANY($3::text[]))
ORDER BY e.booked_on, e.key
"""
COVERED_UNTIL = "SELECT max(ends) FROM bank_statements WHERE bank = $1"
WRITE = """
INSERT INTO payout_arrivals AS p (account, payout_ref, currency, amount_minor, sent_on, bank, verdict, entry_key,
                                  found_by, found_at)
SELECT w.account, w.ref, w.currency, w.amount, w.sent_on, $1, w.verdict, w.entry_key, w.found_by, $2
FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::date[], $8::text[], $9::text[], $10::text[])
     AS w (account, ref, currency, amount, sent_on, verdict, entry_key, found_by)
ON CONFLICT (account, payout_ref) DO UPDATE
SET currency = excluded.currency, amount_minor = excluded.amount_minor, sent_on = excluded.sent_on,
    bank = excluded.bank, verdict = excluded.verdict, entry_key = excluded.entry_key, found_by = excluded.found_by,
    found_at = CASE WHEN p.verdict = excluded.verdict THEN p.found_at ELSE excluded.found_at END
"""


async def settle_payouts(
    conn: Conn, bank: str, terms: Terms, *, policy: CasePolicy, now: datetime
) -> list[PayoutArrival]:
    """Looks for the payouts that have not arrived, in the caller's transaction; opens and closes their cases.

    Returns what became of each of these.
    """
    await conn.execute(LOCK, bank)
    accounts = sorted(terms.words)
    arrived = {(row["account"], row["payout_ref"]): row["amount_minor"] for row in await conn.fetch(ARRIVED, bank)}
    payouts = [
        payout
        for payout in [Payout(**dict(row)) for row in await conn.fetch(PAYOUTS, accounts)]
        if arrived.get((payout.account, payout.ref)) != payout.amount
    ]
    if not payouts:
        return []
    first = min(payout.sent_on for payout in payouts)
    entries = [BankEntry(**dict(row)) for row in await conn.fetch(FREE_ENTRIES, bank, first, accounts)]
    covered_until = await conn.fetchval(COVERED_UNTIL, bank)
    payouts.sort(key=lambda payout: (payout.sent_on, payout.account, payout.ref))
    found = find_payouts(payouts, entries, msgspec.structs.replace(terms, covered_until=covered_until))
    await _write(conn, bank, found, now)
    await open_cases(
        conn, [(None, payout_case(each)) for each in found if each.verdict in WITH_CASE], policy=policy, now=now
    )
    over = {payout_case_key(each.payout) for each in found if each.verdict is PayoutVerdict.ARRIVED}
    await close_cases(conn, over, outcome=CLOSED, now=now)
    return found


async def _write(conn: Conn, bank: str, found: Sequence[PayoutArrival], now: datetime) -> None:
    await conn.execute(
        WRITE,
        bank,
        now,
        [each.payout.account for each in found],
        [each.payout.ref for each in found],
        [each.payout.currency for each in found],
        [each.payout.amount for each in found],
        [each.payout.sent_on for each in found],
        [each.verdict.value for each in found],
        [each.entry.key if each.entry else None for each in found],
        [each.found_by.value if each.found_by else None for each in found],
    )


# --- what is asked ----------------------------------------------------------------------------------------------------

LIST_PAYOUTS = """
SELECT p.account, p.payout_ref, p.currency, p.amount_minor, p.sent_on, p.bank, p.verdict, p.found_by,
       e.booked_on AS arrived_on, e.amount_minor AS arrived_minor, c.id AS case_id
FROM payout_arrivals p
LEFT JOIN bank_entries e ON e.bank = p.bank AND e.key = p.entry_key
LEFT JOIN cases c ON c.kind = 'payout_missing' AND c.subject = 'payout:' || p.account || '/' || p.payout_ref
                 AND c.closed_at IS NULL
WHERE ($1::text IS NULL OR p.account = $1) AND (p.verdict = ANY($2::text[]))
ORDER BY p.sent_on DESC, p.account, p.payout_ref LIMIT $3
"""
# Of an order's lines, each with the payout that it went into, and what became of that.
WAY_OF_ORDER = """
SELECT l.account, l.kind, l.amount_minor, l.currency, l.fee_minor, coalesce(l.settled_currency, l.currency) AS settled,
       coalesce(l.settled_on, (l.occurred_at AT TIME ZONE 'UTC')::date) AS day, l.payout_ref, p.verdict, p.sent_on,
       e.booked_on AS arrived_on
FROM orders o
JOIN payments y ON y.order_id = o.id
JOIN statement_lines l ON l.account = y.account AND l.payment_ref = y.payment_ref AND l.superseded_by IS NULL
LEFT JOIN payout_arrivals p ON p.account = l.account AND p.payout_ref = l.payout_ref
LEFT JOIN bank_entries e ON e.bank = p.bank AND e.key = p.entry_key
WHERE o.order_ref = $1
ORDER BY day, l.account, l.statement_id, l.place
"""


class ListedPayout(msgspec.Struct, frozen=True, kw_only=True):
    """A payout and what became of it."""

    account: str
    payout_ref: str
    currency: str
    amount_minor: int
    sent_on: date
    bank: str
    verdict: str
    found_by: str | None
    arrived_on: date | None
    arrived_minor: int | None
    case_id: int | None


class OrdersLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement that is about an order, and where its money is."""

    account: str
    kind: str
    amount_minor: int
    currency: str
    fee_minor: int | None
    settled: str
    day: date | None
    payout_ref: str | None
    verdict: str | None
    sent_on: date | None
    arrived_on: date | None

    @property
    def where(self) -> str:
        """Says where the money is: at the gateway, on its way to the bank, at the bank, or missing there."""
        if self.payout_ref is None:
            return "held by the gateway"
        return WHERE.get(self.verdict or "", "sent to the bank")


WHERE: Final[Mapping[str, str]] = {
    PayoutVerdict.ARRIVED: "arrived at the bank",
    PayoutVerdict.ON_ITS_WAY: "on its way to the bank",
    PayoutVerdict.MISSING: "missing at the bank",
    PayoutVerdict.DIFFERS: "at the bank, with another amount",
    PayoutVerdict.CAME_BACK: "came back to the gateway",
}


async def list_payouts(conn: Conn, *, account: str | None, verdicts: Collection[str], limit: int) -> list[ListedPayout]:
    """Returns payouts, the latest first."""
    rows = await conn.fetch(LIST_PAYOUTS, account, sorted(verdicts), limit)
    return [ListedPayout(**dict(row)) for row in rows]


async def way_of_order(conn: Conn, order_ref: str) -> list[OrdersLine]:
    """Returns the lines about an order, the first first."""
    return [OrdersLine(**dict(row)) for row in await conn.fetch(WAY_OF_ORDER, order_ref)]
