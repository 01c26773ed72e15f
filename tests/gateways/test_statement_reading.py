"""Files of statements are unpacked, decoded and split, or refused with their line; nothing else comes of any bytes."""

import contextlib
import gzip
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plain_statement import PlainForm, plain
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.kit.statements import unpacking
from tillkeeper.gateways.kit.statements.rows import LINE_MAX, rows_of
from tillkeeper.gateways.kit.statements.unpacking import unpacked
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.gateways.stripe.settings import StripeSettings

SETTINGS = StripeSettings.model_validate({"gateway": "stripe", "webhook_secrets": ["whsec_of_the_books_1234"]})
TABLE = plain(("payment", 100, "A1", "pi_1"), ("payment", 5, "订单", "pi_2"))


def rows(content):
    return [(number, list(cells)) for number, cells in rows_of(unpacked(io.BytesIO(content)))]


def zipped(*names, content=b"a,b\n"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(
                zipfile.ZipInfo(name), content
            )  # of 1980: one of now would name the tests otherwise each time
    return packed.getvalue()


def read(content, forms=(PlainForm,)):
    reading = read_statement(forms, "stripe-main", SETTINGS, io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda content: zipped("bill.csv", content=content)])
def test_a_file_is_read_however_it_is_written_and_packed(charset, pack):
    lines, statement = read(pack(TABLE.encode(charset)))
    assert [(line.number, line.order_ref) for line in lines] == [(2, "A1"), (3, "订单")]
    assert (statement.form, statement.lines) == ("plain.trade", 2)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_lines_are_those_that_an_editor_shows(separator):
    text = 'a,"b\r\nc",d\r\n\r\ne,f,g\r\n'.replace(",", separator)
    assert rows(text.encode()) == [(1, ["a", "b\r\nc", "d"]), (4, ["e", "f", "g"])]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b\n" + b"x" * (LINE_MAX + 1), "line 2: it has more than 65536 characters"),
        (b"a,b\nc,\0\n", "line 2: it holds a NUL character"),
        (b'a,b\n"c"d,e\n', "line 2: it is no table: "),
        (b"a,b\n" * 100_000 + b"\xff\xff\n", "line 100001: it is not utf-8"),
        (b"a,\xd6\xd0\n" * 9 + b"\xff\xff\n", "line 10: it is not gb18030"),
        (gzip.compress(b"a,b\n" * 1000, mtime=0)[:-20], "the packed file is damaged or cut"),
        (zipped("a.csv", "b.csv"), "the zip holds 2 files"),
        (zipped("folder/"), "the zip holds 0 files"),
        (zipped("a.csv")[:-30], "the zip cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(content, says):
    with pytest.raises(StatementRefused) as refused:
        rows(content)
    assert says in str(refused.value)


def test_a_zip_with_a_password_is_refused():
    content = bytearray(zipped("a.csv"))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + place] |= 1
    with pytest.raises(StatementRefused, match="has a password"):
        rows(bytes(content))


def test_a_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(unpacking, "RATIO_FROM", 1024)
    with pytest.raises(StatementRefused, match="it unpacks to more than"):
        rows(gzip.compress(b"a,b\n" * 1_000_000))


def test_a_file_of_no_form_is_refused_with_the_forms_that_there_are():
    with pytest.raises(StatementRefused, match=r"no statement of stripe that can be read; these are: plain\.trade"):
        read(b"a,b\n")
    with pytest.raises(StatementRefused, match="no form of statement of stripe can be read yet"):
        read(TABLE.encode(), forms=())


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"\xff\xfe"]))
def test_any_bytes_are_rows_or_refused(content, head):
    with contextlib.suppress(StatementRefused):
        rows(head + content)
