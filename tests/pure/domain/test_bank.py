"""A payout is found in a bank's entries where one way alone fits, and told as missing only once it is due."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.books.bank import (
    BankEntry,
    BankStatement,
    FoundBy,
    Payout,
    PayoutVerdict,
    Terms,
    due_on,
    find_payouts,
    payout_case,
)
from tillkeeper.domain.books.statement import StatementRefused

MONDAY = date(2026, 11, 23)
TERMS = Terms(words={"stripe-main": "STRIPE", "paypal-main": "PayPal"}, within_days=3, covered_until=MONDAY)


def a_payout(amount=10_000, ref="po_1ABCDEFG", *, day=MONDAY, account="stripe-main", currency="EUR"):
    return Payout(account=account, ref=ref, currency=currency, amount=amount, sent_on=day)


def an_entry(amount=10_000, text="STRIPE payout", *, day=MONDAY + timedelta(days=2), key="e1", currency="EUR"):
    return BankEntry(number=1, amount=amount, currency=currency, booked_on=day, reference=None, text=text, key=key)


def found(payouts, *entries, covered=MONDAY):
    terms = Terms(words=TERMS.words, within_days=3, covered_until=covered)
    return [
        (each.verdict, each.found_by, each.entry.key if each.entry else None)
        for each in find_payouts(payouts, entries, terms)
    ]


NOT_YET = (PayoutVerdict.ON_ITS_WAY, None, None)
GONE = (PayoutVerdict.MISSING, None, None)


def test_days_that_banks_rest_on_are_not_counted():
    assert due_on(MONDAY, 3) == date(2026, 11, 26)
    assert due_on(date(2026, 11, 27), 1) == date(2026, 11, 30)
    assert due_on(date(2026, 11, 28), 0) == date(2026, 11, 28)


def test_a_number_in_the_text_is_enough_however_the_bank_breaks_it():
    entry = an_entry(text="INC po_1AB CDEFG/x")
    assert found([a_payout()], entry) == [(PayoutVerdict.ARRIVED, FoundBy.REFERENCE, "e1")]
    assert found([a_payout(9_999)], entry) == [(PayoutVerdict.DIFFERS, FoundBy.REFERENCE, "e1")]
    assert found([a_payout(ref="12345")], an_entry(7, text="12345"), covered=None) == [NOT_YET]


def test_an_amount_is_enough_where_it_fits_one_payout_and_one_entry():
    arrived = (PayoutVerdict.ARRIVED, FoundBy.AMOUNT, "e1")
    assert found([a_payout()], an_entry()) == [arrived]
    assert found([a_payout()], an_entry(), an_entry(key="e2"), covered=None) == [NOT_YET]
    two = [a_payout(), a_payout(ref="po_2ABCDEFG")]
    assert found(two, an_entry(), covered=None) == [NOT_YET, NOT_YET]


@pytest.mark.parametrize(
    "entry",
    [
        an_entry(text="Somebody else"),
        an_entry(currency="USD"),
        an_entry(-10_000),
        an_entry(day=MONDAY - timedelta(days=2)),
        an_entry(day=MONDAY + timedelta(days=30)),
    ],
)
def test_what_only_looks_alike_is_no_payout(entry):
    assert found([a_payout()], entry, covered=None) == [NOT_YET]


def test_a_payout_is_missing_once_statements_cover_the_day_by_which_it_is_due():
    assert found([a_payout()], covered=MONDAY + timedelta(days=2)) == [NOT_YET]
    assert found([a_payout()], covered=MONDAY + timedelta(days=3)) == [GONE]
    assert found([a_payout(account="nobody")], an_entry(), covered=None) == [NOT_YET]


def test_payouts_that_add_up_to_an_entry_in_one_way_alone_have_arrived():
    payouts = [a_payout(3_000, "po_a"), a_payout(4_500, "po_b"), a_payout(9_000, "po_c")]
    arrived = (PayoutVerdict.ARRIVED, FoundBy.SUM, "e1")
    assert found(payouts, an_entry(7_500), covered=None) == [arrived, arrived, NOT_YET]
    payouts.append(a_payout(3_000, "po_d"))
    assert found(payouts, an_entry(7_500), covered=None) == [NOT_YET] * 4


def test_what_came_back_is_expected_no_longer():
    assert found([a_payout(0)]) == [(PayoutVerdict.CAME_BACK, None, None)]


def test_the_case_says_what_is_missing():
    (missing,) = find_payouts([a_payout()], [], Terms(words={}, within_days=0, covered_until=MONDAY))
    reason = payout_case(missing)
    assert reason.state == "payout_missing 10000 EUR"
    assert (reason.kind, reason.subject) == ("payout_missing", "payout:stripe-main/po_1ABCDEFG")
    assert reason.details == {"amount": 10_000, "currency": "EUR", "since": "2026-11-23T00:00:00+00:00"}
    (differs,) = find_payouts([a_payout()], [an_entry(5, text="po_1ABCDEFG")], TERMS)
    assert payout_case(differs).details["listed"] == 5


PAYOUTS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 9)).map(
        lambda drawn: a_payout(drawn[0] * 1_000, f"po_{drawn}", day=MONDAY + timedelta(days=drawn[1]))
    ),
    max_size=6,
    unique_by=lambda payout: payout.ref,
)
ENTRIES = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 12), st.sampled_from(["STRIPE", "PAYPAL", "po_(1, 1)"])),
    max_size=6,
)


@given(PAYOUTS, ENTRIES)
def test_no_entry_is_given_away_twice_and_no_money_is_made(payouts, drawn):
    entries = [
        an_entry(amount * 1_000, text, day=MONDAY + timedelta(days=day), key=f"e{place}")
        for place, (amount, day, text) in enumerate(drawn)
    ]
    arrivals = find_payouts(payouts, entries, TERMS)
    assert [each.payout for each in arrivals] == payouts
    by_entry: dict[str, list[int]] = {}
    for each in arrivals:
        if each.entry is not None and each.verdict is PayoutVerdict.ARRIVED:
            by_entry.setdefault(each.entry.key, []).append(each.payout.amount)
            assert len(by_entry[each.entry.key]) == 1 or each.found_by is FoundBy.SUM
    amounts = {entry.key: entry.amount for entry in entries}
    assert all(sum(paid) == amounts[key] for key, paid in by_entry.items())


def a_statement(opening, closing):
    return BankStatement(
        iban=None,
        number=None,
        currency="EUR",
        begins=MONDAY,
        ends=MONDAY,
        opening=opening,
        closing=closing,
        entries=(an_entry(500), an_entry(-200)),
    )


@pytest.mark.parametrize(("opening", "closing"), [(None, None), (None, 5), (5, None), (100, 400)])
def test_entries_lead_from_one_balance_to_the_other_where_both_are_told(opening, closing):
    a_statement(opening, closing).check()


def test_entries_that_do_not_are_refused():
    with pytest.raises(StatementRefused, match=r"the entries add up to 300, and the balances .* differ by 299"):
        a_statement(100, 399).check()
