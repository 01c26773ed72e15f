"""Reads Checkout.com's financial actions reports, by date range or by payout ID.

Each row is one part of an action (Breakdown Type): what was captured, refunded or charged back, or one of the fees of
it, which may have parts of a minor unit.  Columns are known by their names, in any order; needed are those of NEEDED.
Nothing in the report says whether it lists all of a time, so it covers none; nor does it say how many rows it has, so
that one which is cut between two rows cannot be told.  A failed clearing takes back an action and does not say which.

Sources: checkout.com/docs, "Financial Actions by Payout ID Report", "Financial Actions by Date Range Report" and
"Breakdown types".  That amounts are signed as the balance moves, that fees have up to eight decimals, and the columns
Timezone and Processed On UTC rest on readers of the published samples in public repositories.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.kit.statements.table import Entry, Rounding, Span, entry_of, head_of, rounded
from tillkeeper.gateways.statement_form import Row

PAYMENT, ORDER, METHOD = "Payment ID", "Reference", "Payment Method"
ACTION, BREAKDOWN, PAYOUT = "Action ID", "Breakdown Type", "Payout ID"
AT, AT_UTC, ZONE = "Processed On", "Processed On UTC", "Timezone"
CURRENCY, AMOUNT = "Processing Currency", "Processing Currency Amount"
HELD_CURRENCY, HELD = "Holding Currency", "Holding Currency Amount"
NEEDED: Final = (PAYMENT, ACTION, BREAKDOWN, PAYOUT, AT, CURRENCY, AMOUNT, HELD_CURRENCY, HELD)
# What else has amounts says the same in other currencies.
KNOWN_MONEY: Final = frozenset(
    {
        *(AMOUNT, HELD, "Transaction Currency Amount", "Tax Currency Amount", "Fee Detail", "Fee detail"),
        *("Entity Country Tax Currency", "Scheme FX Adjustment Processing Currency Amount"),
    }
)

KINDS: Final[Mapping[str, LineKind]] = {
    "Capture": LineKind.PAYMENT,
    "Partial Capture": LineKind.PAYMENT,
    "Refund": LineKind.REFUND,
    "Partial Refund": LineKind.REFUND,
    "Payout": LineKind.PAYOUT,
}
CHARGEBACK: Final = "Chargeback"  # with a code behind it, such as (ADJM)
RESERVES: Final = ("Rolling Reserve", "Security Deposit", "Operational Funding")
FEES: Final = (" Fee", " Tax")
CAME_BACK: Final = {LineKind.REFUND: LineKind.REFUND_FAILED, LineKind.CHARGEBACK: LineKind.CHARGEBACK_REVERSED}
REFUNDS: Final = frozenset({LineKind.REFUND, LineKind.REFUND_FAILED})
DISPUTES: Final = frozenset({LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED})
DISPUTE_PREFIX: Final = "dsp_"  # another action's number is not the dispute's, which is found by its payment


class FinancialActions:
    """One report, of either sort."""

    name: ClassVar[str] = "checkout.financial_actions"

    def __init__(self, account: str, settings: AccountModel) -> None:  # noqa: ARG002 - it names no account
        self._account = account
        self._span = Span()
        self._fees = Rounding()
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of a report of financial actions."""
        return bool(head) and {cell.strip() for cell in head[0].cells} >= {PAYMENT, ACTION, BREAKDOWN}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields a line for each part of an action.  Raises StatementRefused."""
        first = next(rows)
        head = head_of(first.number, first.cells, needed=NEEDED, money=KNOWN_MONEY)
        for row in rows:
            entry = entry_of(head, row.number, row.cells)
            at = _moment(entry)
            self._span.add(at)
            self._lines += 1
            yield self._line(entry, at)
        self._span.check()

    def statement(self) -> Statement:
        """Returns the time from the first line to the last."""
        begins, ends = self._span.ends(timedelta(seconds=1))
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins,
            ends=ends,
            zone="UTC",
            covers=frozenset(),
            lines=self._lines,
        )

    def _line(self, entry: Entry, at: datetime) -> StatementLine:
        word, action = entry.text(BREAKDOWN), entry.ref(ACTION)
        held_in, held = entry.currency(HELD_CURRENCY), entry.decimal(HELD)
        kind = _kind(word, came_back=held > 0)
        if kind in {LineKind.PAYMENT, *REFUNDS, *DISPUTES}:
            currency = entry.currency(CURRENCY)
            amount, net = entry.minor(AMOUNT, currency), rounded(held, held_in)
        else:
            currency = held_in
            amount = net = self._fees.minor(held, held_in) if kind is LineKind.FEE else entry.minor(HELD, held_in)
        return StatementLine(
            number=entry.number,
            kind=kind,
            amount=amount,
            currency=currency,
            net=net,
            settled_currency=None if currency == held_in else held_in,
            occurred_at=at,
            order_ref=entry.ref(ORDER),
            payment_ref=entry.ref(PAYMENT),
            payout_ref=entry.ref(PAYOUT),
            method=entry.ref(METHOD) if kind is LineKind.PAYMENT else None,
            text=word if kind in {LineKind.ADJUSTMENT, LineKind.FEE} else None,
            capture_ref=action if kind is LineKind.PAYMENT else None,
            refund_ref=action if kind in REFUNDS else None,
            dispute_ref=action if kind in DISPUTES and (action or "").startswith(DISPUTE_PREFIX) else None,
        )


def _kind(word: str, *, came_back: bool) -> LineKind:
    """Returns what a breakdown type moved; money that comes back undoes a refund or a chargeback."""
    kind = KINDS.get(word)
    if kind is None and word.startswith(CHARGEBACK) and not word.endswith(FEES):
        kind = LineKind.CHARGEBACK
    if kind is not None:
        return CAME_BACK.get(kind, kind) if came_back else kind
    if word.startswith(RESERVES):
        return LineKind.RESERVE
    return LineKind.FEE if word.endswith(FEES) else LineKind.ADJUSTMENT


def _moment(entry: Entry) -> datetime:
    """Returns when it was processed: UTC, unless the report names another zone and has no column of UTC."""
    if entry.text(AT_UTC):
        return entry.moment(AT_UTC, UTC)
    zone = entry.text(ZONE) or "UTC"
    try:
        return entry.moment(AT, ZoneInfo(zone))
    except (KeyError, OSError, ValueError) as error:
        if isinstance(error, StatementRefused):
            raise
        says = f"{ZONE} is a zone such as Europe/London, and here {zone!r}; ask for the column {AT_UTC}"
        raise StatementRefused(says, line=entry.number) from None
