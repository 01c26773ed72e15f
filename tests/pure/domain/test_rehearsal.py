"""What is read otherwise in a delivery, and what an order would come to."""

import msgspec

from tests.pure.domain.factories import an_event
from tillkeeper.domain.batch import digest_of
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.rehearsal import changes_in, outcome_of, rehearsed
from tillkeeper.domain.statuses import Status

ORDER = Order(order_ref="A1", amount=100, currency="CNY", accounts=frozenset({"stripe-main"}))
PAID = an_event(event_id="evt_1", amount=100)
LESS = msgspec.structs.replace(PAID, amount=60)


def test_what_is_read_alike_is_no_change():
    again = msgspec.structs.replace(PAID, as_of=PAID.occurred_at)  # until when it held is no matter of reading
    assert changes_in([again], [PAID], "") == []


def test_what_is_read_otherwise_names_the_fields():
    [change] = changes_in([LESS], [PAID], "")
    assert (change.before, change.after, change.fields) == (PAID, LESS, {"amount": (100, 60)})


def test_what_is_new_and_what_is_gone_have_no_fields():
    new, gone = changes_in([PAID], [an_event(event_id="evt_0")], "it is refused now")
    assert (new.before, new.after, new.fields, new.reason) == (None, PAID, {}, "")
    assert (gone.before.event_id, gone.after, gone.fields, gone.reason) == ("evt_0", None, {}, "it is refused now")


def test_an_event_that_was_given_an_id_of_its_own_is_known_by_it():
    stored = msgspec.structs.replace(PAID, event_id=f"evt_1~{digest_of(PAID).hex()[:16]}")
    assert changes_in([PAID], [stored], "") == []


def test_an_order_comes_to_what_its_events_say_with_those_that_are_read_otherwise():
    facts = apply(OrderFacts(), PAID)
    before = outcome_of(ORDER, facts)
    assert (before.summary.status, before.cases) == (Status.PAID, frozenset())
    assert rehearsed(ORDER, [("stripe-main", "p1")], [PAID], []) == before
    less = rehearsed(ORDER, (), [PAID], changes_in([LESS], [PAID], ""))
    assert (less.summary.status, less.summary.captured) == (Status.PARTIALLY_PAID, 60)
    nothing = rehearsed(ORDER, (), [PAID], changes_in([], [PAID], "it is refused now"))
    assert nothing.summary.status is Status.UNPAID
    dispute = an_event(Kind.DISPUTE_OPENED, 1, dispute_ref="d1", amount=100)
    contested = rehearsed(ORDER, (), [PAID], changes_in([PAID, dispute], [PAID], ""))
    assert contested.cases == {"disputed dispute:stripe-main/d1"}


def test_what_is_stored_speaks_for_itself():
    facts = apply(OrderFacts(), PAID)
    stored = msgspec.structs.replace(outcome_of(ORDER, facts).summary, captured=7)
    assert outcome_of(ORDER, facts, stored).summary.captured == 7
