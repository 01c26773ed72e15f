"""Any table is read by a mapping as what it says, and refused with its line where it says something else."""

import contextlib
import io
import sys
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.statement_writers.exports import PAYPAL, a_csv, a_workbook, paypal_row
from tillkeeper.domain.books.statement import LineKind, StatementRefused
from tillkeeper.gateways.kit.statements.workbook import rows_of_workbook
from tillkeeper.gateways.mapped_statement import MappedTable, StatementMapping
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.gateways.stripe.settings import StripeSettings

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SETTINGS = StripeSettings.model_validate({"gateway": "stripe", "webhook_secrets": ["whsec_of_the_books_1234"]})
HEAD = ("When", "What", "Sum", "Order", "Number", "Costs")
PLAIN = {
    "columns": {
        "occurred_at": "When",
        "kind": "What",
        "amount": "Sum",
        "order": "Order",
        "payment": "Number",
        "fee": "Costs",
    },
    "kinds": {"sale": "payment", "return": "refund", "note": "ignore", "to bank": "payout"},
    "currency": "EUR",
}


def mapping(**changes):
    return StatementMapping.model_validate({**PLAIN, **changes})


def a_row(what="sale", amount="12.90", *, at="2026-11-22 12:00:00", order="ORDER-1", number="P-1", costs=""):
    return {"When": at, "What": what, "Sum": amount, "Order": order, "Number": number, "Costs": costs}


def read(content, mapped):
    reading = read_statement((), "paypal-main", SETTINGS, io.BytesIO(content), mapped)
    lines = list(reading.lines())
    return lines, reading.statement()


def refusal(content, mapped):
    with pytest.raises(StatementRefused) as caught:
        read(content, mapped)
    return str(caught.value)


def of(*rows, head=HEAD, **written):
    return a_csv(rows, head, **written)


def test_a_row_is_read_by_the_names_of_its_columns():
    (sale, back), statement = read(of(a_row(costs="0.35"), a_row("return", "-5"), a_row("note", "x")), mapping())
    assert (sale.kind, sale.amount, sale.currency, sale.fee) == (LineKind.PAYMENT, 1290, "EUR", 35)
    assert (sale.order_ref, sale.payment_ref, sale.occurred_at, sale.number) == ("ORDER-1", "P-1", AT, 2)
    assert (back.kind, back.amount, back.fee, back.net) == (LineKind.REFUND, -500, None, None)
    assert (statement.lines, statement.begins, statement.ends) == (2, AT, AT + timedelta(seconds=1))
    assert (statement.form, statement.zone, statement.covers) == ("mapped", "UTC", frozenset())


def test_a_table_of_paypals_is_read():
    """Its rows name day and time apart, a refund its payment, and amounts as Germans write them."""
    rows = [
        paypal_row("Express Checkout Payment", "1.234,50", at=AT, fee="-12,34", net="1.222,16"),
        paypal_row("Payment Refund", "-34,50", at=AT, ref="R1", of="8AB12345CD678901E"),
        paypal_row("General Withdrawal", "-1.000,00", at=AT, ref="W1", invoice=""),
    ]
    mapped = StatementMapping.model_validate(
        {
            "columns": {
                "occurred_at": "Date",
                "kind": "Type",
                "amount": "Gross",
                "net": "Net",
                "currency": "Currency",
                "order": "Invoice Number",
                "payment": "Transaction ID",
                "refund": "Reference Txn ID",
            },
            "kinds": {
                "Express Checkout Payment": "payment",
                "Payment Refund": "refund",
                "General Withdrawal": "payout",
            },
            "time_format": "%d/%m/%Y",
            "zone": "Europe/London",
            "decimal": ",",
            "thousands": ".",
            "covers": ["payment", "refund"],
        }
    )
    lines, statement = read(a_csv(rows, PAYPAL), mapped)
    assert [line.amount for line in lines] == [123_450, -3450, -100_000]
    assert [line.kind for line in lines] == [LineKind.PAYMENT, LineKind.REFUND, LineKind.PAYOUT]
    assert (lines[0].occurred_at, lines[0].settled_on, lines[0].net) == (None, date(2026, 11, 22), 122_216)
    assert statement.ends - statement.begins == timedelta(days=1)
    assert statement.covers == {LineKind.PAYMENT, LineKind.REFUND}


@pytest.mark.parametrize(
    ("changes", "columns", "row", "amount"),
    [
        ({"unsigned": True}, {}, a_row("return", "5.00"), -500),
        ({"unsigned": True}, {}, a_row("sale", "-5.00"), 500),
        ({"unsigned": True}, {}, a_row("to bank", "5.00"), -500),
        ({"minor_units": True}, {}, a_row("sale", "1290"), 1290),
        ({"thousands": "'"}, {}, a_row("sale", "1'290.00"), 129_000),
        ({"decimal": ",", "thousands": " "}, {}, a_row("sale", "1 290,5"), 129_050),
        ({}, {}, a_row("return", "(5.00)"), -500),
    ],
)
def test_amounts_are_read_as_the_mapping_says(changes, columns, row, amount):
    ((line,), _) = read(of(row, separator=";"), mapping(**changes))
    assert line.amount == amount


def test_credit_and_debit_may_stand_apart():
    columns = {"occurred_at": "When", "credit": "In", "debit": "Out", "payment": "Number"}
    mapped = StatementMapping.model_validate({"columns": columns, "kind": "payment", "currency": "EUR"})
    rows = [
        {"When": "2026-11-22 12:00:00", "In": "5.00", "Number": "1"},
        {"When": "2026-11-22 12:00:00", "Out": "2.00"},
    ]
    lines, _ = read(a_csv(rows, ("When", "In", "Out", "Number")), mapped)
    assert [(line.amount, line.payment_ref) for line in lines] == [(500, "1"), (-200, None)]


def test_what_stands_above_and_below_the_table_is_no_line():
    content = of(a_row(), above=["Export of the shop", "made by hand"], below=["Total 12.90", "anything"])
    lines, _ = read(content, mapping(ends_with=("Total",)))
    assert [line.number for line in lines] == [4]
    content = of(a_row(), below=["", ""])
    assert len(read(content, mapping())[0]) == 1


def test_times_are_of_their_zone_or_say_it_themselves():
    ((line,), statement) = read(of(a_row()), mapping(zone="Asia/Shanghai"))
    assert (line.occurred_at, statement.zone) == (AT - timedelta(hours=8), "Asia/Shanghai")
    row = a_row(at="2026-11-22T23:30:00+0100")
    ((line,), _) = read(of(row), mapping(time_format="%Y-%m-%dT%H:%M:%S%z", zone="Asia/Shanghai"))
    assert (line.occurred_at, line.settled_on) == (AT.replace(hour=22, minute=30), date(2026, 11, 23))


@pytest.mark.parametrize(
    ("rows", "changes", "says"),
    [
        (
            [a_row("gift")],
            {},
            "line 2: What has a word that [kinds] does not have; add it, or ignore it; here it is 'gift'",
        ),
        ([a_row(), a_row(amount="x")], {}, "line 3: Sum is no amount"),
        ([a_row(amount="1,290.00")], {}, "Sum is no amount"),
        ([a_row(amount="1.290")], {"decimal": ","}, "Sum is no amount"),
        ([a_row(amount="1,290.5,0")], {"thousands": ","}, "Sum is no amount"),
        ([a_row(amount="12.905")], {}, "Sum is no amount"),
        ([a_row(amount="12.90")], {"minor_units": True}, "minor units are whole"),
        ([a_row(amount="=SUM(A1)")], {}, "Sum is no amount"),
        ([a_row(order="=HYPERLINK(1)")], {}, "Order is a formula; export values; here it is '=HYPERLINK(1)'"),
        ([a_row(at="22.11.2026")], {}, "When is a time such as 2026-11-22 13:05:07; here it is '22.11.2026'"),
        ([a_row(at="2026-02-30 12:00:00")], {}, "When is a time such as"),
        ([a_row(at="0001-01-01 00:00:00")], {}, "When is a time such as"),
        ([a_row("note")], {}, "the table has no line"),
    ],
)
def test_what_a_cell_cannot_be_is_refused_with_its_line(rows, changes, says):
    assert says in refusal(of(*rows), mapping(**changes))


def test_a_currency_of_the_table_must_be_one():
    columns = {**PLAIN["columns"], "currency": "Costs"}
    del columns["fee"]
    changes = {"columns": columns, "currency": None}
    ((line,), _) = read(of(a_row(costs="jpy", amount="12")), mapping(**changes))
    assert (line.amount, line.currency) == (12, "JPY")
    assert "Costs is a currency of ISO 4217" in refusal(of(a_row(costs="EURO")), mapping(**changes))


def test_a_table_that_is_cut_or_another_is_refused():
    whole = of(a_row(), a_row())
    assert "line 3: it has 1 cells, and the head 6" in refusal(whole[: whole.rindex(b"12:00") + 2], mapping())
    assert "and tables with the columns When, What" in refusal(of(a_row(), head=HEAD[:3]), mapping())
    with pytest.raises(StatementRefused, match="no row has the columns When, What"):
        list(MappedTable("a", mapping()).lines(iter(())))
    assert "the column When is there more than once" in refusal(of(a_row(), head=(*HEAD, "When")), mapping())
    with pytest.raises(StatementRefused, match=r"\[books.statements.ACCOUNT\] says how any table is read"):
        read_statement((), "paypal-main", SETTINGS, io.BytesIO(whole))


NO_MAPPINGS = [
    ({"columns": {"occurred_at": "When", "kind": "What"}}, "name amount, or both credit and debit"),
    ({"columns": {**PLAIN["columns"], "credit": "In", "debit": "Out"}}, "name amount, or both credit and debit"),
    ({"columns": {"amount": "Sum", "kind": "What"}}, "name occurred_at"),
    ({"kind": "payment"}, "name the column of the kind in columns"),
    ({"kinds": {}}, "say what each word of the column means"),
    ({"currency": None}, "name the column of the currency"),
    ({"currency": "XYZ"}, "XYZ is none of ISO 4217"),
    ({"decimal": ",", "thousands": ","}, "the same sign"),
    ({"columns": {**PLAIN["columns"], "payment": "Order"}}, "two fields name the same column"),
    ({"zone": "Mars/Olympus"}, "is no time zone"),
    ({"time_format": "%H:%M"}, "does not say year, month and day"),
    ({"time_format": "%Y-%m-%d %"}, "cannot be read back"),
]


@pytest.mark.parametrize(("changes", "says"), NO_MAPPINGS, ids=[says for _, says in NO_MAPPINGS])
def test_a_mapping_that_cannot_work_is_refused_at_the_start(changes, says):
    with pytest.raises(ValidationError, match=says.replace("[", r"\[")):
        mapping(**changes)


# --- spreadsheets -----------------------------------------------------------------------------------------------------


def test_a_spreadsheet_is_read_as_the_same_table():
    rows = [
        a_row(at=AT.replace(tzinfo=None), amount=12.9, number=4711, costs=0.35),
        a_row("return", -5, at=AT.replace(tzinfo=None)),
        {},
        a_row("note", True, at=date(2026, 11, 22), costs=time(12, 30)),
    ]
    lines, _ = read(a_workbook(rows, HEAD, above=["Export"]), mapping())
    assert [(line.amount, line.occurred_at, line.number) for line in lines] == [(1290, AT, 3), (-500, AT, 4)]
    assert (lines[0].payment_ref, lines[0].fee) == ("4711", 35)


def test_a_formula_of_a_spreadsheet_is_refused():
    assert "Order is a formula" in refusal(a_workbook([a_row(order="=1+1")], HEAD), mapping())
    assert "Sum is no amount" in refusal(a_workbook([a_row(amount="=1+1")], HEAD), mapping())


def test_a_spreadsheet_that_is_damaged_or_a_bomb_is_refused():
    whole = a_workbook([a_row()], HEAD)
    inside = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = b"<broken" if name.startswith("xl/worksheets/") else source.read(name)
            target.writestr(name, content)
    assert "the spreadsheet cannot be read" in refusal(inside.getvalue(), mapping())
    with zipfile.ZipFile(inside, "a", zipfile.ZIP_DEFLATED) as target:
        target.writestr("xl/more.xml", b" " * 20 * 1024**2)
    assert "it unpacks to more than" in refusal(inside.getvalue(), mapping())
    assert "the zip cannot be read" in refusal(whole[:-30], mapping())


def test_without_its_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(StatementRefused, match=r"pip install 'tillkeeper\[reports\]'"):
        list(rows_of_workbook(io.BytesIO(GOOD[1])))


# --- whatever is written is read --------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["sale", "return", "to bank"]),
        st.integers(-(10**9), 10**9),
        st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0)),  # noqa: DTZ001
        st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30)
@given(ROWS, st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]), st.booleans())
def test_what_is_written_is_read(rows, zone, as_workbook):
    written = [a_row(what, str(Decimal(minor).scaleb(-2)), at=f"{at}", order=ref) for what, minor, at, ref in rows]
    content = a_workbook(written, HEAD) if as_workbook else of(*written)
    lines, statement = read(content, mapping(zone=zone))
    expected = [(PLAIN["kinds"][what], minor, ref) for what, minor, _, ref in rows]
    assert [(line.kind, line.amount, line.order_ref) for line in lines] == expected
    moments = [at.replace(tzinfo=ZoneInfo(zone)) for *_, at, _ in rows]
    assert [line.occurred_at for line in lines] == [at.astimezone(UTC) for at in moments]
    assert statement.lines == len(rows)


GOOD = [of(a_row(), a_row("return", "-5")), a_workbook([a_row()], HEAD)]  # once: a workbook has the time in it


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_altered_gives_lines_or_a_refusal(data):
    content = bytearray(data.draw(st.sampled_from(GOOD)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(StatementRefused):
        read(bytes(content[: data.draw(st.integers(0, len(content)))]), mapping())
