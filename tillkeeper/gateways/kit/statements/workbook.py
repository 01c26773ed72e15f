"""Reads the first sheet of a spreadsheet (XLSX) as rows of text, within limits; its texts alone are held in memory."""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import BinaryIO, Final

from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.kit.statements.unpacking import RATIO_FROM, RATIO_MAX, ZIP_MAGIC

MARK: Final = "[Content_Types].xml"  # a zip with it is a document of an office's program
BYTES_MAX: Final = 512 * 1024**2
ROWS_MAX: Final = 1_048_576  # no spreadsheet has more; a file of 6 KB can name row 999,999,999
COLUMNS_MAX: Final = 1_024  # no export has as many; a cell far to the right would make each row as wide
WITH_TIME: Final = "%Y-%m-%d %H:%M:%S"  # how cells that hold times are written


def is_workbook(file: BinaryIO) -> bool:
    """Says whether a file, which can be sought in, is a spreadsheet; leaves it at its beginning."""
    magic = file.read(len(ZIP_MAGIC))
    file.seek(0)
    if magic != ZIP_MAGIC:
        return False
    try:
        return MARK in zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return False
    finally:
        file.seek(0)


def rows_of_workbook(file: BinaryIO) -> Iterator[tuple[int, Sequence[str]]]:
    """Yields (row, cells) of the first sheet, without empty rows.  Raises StatementRefused."""
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - an extra of the distribution
    except ModuleNotFoundError:
        raise StatementRefused(
            "spreadsheets need what is not installed: pip install 'tillkeeper[reports]', or export it as CSV"
        ) from None
    _refuse_bomb(file)
    try:
        book = load_workbook(file, read_only=True, data_only=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may be anything, or missing
        yield from _written(sheet.iter_rows(values_only=True))
    except StatementRefused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes a library for XML and zips raise
        raise StatementRefused(f"the spreadsheet cannot be read: {type(error).__name__}; save it anew") from None


def _written(rows: Iterable[Sequence[object]]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yields the rows that have something, each as wide as the widest before: cells at an end may not be stored."""
    width = 0
    for number, cells in enumerate(rows, 1):
        if number > ROWS_MAX or len(cells) > COLUMNS_MAX:
            says = f"a sheet has {ROWS_MAX} rows and {COLUMNS_MAX} columns at most; copy the table to a new one"
            raise StatementRefused(says, line=number)
        texts = [_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if texts:
            width = max(width, len(texts))
            yield number, texts + [""] * (width - len(texts))


def _refuse_bomb(file: BinaryIO) -> None:
    packed_bytes = file.seek(0, 2)
    file.seek(0)
    unpacked_bytes = sum(entry.file_size for entry in zipfile.ZipFile(file).infolist())
    file.seek(0)
    most = min(BYTES_MAX, max(RATIO_FROM, packed_bytes * RATIO_MAX))
    if unpacked_bytes > most:
        raise StatementRefused(f"it unpacks to more than {most} bytes, which no statement does")


def _text(cell: object) -> str:
    """Writes a cell as CSV would have it; a float to as many digits as spreadsheets keep."""
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).upper()
        case float():
            return format(Decimal(f"{cell:.15g}"), "f")
        case datetime():
            return cell.strftime(WITH_TIME)
        case date() | time():
            return cell.isoformat()
        case _:
            return str(cell)
