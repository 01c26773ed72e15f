"""How the desk writes numbers, money, times and texts of outsiders."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.desk.show import money, numbers, texts, times
from tillkeeper.desk.show.shower import Shower
from tillkeeper.desk.words import catalogue

NOW = datetime(2026, 11, 22, 6, 2, 5, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("span", "en", "zh"),
    [
        (timedelta(seconds=-3), "0 s", "0 秒"),
        (timedelta(seconds=40), "40 s", "40 秒"),
        (timedelta(minutes=4, seconds=31), "4 min", "4 分钟"),
        (timedelta(hours=3, minutes=12), "3 h 12 min", "3 小时 12 分钟"),
        (timedelta(hours=3), "3 h", "3 小时"),
        (timedelta(hours=14, minutes=12), "14 h", "14 小时"),
        (timedelta(days=2, hours=5), "2 d 5 h", "2 天 5 小时"),
        (timedelta(days=40, hours=5), "40 d", "40 天"),
    ],
)
def test_a_span_is_written_in_its_two_greatest_units_where_both_matter(span, en, zh):
    assert times.lasting(span, "en") == en
    assert times.lasting(span, "zh") == zh


def test_a_time_is_written_by_its_distance_and_exactly():
    assert times.relative(NOW - timedelta(minutes=20), NOW, "en") == "20 min ago"
    assert times.relative(NOW + timedelta(hours=3), NOW, "zh") == "3 小时后"
    assert times.relative(NOW, NOW, "en") == "just now"
    assert times.relative(NOW + timedelta(milliseconds=300), NOW, "en") == "any moment"
    assert times.exact(NOW, SHANGHAI) == "2026-11-22 14:02:05 +08:00"
    assert times.exact(NOW, ZoneInfo("America/New_York")) == "2026-11-22 01:02:05 -05:00"


@pytest.mark.parametrize(
    ("before", "written"),
    [(timedelta(), "14:02"), (timedelta(days=1), "11-21 14:02"), (timedelta(days=400), "2025-10-18 14:02")],
)
def test_a_time_of_day_has_its_date_where_that_is_another(before, written):
    assert times.of_day(NOW - before, NOW, SHANGHAI) == written


def test_money_has_its_currency_apart():
    assert money.written(1_234_500, "CNY") == ("12,345.00", "CNY")
    assert money.written(1_234_500, "JPY") == ("1,234,500", "JPY")
    assert money.written(1500, "KWD").plainly() == "1.500 KWD"
    assert money.written(1500, "XYZ") == ("1,500", "(minor) XYZ")
    assert money.written(1500, None) == ("1,500", "(minor) ?")


def test_numbers_have_the_digits_that_say_something():
    assert numbers.whole(1204) == "1,204"
    assert numbers.up_to(10_000, 10_000) == "10,000+"
    assert numbers.up_to(9_999, 10_000) == "9,999"
    assert [numbers.rate(rate) for rate in (0, 0.031, 1.49, 9.96, 1204.4)] == ["0.0", "0.03", "1.5", "10.0", "1,204"]


def test_what_cannot_be_seen_is_spelt_out():
    assert texts.visible("ORD\u202e24\x00\u2028x\u3000y") == "ORD\\u202e24\\x00 x y"


def test_marks_are_stacked_no_higher_than_any_script_does():
    assert texts.visible("Vie\u0302\u0323t ที่") == "Vie\u0302\u0323t ที่"
    assert texts.visible("e" + "\u0336" * 5) == "e" + "\u0336" * 3 + "\\u0336" * 2
    assert texts.visible("\u0336e") == "\\u0336e", "it would stand on what is before the text"
    assert texts.cut_in_the_middle("x" * 20 + "\u0336" * 10) == "xxxxxxxxxx…36\\u0336"
    assert texts.cut("x" * 301) == "x" * 300 + "…"
    assert texts.cut_in_the_middle("pi_3OabcdefghijklmnopqrstuvwxyZ12345") == "pi_3Oabcde…yZ12345"[:10] + "…xyZ12345"
    assert texts.cut_in_the_middle("ORD-1042") == "ORD-1042"


@given(st.text(max_size=400))
def test_no_text_of_outsiders_is_more_than_text(text):
    shower = Shower(locale="en", zone=SHANGHAI, now=NOW)
    for shown in (shower.text(text), shower.ref(text), shower.whole_ref(text)):
        inside = str(shown).removeprefix("<bdi").removesuffix("</bdi>").partition(">")[2]
        assert "<" not in inside
        assert str(shown).isprintable()
    assert str(shower.ref(text)).count('"') == 6, "a quote in a reference ends no attribute"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("payment.pending, refund.succeeded", "支付处理中, 退款成功"),
        ("nothing new", "没有新情况"),
        ("no answer: timed out, <b>", "没有回答: <bdi>timed out</bdi>, <bdi>&lt;b&gt;</bdi>"),
        ("cannot be applied: payment.failed", "无法入账: 支付失败"),
        ("cannot_ask", "无法查询"),
        ("another: word", "<bdi>another: word</bdi>"),
    ],
)
def test_what_a_gateway_answered_is_said_in_words(result, said):
    shower = Shower(locale="zh", zone=SHANGHAI, now=NOW)
    assert str(shower.answered(result)) == said


def test_texts_of_its_own_are_in_the_readers_language_and_zone_and_peoples_stay_as_they_are():
    shower = Shower(locale="zh", zone=SHANGHAI, now=NOW)
    held = shower.own("until 2026-12-02 02:00:00Z: the bank answers then")
    assert "2026-12-02 10:00:00 +08:00" in held
    assert "the bank answers then" in held
    assert shower.own("its cause is gone") == "起因已消除"
    assert shower.own("refunded by hand") == "<bdi>refunded by hand</bdi>"
    assert shower.own(None) == ""


def test_contacts_in_what_people_wrote_are_masked_for_who_may_not_see_any():
    shower = Shower(locale="en", zone=SHANGHAI, now=NOW, masks_contacts=True)
    assert (
        shower.text("called 138 0013 8000, then wei@example.com")
        == "<bdi>called &lt;phone&gt;, then &lt;email&gt;</bdi>"
    )
    assert "138" in Shower(locale="en", zone=SHANGHAI, now=NOW).text("called 138 0013 8000")


def test_what_closes_cases_by_itself_is_in_both_languages():
    stores = (Path(__file__).parents[3] / "tillkeeper" / "store").rglob("*.py")
    texts = {text for path in stores for text in re.findall(r'close_cases\([^"]*outcome="([^"]+)"', path.read_text())}
    assert len(texts) > 3
    assert not {text for text in texts if f"own.{text.replace(' ', '_')}" not in catalogue()}
