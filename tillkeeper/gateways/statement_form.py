"""Defines a form of statement: known by its first rows, it turns the rows of a file into lines of one meaning.

A gateway lists its forms in `statement_forms`.  Unpacking, decoding and splitting a file into rows is the kit's.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, Protocol

import msgspec

from tillkeeper.domain.books.statement import Statement, StatementLine
from tillkeeper.gateways.account import AccountModel

HEAD_ROWS: Final = 12  # a form is known by this many rows from the beginning, comments included


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row of a file as its cells, with spaces and marks as they stand there."""

    number: int  # the line in the file, from 1, where the row begins
    cells: Sequence[str]


class StatementForm(Protocol):
    """One form of file that a gateway publishes, such as `wechatpay.trade`; one object reads one file, once."""

    name: ClassVar[str]

    def __init__(self, account: str, settings: AccountModel) -> None: ...

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether a file that begins with these rows is of this form.  Raises nothing."""
        ...

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields the lines, in constant memory.  Raises StatementRefused, at the latest at the end of the rows, where
        counts and totals are compared with what the file says of itself."""
        ...

    def statement(self) -> Statement:
        """Returns what the file says of itself; only after `lines` ended."""
        ...
