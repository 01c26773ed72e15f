"""Splits a table with separators into rows of cells, in constant memory, with the line where each row begins."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from typing import Final

from tillkeeper.domain.books.statement import StatementRefused

UTF_16: Final = "utf-16"
LINE_MAX: Final = 64 * 1024  # bytes or, in UTF-16, characters; the longest line of a known form has 2,000
HEAD_BYTES: Final = 64 * 1024  # from which charset and separator are told
SEPARATORS: Final = (",", "\t", ";")


def rows_of(file: io.BufferedReader) -> Iterator[tuple[int, Sequence[str]]]:
    """Yields (line, cells) of a table in UTF-8, UTF-16 with a mark, or GB18030.  Raises StatementRefused."""
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    charset = _charset_of(head)
    separator = _separator_of(head.decode(charset, errors="ignore"))
    reader = csv.reader(_lines(file, charset), delimiter=separator, strict=True)
    before = 0
    try:
        for cells in reader:
            if cells:
                yield before + 1, cells
            before = reader.line_num
    except csv.Error as error:
        raise StatementRefused(f"it is no table: {error}", line=before + 1) from None


def _lines(file: io.BufferedReader, charset: str) -> Iterator[str]:
    number = 0
    text = io.TextIOWrapper(file, charset, newline="") if charset == UTF_16 else _Decoded(file, charset)
    while True:
        number += 1
        try:
            line = text.readline(LINE_MAX + 1)
        except UnicodeDecodeError as error:
            raise StatementRefused(f"it is not {charset}: {error.reason}; export it anew", line=number) from None
        if not line:
            return
        if len(line) > LINE_MAX:
            raise StatementRefused(f"it has more than {LINE_MAX} characters", line=number)
        if "\0" in line:
            raise StatementRefused("it holds a NUL character, which no table does", line=number)
        yield line


class _Decoded:
    """Decodes a file line by line, so that the line of a wrong byte is known; lines of UTF-16 end otherwise."""

    def __init__(self, file: io.BufferedReader, charset: str) -> None:
        self._file = file
        self._charset = charset

    def readline(self, most: int) -> str:
        """Reads the next line, of so many bytes at most.  Raises UnicodeDecodeError."""
        line = self._file.readline(most)
        if len(line) == most:  # it may be cut within a character, and is refused for its length
            return line.decode(self._charset, errors="replace").ljust(most)
        return line.decode(self._charset)


def _charset_of(head: bytes) -> str:
    """Returns UTF-16 or UTF-8 with their marks, UTF-8 where that can be, else GB18030."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return UTF_16
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8-sig"


def _separator_of(head: str) -> str:
    """Returns the separator that stands most often at the beginning."""
    return max(SEPARATORS, key=head.count)
