"""docs/data.md lists every table and every column that can hold words, and says truly who may read whose data."""

import re
from pathlib import Path

import asyncpg
import pytest

from tests.personal_data import text_columns

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text()
ROLES = (ROOT / "deploy" / "roles.sql").read_text()
CLASSES = ("payer", "staff", "references", "else")


def rows_of(heading):
    """The rows of the table with that first column, as lists of cells."""
    after = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in after[2:]]


def names_in(cell):
    return re.findall(r"`(\w+)`", cell)


def listed():
    """Each column that the page lists, with its class: {(table, column): class}."""
    found = {}
    for table, _, *cells in rows_of("table | what"):
        for kind, cell in zip(CLASSES, cells, strict=True):
            for column in names_in(cell):
                assert (table.strip("`"), column) not in found, f"{table}.{column} is listed twice"
                found[table.strip("`"), column] = kind
    return found


async def test_every_column_that_can_hold_words_or_bytes_is_listed(pool):
    async with pool.acquire() as conn:
        columns = {(table, column) for table, column, _ in await text_columns(conn)}
    assert listed().keys() == columns


TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


async def test_every_table_has_its_size_and_its_time(pool):
    tables = {row["relname"] for row in await pool.fetch(TABLES)}
    assert {row[0].strip("`") for row in rows_of("table | what")} == tables
    assert {row[0].strip("`") for row in rows_of("table | rows")} == tables


@pytest.fixture
async def granted(database):
    """The database with its roles, which stand in no other database."""
    owner = await asyncpg.connect(database)
    await owner.execute(ROLES)
    names = re.findall(r"'(\w+)'", re.search(r"ARRAY\[(.+?)\]", ROLES)[1])
    yield owner, names
    await owner.execute("; ".join(f"DROP OWNED BY tillkeeper_{name}" for name in names))
    for name in ("run", *(name for name in names if name != "run")):
        await owner.execute(f"DROP ROLE tillkeeper_{name}")
    await owner.close()


async def test_who_may_read_what_a_payer_is_known_by_is_said_truly(granted):
    owner, names = granted
    payers = {f"{table}.{column}" for (table, column), kind in listed().items() if kind == "payer"}
    said = {row[0].strip("`"): said_of(row[1], payers) for row in rows_of("group")}
    assert said.keys() == set(names)
    for name in names:
        may = {column for column in payers if await owner.fetchval(MAY_READ, f"tillkeeper_{name}", *column.split("."))}
        assert may == said[name], name


MAY_READ = "SELECT has_column_privilege($1, $2, $3, 'SELECT')"


def said_of(cell, payers):
    """The columns that a cell of the page says may be read."""
    named = set(re.findall(r"`(\w+\.\w+)`", cell))
    return payers - named if cell.startswith("everything") else named
