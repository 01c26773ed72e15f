"""What of a batch is new, known or waited: each event once, in the order of the list."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from tests.pure.domain.factories import NOON, POLICY, an_event, an_order
from tillkeeper.domain.batch import (
    BatchItem,
    KnownEvent,
    digest_of,
    erased_among,
    find_orders,
    give_ids_of_their_own,
    hand_over,
    sort_out,
)
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.case_reasons import CaseReason, event_subject
from tillkeeper.domain.order.receiving import Outcome
from tillkeeper.domain.references import Bindings

DELIVERY = (UUID(int=1), 1)


def delivered(*events):
    return [BatchItem(event=event, delivery=DELIVERY) for event in events]


def known(event, **fields):
    return KnownEvent(**{"digest": digest_of(event), "waits": False, "parked_id": None, **fields})


def test_the_same_event_twice_is_new_once_and_a_duplicate_the_second_time():
    event = an_event()
    batch = sort_out(delivered(event, event), [], {})
    assert (len(batch.new), batch.duplicates[DELIVERY], len(batch.arrivals)) == (1, 1, 1)


def test_an_event_that_is_known_is_a_duplicate():
    event = an_event()
    batch = sort_out(delivered(event), [], {0: known(event)})
    assert (batch.new, batch.duplicates[DELIVERY], batch.arrivals) == ([], 1, [])


def test_an_event_whose_row_is_parked_alone_is_new_and_supersedes_that():
    event = an_event()
    batch = sort_out(delivered(event), [], {0: KnownEvent(digest=None, waits=False, parked_id=7)})
    assert (len(batch.new), batch.superseded) == (1, [7])


def test_an_answer_that_is_known_stands_as_of_its_later_moment():
    later = an_event(as_of=NOON + timedelta(minutes=5))
    for known_at, repeats in ((NOON, True), (later.known_at, False), (None, False)):
        batch = sort_out([BatchItem(event=later, order_id=1)], [], {0: known(later, known_at=known_at)})
        assert [arrival.repeats for arrival in batch.arrivals] == [True] * repeats
        assert len(batch.repeated) == repeats
        assert len(batch.by_order().get(1, ())) == repeats


def test_a_known_event_that_waits_is_taken_up_once_its_order_is_known():
    event = an_event()
    for order_id, taken_up in ((None, 0), (1, 1)):
        items = delivered(event, event)
        for item in items:
            item.order_id = order_id
        row = known(event, waits=True)
        batch = sort_out(items, [], {0: row, 1: row})
        assert (len(batch.waited), batch.duplicates[DELIVERY]) == (taken_up, 2)


def test_what_has_no_order_waits():
    item, repeated = BatchItem(event=an_event()), BatchItem(event=an_event(), repeats=True)
    batch = sort_out([item], [], {})
    batch.arrivals.append(repeated)
    assert not batch.by_order()
    assert (item.outcome, repeated.outcome) == (Outcome.WAITING, None)


def test_an_id_that_says_two_things_counts_for_both_and_a_person_is_told():
    event = an_event()
    other = msgspec.structs.replace(event, amount=50)
    items = delivered(event, other)
    positions, reused = give_ids_of_their_own(items, {})
    assert positions == [1]
    assert [item.event.event_id == event.event_id for item in items] == [True, False]
    ((item, reason),) = reused
    assert item is items[1]
    assert reason == CaseReason(
        kind="event_id_reused",
        subject=event_subject("stripe-main", event.event_id),
        account="stripe-main",
        details={"now_says": "payment.succeeded", "delivery": [str(part) for part in item.delivery]},
    )
    assert give_ids_of_their_own([BatchItem(event=event), BatchItem(event=other)], {}) == (
        [],
        [],
    )  # ids of answers are ours


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        ({}, "2fe00bb1ffea70254f7551295c985985"),
        ({"discount": 5}, "5dbc32b57188f8cbd2cc63950081da9a"),
        ({"on_top": 5}, "99918412ff322523ff9557ee986258e5"),
    ],
)
def test_a_stored_fingerprint_is_what_it_was(fields, digest):
    """Inboxes hold those of years: another one for the same event would make each redelivery a second event."""
    event = an_event(account="a", **fields)
    assert digest_of(event).hex() == digest
    assert digest_of(msgspec.structs.replace(event, event_id="e2", method="card", failure_code="x")).hex() == digest


def test_a_known_payment_says_more_than_the_orders_name():
    bindings = Bindings(known={("order", "A1"): 1, ("payment", "stripe-main", "p1"): 2})
    assert bindings.order_of(an_event()) == 2
    assert bindings.order_of(an_event(payment_ref="p2")) == 1
    assert bindings.order_of(an_event(payment_ref="p3", order_ref=None)) is None


def test_references_that_lead_to_two_orders_or_name_another_are_contested():
    bindings = Bindings(known={("order", "A1"): 1, ("payment", "stripe-main", "p1"): 2})
    assert bindings.leads_elsewhere(an_event())
    assert not bindings.leads_elsewhere(an_event(payment_ref="p2"))
    assert bindings.leads_elsewhere(an_event(order_ref="A9"))
    assert not bindings.leads_elsewhere(an_event(order_ref=None))
    assert not bindings.leads_elsewhere(an_event(order_ref="A9", payment_ref="p9"))
    refund = an_event(Kind.REFUND_PENDING, refund_ref="r1", order_ref=None, amount=1)
    assert bindings.order_of(refund) == 2
    assert bindings.new_objects == {("refund", "stripe-main", "r1")}


def test_an_event_finds_its_order_by_what_a_later_one_of_its_batch_names():
    refund, stranger = (
        an_event(Kind.REFUND_SUCCEEDED, order_ref=None, payment_ref=None, refund_ref=ref, amount=1)
        for ref in ("r1", "r2")
    )
    both = an_event(Kind.REFUND_PENDING, refund_ref="r1", amount=1)
    items = delivered(refund, stranger, both)
    assert find_orders(items, Bindings(known={("order", "A1"): 1})) == [items[1]]
    assert [item.order_id for item in items] == [1, None, 1]


def test_each_order_is_handed_its_events_and_what_the_batch_found_of_it():
    item = BatchItem(event=an_event(), order_id=1)
    batch = sort_out([item], [], {})
    reason = CaseReason(kind="event_id_reused", subject="event:a/e1")
    orders = {1: an_order(), 2: an_order("A2")}
    first, second = hand_over(
        batch, orders, placed_facts={}, found=[(1, reason), (None, reason)], policy=POLICY, now=NOON
    )
    assert (item.outcome, first.has_moved, second.has_moved) == (Outcome.APPLIED, True, False)
    assert (reason.key in first.cases.opened, second.decided_cases) == (True, None)


def test_the_deliveries_of_erased_orders_are_told_from_others():
    items = [BatchItem(event=an_event(), delivery=(UUID(int=1), number), order_id=number) for number in (1, 2)]
    items += [BatchItem(event=an_event(), order_id=2), BatchItem(event=an_event(), delivery=(UUID(int=1), 3))]
    orders = {number: an_order(f"A{number}", id=number) for number in (1, 2)}
    assert erased_among(items, orders) == set()
    orders[2] = an_order("A2", id=2, is_erased=True)
    assert erased_among(items, orders) == {(UUID(int=1), 2)}
