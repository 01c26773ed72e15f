"""When the guard has an account paused: what it counts, and how its rules decide."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import NOON, POLICY, an_event, an_order
from tillkeeper.domain.batch import BatchItem
from tillkeeper.domain.events import Kind
from tillkeeper.domain.guard import RULES, GuardSign, OrderCounts, PauseReason, Rule, count, judge
from tillkeeper.domain.order.receiving import receive
from tillkeeper.domain.order.registration import Instalment, Order

DUE = 10_000
COUNTS = st.builds(OrderCounts, **dict.fromkeys(("paid", *map(str, GuardSign)), st.integers(0, 10_000)))
OPEN = st.none() | st.integers(0, 20_000)


def counted(*batches, order=None, **fields):
    """What the last of these batches of events does to an order, by account."""
    state = order or an_order(
        order=Order(order_ref="A1", amount=DUE, currency="CNY", accounts=frozenset({"stripe-main"})), **fields
    )
    for batch in batches:
        items = [BatchItem(event=event) for event in batch]
        change = receive(state, items, policy=POLICY, now=NOON)
        result = count([change], {state.id: items})
        state = msgspec.structs.replace(change.after, stored=change.after.summary)
    return result


def paid(amount=DUE, second=0, **fields):
    return an_event(Kind.PAYMENT_SUCCEEDED, second, amount=amount, **fields)


def failed(second=0, **fields):
    return an_event(Kind.PAYMENT_FAILED, second, **fields)


def of_stripe(**counts):
    return {"stripe-main": OrderCounts(**counts)}


# --- what is counted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [DUE, DUE // 2, DUE * 2, DUE // 49, DUE * 49])
def test_an_order_that_is_paid_is_paid_whatever_is_missing_or_too_much(amount):
    assert counted([paid(amount)]) == of_stripe(paid=1)


@pytest.mark.parametrize("amount", [1, DUE // 100, DUE // 50, DUE * 50, DUE * 100])
def test_units_that_were_taken_for_others_are_far_off(amount):
    assert counted([paid(amount)]) == of_stripe(far_off=1)


def test_a_small_part_of_an_order_that_is_paid_in_parts_is_paid_and_a_hundredfold_is_not():
    plan = (Instalment(amount=100, due_at=NOON), Instalment(amount=DUE - 100, due_at=NOON))
    assert counted([paid(100)], instalments=plan) == of_stripe(paid=1)
    assert counted([paid(DUE * 100)], instalments=plan) == of_stripe(far_off=1)


def test_the_first_payment_that_fails_counts_and_no_other():
    assert counted([failed()]) == of_stripe(failed=1)
    assert counted([failed()], [failed(1, payment_ref="p2")]) == {}
    pending = an_event(Kind.PAYMENT_PENDING, 1, payment_ref="p2")
    assert counted([failed()], [pending], [failed(2, payment_ref="p2")]) == {}


def test_a_failure_that_is_told_late_of_an_order_that_was_paid_is_none():
    assert counted([paid(second=5)], [failed(payment_ref="p2")]) == {}


def test_money_that_goes_back_is_taken_back():
    reversed_ = an_event(Kind.PAYMENT_REVERSED, 9, amount=DUE)
    assert counted([paid()], [reversed_]) == of_stripe(taken_back=1)
    refund = an_event(Kind.REFUND_SUCCEEDED, 9, refund_ref="r1", amount=300)
    assert counted([paid()], [refund]) == of_stripe(taken_back=1)


def test_a_refund_that_the_merchant_registered_is_not():
    asked = an_event(Kind.REFUND_PENDING, 5, refund_ref="r1", amount=300)
    told = an_event(Kind.REFUND_SUCCEEDED, 9, refund_ref="r1", amount=300)
    assert counted([paid()], [asked], [told]) == {}


def test_a_refund_before_its_payment_takes_nothing_back():
    assert counted([an_event(Kind.REFUND_SUCCEEDED, 9, refund_ref="r1", amount=300)]) == {}


def test_a_mismatch_counts_for_the_account_that_told_it_and_the_money_for_the_other():
    foreign = paid(account="alipay-main", payment_ref="q1")
    assert counted([paid(), foreign]) == of_stripe(paid=1) | {"alipay-main": OrderCounts(mismatched=1)}


def test_an_event_that_says_nothing_new_or_only_that_a_payment_began_counts_for_nothing():
    pending = an_event(Kind.PAYMENT_PENDING)
    assert counted([pending]) == counted([paid(second=1)], [pending]) == {}


def test_orders_without_events_of_the_batch_count_for_nothing():
    change = receive(an_order(), [], policy=POLICY, now=NOON)
    assert count([change], {}) == {}


# --- how it is decided ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", GuardSign)
def test_each_rule_fires_at_its_line_and_not_before(sign):
    least = RULES[sign].least
    assert judge(OrderCounts(**{sign: least - 1}), RULES) is None
    found = judge(OrderCounts(**{sign: least}), RULES)
    assert found is not None
    assert (found.sign, found.orders, found.line, found.share) == (sign, least, least, 1.0)
    assert str(least) in found.text


@pytest.mark.parametrize("sign", GuardSign)
def test_a_rule_that_is_off_never_fires(sign):
    others = {other: rule for other, rule in RULES.items() if other is not sign}
    assert judge(OrderCounts(**{sign: 1_000_000}), others) is None


def test_what_the_account_has_had_before_raises_the_line():
    counts = OrderCounts(failed=60)
    assert judge(counts, RULES, usual_most=OrderCounts(failed=31)) is None
    assert judge(counts, RULES, usual_most=OrderCounts(failed=30)) is not None


def test_a_small_part_of_what_is_open_is_no_reason():
    counts = OrderCounts(failed=60)
    assert judge(counts, RULES, open_orders=601) is None
    found = judge(counts, RULES, open_orders=600)
    assert found is not None
    assert "of 600 open ones" in found.text


def test_a_shop_of_ten_orders_is_not_paused_by_two_declines_nor_by_ten():
    for declines in (2, 10):
        assert judge(OrderCounts(failed=declines), RULES, open_orders=10) is None


@given(paid=st.integers(0, 10**9))
def test_successes_in_usual_amounts_pause_nothing_however_many(paid):
    assert judge(OrderCounts(paid=paid), RULES) is None


@given(counts=COUNTS, more=COUNTS, usual=COUNTS, open_orders=OPEN)
def test_more_of_what_is_bad_never_ends_a_pause(counts, more, usual, open_orders):
    worse = counts + msgspec.structs.replace(more, paid=0)
    if judge(counts, RULES, usual_most=usual, open_orders=open_orders):
        assert judge(worse, RULES, usual_most=usual, open_orders=open_orders)


@given(counts=COUNTS, more=st.integers(0, 10_000), usual=COUNTS, open_orders=OPEN)
def test_more_successes_never_begin_one(counts, more, usual, open_orders):
    better = counts + OrderCounts(paid=more)
    if judge(better, RULES, usual_most=usual, open_orders=open_orders):
        assert judge(counts, RULES, usual_most=usual, open_orders=open_orders)


@given(counts=COUNTS, usual=COUNTS, open_orders=OPEN)
def test_what_is_read_only_where_it_may_matter_never_begins_one(counts, usual, open_orders):
    if judge(counts, RULES) is None:
        assert judge(counts, RULES, usual_most=usual, open_orders=open_orders) is None


@given(counts=COUNTS, usual=COUNTS, open_orders=OPEN)
def test_a_finding_says_numbers_that_bear_it_out(counts, usual, open_orders):
    found = judge(counts, RULES, usual_most=usual, open_orders=open_orders)
    if found is not None:
        rule = RULES[found.sign]
        assert isinstance(rule, Rule)
        assert found.orders == counts.of(found.sign) >= found.line >= rule.least
        assert 0 <= found.share <= 1
        assert msgspec.json.decode(msgspec.json.encode(found), type=PauseReason) == found


@given(one=COUNTS, two=COUNTS, three=COUNTS)
def test_counts_add_up_in_any_grouping(one, two, three):
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
