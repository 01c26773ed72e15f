"""Mails as payers read them: every topic in both languages, exact amounts, and nothing that hostile text can do."""

import contextlib
import email
import email.policy
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.database.factories import NOON
from tests.notice_factories import a_payload, some_settings
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import ASKS_TO_PAY, Topic
from tillkeeper.notices.addresses import is_plain_link
from tillkeeper.notices.envelope import as_bytes, message_id
from tillkeeper.notices.letters import LETTERS, ROW_WORDS
from tillkeeper.notices.mail import (
    PAYABLE,
    BadNotice,
    Facts,
    language_for,
    plain,
    read,
    render,
)

LANGUAGES = ("zh-CN", "en")
PAY_URL = "https://pay.example/o/A1?k=1&l=2"
SETTINGS = some_settings()


def facts(**fields):
    told = a_payload(pay_url=PAY_URL, expires_at="2026-11-23T10:00:00Z", **fields)
    return read(msgspec.json.encode(told))


def a_mail(topic=Topic.PROCESSING, language="en", settings=SETTINGS, **fields):
    return render(topic, facts(**fields), language, settings)


class Seen(HTMLParser):
    """What a mail client makes of a mail: its tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", Topic)
@pytest.mark.parametrize("status", Status)
def test_every_topic_can_be_written_in_both_languages_whatever_the_status(topic, language, status):
    mail = a_mail(topic, language, status=status)
    for text in (mail.subject, mail.text, mail.html):
        assert "A1" in text
        assert "{" not in text
        assert bool(re.search(r"[\u4e00-\u9fff]", text)) is (language == "zh-CN" or text is not mail.subject)
    assert "\n" not in mail.subject


@pytest.mark.parametrize("topic", Topic)
def test_letters_name_only_facts_that_there_are(topic):
    letter = LETTERS[topic]
    assert set(letter.rows) <= set(ROW_WORDS)
    assert letter.figure is None or letter.figure in ROW_WORDS
    assert (letter.button is not None) is (topic in ASKS_TO_PAY)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", Topic)
@pytest.mark.parametrize("status", Status)
def test_there_is_a_button_only_where_paying_is_right(topic, language, status):
    mail = a_mail(topic, language, status=status)
    right = topic in ASKS_TO_PAY and status in PAYABLE
    assert (PAY_URL in mail.text) is right
    links = [attrs["href"] for tag, attrs in Seen(mail.html).tags if tag == "a" and attrs["href"] == PAY_URL]
    assert bool(links) is right


def test_who_may_have_paid_is_told_not_to_pay_again():
    for language, words in (("zh-CN", "请不要再次支付"), ("en", "Please do not pay again")):
        mail = a_mail(Topic.PROCESSING, language)
        assert words in mail.text
        assert words in mail.html


@pytest.mark.parametrize("topic", sorted(ASKS_TO_PAY))
def test_while_a_payment_is_under_way_no_letter_has_a_button_and_all_say_not_to_pay_again(topic):
    told = msgspec.structs.replace(facts(status="partially_paid", paid=3000), under_way=True)
    for language, words in (("zh-CN", "请不要再次支付"), ("en", "Please do not pay again")):
        mail = render(topic, told, language, SETTINGS)
        assert PAY_URL not in mail.text
        assert PAY_URL not in mail.html
        assert words in mail.text
        assert words in mail.html


@pytest.mark.parametrize("failure", [*FailureClass, "no_such_class", None])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_failure_says_why_what_to_do_and_other_ways_and_no_word_of_suspicion(failure, language):
    mail = a_mail(Topic.FAILED, language, status="failed", failure=failure)
    assert "  1. " in mail.text
    assert ("其他支付方式" if language == "zh-CN" else "Other ways to pay") in mail.html
    for text in (mail.subject, mail.text, mail.html):
        assert not re.search(r"fraud|suspect|risk|欺诈|嫌疑|可疑|风险|风控", text, re.IGNORECASE)


def test_fraud_reads_like_what_nobody_knows_to_the_last_letter():
    for language in LANGUAGES:
        of = {
            each: a_mail(Topic.FAILED, language, status="failed", failure=each)
            for each in ("suspected_fraud", "unknown")
        }
        assert of["suspected_fraud"] == of["unknown"]


@pytest.mark.parametrize(
    ("currency", "minor", "zh", "en"),
    [
        ("CNY", 128800, "¥1,288.00", "CN¥1,288.00"),
        ("JPY", 128800, "JP¥128,800", "¥128,800"),
        ("USD", 5, "US$0.05", "$0.05"),
        ("KWD", 1234567, "KWD\xa01,234.567", "KWD\xa01,234.567"),
        ("IQD", 1234567, "IQD\xa01,234.567", "IQD\xa01,234.567"),  # CLDR alone would hide the fils
        ("UGX", 1500, "UGX\xa01,500", "UGX\xa01,500"),
    ],
)
def test_amounts_have_their_currencys_own_digits(currency, minor, zh, en):
    for language, expected in (("zh-CN", zh), ("en", en)):
        mail = a_mail(Topic.PAID, language, status="paid", currency=currency, amount=minor, paid=minor)
        assert mail.text.split("\n")[2].strip() == expected.strip()


@pytest.mark.parametrize("currency", EXPONENTS)
def test_every_currency_shows_every_digit(currency):
    mail = a_mail(Topic.PAID, "en", status="paid", currency=currency, amount=123456789, paid=123456789)
    assert re.sub(r"[^0-9]", "", mail.text.split("\n")[2]) == "123456789"


def test_times_are_the_configured_zones_and_say_so():
    fields = {"status": "partially_paid", "paid": 100, "due_at": "2026-12-31T20:30:00Z", "due_amount": 100}
    assert "2027年1月1日 04:30 (GMT+08:00)" in a_mail(Topic.INSTALMENT_DUE, "zh-CN", **fields).text
    berlin = some_settings(time_zone="Europe/Berlin")
    assert "December 31, 2026, 21:30 (GMT+01:00)" in a_mail(Topic.INSTALMENT_DUE, "en", berlin, **fields).text


def test_a_partial_refund_says_what_remains():
    mail = a_mail(Topic.PARTIALLY_REFUNDED, "en", status="partially_refunded", paid=12900, refunded=3000)
    assert "CN¥30.00 of your payment" in mail.text
    assert "CN¥99.00 remains paid" in mail.text


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh", "zh-CN"),
        ("zh_TW", "zh-CN"),
        ("ZH-hant-HK", "zh-CN"),
        ("en-GB", "en"),
        ("zhx", "en"),
        ("", "zh-CN"),
        (None, "zh-CN"),
    ],
)
def test_chinese_is_for_every_chinese_locale_english_for_the_others(locale, language):
    assert language_for(locale, SETTINGS) == language
    assert language_for(None, some_settings(default_locale="en")) == "en"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://pay.example/ x",
        'https://pay.example/"onclick',
        "https://pay.example/<script>",
        "https://user:pass@pay.example/",
        "https://",
        "//pay.example/",
        "https://bank.example@evil.example/",
        "https://@evil.example/",
        "https://pay.example:99999/",
        "https://pay%22.example/",
        "https://[::1",
        "https://pay.example/\n",
        "https://пример.example/",
        "https://pay.example/" + "x" * 2048,
        "",
    ],
)
def test_what_is_no_plain_link_gets_no_button(url):
    assert not is_plain_link(url)
    mail = render(Topic.REMINDER, msgspec.structs.replace(facts(status="unpaid"), pay_url=url), "en", SETTINGS)
    assert {attrs["href"] for tag, attrs in Seen(mail.html).tags if tag == "a"} == {"mailto:help@lantern.example"}


def test_text_from_outside_is_one_line_without_tricks():
    assert plain("a\r\nb\tc\u202ed\x00e") == "a b c d e"
    assert plain("\ud83d\u2028x") == "x"
    assert len(plain("x" * 5000)) == 100


@pytest.mark.parametrize(
    ("support", "link"),
    [
        ("help@shop.example", "mailto:help@shop.example"),
        ("https://shop.example/help", "https://shop.example/help"),
        ("+86 21 5555 0100", None),
        (None, None),
    ],
)
def test_support_is_a_link_where_it_can_be_one(support, link):
    seen = Seen(a_mail(settings=some_settings(support=support)).html)
    assert [attrs["href"] for tag, attrs in seen.tags if tag == "a"] == ([link] if link else [])
    assert (support or "") in seen.text


def test_nothing_is_fetched_from_anywhere_and_nothing_runs():
    for topic in Topic:
        seen = Seen(a_mail(topic, "zh-CN", status="failed").html)
        assert not {tag for tag, _ in seen.tags} & {"img", "script", "link", "iframe", "object", "style", "form", "svg"}
        for _, attrs in seen.tags:
            assert not {"src", "background", "srcset"} & set(attrs)
            assert "url(" not in attrs.get("style", "")


# Markup, format strings, header breaks, directions, templates, and whatever else hypothesis finds.
hostile = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "{{ 7*7 }}{% raw %}",
            "{order.__class__}",
            "x\r\nBcc: everyone@example.com\r\n\r\nbody",
            "=?utf-8?q?=0D=0ABcc:_x?=",
            "\u202egnp.exe",
            "\x00\ud800",
            "</table></td>",
            "&lt;b&gt;",
            "." * 3 + "\r\n.\r\n",
        ]
    ),
)
hostile_facts = st.builds(
    Facts,
    order_ref=hostile,
    status=st.sampled_from(Status),
    amount=st.integers(0, 10**15),
    currency=st.sampled_from(sorted(EXPONENTS)),
    paid=st.integers(0, 10**15),
    refunding=st.integers(0, 10**15),
    refunded=st.integers(0, 10**15),
    failure=st.none() | hostile | st.sampled_from([str(each) for each in FailureClass]),
    pay_url=st.none() | hostile | st.just(PAY_URL),
    expires_at=st.none() | st.datetimes(datetime(1970, 1, 1), datetime(9990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    due_at=st.none() | st.datetimes(datetime(1970, 1, 1), datetime(9990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    due_amount=st.none() | st.integers(0, 10**15),
)
HEADERS = {
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
    "MIME-Version", "Content-Type", "Content-Language",
}  # fmt: skip


@settings(deadline=None)
@given(told=hostile_facts, topic=st.sampled_from(Topic), language=st.sampled_from(LANGUAGES), key=hostile)
def test_no_text_breaks_out_of_markup_or_headers(told, topic, language, key):
    mail = render(topic, told, language, SETTINGS)
    innocent = render(topic, msgspec.structs.replace(told, order_ref="A1"), language, SETTINGS)
    assert [(tag, sorted(attrs)) for tag, attrs in Seen(mail.html).tags] == [
        (tag, sorted(attrs)) for tag, attrs in Seen(innocent.html).tags
    ]
    assert (plain(told.order_ref) or "-") in Seen(mail.html).text
    raw = as_bytes(mail, key=key.encode("utf-8", "replace").decode(), to="p@example.com", settings=SETTINGS, now=NOON)
    assert raw.isascii()
    parsed = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert set(parsed.keys()) == HEADERS
    assert len(parsed.keys()) == len(HEADERS)
    assert parsed["To"] == "p@example.com"
    assert parsed.get_body(("html",)).get_content().replace("\r\n", "\n") == mail.html
    assert parsed.get_body(("plain",)).get_content().replace("\r\n", "\n") == mail.text
    assert "".join(parsed["Subject"].split()) == "".join(mail.subject.split())


@given(
    payload=st.binary(max_size=200)
    | st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=9)).map(msgspec.json.encode)
)
def test_reading_a_payload_is_total(payload):
    with contextlib.suppress(BadNotice):
        assert read(payload).currency in EXPONENTS


def test_a_message_id_holds_whatever_the_key_holds():
    assert re.fullmatch(r"<[0-9a-f]{40}@b\.example>", message_id("order/1\r\nx: y", "a@b.example"))
