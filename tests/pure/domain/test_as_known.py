"""An order as it was known: only what was recorded by then counts."""

from tests.pure.domain.factories import MINUTE, NOON, an_event
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.as_known import as_known
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.statuses import Status

ORDER = Order(order_ref="A1", amount=100, currency="CNY", accounts=frozenset({"stripe-main"}))
SUCCEEDED = an_event(payment_ref="P1", amount=100)


def status_of(*events, claimed=(), at=NOON):
    return as_known(ORDER, claimed, events, at=at).view.status


def test_it_is_what_its_events_make_of_it():
    assert status_of() is Status.UNPAID
    assert status_of(claimed=[("stripe-main", "P1")]) is Status.UNPAID
    known = as_known(ORDER, [], [SUCCEEDED], at=NOON)
    assert (known.view.status, known.view.paid, known.rule.name) == (Status.PAID, 100, "covered")


def test_an_answer_that_was_repeated_later_counts_as_of_that_moment_at_the_latest():
    pending = an_event(Kind.PAYMENT_PENDING, payment_ref="P1", as_of=NOON + 9 * MINUTE)
    failed = an_event(Kind.PAYMENT_FAILED, 120, payment_ref="P1")
    # The answer that it is pending was given before it failed, and repeated after that moment.
    assert status_of(pending, failed, at=NOON + MINUTE) is Status.FAILED
    assert status_of(pending, failed, at=NOON + 9 * MINUTE) is Status.PROCESSING
    assert status_of(pending, at=NOON - MINUTE) is Status.PROCESSING
