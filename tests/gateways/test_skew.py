"""A gateway dates a failure by one clock and its answer by another: what an answer says later stands all the same."""

from datetime import timedelta
from functools import reduce

import msgspec
import pytest
import test_mollie_api as mollie
import test_stripe_answers as stripe

from tillkeeper.domain.order import facts as rules
from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts

SKEW = timedelta(seconds=1)


def mollie_answers(status, **more):
    return mollie.answered(mollie.a_payment(**{"status": status, "paidAt": None, **more})), mollie.REPORTED_AT


def stripe_answers(**more):
    return stripe.answer_to(stripe.PAYMENT, stripe.an_intent(**more)).events, stripe.CREATED + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("pending", "failed", "step"),
    [
        (
            mollie_answers("pending"),
            mollie_answers("failed", failedAt=(mollie.REPORTED_AT - SKEW).isoformat()),
            ObjectStatus.FAILED,
        ),
        (
            mollie_answers("pending"),
            mollie_answers("canceled", canceledAt=(mollie.REPORTED_AT - SKEW).isoformat()),
            ObjectStatus.CANCELLED,
        ),
        (
            stripe_answers(status="processing"),
            stripe_answers(
                status="canceled", canceled_at=int((stripe.CREATED + timedelta(seconds=60) - SKEW).timestamp())
            ),
            ObjectStatus.CANCELLED,
        ),
    ],
)
@pytest.mark.parametrize("pending_first", [True, False])
def test_pending_does_not_outlive_a_failure_that_an_answer_tells_later(pending, failed, step, pending_first):
    answers = [stamped(*pending), stamped(failed[0], failed[1] + timedelta(minutes=1))]
    events = [event for answer in (answers if pending_first else answers[::-1]) for event in answer]
    facts = reduce(rules.apply, events, OrderFacts())
    assert [payment.status for payment in facts.payments.values()] == [step]


def stamped(events, moment):
    """As the api_client does it with the events of an answer that say no moment of their own."""
    return [msgspec.structs.replace(event, as_of=event.as_of or moment) for event in events]
