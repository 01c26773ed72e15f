"""Tables of the command line on narrow and on wide terminals."""

import os
import re
import sys

import pytest

from tillkeeper.cli.output import print_table

COLUMNS = ("order", "status", ">amount", "accounts", "asked", "next", "cases", "owner")
ROW = (
    "ORDER-2026-11-30-000001",
    "processing 支付处理中",
    "12,900.00 CNY",
    "stripe-main",
    "1h 0m ago",
    "query in 5m",
    "",
    "mei",
)


@pytest.fixture
def printed(monkeypatch, capsys):
    """Prints a table at a width, and returns its lines."""

    def printed(width, *rows, columns=COLUMNS):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table("Orders", columns, rows)
        return capsys.readouterr().out.splitlines()

    return printed


def test_a_wide_terminal_has_a_line_for_each_row(printed):
    assert [line.split()[0] for line in printed(160, ROW, ROW) if line][-2:] == [ROW[0]] * 2


@pytest.mark.parametrize("width", [30, 60, 80, 160])
def test_no_word_is_cut_into_letters(printed, width):
    words = " ".join(printed(width, ROW)).split()
    assert [part for cell in ROW for part in cell.split() if part not in words] == []


def test_where_a_table_is_too_narrow_each_row_is_lines_of_names_and_values(printed):
    first, *lines = printed(60, ROW, ROW)
    assert (first, lines[0]) == ("Orders", "order     ORDER-2026-11-30-000001")
    assert "amount    12,900.00 CNY" in lines
    assert not any(line.startswith("cases") for line in lines)  # it is empty
    assert lines.count("") == 2


def test_a_table_of_two_columns_fits_a_narrow_terminal(printed):
    assert all(len(line) <= 80 for line in printed(80, ("events", "a word " * 40), columns=("what", "why")))


def test_without_rows_there_is_nothing(printed):
    assert printed(80) == []


def test_a_terminal_without_colours_is_shown_none(monkeypatch):
    controller, terminal = os.openpty()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with open(controller, "rb") as screen, open(terminal, "w") as stdout:  # noqa: PTH123 - descriptors
        monkeypatch.setattr(sys, "stdout", stdout)
        print_table("Orders", COLUMNS, [ROW])
        stdout.flush()
        shown = ""
        while "ORDER-2026-11-30-000001" not in shown:  # a terminal hands on what is written in parts
            shown += os.read(screen.fileno(), 65_536).decode()
    assert "ORDER-2026-11-30-000001" in shown
    assert re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7]|9[0-7]|38|48)[;m]", shown) is None
