"""Forms: what is read, what is refused, and that nothing is lost on the way."""

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.form import ESCAPES_MAX, FIELDS_MAX, decode


def test_an_empty_body_is_a_form_without_fields():
    assert decode(b"").fields == {}


def test_plus_is_a_space_and_an_escaped_plus_is_a_plus():
    assert decode(b"a=1+2%2B3%20%2b").fields == {"a": "1 2+3 +"}


def test_values_are_decoded_once():
    assert decode(b"a=%2541&b=%26%3D").fields == {"a": "%41", "b": "&="}


def test_blank_values_are_kept_and_later_equals_signs_belong_to_the_value():
    assert decode(b"a=&b==c=").fields == {"a": "", "b": "=c="}


def test_the_order_of_fields_is_kept():
    assert list(decode(b"z=1&a=2&m=3").fields) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("body", "content_type", "charset"),
    [
        (b"a=1", "", "utf-8"),
        (b"a=1", "application/x-www-form-urlencoded", "utf-8"),
        (b"a=1", "application/x-www-form-urlencoded;charset=GBK", "gb18030"),
        (b"a=1", 'application/x-www-form-urlencoded; Charset = "gbk"; x=y', "gb18030"),
        (b"a=1&charset=UTF-8", "text/plain; charset=gbk", "utf-8"),
        (b"a=1&charset=utf8", "", "utf-8"),
        (b"a=1&charset=GBK", "", "gb18030"),
        (b"a=1&charset=", "x; charset=gbk", "gb18030"),
        (b"a=1&charset=GB2312", "", "gb18030"),
        (b"a=1&charset=gb_18030", "", "gb18030"),
        (b"a=1&charset=UTF_8", "", "utf-8"),
    ],
)
def test_the_charset_field_goes_before_the_content_type(body, content_type, charset):
    assert decode(body, content_type).charset == charset


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"charset=latin-1", ""),
        (b"charset=big5", ""),
        (b"charset=%ff", ""),
        (b"charset=utf-7", "x; charset=utf-8"),
        (b"a=1", "x; charset=utf-16"),
        (b"charset=utf-8&charset=gbk", ""),
        (b"a=1&a=1", ""),
        (b"a=1&%61=1", ""),
        (b"a=1&b=%", ""),
        (b"a=1&b=%4", ""),
        (b"a=1&b=%4x", ""),
        (b"a=1&b=%%41", ""),
        (b"a=%ff", ""),
        (b"a=\xff", ""),
        (b"%ff=a", ""),
        (b"a=%80&charset=gbk", ""),
        (b"a=%ed%a0%80", ""),
        (b"a=%c0%80", ""),
        (b"a=%00", ""),
        (b"a=\x00", ""),
        (b"a%00=1", ""),
        (b"a", ""),
        (b"a=1&", ""),
        (b"&a=1", ""),
        (b"a=1&&b=2", ""),
        (b"=1", ""),
        (b"&".join(b"f%d=" % number for number in range(FIELDS_MAX + 1)), ""),
        (b"a=" + b"%41" * (ESCAPES_MAX + 1), ""),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body, content_type):
    with pytest.raises(BadPayload):
        decode(body, content_type)


def test_as_many_fields_as_the_limit_says_are_read():
    assert len(decode(b"&".join(b"f%d=" % number for number in range(FIELDS_MAX))).fields) == FIELDS_MAX


def test_every_text_in_gbk_encodes_back_to_the_bytes_that_came():
    read = 0
    for lead in range(0x81, 0xFF):
        for trail in range(0x40, 0xFF):
            sent = bytes([lead, trail])
            try:
                fields = decode(b"charset=gbk&a=%%%02X%%%02X" % (lead, trail)).fields
            except BadPayload:
                continue
            assert fields["a"].encode("gb18030") == sent
            read += 1
    assert read >= 21_886  # as many as GBK has of two bytes


@given(
    fields=st.dictionaries(
        st.text(min_size=1).filter(lambda name: name != "charset" and "\x00" not in name),
        st.text().filter(lambda value: "\x00" not in value),
        max_size=10,
    )
)
def test_what_the_standard_library_encodes_is_read_back(fields):
    assert decode(urlencode(fields).encode()).fields == fields


@given(body=st.binary(max_size=100), content_type=st.text(max_size=50))
def test_nothing_else_comes_out_of_random_bytes(body, content_type):
    with contextlib.suppress(BadPayload):
        decode(body, content_type)
