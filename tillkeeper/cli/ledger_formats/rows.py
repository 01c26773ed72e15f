"""Writes the ledger as rows: one for each posting, as CSV or JSON lines."""

import csv
import io
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Final

import orjson

from tillkeeper.cli.ledger_formats.names import major, name_of, references
from tillkeeper.domain.books.ledger import Posting, Transaction

COLUMNS: Final = (
    *("day", "booked_at", "ledger_account", "debit", "credit", "currency", "kind"),
    *("order", "account", "payment", "capture", "refund", "dispute", "event", "occurred"),
)
FORMULA: Final = "=+-@\t\r"  # a spreadsheet would reckon what begins with one of these


class Csv:
    """Writes CSV as RFC 4180 has it; debits and credits in major units, in columns of their own."""

    def begin(self) -> Iterator[str]:
        """Yields the header."""
        yield _csv_line(COLUMNS)

    def transaction(self, told: Transaction, zone: tzinfo) -> Iterator[str]:
        """Yields a line for each posting."""
        for posting in told.postings:
            row = _row(told, posting, zone)
            amount = major(abs(posting.minor), posting.currency)
            row |= {"debit" if posting.minor > 0 else "credit": amount}
            yield _csv_line([_unreckoned(row.get(column, "")) for column in COLUMNS])


class JsonLines:
    """Writes an object for each transaction; amounts in minor units, debits positive."""

    def begin(self) -> Iterator[str]:
        """Yields what stands before the transactions: nothing."""
        return iter(())

    def transaction(self, told: Transaction, zone: tzinfo) -> Iterator[str]:
        """Yields one line."""
        postings = [
            {"account": name_of(each.account), "amount": each.minor, "currency": each.currency}
            for each in told.postings
        ]
        day = told.booked_at.astimezone(zone).date()
        head = {"day": day, "booked_at": told.booked_at, "kind": told.event.kind}
        yield orjson.dumps({**head, **references(told), "postings": postings}).decode()


def _row(told: Transaction, posting: Posting, zone: tzinfo) -> dict[str, Any]:
    local = told.booked_at.astimezone(zone)
    return {
        "day": local.date().isoformat(),
        "booked_at": local.isoformat(),
        "ledger_account": name_of(posting.account),
        "currency": posting.currency,
        "kind": told.event.kind.value,
        **references(told),
    }


def _unreckoned(text: str) -> str:
    return f"'{text}" if text[:1] in FORMULA and text else text


def _csv_line(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
