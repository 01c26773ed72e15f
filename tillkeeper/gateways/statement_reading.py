"""Reads a file as one of an account's forms of statement: which one, its first rows say."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO

import msgspec

from tillkeeper.domain.books.statement import Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.kit.statements.rows import rows_of
from tillkeeper.gateways.kit.statements.unpacking import unpacked
from tillkeeper.gateways.statement_form import HEAD_ROWS, Row, StatementForm


class StatementReading(msgspec.Struct, frozen=True):
    """A file whose form is known, and which is read once."""

    form: StatementForm
    rows: Iterator[Row]

    def lines(self) -> Iterator[StatementLine]:
        """Yields its lines.  Raises StatementRefused."""
        return self.form.lines(self.rows)

    def statement(self) -> Statement:
        """Returns what it says of itself; only after `lines` ended."""
        return self.form.statement()


def read_statement(
    forms: Sequence[type[StatementForm]], account: str, settings: AccountModel, file: BinaryIO
) -> StatementReading:
    """Finds the form of a file, which can be sought in.  Raises StatementRefused."""
    if not forms:
        raise StatementRefused(f"no form of statement of {settings.gateway} can be read yet")
    rows = (Row(number, cells) for number, cells in rows_of(unpacked(file)))
    head = list(islice(rows, HEAD_ROWS))
    for form in forms:
        if form.knows(head):
            return StatementReading(form(account, settings), chain(head, rows))
    known = ", ".join(form.name for form in forms)
    raise StatementRefused(f"it is no statement of {settings.gateway} that can be read; these are: {known}")
