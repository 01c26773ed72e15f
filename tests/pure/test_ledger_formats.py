"""The ledger as others read it: beancount's own parser judges, and the cells of CSV are what a spreadsheet shows."""

import csv
import io
import json
from datetime import UTC
from decimal import Decimal
from zoneinfo import ZoneInfo

from beancount import loader
from beancount.core.data import Open
from beancount.core.data import Transaction as OfBeancount
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import MINUTE, NOON, an_event
from tests.pure.domain.strategies import AN_ORDER, histories
from tillkeeper.cli.ledger_formats.names import major, name_of
from tillkeeper.cli.ledger_formats.plain_text import Beancount, Hledger
from tillkeeper.cli.ledger_formats.rows import COLUMNS, Csv, JsonLines
from tillkeeper.domain.books.ledger import Book, BookedEvent, LedgerAccount, transactions
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Order

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOSTILE = '=1+1;\n"A1" | (x), \\ \u202e<b>'


def journal(order, *events):
    booked = [BookedEvent(event=event, recorded_at=NOON + n * MINUTE) for n, event in enumerate(events)]
    return list(transactions(order, booked))


def written(writer, told, zone=UTC):
    lines = [*writer.begin()]
    for each in told:
        lines += writer.transaction(each, zone)
    return "\n".join(lines) + "\n"


def read_by_beancount(text):
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    return [each for each in entries if isinstance(each, OfBeancount)], [e for e in entries if isinstance(e, Open)]


def hostile_journal():
    order = Order(order_ref=HOSTILE, amount=100, currency="CNY", accounts=frozenset({"stripe-main"}))
    return journal(order, an_event(order_ref=HOSTILE, event_id=HOSTILE, payment_ref=HOSTILE))


def test_amounts_are_major_units_with_the_digits_of_their_currency():
    assert [major(-123456, "CNY"), major(500, "JPY"), major(1234, "KWD"), major(5, "CNY")] == [
        *("-1234.56", "500", "1.234", "0.05")
    ]
    assert major(5, "ZZZ") == "5"


def test_every_account_of_the_ledger_has_a_name():
    assert {name_of(LedgerAccount(book, "x" if book is Book.CLEARING else "")) for book in Book} == {
        "assets:gateways:x",
        "income:payers",
        "income:extra",
        "expenses:refunds",
        "expenses:chargebacks",
        "liabilities:suspense:mismatched",
        "liabilities:suspense:waiting",
    }


def test_a_transaction_for_hledger():
    (told,) = journal(AN_ORDER, an_event(event_id="evt_1"))
    assert written(Hledger(), [told], SHANGHAI).splitlines() == [
        "2026-11-22 * A1 | payment.succeeded",
        "    ; order: A1",
        "    ; account: stripe-main",
        "    ; payment: p1",
        "    ; event: evt_1",
        "    ; occurred: 2026-11-22T12:00:00+00:00",
        "    assets:gateways:stripe-main  1.00 CNY",
        "    income:payers  -1.00 CNY",
        "",
    ]


def test_a_day_is_that_of_the_zone():
    (told,) = journal(AN_ORDER, an_event())
    assert written(Hledger(), [told], ZoneInfo("Pacific/Auckland")).startswith("2026-11-23 ")


def test_what_waits_names_the_order_that_its_event_names():
    (told,) = journal(None, an_event(order_ref=None))
    assert written(Hledger(), [told]).startswith("2026-11-22 * payment.succeeded\n    ; account")


@given(histories, st.none() | st.just(AN_ORDER))
def test_beancount_reads_every_transaction_and_finds_that_they_balance(events, order):
    told = journal(order, *events)
    read, opened = read_by_beancount(written(Beancount(), told))
    assert len(read) == len(told)
    assert len(opened) == len({each.account for one in told for each in one.postings})
    said = [[(name_of(each.account).lower(), each.currency, amount_of(each)) for each in one.postings] for one in told]
    assert said == [
        [(each.account.lower(), each.units.currency, each.units.number) for each in one.postings] for one in read
    ]


def amount_of(posting):
    return Decimal(major(posting.minor, posting.currency))


def test_beancount_reads_hostile_text_as_text():
    (read,), _ = read_by_beancount(written(Beancount(), hostile_journal()))
    assert read.payee == read.meta["payment"] == HOSTILE.replace("\n", "\\n").replace("\u202e", "\\u202e")


def test_hostile_text_breaks_no_line_of_hledger_and_begins_no_comment():
    lines = written(Hledger(), hostile_journal()).splitlines()
    assert lines[0].startswith('2026-11-22 * =1+1_\\n"A1" _ _x__ \\ \\u202e<b> | payment.succeeded')
    assert [line[:6] for line in lines[1:6]] == ["    ; "] * 5


def test_csv_has_a_row_for_each_posting_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(written(Csv(), hostile_journal()))))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["ledger_account"], row["debit"], row["credit"]) for row in rows] == [
        ("assets:gateways:stripe-main", "1.00", ""),
        ("income:payers", "", "1.00"),
    ]
    assert {row["order"][:2] for row in rows} == {"'="}


def test_json_has_a_line_for_each_transaction():
    told = journal(AN_ORDER, an_event(event_id="evt_1"), an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="r1", amount=40))
    first, last = map(json.loads, written(JsonLines(), told).splitlines())
    assert (first["day"], first["event"], first["kind"]) == ("2026-11-22", "evt_1", "payment.succeeded")
    assert last["postings"] == [
        {"account": "expenses:refunds", "amount": 40, "currency": "CNY"},
        {"account": "assets:gateways:stripe-main", "amount": -40, "currency": "CNY"},
    ]
