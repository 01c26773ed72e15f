"""`tillkeeper report` as a person starts it; openpyxl and a reader of PDF judge what is written."""

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal

import pytest
from openpyxl import load_workbook

from tests.monthly import a_random_quarter
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.monthly.tables import TABLES

OCTOBER = ("--month", "2026-10")


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


@pytest.fixture
async def quarter(pool):
    async with pool.acquire() as conn:
        await a_random_quarter(conn, "a report", orders=200)


async def report(config, *arguments):
    return await tillkeeper("report", *arguments, "--config", config)


async def tables(config, *arguments):
    shown = await report(config, *OCTOBER, "--json", *arguments)
    return {table["name"]: table["rows"] for table in json.loads(shown.out)["tables"]}


async def test_before_anything_is_made_it_says_who_makes_it(config):
    shown = await report(config)
    assert shown.code == 0
    assert "tillkeeper sweep makes them" in shown.out


@pytest.mark.usefixtures("quarter")
@pytest.mark.parametrize(
    ("language", "says"),
    [("en", ("Report of 2026-10", "Success", "At risk")), ("zh", ("2026-10 月报", "成功率", "风险金额"))],
    ids=["en", "zh"],
)
async def test_people_read_it_in_their_language(config, language, says):
    shown = await report(config, *OCTOBER, "--lang", language)
    assert shown.code == 0, shown.err
    for part in says:
        assert part in shown.out


@pytest.mark.usefixtures("quarter")
async def test_the_spreadsheet_has_the_figures_as_numbers(config, tmp_path):
    file = tmp_path / "october.xlsx"
    assert (await report(config, *OCTOBER, "--format", "xlsx", "--output", file)).code == 0
    book, expected = load_workbook(file), await tables(config)
    rows = list(book["By account"].iter_rows(values_only=True))
    assert [row[2] for row in rows[1:]] == [row["tried"] for row in expected["accounts"]]
    assert all(isinstance(row[6], int | float) for row in rows[1:])
    assert not [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


@pytest.mark.usefixtures("quarter")
async def test_a_table_alone_as_csv_has_amounts_in_major_units(config):
    shown = await report(config, *OCTOBER, "--format", "csv", "--table", "totals")
    name, head, *rows = csv.reader(io.StringIO(shown.out.lstrip("\ufeff")))
    assert name == ["totals"]
    found = {row[0]: Decimal(row[head.index("paid_minor")]) for row in rows}
    expected = {row["currency"]: row["paid_minor"] for row in (await tables(config))["totals"]}
    assert found["JPY"] == expected["JPY"]
    assert found["CNY"] * 100 == expected["CNY"]
    assert found["KWD"] * 1000 == expected["KWD"]


@pytest.mark.usefixtures("quarter")
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_paper_has_all_tables(config, tmp_path, language):
    html, pdf = tmp_path / "october.html", tmp_path / "october.pdf"
    for file in (html, pdf):
        form = file.suffix.removeprefix(".")
        shown = await report(config, *OCTOBER, "--format", form, "--output", file, "--lang", language)
        assert shown.code == 0, shown.err
    filled = [name for name, rows in (await tables(config)).items() if rows]
    assert html.read_text().count("<h2>") == len(filled) + 1  # and the advice
    assert "<script" not in html.read_text()
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert pdf.read_bytes().rstrip().endswith(b"%%EOF")


@pytest.mark.usefixtures("quarter")
async def test_programs_read_one_line_and_one_account_alone(config):
    found = await tables(config, "--account", "stripe-main")
    assert {row["account"] for row in found["accounts"]} == {"stripe-main"}
    assert set(found) == {table.key for table in TABLES}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--month", "2026-13"), "'2026-13' is no month; write one as 2026-10"),
        (("--table", "sums"), "'sums' is none; there are totals, accounts"),
        (("--account", "nobody"), "nobody"),
        (("--format", "html", "--output", "/nowhere/october.html"), "No such file or directory"),
    ],
)
async def test_what_is_wrong_is_said(config, arguments, says):
    shown = await report(config, *arguments)
    assert shown.code == 2
    assert says in shown.err


@pytest.mark.parametrize("form", ["xlsx", "pdf"])
def test_without_the_extra_it_says_what_to_install(config, tmp_path, form):
    """As on a machine where only `tillkeeper` was installed."""
    hidden = (
        "import sys; sys.modules['openpyxl'] = sys.modules['reportlab'] = None; from tillkeeper.cli import main; main()"
    )
    command = [sys.executable, "-c", hidden, "report", *OCTOBER, "--format", form, "--config", str(config)]
    ended = subprocess.run([*command, "--output", str(tmp_path / "o")], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "pip install 'tillkeeper[reports]'" in ended.stderr
