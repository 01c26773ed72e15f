"""The ledger: each event's postings sum to zero, and together they come to what the facts say."""

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import MINUTE, NOON, an_event
from tests.pure.domain.strategies import AN_ORDER, histories
from tillkeeper.domain.books.ledger import (
    Book,
    BookedEvent,
    LedgerAccount,
    added,
    balances,
    postings_between,
    transactions,
)
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import charged_back

ORDER = Order(order_ref="A1", amount=100, currency="CNY", accounts=frozenset({"stripe-main"}))


def facts_after(events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    return facts


def books_of(order, *events):
    """The balances in CNY, by book; clearing only of stripe-main."""
    return {account.book: minor for (account, _), minor in balances(order, facts_after(events)).items()}


def journal(order, events):
    return list(transactions(order, [booked(event, minute) for minute, event in enumerate(events)]))


def booked(event, minute, waited_since=None):
    since = None if waited_since is None else NOON + waited_since * MINUTE
    return BookedEvent(event=event, recorded_at=NOON + minute * MINUTE, waited_since=since)


def test_a_payment_is_the_gateways_debt_to_us_and_the_payers_money():
    assert books_of(ORDER, an_event(amount=100)) == {Book.CLEARING: 100, Book.PAYERS: -100}


def test_a_refund_takes_it_out_of_clearing():
    events = (an_event(amount=100), an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="r1", amount=30))
    assert books_of(ORDER, *events) == {Book.CLEARING: 70, Book.PAYERS: -100, Book.REFUNDS: 30}


def test_a_lost_dispute_is_a_chargeback_and_one_that_is_open_or_won_is_none():
    paid, opened = an_event(amount=100), an_event(Kind.DISPUTE_OPENED, 1, dispute_ref="d1", amount=100)
    lost = an_event(Kind.DISPUTE_LOST, 2, dispute_ref="d1", amount=100)
    assert books_of(ORDER, paid, opened) == {Book.CLEARING: 100, Book.PAYERS: -100}
    assert books_of(ORDER, paid, opened, lost) == {Book.PAYERS: -100, Book.CHARGEBACKS: 100}


def test_a_tip_is_not_the_orders_and_goes_back_with_all_of_it():
    paid = an_event(amount=100, on_top=20)
    assert books_of(ORDER, paid) == {Book.CLEARING: 120, Book.PAYERS: -100, Book.EXTRA: -20}
    back = an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="r1", amount=120)
    assert books_of(ORDER, paid, back) == {Book.PAYERS: -100, Book.REFUNDS: 100}


def test_money_of_another_currency_or_account_is_nobodys_yet():
    dollars = an_event(amount=7, currency="USD")
    assert balances(ORDER, facts_after([dollars])) == {
        (LedgerAccount(Book.CLEARING, "stripe-main"), "USD"): 7,
        (LedgerAccount(Book.MISMATCHED), "USD"): -7,
    }
    elsewhere = an_event(amount=100, account="alipay-main")
    back = an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="r1", amount=40, account="alipay-main")
    assert balances(ORDER, facts_after([elsewhere, back])) == {
        (LedgerAccount(Book.CLEARING, "alipay-main"), "CNY"): 60,
        (LedgerAccount(Book.MISMATCHED), "CNY"): -60,
    }


def test_money_of_no_known_order_waits():
    assert books_of(None, an_event(amount=100)) == {Book.CLEARING: 100, Book.WAITING: -100}


def test_an_event_that_moves_no_money_is_no_transaction():
    events = [an_event(Kind.PAYMENT_PENDING), paid := an_event(second=1, amount=100), paid]
    (only,) = journal(ORDER, events)
    assert (only.event, only.booked_at, only.order_ref) == (paid, NOON + MINUTE, "A1")
    assert [(each.account, each.currency, each.minor) for each in only.postings] == [
        (LedgerAccount(Book.CLEARING, "stripe-main"), "CNY", 100),
        (LedgerAccount(Book.PAYERS), "CNY", -100),
    ]


def test_a_reversal_books_back_what_the_capture_booked():
    first, last = journal(ORDER, [an_event(amount=100), an_event(Kind.PAYMENT_REVERSED, 1)])
    assert {(each.account, -each.minor) for each in last.postings} == {
        (each.account, each.minor) for each in first.postings
    }


def test_a_transaction_of_an_event_that_waits_names_no_order():
    (only,) = journal(None, [an_event(amount=100)])
    assert only.order_ref is None


def test_money_that_waited_is_booked_as_such_and_then_as_the_orders():
    events = [
        booked(an_event(amount=60), 9, waited_since=1),
        booked(an_event(second=1, payment_ref="p2", amount=40), 5),
    ]
    waits, other, counts = transactions(ORDER, events)
    assert (waits.booked_at, waits.order_ref) == (NOON + MINUTE, None)
    assert {each.account.book: each.minor for each in waits.postings} == {Book.CLEARING: 60, Book.WAITING: -60}
    assert {each.account.book: each.minor for each in other.postings} == {Book.CLEARING: 40, Book.PAYERS: -40}
    assert {each.account.book: each.minor for each in counts.postings} == {Book.WAITING: 60, Book.PAYERS: -60}
    assert (counts.booked_at, counts.order_ref) == (NOON + 9 * MINUTE, "A1")


def test_running_totals_that_waited_add_up_to_the_last():
    totals = [an_event(Kind.REFUND_SUCCEEDED, second, total=30 + second) for second in (0, 20)]
    *_, last = transactions(ORDER, [booked(event, 9, waited_since=n) for n, event in enumerate(totals)])
    waited = list(transactions(None, [booked(event, n) for n, event in enumerate(totals)]))
    assert [each.postings[0].minor for each in waited] == [30, 20]
    assert last.booked_at == NOON + 9 * MINUTE


@given(histories, st.none() | st.just(AN_ORDER) | st.just(ORDER))
def test_every_transaction_sums_to_zero_and_all_together_are_what_the_facts_say(events, order):
    total = {}
    for transaction in journal(order, events):
        sums = Counter()
        for posting in transaction.postings:
            sums[posting.currency] += posting.minor
        assert set(sums.values()) == {0}
        total = added(total, {(each.account, each.currency): each.minor for each in transaction.postings})
    assert total == balances(order, facts_after(events))
    assert postings_between(total, total) == ()


@given(histories, st.sampled_from([AN_ORDER, ORDER]))
def test_the_ledger_says_of_an_order_what_its_status_says(events, order):
    facts = facts_after(events)
    said, summary = balances(order, facts), summarize(order, facts)

    def in_order(book, at=""):
        return said.get((LedgerAccount(book, at), order.currency), 0)

    assert -in_order(Book.PAYERS) == summary.captured
    assert in_order(Book.REFUNDS) == summary.refunded
    assert in_order(Book.CHARGEBACKS) == charged_back(order, facts)


@given(histories)
def test_without_an_order_nothing_is_anybodys(events):
    books = {account.book for account, _ in balances(None, facts_after(events))}
    assert books <= {Book.CLEARING, Book.WAITING}


@given(histories)
def test_an_order_that_expects_other_accounts_leaves_the_same_at_the_gateways(events):
    facts = facts_after(events)

    def clearing(order):
        return {key: minor for key, minor in balances(order, facts).items() if key[0].book is Book.CLEARING}

    stranger = msgspec.structs.replace(ORDER, accounts=frozenset({"stripe-main", "stranger"}))
    assert clearing(ORDER) == clearing(AN_ORDER) == clearing(stranger) == clearing(None)
