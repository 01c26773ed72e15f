"""Which order a payment belongs to when what is told of it names more than one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.histories_of_one import an_event
from tests.pure.domain.strategies import histories
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.ownership import Placed, place

PENDING, PAID, BACK = Kind.PAYMENT_PENDING, Kind.PAYMENT_SUCCEEDED, Kind.REFUND_SUCCEEDED
A1, A2, WAITS = Placed(order_ref="A1"), Placed(order_ref="A2"), Placed(order_ref=None)


def named(kind, second=0, order_ref=None, **fields):
    return an_event(kind, second, order_ref=order_ref, **fields)


def placed(events, registered=("A1", "A2"), claims=None):
    events = [msgspec.structs.replace(event, event_id=f"e{number}") for number, event in enumerate(events)]
    placement = place(events, registered=registered, claims=claims or {})
    return [placement.events["stripe-main", event.event_id] for event in events], placement


def contradicts(order_ref):
    return Placed(order_ref=order_ref, contradicts=True)


@pytest.mark.parametrize(
    ("events", "registered", "expected"),
    [
        ([named(PAID, 0, "A1")], ["A1"], [A1]),
        ([named(PAID, 0, "A1")], [], [WAITS]),
        ([named(PAID)], ["A1"], [WAITS]),
        # The success says whose it is, the first of several; before there is one, the latest word.
        ([named(PENDING, 9, "A1"), named(PAID, 5, "A2")], ["A1", "A2"], [contradicts("A2"), A2]),
        ([named(PAID, 5, "A1"), named(PAID, 9, "A2")], ["A1", "A2"], [A1, contradicts("A1")]),
        ([named(PENDING, 0, "A1"), named(PENDING, 1, "A2")], ["A1", "A2"], [contradicts("A2"), A2]),
        # A name that nobody registered contradicts nobody, but a success with one pays nobody.
        ([named(PENDING, 0, "draft"), named(PENDING, 1, "A2"), named(PENDING, 2, "draft")], ["A2"], [A2, A2, A2]),
        ([named(PENDING, 0, "A1"), named(PAID, 1, "A9")], ["A1"], [WAITS, WAITS]),
        # A refund belongs where its payment does.
        ([named(PAID, 0, "A1"), named(BACK, 1, refund_ref="r1")], ["A1"], [A1, A1]),
        ([named(PAID, 0, "A1"), named(BACK, 1, "A2", refund_ref="r1")], ["A1", "A2"], [A1, contradicts("A1")]),
        (
            [named(PAID, 0, "A1"), named(BACK, 1, refund_ref="r1"), named(BACK, 2, payment_ref=None, refund_ref="r1")],
            ["A1"],
            [A1, A1, A1],
        ),
        # One that is told with payments of two orders belongs to the later.
        (
            [named(PAID, 0, "A1"), named(PAID, 0, "A2", payment_ref="p2"),
             named(BACK, 1, refund_ref="r1"), named(BACK, 2, payment_ref="p2", refund_ref="r1")],
            ["A1", "A2"],
            [A1, A2, contradicts("A2"), A2],
        ),
        ([named(BACK, 1, payment_ref=None, refund_ref="r1")], ["A1"], [WAITS]),
        # What names only the same refund says whose the payment is.
        (
            [named(Kind.REFUND_PENDING, 0, "A1", payment_ref=None, refund_ref="r1"), named(BACK, 1, refund_ref="r1")],
            ["A1"],
            [A1, A1],
        ),
        (
            [named(Kind.DISPUTE_OPENED, 0, "A1", dispute_ref="d1"),
             named(Kind.DISPUTE_LOST, 1, payment_ref=None, dispute_ref="d1")],
            ["A1"],
            [A1, A1],
        ),
        # And with that whose the payment's own events are.
        (
            [named(Kind.REFUND_PENDING, 0, "A1", payment_ref=None, refund_ref="r1"), named(BACK, 1, refund_ref="r1"),
             named(PENDING, 2)],
            ["A1"],
            [A1, A1, A1],
        ),
        (
            [named(Kind.DISPUTE_OPENED, 0, "A1", payment_ref=None, dispute_ref="d1"),
             named(Kind.DISPUTE_LOST, 1, dispute_ref="d1"), named(PENDING, 2)],
            ["A1"],
            [A1, A1, A1],
        ),
        # An event of the same account that is about neither says nothing of it.
        (
            [named(Kind.REFUND_PENDING, 0, "A1", payment_ref=None, refund_ref="r2"), named(BACK, 1, refund_ref="r1"),
             named(PENDING, 2)],
            ["A1"],
            [A1, WAITS, WAITS],
        ),
        # A refund belongs where its payment does, whatever a later event without the payment says.
        (
            [named(PAID, 0, "A2"), named(BACK, 1, refund_ref="r1"),
             named(BACK, 5, "A1", payment_ref=None, refund_ref="r1")],
            ["A1", "A2"],
            [A2, A2, contradicts("A2")],
        ),
    ],
)  # fmt: skip
def test_each_event_has_its_place(events, registered, expected):
    assert placed(events, registered)[0] == expected


def test_a_refund_of_the_same_name_at_another_account_says_nothing():
    elsewhere = named(Kind.REFUND_PENDING, 0, "A1", payment_ref=None, refund_ref="r1", account="alipay-main")
    back = named(BACK, 1, refund_ref="r1", event_id="back")
    pending = named(PENDING, 2, event_id="pending")
    placement = place([elsewhere, back, pending], registered=["A1"], claims={})
    assert placement.events["stripe-main", "back"] == placement.events["stripe-main", "pending"] == WAITS


def test_what_the_merchant_claims_is_its_own():
    events, placement = placed([named(PAID, 0, "A2"), named(PENDING)], claims={("stripe-main", "p1"): "A1"})
    assert events == [contradicts("A1"), A1]
    assert placement.conflicts == {"payment:stripe-main/p1": ("A1", "A2")}
    assert placement.names == {("stripe-main", "p1"): {"A1", "A2"}}


def test_a_conflict_is_one_of_registered_orders():
    events = [named(PENDING, 0, "draft"), named(PAID, 1, "A2")]
    assert placed(events)[1].conflicts == {}
    assert placed(events, ["draft", "A2"])[1].conflicts == {"payment:stripe-main/p1": ("A2", "draft")}
    assert placed([named(PAID, 0, "A1")])[1].names == {}


@given(
    histories,
    st.lists(st.sampled_from(["A1", "A2", "draft", None]), min_size=12, max_size=12),
    st.sets(st.sampled_from(["A1", "A2"])),
    st.randoms(use_true_random=False),
)
def test_no_order_of_arrival_makes_a_difference(history, names, registered, chance):
    events = [
        msgspec.structs.replace(event, order_ref=name, event_id=f"e{number}")
        for number, (event, name) in enumerate(zip(history, names, strict=False))
    ]
    once = place(events, registered=registered, claims={})
    again = place(chance.sample(events, len(events)), registered=registered, claims={})
    assert (once.events, once.conflicts, once.names) == (again.events, again.conflicts, again.names)
    for key, placed in once.events.items():
        assert not placed.contradicts or placed.order_ref in registered, key


def test_what_a_person_bound_is_contradicted_by_nothing():
    events = [msgspec.structs.replace(named(PAID, 0, "A2"), event_id="e0"), named(BACK, 1, "A2")]
    key = ("stripe-main", events[0].payment_ref)
    claimed = place(events, registered=("A1", "A2"), claims={key: "A1"})
    bound = place(events, registered=("A1", "A2"), claims={key: "A1"}, bound={key})
    assert claimed.events["stripe-main", "e0"] == contradicts("A1")
    assert bound.events["stripe-main", "e0"] == A1
    assert bound.conflicts  # a person hears of it all the same
