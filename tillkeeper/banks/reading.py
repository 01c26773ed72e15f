"""Reads a bank's file as what it is: camt.053, MT940, or a table that a mapping describes."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from tillkeeper.banks.camt import camt_statements
from tillkeeper.banks.mt940 import mt940_statements
from tillkeeper.domain.books.bank import BankEntry, BankStatement
from tillkeeper.domain.books.statement import StatementLine, StatementRefused
from tillkeeper.gateways.kit.statements.rows import rows_of
from tillkeeper.gateways.kit.statements.unpacking import unpacked
from tillkeeper.gateways.kit.statements.workbook import is_workbook, rows_of_workbook
from tillkeeper.gateways.mapped_statement import MappedTable, StatementMapping
from tillkeeper.gateways.statement_form import Row

HEAD_BYTES: Final = 512


def bank_statements(file: BinaryIO, mapping: StatementMapping | None = None) -> Iterator[BankStatement]:
    """Yields the statements in a file, which can be sought in.  Raises StatementRefused."""
    if is_workbook(file):
        return _of_table(((number, cells) for number, cells in rows_of_workbook(file)), mapping)
    plain = unpacked(file)
    head = plain.peek(HEAD_BYTES)[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \r\n")
    if head.startswith(b"<"):
        return camt_statements(plain)
    if head.startswith((b":20:", b"{1:", b":940:")) or b"\n:20:" in head:
        return mt940_statements(plain)
    return _of_table(rows_of(plain), mapping)


def _of_table(rows: Iterator[tuple[int, object]], mapping: StatementMapping | None) -> Iterator[BankStatement]:
    if mapping is None:
        raise StatementRefused("it is neither camt.053 nor MT940; [banks.NAME.table] says how a table is read")
    table = MappedTable("", mapping)
    lines = list(table.lines(Row(number, cells) for number, cells in rows))  # type: ignore[arg-type]
    entries = tuple(_entry(line) for line in lines)
    days = [entry.booked_on for entry in entries]
    yield BankStatement(
        iban=None,
        number=None,
        currency=entries[0].currency,
        begins=min(days),
        ends=max(days),
        opening=None,
        closing=None,
        entries=entries,
    )


def _entry(line: StatementLine) -> BankEntry:
    told = (line.text, line.order_ref, line.payment_ref, line.payout_ref)
    assert line.settled_on is not None, "a mapped table has days"
    return BankEntry(
        number=line.number,
        amount=line.amount,
        currency=line.currency,
        booked_on=line.settled_on,
        reference=line.payment_ref,
        text=" ".join(each for each in told if each),
    )
