"""Free text is kept without whom it is about, and codes and references stay as they are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.test_events import PAID
from tillkeeper.domain.masking import TEXT_CHARS_MAX, masked, plain_text, without_contacts


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("declined for jane.doe+shop@mail.example.com", "declined for <email>"),
        ("<jane@shop.example>", "<<email>>"),
        ("card 4242424242424242 expired", "card <card> expired"),
        ("card 4242 4242 4242 4242", "card <card>"),
        ("6212345678901232", "<card>"),
        ("3782-822463-10005", "<card>"),
        ("call +44 20 7946 0958 now", "call <phone> now"),
        ("尾号 138 1234 5678 的手机", "尾号 <phone> 的手机"),
        ("13812345678", "<phone>"),
        ("(555) 123-4567", "<phone>"),
        ("one\r\ntwo\x00three\u202e", "one  two three "),
    ],
)
def test_what_tells_who_it_is_about_is_taken_out(text, kept):
    assert plain_text(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "card_declined",
        "05 : Do not honor",
        "ACQ.TRADE_HAS_CLOSE",
        "2004",
        "4000000000000",  # a wrong check digit
        "2026113022001400000000000001",
        "20261130123456789",
        "9242424242424248",  # of no issuer
        "2026-11-30T12:00:00+08:00",
        "postgresql://tillkeeper@db.example:5432/till",
        "",
    ],
)
def test_codes_references_and_addresses_of_servers_stay(text):
    assert plain_text(text) == text
    assert without_contacts(text) == text


def test_in_log_lines_phone_numbers_may_be_references():
    assert without_contacts("13812345678 a@b.example 4242424242424242") == "13812345678 <email> <card>"


@given(st.text(max_size=2000))
def test_it_is_one_short_line_and_masking_it_again_changes_nothing(text):
    once = plain_text(text)
    assert len(once) <= TEXT_CHARS_MAX
    assert once.isprintable()
    assert masked(once) == once


def test_an_event_keeps_neither_contacts_nor_pages_of_text():
    told = "4242424242424242 refused for jane@shop.example " + "x" * 1000
    code = msgspec.structs.replace(PAID, failure_code=told).failure_code
    assert code.startswith("<card> refused for <email> xxx")
    assert len(code) <= TEXT_CHARS_MAX
    assert msgspec.structs.replace(PAID, failure_code="card_declined").failure_code == "card_declined"
