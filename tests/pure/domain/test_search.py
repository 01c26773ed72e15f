"""What somebody pastes becomes a bounded list of probes, whatever it is."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.search.amounts import minor_by_exponent
from tillkeeper.domain.search.days import take_days
from tillkeeper.domain.search.hits import READ_MAX, SHOWN_MAX, Hit, HitKind, HitReason, SearchResult, grouped
from tillkeeper.domain.search.parsing import CODES_MAX, PROBES_MAX, REFERENCES_MAX, TEXT_CHARS_MAX, search_for
from tillkeeper.domain.search.probes import (
    EmailProbe,
    MoneyProbe,
    NumberProbe,
    PhoneProbe,
    ReferenceProbe,
    backwards_span,
)
from tillkeeper.domain.search.spelling import SPELLINGS_MAX, spelling_of, spellings_of

NOW = datetime(2026, 11, 30, 23, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def probes(text, zone=SHANGHAI):
    return search_for(text, now=NOW, zone=zone).probes


def references(text):
    return [probe.text for probe in probes(text) if isinstance(probe, ReferenceProbe)]


def money(text):
    return [
        (probe.text, probe.currencies, probe.since.date(), probe.until.date())
        for probe in probes(text)
        if isinstance(probe, MoneyProbe)
    ]


NOV_28, NOV_29, DEC_1 = date(2026, 11, 28), date(2026, 11, 29), date(2026, 12, 1)  # it is December in Shanghai

REFERENCES = [
    ("ORD-1042", ["ord-1042"]),
    ("1042", ["1042"]),
    ("104", []),
    (" 订单-7号 ", ["订单-7号"]),
    ("pi_3QxYz", ["pi_3qxyz"]),
    ("nothing at all to be seen here", []),
    ("2026 1128 2200 1422", ["2026112822001422", "2026", "1128", "2200", "1422"]),
    ("83 71 56", ["837156"]),
    ("+86 138 0013 8000", ["8613800138000"]),  # its groups are the ends of somebody else's references
    ("call 138-0013-8000 about A-1001", ["13800138000", "a-1001"]),
    ("https://x.example/pay?order=A-1001", ["https://x.example/pay?order=a-1001", "order=a-1001", "a-1001"]),
    ("订单号：２０２６１１２８００１７，已 支付", ["202611280017"]),  # noqa: RUF001 - as a phone writes it
    ("paid 129.00 at 14:02:11 for ORD-1042.", ["ord-1042"]),
    ("x" * 255, ["x" * 255]),
    ("x" * 256, []),
    ("order\u202e A-1042\u200b\x00 please", ["a-1042"]),
]


@pytest.mark.parametrize(("text", "wanted"), REFERENCES)
def test_references_are_found_whole_and_the_longest_first(text, wanted):
    assert references(text) == wanted


MONEY = [
    ("129.00 2026-11-28", [("129.00", (), NOV_28, NOV_29)]),
    ("¥129 28 Nov", [("129", ("CNY", "JPY"), NOV_28, NOV_29)]),
    ("129 2026年11月28日", [("129", (), NOV_28, NOV_29)]),
    ("CNY 1,290.50 11月28日", [("1290.50", ("CNY",), NOV_28, NOV_29)]),
    ("129元 昨天", [("129", ("CNY",), date(2026, 11, 30), DEC_1)]),
    ("129.00", [("129.00", (), date(2026, 11, 30), date(2026, 12, 2))]),
    ("129", []),
    ("0.00 today", []),
    ("100,000,000,000.00 today", [("100000000000.00", (), DEC_1, date(2026, 12, 2))]),
    ("12345678 today", []),
    ("129 eur today, 14:02", [("129", ("EUR",), DEC_1, date(2026, 12, 2))]),
    ("129 ORD-1042 today", [("129", (), DEC_1, date(2026, 12, 2))]),
]


@pytest.mark.parametrize(("text", "wanted"), MONEY)
def test_amounts_are_looked_for_on_their_days(text, wanted):
    assert money(text) == wanted


def test_an_amount_is_meant_by_the_minor_units_of_each_currency():
    [probe] = probes("¥129 today")
    assert probe.is_meant_by(12900, "CNY")
    assert probe.is_meant_by(129, "JPY")
    assert not probe.is_meant_by(129, "CNY")
    assert not probe.is_meant_by(12900, "EUR")
    assert probe.minors == [129, 12900, 129000, 1290000]
    [anything] = probes("129.00 today")
    assert anything.is_meant_by(129000, "KWD")
    assert not anything.is_meant_by(129, "XXX")


def test_amounts_are_never_rounded():
    assert minor_by_exponent("1.005") == ((3, 1005), (4, 10050))


DAYS = [
    ("2026-11-28", [NOV_28]),
    ("2026/11/28", [NOV_28]),
    ("2026.11.28", [NOV_28]),
    ("2026-11/28", []),
    ("28 November 2026", [NOV_28]),
    ("28.11.2026", [NOV_28]),
    ("28th nov", [NOV_28]),
    ("Nov 28th, 2026", [NOV_28]),
    ("nov 28", [NOV_28]),
    ("11-28", [NOV_28]),
    ("12-24", [date(2025, 12, 24)]),
    ("2026-02-30", []),
    ("2月30日", []),
    ("the day before yesterday", [NOV_29]),
    ("前天", [NOV_29]),
    ("昨晚 and TODAY", [date(2026, 11, 30), DEC_1]),
    ("1月1日 1月2日 1月3日 1月4日", [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]),
    ("2026-11-28 2026-11-28", [NOV_28]),
    ("29 Feb", []),  # neither this year nor the last has one
]


@pytest.mark.parametrize(("text", "wanted"), DAYS)
def test_days_are_read_however_they_are_written(text, wanted):
    assert list(take_days(text, today=DEC_1)[0]) == wanted


def test_what_is_no_day_stays_in_the_text():
    assert take_days("2026-02-30 x", today=DEC_1)[1] == "2026-02-30 x"


def test_contacts_and_numbers_of_ours_are_told_from_references():
    assert probes("Mei@Example.com") == (EmailProbe("mei@example.com"),)
    assert PhoneProbe("3812345678") in probes("+86 138 1234 5678")
    assert not [probe for probe in probes("+1 2 3 4 5 6") if isinstance(probe, PhoneProbe)]
    assert probes("case 17") == (NumberProbe(17),)
    assert NumberProbe(17) in probes("#17")
    assert not probes("case 0")


def test_of_a_sentence_only_what_looks_like_a_code_is_one():
    assert search_for("declined", now=NOW, zone=UTC).codes == ("declined",)
    sentence = search_for("it says ACQ.PAYMENT_REQUEST_HAS_RISK and NOTENOUGH, is it lost", now=NOW, zone=UTC)
    assert sentence.codes == ("ACQ.PAYMENT_REQUEST_HAS_RISK", "NOTENOUGH")


@pytest.mark.parametrize(
    "text",
    ["1", "1 ", "a.", "¥1,1", "+1 -", "ﷺ", "a@a.", "20-20-", "A1234567 "],
)
def test_a_megabyte_is_cut_and_says_so(text):
    search = search_for(text * (1_000_000 // len(text)), now=NOW, zone=UTC)
    assert search.cut
    assert len(search.probes) <= PROBES_MAX


def test_more_than_may_be_looked_up_is_cut_and_says_so():
    text = " ".join(f"m{number}@example.com" for number in range(PROBES_MAX + 1))
    search = search_for(text, now=NOW, zone=UTC)
    assert len(search.probes) == PROBES_MAX
    assert search.cut
    assert len(references(" ".join(f"ref-{number}" for number in range(1000, 1030)))) == REFERENCES_MAX


PARTS = st.sampled_from(
    ["129.00", "昨天", "¥", "2026-11-28", "ORD-1042", "a@b.cc", "+86 138", "#17", "\x00", "\u202e", "\uff11", "元", " "]
)


@given(st.one_of(st.text(max_size=300), st.lists(PARTS, max_size=40).map("".join)))
def test_no_text_is_refused_and_every_probe_can_be_looked_up(text):
    search = search_for(text, now=NOW, zone=SHANGHAI)
    assert len(search.probes) <= PROBES_MAX
    assert len(search.codes) <= CODES_MAX
    assert search.cut == (len(text) > TEXT_CHARS_MAX)
    for probe in search.probes:
        if isinstance(probe, ReferenceProbe | PhoneProbe):
            low, high = probe.backwards
            assert low.encode() < high.encode()
        if isinstance(probe, MoneyProbe):
            assert probe.since < probe.until
            assert probe.minors


@given(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), min_size=1), st.text(max_size=5))
def test_a_span_holds_exactly_what_ends_so(end, before):
    low, high = backwards_span(end)
    whole, other = (before + end)[::-1], f"{before}{end}x"[::-1]
    assert low.encode() <= whole.encode() < high.encode()
    assert (low.encode() <= other.encode("utf-8", "surrogatepass") < high.encode()) == f"{before}{end}x".endswith(end)


def test_a_span_ends_beyond_what_is_no_character():
    assert backwards_span("\ud7ff") == ("\ud7ff", "\ue000")


def a_hit(ref="A1", **fields):
    return Hit(**{"kind": HitKind.ORDER, "ref": ref, "why": HitReason.END, "probe": "0042", **fields})


def test_each_is_shown_once_for_its_best_reason_and_the_best_first():
    found = grouped(
        [
            a_hit("A1"),
            a_hit("A2", at=NOW),
            a_hit("A1", why=HitReason.WHOLE, probe="A1"),
            a_hit("A1", probe="1"),
            a_hit("p1", kind=HitKind.PAYMENT),
        ],
        overflowing=frozenset({HitKind.PAYMENT}),
    )
    assert [(hit.ref, hit.why) for hit in found.hits(HitKind.ORDER)] == [("A1", HitReason.WHOLE), ("A2", HitReason.END)]
    assert [(group.kind, group.found, group.more) for group in found.groups] == [
        ("order", 2, False),
        ("payment", 1, True),
    ]
    assert found.hits(HitKind.CASE) == ()


def test_what_was_named_whole_comes_before_groups_that_only_end_so():
    found = grouped([a_hit("A1"), a_hit("c1", kind=HitKind.CASE, why=HitReason.NUMBER)])
    assert [group.kind for group in found.groups] == [HitKind.CASE, HitKind.ORDER]


def test_it_leads_to_the_orders_that_were_named_whole_or_else_to_all():
    whole, ends = a_hit("A1", order_ref="A1", why=HitReason.WHOLE), a_hit("A2", order_ref="A2")
    assert grouped([whole, ends]).order_refs() == ["A1"]
    assert grouped([ends, a_hit("p1", kind=HitKind.PAYMENT, order_ref="A3")]).order_refs() == ["A2", "A3"]
    assert grouped([ends, a_hit("A4", order_ref="A4", why=HitReason.SPELT)]).order_refs() == ["A4"]
    assert grouped([a_hit("w", kind=HitKind.WAITING, order_ref="nobody")]).order_refs() == []
    assert grouped([a_hit("w", kind=HitKind.WAITING)]).waits
    assert not grouped([ends]).waits


def test_no_more_are_shown_than_are_read():
    found = grouped(a_hit(f"A{number}") for number in range(SHOWN_MAX + 5))
    assert (len(found.groups[0].hits), found.groups[0].found) == (SHOWN_MAX, SHOWN_MAX + 5)
    assert SHOWN_MAX < READ_MAX
    assert grouped([]) == SearchResult()


@pytest.mark.parametrize("text", ["shop1042", "SHOP_1042", "S H O P - 1 0 4 2", "SHOP-l042", "shop-1O42", "Shop 1042"])
def test_a_reference_may_be_written_otherwise(text):
    spelling = spelling_of(text)
    assert spelling is not None
    assert ReferenceProbe("1042") in spelling.probes
    assert spelling.is_of("SHOP-1042")
    assert not spelling.is_of("SHOP-21042")
    assert spelling.has_letters
    assert not spelling_of("1042").has_letters
    assert not spelling.is_of(None)


@pytest.mark.parametrize("text", ["", "SHOP-104", "shop", "SHOP-1042 please", "订单1042", "1" * 81])
def test_what_is_no_reference_as_a_whole_has_no_other_spelling(text):
    assert spelling_of(text) is None


def test_a_reference_within_a_pasted_text_may_be_written_otherwise():
    text = "客户说付款单号是：SHOP-1O42，金额129"
    (spelling,) = spellings_of(text, references(text))
    assert spelling.is_of("SHOP-1042")
    assert spellings_of("SHOP-1O42", ["AB-7777"]) == (spelling_of("SHOP-1O42"),)
    assert len(spellings_of(text, [f"SHOP-10{number}" for number in range(10, 30)])) == SPELLINGS_MAX


@given(st.text(max_size=200))
def test_any_text_may_be_asked_for_its_spelling(text):
    spelling = spelling_of(text)
    assert spelling is None or spelling.is_of(text)
