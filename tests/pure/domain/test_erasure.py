"""What of a text tells who a payer is, however it is written."""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.database.factories import a_registration
from tillkeeper.domain.decoding import decoded_base64
from tillkeeper.domain.erasure import Contacts, Subject, readings_of
from tillkeeper.domain.order.registration import Contradiction, Payer, refuse_difference

EMAIL, PHONE = "ada.king@example.com", "+86 138 1234 5678"
ADA = Contacts.of(Payer(email=EMAIL, phone=PHONE))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("wrote to ada.king@example.com", "wrote to <erased>"),
        ("ADA.KING@Example.com rang", "<erased> rang"),
        ("13812345678", "<erased>"),
        ("0086 138-1234-5678, twice", "<erased>, twice"),
        ("+8613812345678.", "<erased>."),
        ("her sister: eva@example.com, +44 20 7946 0958", "her sister: <email>, <phone>"),
        ("order 2026113022001400000000000001 is ticket 4711", "order 2026113022001400000000000001 is ticket 4711"),
        ("ada king herself", "ada king herself"),
        ("", ""),
    ],
)
def test_texts_of_people_keep_everything_but_contacts(text, kept):
    assert ADA.removed_from(text) == kept
    assert ADA.removed_from(kept) == kept


def test_references_in_details_stay_though_they_look_like_numbers_to_call():
    details = {"payment_ref": "555-123-4567", "amount": 100, "why": [f"550 {EMAIL}: no such user"], "none": None}
    kept = {"payment_ref": "555-123-4567", "amount": 100, "why": ["550 <erased>: no such user"], "none": None}
    assert ADA.removed_from_value(details) == kept


def test_whoever_gave_no_contact_is_named_nowhere():
    for payer in (None, Payer(), Payer(locale="zh"), Payer(phone="12345")):
        contacts = Contacts.of(payer)
        assert not contacts.are_named_in(f"{EMAIL} {PHONE} 12345")
        assert contacts.removed_from_value("12345") == "12345"


def test_a_number_within_a_longer_one_is_another_number():
    assert not ADA.are_named_in("20261381234567890001")
    assert ADA.are_named_in("tel=8613812345678&x=1")


def test_contacts_of_two_sources_are_looked_for_together():
    both = ADA | Contacts(emails=frozenset({"ada@work.example"}))
    assert both.removed_from_value(f"{EMAIL} ada@work.example") == "<erased> <erased>"


@pytest.mark.parametrize(
    "content",
    [
        f'{{"email": "{EMAIL}"}}'.encode(),
        f"buyer={quote_plus(EMAIL)}&total=1.00".encode(),
        b'{"email": "ada.king\\u0040example.com"}',
        b'{"data": "' + b64encode(f"<email>{EMAIL}</email>".encode()) + b'"}',
        b"bt_payload=" + quote_plus(b64encode(f"<email>{EMAIL}</email>".encode())).encode(),
        b"p=" + urlsafe_b64encode(f"???>>> {EMAIL} ".encode()).rstrip(b"="),
        b64encode(f"<a>{'x' * 60}</a>{EMAIL}".encode()).replace(b"eHh4", b"eHh4\n", 1),
        b"\xff\xfe" + EMAIL.encode(),
    ],
)
def test_a_body_is_read_in_each_way_that_gateways_write(content):
    assert any(ADA.are_named_in(text) for text in readings_of(content))


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(content):
    assert all(isinstance(text, str) for text in readings_of(content))


@given(st.text(alphabet="ABCabc123+/-_\n%", max_size=100))
def test_whatever_looks_like_base64_is_decoded(text):
    assert all(isinstance(found, str) for found in decoded_base64(text))


def test_an_erased_order_differs_by_nothing_that_was_erased():
    known, again = a_registration(), a_registration(payer=Payer(email=EMAIL), pay_url="https://shop.example/1")
    refuse_difference(again, known, erased=True)
    for field, other in (("amount", a_registration(amount=1)), ("currency", a_registration(currency="EUR"))):
        with pytest.raises(Contradiction) as refused:
            refuse_difference(other, known, erased=True)
        assert refused.value.field == field
    with pytest.raises(Contradiction):
        refuse_difference(again, known)


def subject(*references, contacts=ADA):
    return Subject(references=frozenset(references), contacts=contacts)


def test_an_order_is_named_by_its_references_where_they_stand_alone_and_by_its_payer():
    order = subject("A-1001", "pi_3Nabc", "7")
    assert order.is_named_by([None, "pi_3Nabc"], [])
    assert order.is_named_by(["7"], [])
    for text in ('{"out_trade_no": "A-1001"}', "re A-1001, please", f"for {EMAIL}"):
        assert order.is_named_by([None], ["nothing", text])
    for text in ("A-10010", "XA-1001", "7", "", "pi_3"):
        assert not order.is_named_by(["B-1"], [text])


def test_an_order_with_short_references_and_no_contact_is_named_by_events_alone():
    order = subject("7", contacts=Contacts())
    assert not order.is_named_by(["8"], ["7", EMAIL])
    assert order.is_named_by(["7"], [])


def test_another_address_that_ends_or_begins_alike_is_somebody_elses():
    for other in ("not-ada.king@example.com", "x.ada.king@example.com", "ada.king@example.community"):
        assert not ADA.are_named_in(other)
    assert ADA.are_named_in("ada.king@example.com.")
