"""Spreadsheets as they are and as somebody makes them who means harm: rows of text, or a refusal before long."""

import io
import re
import zipfile
from collections.abc import Callable

import pytest
from openpyxl import Workbook

from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.kit.statements import workbook
from tillkeeper.gateways.kit.statements.workbook import rows_of_workbook

SHEET = "xl/worksheets/sheet1.xml"


def a_workbook(
    change: Callable[[bytes], bytes] = bytes, rows=(("When", "Amount", "Note"), ("2026-11-22", "1.00", None))
):
    """A spreadsheet whose sheet is changed after it was written."""
    book = Workbook()
    for row in rows:
        book.active.append(row)
    written, changed = io.BytesIO(), io.BytesIO()
    book.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            target.writestr(entry.filename, change(content) if entry.filename == SHEET else content)
    changed.seek(0)
    return changed


def with_row(row: bytes, dimension: bytes = b"A1:C2"):
    """Puts a row behind the others, and says how large the sheet is."""
    return lambda sheet: sheet.replace(b"</sheetData>", row + b"</sheetData>").replace(b"A1:C2", dimension)


def without_dimension(sheet: bytes) -> bytes:
    return re.sub(rb"<dimension[^>]*/>", b"", sheet)


SIZES = {
    "as it is": bytes,
    "missing": without_dimension,
    "too small": with_row(b"", b"A1:A1"),
    "too great": with_row(b"", b"A1:XFD1048576"),
}


@pytest.mark.parametrize("size", sorted(SIZES))
def test_rows_are_as_wide_as_the_head_whatever_the_file_says_of_its_size(size):
    assert list(rows_of_workbook(a_workbook(SIZES[size]))) == [
        (1, ["When", "Amount", "Note"]),
        (2, ["2026-11-22", "1.00", ""]),
    ]


def test_empty_cells_behind_a_row_are_none_and_rows_keep_their_numbers():
    rows = [("A", "B"), (None, None), ("1", None, None, None), ("1", "2", "3")]
    assert list(rows_of_workbook(a_workbook(rows=rows))) == [
        (1, ["A", "B"]),
        (3, ["1", ""]),
        (4, ["1", "2", "3"]),
    ]


FAR = b'<row r="3"><c r="XFD3"><v>1</v></c></row>'
DEEP = b'<row r="999999999"><c r="A999999999"><v>1</v></c></row>'
LAUGHS = b"".join(b'<!ENTITY %c "%s">' % (98 + at, (b"&%c;" % (97 + at)) * 10) for at in range(8))
DOCTYPE = b'<!DOCTYPE w [<!ENTITY a "' + b"a" * 40 + b'">' + LAUGHS + b"]><worksheet"
ENTITY = b'<row r="3"><c r="A3" t="str"><v>&i;</v></c></row>'
BOMBS = {
    "a cell far to the right": (with_row(FAR), "line 3: a sheet has 1000 rows and 1024 columns at most"),
    "a row far below": (with_row(DEEP), "line 1001: a sheet has 1000 rows and 1024 columns at most"),
    "entities within entities": (
        lambda sheet: with_row(ENTITY)(sheet).replace(b"<worksheet", DOCTYPE, 1),
        "the spreadsheet cannot be read",
    ),
}


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_small_file_that_would_take_hours_is_refused(bomb, monkeypatch):
    monkeypatch.setattr(workbook, "ROWS_MAX", 1000)
    change, says = BOMBS[bomb]
    file = a_workbook(change)
    assert len(file.getvalue()) < 10_000
    with pytest.raises(StatementRefused) as refused:
        list(rows_of_workbook(file))
    assert says in str(refused.value)
