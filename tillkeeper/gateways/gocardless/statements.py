"""Reads GoCardless's payout breakdown (the export "Transactions" of one payout or of several).

Each row is what one payment, or one refund, brought into a payout, with its fees.  A payment that failed late or was
charged back stands a second time, negative, in a later payout.  What all rows of a payout add up to is what was sent to
the bank.  The export lists what was paid out: it covers no time.
It does not say how many rows it has, so that one which is cut between two rows cannot be told, and names the creditor
by a number that no setting has.

Sources: support.gocardless.com, "Payout breakdown reports - Transactions", for the columns; the developer's pages on
reconciling payouts for what a payout holds.  That a debit is negative, and that metadata stands in columns such as
payments.metadata.order_id, rest on public repositories; fees may be written with either sign, for net tells which.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Final, cast

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.gocardless.objects import CHARGEBACK
from tillkeeper.gateways.gocardless.settings import GoCardlessSettings
from tillkeeper.gateways.kit.statements.table import Entry, Payouts, Span, entry_of, head_of
from tillkeeper.gateways.statement_form import Row

TYPE, CREATED, CHARGED, STATUS = (
    "resources.type",
    "resources.created_at",
    "resources.charge_date",
    "resources.status",
)
GROSS, NET, CURRENCY = "gross_amount", "net_amount", "currency"
FEES: Final = ("gocardless_fees", "app_fees", "surcharge_fees")  # the last where payers bear some
PAYOUT, ARRIVAL, PAYMENT, REFUND = "payouts.id", "payouts.arrival_date", "payments.id", "refunds.id"
NEEDED: Final = (TYPE, CREATED, CHARGED, STATUS, GROSS, NET, CURRENCY, PAYOUT, PAYMENT, REFUND)
TAX: Final = "tax"
METADATA: Final = "payments.metadata."

CHARGED_BACK: Final = "charged_back"
RETURNED: Final = frozenset({"bounced", "failed", "funds_returned"})  # a refund that came back


class PayoutBreakdown:
    """One export."""

    name: ClassVar[str] = "gocardless.payouts"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        path = cast("GoCardlessSettings", settings).order_ref_path
        self._order_column = f"{METADATA}{path.removeprefix('metadata.')}"
        self._span = Span()
        self._payouts = Payouts()
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of a payout breakdown."""
        return bool(head) and {cell.strip() for cell in head[0].cells} >= {TYPE, GROSS, PAYOUT}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields a line for each payment or refund, and one for each payout.  Raises StatementRefused."""
        first = next(rows)
        taxes = [cell.strip() for cell in first.cells if TAX in cell.lower()]
        head = head_of(first.number, first.cells, needed=NEEDED, money={GROSS, NET, *FEES, *taxes})
        for row in rows:
            entry = entry_of(head, row.number, row.cells)
            line = self._line(entry, taxes)
            self._payouts.add(line, sent_on=entry.day(ARRIVAL) if entry.text(ARRIVAL) else _day(entry))
            self._lines += 1
            yield line
        self._span.check()
        payouts = self._payouts.lines()
        self._lines += len(payouts)
        yield from payouts

    def statement(self) -> Statement:
        """Returns the days of its lines."""
        begins, ends = self._span.ends(timedelta(days=1))
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins,
            ends=ends,
            zone="UTC",
            covers=frozenset(),
            lines=self._lines,
        )

    def _line(self, entry: Entry, taxes: Sequence[str]) -> StatementLine:
        day = _day(entry)
        self._span.add(_midnight(day))
        currency = entry.currency(CURRENCY)
        gross, net = entry.minor(GROSS, currency), entry.minor(NET, currency)
        _check_fees(entry, gross - net, currency, taxes)
        kind, amount = _kind(entry, gross)
        is_refund = kind in {LineKind.REFUND, LineKind.REFUND_FAILED}
        payment = entry.ref(PAYMENT)
        return StatementLine(
            number=entry.number,
            kind=kind,
            amount=amount,
            currency=currency,
            fee=gross - net,
            net=amount - gross + net,
            settled_on=day,
            order_ref=entry.ref(self._order_column),
            payment_ref=payment,
            refund_ref=entry.ref(REFUND) if is_refund else None,
            dispute_ref=f"{payment}:{CHARGEBACK}" if kind is LineKind.CHARGEBACK and payment else None,
            payout_ref=entry.ref(PAYOUT),
            text=f"{entry.text(TYPE)} {entry.text(STATUS)}" if kind is LineKind.ADJUSTMENT else None,
        )


def _check_fees(entry: Entry, fee: int, currency: str, taxes: Sequence[str]) -> None:
    """Taxes on fees may be within the fees, or stand beside them."""
    fees = sum(entry.minor(name, currency) for name in FEES)
    tax = sum(entry.minor(name, currency) for name in taxes)
    if abs(fee) not in {abs(fees), abs(fees + tax)}:
        says = (
            f"gross less fees is not net: {entry.text(GROSS)}, {' + '.join(map(entry.text, FEES))}, {entry.text(NET)}"
        )
        raise StatementRefused(says, line=entry.number)


def _kind(entry: Entry, gross: int) -> tuple[LineKind, int]:
    """Returns what a row moved, as the balance moved: its status is the one that it has by now, so the sign tells."""
    sort, status = entry.text(TYPE), entry.text(STATUS)
    match sort:
        case "payment" if gross < 0 and status == CHARGED_BACK:
            return LineKind.CHARGEBACK, gross
        case "payment":
            return LineKind.PAYMENT, gross  # negative where it failed late, and takes back what it had brought
        case "refund" if gross > 0 and status in RETURNED:
            return LineKind.REFUND_FAILED, gross
        case "refund":
            return LineKind.REFUND, -abs(gross)
        case _:
            return LineKind.ADJUSTMENT, gross


def _day(entry: Entry) -> date:
    """Returns when it was collected; of a refund, when it was made."""
    return entry.day(CHARGED if entry.text(CHARGED) else CREATED)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
