"""Reads Mollie's settlement reports as CSV: what one payout to the bank holds.

Rows are told by their IDs: payments (tr_), captures (cpt_), refunds (re_), chargebacks (chb_); one without is what
Mollie withheld for its fees.  What all rows of a settlement add up to is what was sent to the bank.  A report lists
what was settled: it covers no time.  It does not say how many rows it has, so that one which is cut between two rows
cannot be told, nor whose it is.  A refund does not name its payment.

Sources: docs.mollie.com, "Settlement report", for what it holds.  The names of the columns, and that a capture names
its payment in its description, rest on public repositories that write or read the export.  The page names no zone:
times are read as Amsterdam's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.kit.statements.table import Entry, Payouts, Span, entry_of, head_of
from tillkeeper.gateways.statement_form import Row

ZONE: Final = "Europe/Amsterdam"
_AMSTERDAM: Final = ZoneInfo(ZONE)

AT, METHOD, CURRENCY, AMOUNT = "Date", "Payment method", "Currency", "Amount"
ID, DESCRIPTION = "ID", "Description"
SETTLED_CURRENCY, SETTLED, SETTLEMENT = "Settlement currency", "Settlement amount", "Settlement reference"
NEEDED: Final = (AT, METHOD, CURRENCY, AMOUNT, ID, DESCRIPTION, SETTLED_CURRENCY, SETTLED, SETTLEMENT)
KNOWN_MONEY: Final = frozenset({AMOUNT, SETTLED, "Amount refunded"})  # the last is what went back of a payment in all

KINDS: Final[Mapping[str, LineKind]] = {
    "tr": LineKind.PAYMENT,
    "cpt": LineKind.PAYMENT,
    "re": LineKind.REFUND,
    "chb": LineKind.CHARGEBACK,
}
CAME_BACK: Final = {LineKind.REFUND: LineKind.REFUND_FAILED, LineKind.CHARGEBACK: LineKind.CHARGEBACK_REVERSED}
CAPTURE: Final = "cpt_"
WITHHELD: Final = "Withheld"  # transaction fees, with the number of the invoice behind
_PAYMENT: Final = re.compile(r"\btr_[A-Za-z0-9]{1,60}\b")


class SettlementReport:
    """One report."""

    name: ClassVar[str] = "mollie.settlement"

    def __init__(self, account: str, settings: AccountModel) -> None:  # noqa: ARG002 - it names no account
        self._account = account
        self._span = Span()
        self._payouts = Payouts()
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of a settlement report."""
        return bool(head) and {cell.strip() for cell in head[0].cells} >= {SETTLEMENT, SETTLED, ID}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields a line for each row, and one for each payout.  Raises StatementRefused."""
        first = next(rows)
        head = head_of(first.number, first.cells, needed=NEEDED, money=KNOWN_MONEY)
        for row in rows:
            line = _line(entry_of(head, row.number, row.cells))
            assert line.occurred_at is not None, "it was read"
            self._span.add(line.occurred_at)
            self._payouts.add(line, sent_on=line.occurred_at.astimezone(_AMSTERDAM).date())
            self._lines += 1
            yield line
        self._span.check()
        payouts = self._payouts.lines()
        self._lines += len(payouts)
        yield from payouts

    def statement(self) -> Statement:
        """Returns the time from the first line to the last."""
        begins, ends = self._span.ends(timedelta(seconds=1))
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins,
            ends=ends,
            zone=ZONE,
            covers=frozenset(),
            lines=self._lines,
        )


def _line(entry: Entry) -> StatementLine:
    currency, settled_in = entry.currency(CURRENCY), entry.currency(SETTLED_CURRENCY)
    amount, ref = entry.minor(AMOUNT, currency), entry.text(ID)
    kind = _kind(ref, entry.text(DESCRIPTION), came_back=amount > 0)
    is_refund = kind in {LineKind.REFUND, LineKind.REFUND_FAILED}
    is_dispute = kind in {LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED}
    return StatementLine(
        number=entry.number,
        kind=kind,
        amount=amount,
        currency=currency,
        net=entry.minor(SETTLED, settled_in),
        settled_currency=None if settled_in == currency else settled_in,
        occurred_at=entry.moment(AT, _AMSTERDAM),
        payment_ref=_payment_of(ref, entry.text(DESCRIPTION)) if kind is LineKind.PAYMENT else None,
        refund_ref=ref if is_refund else None,
        dispute_ref=ref if is_dispute else None,
        payout_ref=entry.ref(SETTLEMENT),
        method=entry.ref(METHOD) if kind is LineKind.PAYMENT else None,
        text=(entry.ref(METHOD) or entry.ref(DESCRIPTION)) if kind is LineKind.ADJUSTMENT else None,
    )


def _kind(ref: str, description: str, *, came_back: bool) -> LineKind:
    """Returns what a row moved: a refund or chargeback that is credited came back."""
    if not ref and description.startswith(WITHHELD):
        return LineKind.FEE
    kind = KINDS.get(ref.partition("_")[0], LineKind.ADJUSTMENT)
    return CAME_BACK.get(kind, kind) if came_back else kind


def _payment_of(ref: str, description: str) -> str | None:
    """Returns the payment; a capture names it in its description."""
    if not ref.startswith(CAPTURE):
        return ref
    found = _PAYMENT.search(description)
    return None if found is None else found[0]
