"""Strict XML: what is taken, and each thing that is refused before it is expanded."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.strictxml import DEPTH_MAX, ELEMENTS_MAX, loads, record

XML = ("xml",)


def test_a_record_is_its_fields_with_blank_ones():
    body = b"<xml>\n <a><![CDATA[1 & <2>]]></a>\n <b>\xe5\xbe\xae &amp; &#x4fe1;</b>\n <c></c><d/> </xml>\n"
    assert record(body, XML) == {"a": "1 & <2>", "b": "微 & 信", "c": "", "d": ""}


def test_a_text_is_kept_with_its_white_space():
    assert record(b"<xml><a> 1 <![CDATA[ ]]>2\n</a></xml>", XML) == {"a": " 1  2\n"}


def test_a_tree_has_attributes_texts_and_children():
    top = loads(b'<?xml version="1.0" encoding="UTF-8"?>\n<a type="array">\n <b nil="true"/>\n <b>x</b>\n</a>')
    assert (top.name, top.attributes, top.text) == ("a", {"type": "array"}, "")
    assert [(child.name, child.attributes, child.text) for child in top.children] == [
        ("b", {"nil": "true"}, ""),
        ("b", {}, "x"),
    ]


@pytest.mark.parametrize("declared", ["utf-8", "UTF-8", "utf8"])
def test_utf_8_may_be_declared(declared):
    assert record(f"<?xml version='1.0' encoding='{declared}'?><xml/>".encode(), XML) == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not XML"),
        (b"paid", "not XML"),
        (b"<xml>", "not XML"),
        (b"<xml/><xml/>", "not XML"),
        (b"<xml/>paid", "not XML"),
        (b"<xml a='1' a='1'/>", "not XML"),
        (b"<xml>&unknown;</xml>", "not XML"),
        (b"<xml>&#0;</xml>", "not XML"),
        (b"<xml>&#xD800;</xml>", "not XML"),
        (b"<xml>\x0b</xml>", "not XML"),
        (b"<xml>\xff</xml>", "not XML"),
        (b"<xml>\xed\xa0\x80</xml>", "not XML"),
        ("<xml/>".encode("utf-16"), "no database|not XML"),
        ("<xml/>".encode("utf-16-le"), "no database"),
        (b"<xml>\x00</xml>", "no database"),
        (b"<?xml version='1.0' encoding='GBK'?><xml/>", "charset"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><xml/>', "charset"),
        (b'<?xml version="1.0" encoding="UTF-16"?><xml/>', "charset"),
        (b"<!DOCTYPE xml><xml/>", "DOCTYPE"),
        (b'<!DOCTYPE xml SYSTEM "http://127.0.0.1/"><xml/>', "DOCTYPE"),
        (b'<!DOCTYPE xml [<!ENTITY a "b">]><xml>&a;</xml>', "DOCTYPE"),
        (b'<!DOCTYPE xml [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><xml/>', "DOCTYPE"),
        (b"<?php echo?><xml/>", "processing instruction"),
        (b"<xml><?php echo?></xml>", "processing instruction"),
        (b"<xml/><?php?>", "processing instruction"),
        (b"<xml><a>1<!-- -->2</a></xml>", "comment"),
        (b"<xml>1<a/></xml>", "beside"),
        (b"<xml><a/>1</xml>", "beside"),
        (b"<a>" * (DEPTH_MAX + 1) + b"</a>" * (DEPTH_MAX + 1), "deeper"),
        (b"<a>" * 100_000, "more than"),
        (b"<xml>" + b"<a/>" * ELEMENTS_MAX + b"</xml>", "more than"),
        (b"<xml>" + b"<![CDATA[a]]>" * 3 * ELEMENTS_MAX + b"</xml>", "< more than"),
        (b"<xml" + b"".join(b' a%d=""' % n for n in range(2 * ELEMENTS_MAX + 1)) + b"/>", "= more than"),
        (b"<xml>" + b"&#65;" * (2 * ELEMENTS_MAX + 1) + b"</xml>", "& more than"),
    ],
)
def test_what_could_be_read_in_two_ways_or_never_ends_is_refused(body, reason):
    with pytest.raises(BadPayload, match=reason):
        loads(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html/>", "top"),
        (b"<xml>1</xml>", "flat"),
        (b"<xml><a><b/></a></xml>", "flat"),
        (b"<xml><a>1</a><a>1</a></xml>", "repeats"),
    ],
)
def test_what_is_no_flat_record_is_refused(body, reason):
    with pytest.raises(BadPayload, match=reason):
        record(body, XML)


def test_what_is_just_within_the_limits_is_taken():
    loads(b"<a>" * DEPTH_MAX + b"</a>" * DEPTH_MAX)
    loads(b"<xml>" + b"<a/>" * (ELEMENTS_MAX - 1) + b"</xml>")


def test_a_bomb_is_refused_before_it_goes_off():
    entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 100) for n in range(1, 12))
    began = process_time()
    with pytest.raises(BadPayload, match="DOCTYPE"):
        loads(b'<!DOCTYPE x [<!ENTITY e0 "a">' + entities + b"]><x>&e11;</x>")
    assert process_time() - began < 1


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(body):
    for each in (body, b"<xml>" + body + b"</xml>", b"<xml><a " + body + b"/></xml>"):
        try:
            loads(each)
        except BadPayload:
            continue


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50))
def test_any_text_comes_back(text):
    cdata = text.replace("]]>", "]]]]><![CDATA[>")
    assert record(f"<xml><a><![CDATA[{cdata}]]></a></xml>".encode(), XML) == {"a": text}
