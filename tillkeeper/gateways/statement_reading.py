"""Reads a file as one of an account's forms of statement: which one, its first rows say."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final

import msgspec

from tillkeeper.domain.books.statement import Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.kit.statements.rows import rows_of
from tillkeeper.gateways.kit.statements.unpacking import unpacked
from tillkeeper.gateways.kit.statements.workbook import is_workbook, rows_of_workbook
from tillkeeper.gateways.mapped_statement import MappedTable, StatementMapping
from tillkeeper.gateways.statement_form import HEAD_ROWS, Row, StatementForm

MAP_IT: Final = "[books.statements.ACCOUNT] says how any table is read (docs/books.md)"


class StatementReading(msgspec.Struct, frozen=True):
    """A file whose form is known, and which is read once."""

    form: StatementForm | MappedTable
    rows: Iterator[Row]

    def lines(self) -> Iterator[StatementLine]:
        """Yields its lines.  Raises StatementRefused."""
        return self.form.lines(self.rows)

    def statement(self) -> Statement:
        """Returns what it says of itself; only after `lines` ended."""
        return self.form.statement()


def read_statement(
    forms: Sequence[type[StatementForm]],
    account: str,
    settings: AccountModel,
    file: BinaryIO,
    mapping: StatementMapping | None = None,
) -> StatementReading:
    """Finds the form of a file, which can be sought in: one of the gateway's, or a table that the mapping reads.

    Raises StatementRefused.
    """
    if not forms and mapping is None:
        raise StatementRefused(f"no form of statement of {settings.gateway} can be read yet; {MAP_IT}")
    table = rows_of_workbook(file) if is_workbook(file) else rows_of(unpacked(file))
    rows = (Row(number, cells) for number, cells in table)
    head = list(islice(rows, HEAD_ROWS))
    for form in forms:
        if form.knows(head):
            return StatementReading(form(account, settings), chain(head, rows))
    if mapping is not None and (mapped := MappedTable(account, mapping)).knows(head):
        return StatementReading(mapped, chain(head, rows))
    raise StatementRefused(_unknown(forms, settings, mapping))


def _unknown(forms: Sequence[type[StatementForm]], settings: AccountModel, mapping: StatementMapping | None) -> str:
    known = ", ".join(form.name for form in forms) or "none"
    says = f"it is no statement of {settings.gateway} that can be read; these are: {known}"
    if mapping is None:
        return f"{says}; {MAP_IT}"
    return f"{says}, and tables with the columns {', '.join(mapping.columns.values())}"
