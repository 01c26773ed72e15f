"""What statements say and what facts say, compared: each planted difference is found, and none is invented."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.books.coverage import Covered, gaps, joined, surely_covers
from tillkeeper.domain.books.difference import CASE_KINDS_OF, case_key, case_reason, difference_of
from tillkeeper.domain.books.evidence import events_of
from tillkeeper.domain.books.known import KnownMoney, Movement, known_dispute, known_payment, known_refund
from tillkeeper.domain.books.matching import (
    DIFFERENCES,
    MATCH_TABLE,
    Comparison,
    MatchedObject,
    Verdict,
    verdict_by_table,
    verdict_of,
)
from tillkeeper.domain.books.statement import LineKind, StatementLine, StatementRefused
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.statement_terms import BooksPolicy, BooksTerms, FeeTerms

DAY = datetime(2026, 11, 22, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
WEEK = (Covered(DAY - timedelta(days=3), DAY + timedelta(days=4)),)
KEY = ("stripe-main", "x1")


def a_line(kind=LineKind.PAYMENT, amount=100, **fields):
    defaults = {"number": 2, "currency": "CNY", "occurred_at": NOON, "order_ref": "A1", "payment_ref": "x1"}
    return StatementLine(kind=kind, amount=amount, **{**defaults, **fields})


def back(amount=40, **fields):
    return a_line(LineKind.REFUND, -amount, refund_ref="x1", **fields)


def known(*amounts, at=NOON, **fields):
    return KnownMoney(currency="CNY", movements=tuple(Movement(each, at) for each in amounts), **fields)


def compared(*lines, facts=None, kind=MatchedObject.PAYMENT, **fields):
    defaults = {"covered": WEEK, "has_order": True}
    return Comparison(object=kind, ref="x1", lines=lines, known=facts, **{**defaults, **fields})


def verdict(*lines, **fields):
    return verdict_of(compared(*lines, **fields))


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "fields", "expected"),
    [
        ((a_line(),), {"facts": known(100)}, Verdict.MATCHED),
        ((a_line(), a_line(amount=50)), {"facts": known(100, 50)}, Verdict.MATCHED),
        ((), {"facts": known(100)}, Verdict.HERE_ONLY),
        ((), {"facts": known(100), "covered": ()}, Verdict.CARRIED_OVER),
        ((), {"facts": known(100, at=WEEK[0].ends - timedelta(hours=1))}, Verdict.CARRIED_OVER),
        ((), {"facts": None}, Verdict.CARRIED_OVER),
        ((a_line(),), {"facts": None}, Verdict.AT_GATEWAY_ONLY),
        ((a_line(),), {"facts": KnownMoney()}, Verdict.AT_GATEWAY_ONLY),
        ((a_line(amount=90),), {"facts": known(100)}, Verdict.AMOUNT_DIFFERS),
        ((a_line(amount=90),), {"facts": known(100, besides=(-10,))}, Verdict.MATCHED),
        ((a_line(currency="USD"),), {"facts": known(100)}, Verdict.CURRENCY_DIFFERS),
        ((a_line(), a_line(number=3)), {"facts": known(100)}, Verdict.TWICE),
        ((a_line(), a_line(amount=30)), {"facts": known(100)}, Verdict.AMOUNT_DIFFERS),
        ((a_line(occurred_at=NOON + timedelta(days=3)),), {"facts": known(100)}, Verdict.DAY_DIFFERS),
        ((a_line(occurred_at=NOON + timedelta(days=1)),), {"facts": known(100)}, Verdict.CARRIED_OVER),
        ((a_line(settled_on=date(2026, 11, 23)),), {"facts": known(100)}, Verdict.CARRIED_OVER),
        ((a_line(settled_on=date(2026, 11, 30)),), {"facts": known(100), "covered": ()}, Verdict.MATCHED),
        ((a_line(occurred_at=None),), {"facts": known(100)}, Verdict.MATCHED),
        ((a_line(amount=0),), {"facts": KnownMoney()}, Verdict.MATCHED),
    ],
)
def test_a_payment(lines, fields, expected):
    assert verdict(*lines, **fields) is expected


@pytest.mark.parametrize(
    ("lines", "facts", "expected"),
    [
        ((back(),), known(40), Verdict.MATCHED),
        ((back(),), None, Verdict.REFUNDED_THERE_ONLY),
        ((back(),), KnownMoney(currency="CNY"), Verdict.REFUNDED_THERE_ONLY),
        ((back(30),), known(40), Verdict.AMOUNT_DIFFERS),
        ((back(), back(number=3)), known(40), Verdict.TWICE),
        ((back(), a_line(LineKind.REFUND_FAILED, 40, refund_ref="x1")), known(40, -40), Verdict.MATCHED),
        ((back(), a_line(LineKind.REFUND_FAILED, 40, refund_ref="x1")), known(40), Verdict.REFUNDED_THERE_ONLY),
        ((back(),), known(40, -40), Verdict.CARRIED_OVER),
        ((back(occurred_at=NOON + timedelta(days=3)),), known(40), Verdict.CARRIED_OVER),
    ],
)
def test_a_refund(lines, facts, expected):
    assert verdict(*lines, facts=facts, kind=MatchedObject.REFUND) is expected


@pytest.mark.parametrize(
    ("kind", "days", "expected"),
    [
        (MatchedObject.PAYMENT, (-1, 2), Verdict.HERE_ONLY),
        (MatchedObject.REFUND, (-1, 2), Verdict.CARRIED_OVER),
        (MatchedObject.REFUND, (-16, 2), Verdict.HERE_ONLY),
        (MatchedObject.DISPUTE, (-16, 2), Verdict.CARRIED_OVER),
        (MatchedObject.DISPUTE, (-121, 32), Verdict.HERE_ONLY),
    ],
)
def test_a_refund_or_a_dispute_is_missed_only_where_statements_reach_far_enough(kind, days, expected):
    begins, ends = (DAY + timedelta(days=each) for each in days)
    assert verdict(facts=known(100), kind=kind, covered=(Covered(begins, ends),)) is expected


def test_a_refund_that_was_under_way_says_nothing_of_its_end():
    line = back(pending=True)
    [event] = events_of(compared(line, kind=MatchedObject.REFUND), account=KEY[0], as_of=AS_OF)
    assert event.kind is Kind.REFUND_PENDING
    facts = [None, KnownMoney(), known(40), known(30)]
    found = [verdict(line, facts=each, kind=MatchedObject.REFUND) for each in facts]
    assert found == [Verdict.REFUNDED_THERE_ONLY, Verdict.MATCHED, Verdict.MATCHED, Verdict.AMOUNT_DIFFERS]


@pytest.mark.parametrize(
    ("lines", "facts", "expected"),
    [
        ((a_line(LineKind.CHARGEBACK, -100),), known(100), Verdict.MATCHED),
        ((a_line(LineKind.CHARGEBACK, -100),), None, Verdict.AT_GATEWAY_ONLY),
        ((a_line(LineKind.CHARGEBACK, -100), a_line(LineKind.CHARGEBACK_REVERSED)), KnownMoney(), Verdict.MATCHED),
        (
            (a_line(LineKind.CHARGEBACK, -100), a_line(LineKind.CHARGEBACK_REVERSED)),
            known(100),
            Verdict.AT_GATEWAY_ONLY,
        ),
    ],
)
def test_a_dispute(lines, facts, expected):
    assert verdict(*lines, facts=facts, kind=MatchedObject.DISPUTE) is expected


def test_captures_of_two_days_are_not_missed_before_both_were_taken_in():
    late = Movement(50, WEEK[0].ends - timedelta(hours=2))
    facts = KnownMoney(currency="CNY", movements=(Movement(100, NOON), late))
    assert verdict(a_line(), facts=facts) is Verdict.CARRIED_OVER
    assert verdict(a_line(amount=90), facts=facts) is Verdict.AMOUNT_DIFFERS
    assert verdict(a_line(), a_line(amount=50, occurred_at=late.at), facts=facts) is Verdict.MATCHED


def test_a_capture_that_only_the_gateway_has_is_missing_where_all_that_are_known_are_listed():
    facts = KnownMoney(currency="CNY", movements=(Movement(50, NOON, "c1"),))
    one, other = a_line(amount=50, capture_ref="c1"), a_line(amount=30, capture_ref="c2")
    assert compared(one, other, facts=facts).missing_lines == (other,)
    assert verdict(one, other, facts=facts) is Verdict.AT_GATEWAY_ONLY
    # Without the known one among them the other may be the same under another name.
    assert verdict(other, facts=facts) is Verdict.AMOUNT_DIFFERS


def test_whose_a_line_is_that_nobody_knows():
    terms = BooksTerms(order_prefixes=("A", "B-"))
    assert verdict(a_line(), has_order=False, terms=terms) is Verdict.AT_GATEWAY_ONLY
    assert verdict(a_line(order_ref="X1"), has_order=False, terms=terms) is Verdict.NOT_OURS
    assert verdict(a_line(order_ref=None), has_order=False, terms=terms) is Verdict.NOT_OURS
    assert verdict(a_line(order_ref="X1"), has_order=True, terms=terms) is Verdict.AT_GATEWAY_ONLY
    assert verdict(a_line(order_ref="X1"), has_order=False) is Verdict.AT_GATEWAY_ONLY


@pytest.mark.parametrize(("fee", "differs"), [(60, False), (61, False), (62, True), (58, True), (None, False)])
def test_a_fee_is_as_agreed_but_for_a_cent(fee, differs):
    terms = BooksTerms(fees={"CNY": FeeTerms(millionths=5_000, fixed=10)})
    line = a_line(amount=10_000, fee=fee)
    found = verdict(line, facts=known(10_000), terms=terms)
    assert found is (Verdict.FEE_DIFFERS if differs else Verdict.MATCHED)
    assert verdict(line, facts=known(10_000)) is Verdict.MATCHED


def test_a_fee_in_another_currency_is_not_compared():
    terms = BooksTerms(fees={"CNY": FeeTerms(millionths=5_000)})
    assert verdict(a_line(fee=99, settled_currency="USD"), facts=known(100), terms=terms) is Verdict.MATCHED


def test_days_are_the_statements():
    midnight = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)  # the 22nd in Shanghai
    line = a_line(occurred_at=midnight + timedelta(hours=20))
    assert verdict(line, facts=known(100, at=midnight), zone="Asia/Shanghai") is Verdict.MATCHED
    assert verdict(line, facts=known(100, at=midnight)) is Verdict.CARRIED_OVER


def test_terms_are_those_of_the_account():
    own = BooksTerms(order_prefixes=("A",))
    assert BooksPolicy(accounts={"a": own}).of("a") is own
    assert BooksPolicy(accounts={"a": own}).of("b") == BooksTerms()


# --- any ledger -------------------------------------------------------------------------------------------------------

amounts = st.lists(st.integers(1, 10_000), min_size=1, max_size=4)


@given(amounts, st.randoms(use_true_random=False))
def test_whatever_agrees_is_matched_in_any_order_of_lines(sums, chance):
    lines = [a_line(amount=each, number=number) for number, each in enumerate(sums, 2)]
    chance.shuffle(lines)
    assert verdict(*lines, facts=known(*sums)) is Verdict.MATCHED
    assert verdict(*lines, facts=None) is Verdict.AT_GATEWAY_ONLY
    assert verdict(facts=known(*sums)) is Verdict.HERE_ONLY


@given(amounts, st.integers(1, 10_000))
def test_any_amount_that_is_too_much_or_too_little_is_a_difference(sums, off):
    lines = [a_line(amount=each, number=number) for number, each in enumerate(sums, 2)]
    more = [*lines[:-1], a_line(amount=sums[-1] + off)]
    assert verdict(*more, facts=known(*sums)) in {Verdict.AMOUNT_DIFFERS, Verdict.TWICE}
    repeated = [*lines, lines[0]]
    assert verdict(*repeated, facts=known(*sums)) in {Verdict.TWICE, Verdict.AMOUNT_DIFFERS}


@given(st.lists(st.integers(1, 100), min_size=1, max_size=14), st.data())
def test_of_movements_at_the_edge_any_may_be_still_to_come(sums, data):
    listed = data.draw(st.lists(st.sampled_from(range(len(sums))), unique=True, min_size=1, max_size=10))
    edge = WEEK[0].ends - timedelta(hours=1)
    lines = [a_line(amount=sums[each], occurred_at=edge, number=each) for each in listed]
    movements = [sums[each] for each in (*listed, *(each for each in range(len(sums)) if each not in listed))]
    expected = Verdict.MATCHED if len(listed) == len(sums) else Verdict.CARRIED_OVER
    assert verdict(*lines, facts=known(*movements, at=edge)) is expected


moments = st.integers(-60, 60).map(lambda hours: NOON + timedelta(hours=hours))
any_line = st.builds(
    a_line,
    st.sampled_from([LineKind.PAYMENT, LineKind.REFUND, LineKind.REFUND_FAILED, LineKind.CHARGEBACK]),
    st.sampled_from([-100, -40, 0, 40, 100]),
    currency=st.sampled_from(["CNY", "USD"]),
    occurred_at=st.none() | moments,
    settled_on=st.none() | st.dates(date(2026, 11, 20), date(2026, 11, 24)),
    capture_ref=st.none() | st.sampled_from(["c1", "c2"]),
    pending=st.booleans(),
)
any_known = st.builds(
    KnownMoney,
    currency=st.sampled_from(["CNY", "USD"]),
    movements=st.lists(
        st.builds(Movement, st.sampled_from([-40, 0, 40, 100]), moments, st.sampled_from(["", "c1"])), max_size=2
    ).map(tuple),
    besides=st.sampled_from([(), (5,)]),
)


@given(
    st.lists(any_line, max_size=2),
    st.none() | any_known,
    st.sampled_from(MatchedObject),
    st.sampled_from([(), WEEK]),
    st.sampled_from([BooksTerms(), BooksTerms(fees={"CNY": FeeTerms(millionths=5_000)})]),
)
def test_what_is_quicker_for_most_says_what_the_table_says(lines, facts, kind, covered, terms):
    comparison = compared(*lines, facts=facts, kind=kind, covered=covered, terms=terms)
    assert verdict_of(comparison) is verdict_by_table(comparison)


def test_the_table_ends_with_what_always_holds_and_the_page_says_each_line():
    assert MATCH_TABLE[-1].verdict is Verdict.MATCHED
    assert {rule.verdict for rule in MATCH_TABLE} == set(Verdict)
    assert set(CASE_KINDS_OF) == DIFFERENCES


# --- coverage ---------------------------------------------------------------------------------------------------------


def days(*spans):
    return [Covered(DAY + timedelta(days=begins), DAY + timedelta(days=ends)) for begins, ends in spans]


def test_spans_that_touch_are_one_and_what_is_between_others_is_missing():
    spans = joined(days((3, 4), (0, 1), (1, 2), (0, 1), (5, 8), (6, 7)))
    assert list(spans) == days((0, 2), (3, 4), (5, 8))
    assert list(gaps(spans)) == days((2, 3), (4, 5))
    assert list(gaps(())) == []


def test_a_moment_near_the_edge_is_not_surely_covered():
    spans, buffer = days((0, 4)), timedelta(days=1)
    moments = [DAY + timedelta(days=each) for each in (0, 1, 2, 3, 4)]
    found = [surely_covers(spans, each, before=buffer, after=buffer) for each in moments]
    assert found == [False, True, True, False, False]


# --- what facts say ---------------------------------------------------------------------------------------------------


def facts_of(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    return facts


def an_event(kind, second=0, **fields):
    defaults = {"event_id": f"e{kind}{second}", "account": KEY[0], "payment_ref": "x1", "currency": "CNY"}
    return PaymentEvent(kind=kind, occurred_at=NOON + timedelta(seconds=second), **{**defaults, **fields})


def test_a_payments_captures_are_its_movements():
    paid = an_event(Kind.PAYMENT_SUCCEEDED, amount=100, capture_ref="c1", discount=5)
    more = an_event(Kind.PAYMENT_SUCCEEDED, 9, amount=50, capture_ref="c2")
    found = known_payment(facts_of(paid, more).payments[KEY])
    assert (found.amount, found.besides) == (150, (5,))
    assert found.movements == (Movement(100, NOON, "c1"), Movement(50, NOON + timedelta(seconds=9), "c2"))
    assert known_payment(facts_of(an_event(Kind.PAYMENT_PENDING)).payments[KEY]) == KnownMoney()


def test_a_refund_moves_money_once_it_succeeded_and_back_once_it_failed_after_that():
    pending = an_event(Kind.REFUND_PENDING, amount=40, refund_ref="x1")
    done = an_event(Kind.REFUND_SUCCEEDED, 5, amount=40, refund_ref="x1")
    failed = an_event(Kind.REFUND_FAILED, 9, amount=40, refund_ref="x1")
    sums = [
        [each.amount for each in known_refund(facts_of(*events).refunds[KEY]).movements]
        for events in ([pending], [pending, done], [pending, failed], [pending, done, failed])
    ]
    assert sums == [[], [40], [], [40, -40]]
    unknown = an_event(Kind.REFUND_SUCCEEDED, refund_ref="x1", currency=None)
    assert known_refund(facts_of(unknown).refunds[KEY]) == KnownMoney()


def test_a_dispute_takes_money_until_it_is_won():
    opened = an_event(Kind.DISPUTE_OPENED, amount=100, dispute_ref="x1")
    won = an_event(Kind.DISPUTE_WON, 5, amount=100, dispute_ref="x1")
    assert known_dispute(facts_of(opened).disputes[KEY]).amount == 100
    assert known_dispute(facts_of(opened, won).disputes[KEY]) == KnownMoney()
    assert (
        known_dispute(facts_of(an_event(Kind.DISPUTE_OPENED, dispute_ref="x1", currency=None)).disputes[KEY]).amount
        == 0
    )


# --- events -----------------------------------------------------------------------------------------------------------

AS_OF = DAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("line", "object_", "kind"),
    [
        (a_line(method="JSAPI"), MatchedObject.PAYMENT, Kind.PAYMENT_SUCCEEDED),
        (back(), MatchedObject.REFUND, Kind.REFUND_SUCCEEDED),
        (a_line(LineKind.CHARGEBACK, -100, dispute_ref="x1"), MatchedObject.DISPUTE, Kind.DISPUTE_OPENED),
    ],
)
def test_what_the_gateway_alone_has_becomes_an_event_after_which_both_agree(line, object_, kind):
    [event] = events_of(compared(line, kind=object_), account=KEY[0], as_of=AS_OF)
    assert (event.kind, event.evidence, event.as_of, event.occurred_at) == (kind, Evidence.STATEMENT, AS_OF, NOON)
    facts = facts_of(event)
    now_known = {
        MatchedObject.PAYMENT: lambda: known_payment(facts.payments[KEY]),
        MatchedObject.REFUND: lambda: known_refund(facts.refunds[KEY]),
        MatchedObject.DISPUTE: lambda: known_dispute(facts.disputes[KEY]),
    }[object_]()
    assert verdict(line, facts=now_known, kind=object_) is Verdict.MATCHED


def test_captures_have_events_of_their_own_and_a_repeated_line_has_none():
    lines = [a_line(amount=50, capture_ref=part) for part in ("c1", "c2", "c2")]
    events = events_of(compared(*lines), account=KEY[0], as_of=AS_OF)
    assert [event.event_id for event in events] == [f"statement:x1:payment.succeeded:50:c{n}" for n in (1, 2)]


def test_a_line_without_a_time_happened_on_its_day():
    line = a_line(occurred_at=None, settled_on=date(2026, 11, 22))
    [event] = events_of(compared(line, zone="Asia/Shanghai"), account=KEY[0], as_of=AS_OF)
    assert event.occurred_at == DAY - timedelta(hours=8)
    [event] = events_of(compared(msgspec.structs.replace(line, settled_on=None)), account=KEY[0], as_of=AS_OF)
    assert event.occurred_at == AS_OF


def test_of_lines_that_no_event_can_be_made_of_there_is_none():
    assert events_of(compared(a_line(), a_line(payment_ref=None)), account=KEY[0], as_of=AS_OF) == []


# --- cases ------------------------------------------------------------------------------------------------------------


def a_difference(comparison):
    return difference_of(
        comparison, verdict_of(comparison), account=KEY[0], form="test.trade", order_id=7, statement_id=3
    )


def test_a_case_says_what_is_listed_and_what_is_known():
    found = a_difference(compared(a_line(amount=90), facts=known(100)))
    reason = case_reason(found)
    assert reason.key == case_key(KEY[0], MatchedObject.PAYMENT, "x1", Verdict.AMOUNT_DIFFERS)
    assert (reason.kind, reason.subject) == ("statement_differs", "payment:stripe-main/x1")
    assert (reason.details["listed"], reason.details["known_here"], reason.details["currency"]) == (90, 100, "CNY")
    other = case_reason(a_difference(compared(a_line(amount=80), facts=known(100))))
    assert reason.state != other.state


def test_a_case_about_a_fee_says_both_fees():
    terms = BooksTerms(fees={"CNY": FeeTerms(millionths=5_000)})
    reason = case_reason(a_difference(compared(a_line(amount=1000, fee=9), facts=known(1000), terms=terms)))
    assert (reason.kind, reason.state) == ("statement_fee_differs", "fee 9 agreed 5 CNY")


def test_a_case_about_what_is_here_alone_has_no_line():
    reason = case_reason(a_difference(compared(facts=known(100))))
    assert reason.kind == "statement_here_only"
    assert not {"listed", "line", "listed_currency"} & reason.details.keys()


def test_a_refusal_names_the_line_where_there_is_one():
    assert str(StatementRefused("the totals line is missing", line=9)) == "line 9: the totals line is missing"
    assert str(StatementRefused("it is no statement")) == "it is no statement"
