"""Statements of bank accounts are read as their banks write them, and refused where they do not add up."""

import contextlib
import gzip
import io
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.statement_writers.bank import IBAN, camt, mt940
from tests.statement_writers.exports import a_csv, a_workbook
from tillkeeper.banks.reading import bank_statements
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.mapped_statement import StatementMapping

DAY = date(2026, 11, 23)
LATER = date(2026, 11, 24)
ENTRIES = ((123_456, DAY, "STRIPE PAYOUT po_1Abc 9XyZ"), (-5_000, LATER, "Rent & more <of> November"))
MAPPING = StatementMapping.model_validate(
    {
        "columns": {"occurred_at": "Day", "amount": "Sum", "text": "Text", "payment": "Number"},
        "kind": "adjustment",
        "currency": "EUR",
        "time_format": "%d.%m.%Y",
        "decimal": ",",
    }
)


def read(content, mapping=None):
    return list(bank_statements(io.BytesIO(content), mapping))


def refusal(content, mapping=None):
    with pytest.raises(StatementRefused) as caught:
        read(content, mapping)
    return str(caught.value)


@pytest.mark.parametrize("version", ["02", "04", "08", "13"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_camt_053_of_each_version_is_read(version, pack):
    (statement,) = read(pack(camt(ENTRIES, day=DAY, last=LATER, version=version, count=2)))
    assert (statement.iban, statement.currency, statement.begins, statement.ends) == (IBAN, "EUR", DAY, LATER)
    assert (statement.opening, statement.closing) == (100_000, 218_456)
    first, second = statement.entries
    assert (first.amount, first.booked_on, first.reference) == (123_456, DAY, "REF202611230001")
    assert "STRIPE PAYOUT po_1Abc 9XyZ" in first.text
    assert "A Payment Company Ltd" in first.text
    assert (second.amount, "Rent & more <of> November" in second.text) == (-5_000, True)


def test_what_is_only_announced_is_no_entry():
    (statement,) = read(camt(ENTRIES[:1], day=DAY, pending=[(7, DAY, "later")]))
    assert len(statement.entries) == 1


@pytest.mark.parametrize("structured", [False, True], ids=["free", "structured"])
@pytest.mark.parametrize("ending", ["\r\n", "\n"], ids=["crlf", "lf"])
def test_mt940_is_read(structured, ending):
    (statement,) = read(mt940(ENTRIES, day=LATER, structured=structured, ending=ending))
    assert (statement.iban, statement.number, statement.begins, statement.ends) == (IBAN, "328/1", DAY, LATER)
    first, second = statement.entries
    assert (first.amount, first.booked_on, first.reference) == (123_456, DAY, "BREF00001")
    assert "po_1Abc9XyZ" in first.text.replace(" ", "")
    assert (second.amount, statement.closing) == (-5_000, 218_456)


def test_a_file_may_hold_many_days():
    days = mt940(ENTRIES[:1], day=DAY) + mt940(ENTRIES[1:], day=LATER, opening=223_456)
    assert [(each.begins, len(each.entries)) for each in read(days)] == [(DAY, 1), (LATER, 1)]


def test_a_booking_beside_new_year_is_of_the_nearer_year():
    content = mt940([(100, date(2027, 1, 1), "x")], day=date(2026, 12, 31)).replace(
        b":61:2701010101", b":61:2612310101"
    )
    ((entry,),) = [each.entries for each in read(content)]
    assert entry.booked_on == date(2027, 1, 1)


def test_an_entry_may_be_reversed_and_have_no_day_of_booking():
    content = mt940([(-100, DAY, "x")], day=DAY).replace(b"1123DR", b"RCR")
    ((entry,),) = [each.entries for each in read(content)]
    assert (entry.amount, entry.booked_on) == (-100, DAY)


@pytest.mark.parametrize("write", [a_csv, a_workbook])
def test_a_table_is_read_by_its_mapping(write):
    rows = [
        {"Day": "23.11.2026", "Sum": "1234,56", "Text": "STRIPE po_1", "Number": "N1"},
        {"Day": "24.11.2026", "Sum": "-50,00", "Text": "Rent"},
    ]
    (statement,) = read(write(rows, ("Day", "Sum", "Text", "Number")), MAPPING)
    assert [entry.amount for entry in statement.entries] == [123_456, -5_000]
    assert (statement.begins, statement.ends, statement.opening) == (DAY, LATER, None)
    assert statement.entries[0].text == "STRIPE po_1 N1"


CAMT, MT940 = camt(ENTRIES, day=DAY, last=LATER), mt940(ENTRIES, day=LATER)
WRONG = {
    "the balances differ": (camt(ENTRIES, day=DAY, closing=1), "the entries add up to 118456"),
    "fewer entries": (camt(ENTRIES, day=DAY, count=3), "it says 3 entries, and has 2"),
    "a doctype": (camt((), day=DAY, above="<!DOCTYPE a [<!ENTITY b 'c'>]>"), "a DOCTYPE or an entity"),
    "cut": (CAMT[:-40], "it is no whole XML"),
    "another message": (CAMT.replace(b"camt.053", b"camt.052"), "its namespace is not"),
    "no statement": (b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"/>', "no statement of camt.053"),
    "no currency": (CAMT.replace(b'Ccy="EUR"', b'Ccy="XYZ"'), "'XYZ', which is none of ISO 4217"),
    "no side": (CAMT.replace(b"<CdtDbtInd>DBIT", b"<CdtDbtInd>NONE"), "is neither CRDT nor DBIT"),
    "no amount": (CAMT.replace(b">1234.56<", b">1.234,56<"), "here it is '1.234,56'"),
    "no day": (CAMT.replace(b"<BookgDt><Dt>2026-11-24", b"<BookgDt><Dt>24.11.2026"), "BookgDt is a day such as"),
    "no day at all": (
        CAMT.replace(b"<BookgDt><Dt>2026-11-24</Dt></BookgDt><ValDt><Dt>2026-11-24</Dt></ValDt>", b""),
        "entry 2 has no day",
    ),
    "another currency": (
        CAMT.replace(b'<Ntry><Amt Ccy="EUR">50.00', b'<Ntry><Amt Ccy="USD">50.00'),
        "entry 2 is in USD, and the account in EUR",
    ),
    "another charset": (CAMT.replace(b"UTF-8", b"ATF-8"), "it declares a charset that it is not in"),
    "deep": (CAMT.replace(b"<GrpHdr>", b"<GrpHdr>" + b"<a>" * 50 + b"</a>" * 50), "nest more than 40 deep"),
    "mt940's balances differ": (mt940(ENTRIES, day=DAY, closing=1), "the entries add up to 118456"),
    "mt940 cut": (mt940(ENTRIES, day=DAY, cut=[":62F"]), "line 1: a statement has 0 fields :62F: or :62M:"),
    "mt940 ends otherwise": (MT940.replace(b":62F:C261124EUR", b":62F:C261124USD"), "begins in EUR and ends in USD"),
    "mt940 no balance": (MT940.replace(b":60F:C", b":60F:X"), ":60F: is no balance such as"),
    "mt940 no entry": (MT940.replace(b"CR1234,56", b"CRabc"), ":61: is no entry such as"),
    "mt940 no day": (MT940.replace(b":61:261123", b":61:261399"), "261399 is no day"),
    "mt940 no day of booking": (MT940.replace(b":61:2611231123", b":61:2611231399"), "1399 is no month and day"),
    "mt940 no currency": (MT940.replace(b"EUR", b"XYZ"), "XYZ is no currency of ISO 4217"),
    "mt940 no amount": (MT940.replace(b"CR1234,56", b"CR1234,567"), "here it is '1234,567'"),
    "mt940 without a field": (b"{1:F01BANK}", "it holds no field such as :20:"),
    "neither": (b"Day;Sum\n1;2\n", "it is neither camt.053 nor MT940; [banks.NAME.table] says"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_and_said(name):
    content, says = WRONG[name]
    assert says in refusal(content)


def test_a_statement_without_entries_or_its_days_is_read_by_its_balances():
    (statement,) = read(camt((), day=DAY))
    assert (statement.begins, statement.ends, statement.entries) == (DAY, DAY, ())
    (statement,) = read(mt940((), day=DAY))
    assert (statement.begins, statement.entries) == (DAY, ())
    bare = camt((), day=DAY).replace(b"FrToDt", b"Ignored").replace(b"PRCD", b"OPBD")
    assert read(bare)[0].begins == DAY
    nothing = bare.replace(b"<Dt><Dt>2026-11-23</Dt></Dt>", b"")
    assert "it says neither its days" in refusal(nothing)
    latin = mt940([(1, DAY, "Gebühr")], day=DAY).replace("ü".encode(), b"\xfc")
    assert "Gebühr" in read(latin)[0].entries[0].text


@settings(max_examples=150)
@given(st.data())
def test_whatever_is_altered_gives_statements_or_a_refusal(data):
    content = bytearray(data.draw(st.sampled_from([CAMT, MT940])))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(StatementRefused):
        read(bytes(content[: data.draw(st.integers(0, len(content)))]), MAPPING)
