"""Checkout.com: queries and answers, and the story that the sandbox plays."""

import itertools
from datetime import timedelta
from operator import attrgetter

import pytest
from checkout_factories import (
    PAYMENT,
    REPORTED_AT,
    a_capture,
    a_gateway,
    a_payment,
    an_action,
    answer_to,
    balances,
    captured_by,
    event_of,
)
from simulated_stories import SimulatedStory, broken_answers, impostor_of, with_amount_raised
from specimen import NOW, request_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.checkout.api import STATUSES, TAKEN
from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.checkout.simulator import SIMULATOR

ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="pay_1", refund_ref="act_refund")


def a_refund(**more):
    action = {"id": "act_refund", "type": "Refund", "amount": 400, "approved": True, "response_code": "10000"}
    return action | {"processed_on": "2026-10-05T11:00:00Z"} | more


# Asking.


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/payments/pay_1"),
        (ORDER, "/payments?reference=ORDER-1&limit=100"),
        (Query(about="payment", order_ref="A&B 1"), "/payments?reference=A%26B+1&limit=100"),
        (REFUND, "/payments/pay_1/actions"),
    ],
)
def test_where_each_answer_is(query, path):
    call = a_gateway(api_base="https://abc.api.checkout.com/").query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://abc.api.checkout.com{path}")
    assert call.headers["Authorization"] == "Bearer sk_sbox_1"


@pytest.mark.parametrize(
    "query",
    [
        Query(about="payment", payment_ref="a/b"),
        Query(about="payment", order_ref="é"),
        Query(about="payment"),
        Query(about="refund", payment_ref="pay_1"),
        Query(about="refund", refund_ref="act_1"),
    ],
)
def test_what_cannot_be_queried(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


def test_without_a_key_nothing_is_queried():
    with pytest.raises(CannotQuery, match="secret_key"):
        a_gateway(secret_key=None).query_request(PAYMENT, now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "state"), STATUSES.items())
def test_payments_by_status(status, state):
    answer = answer_to(PAYMENT, a_payment(status=status))
    assert answer.found
    assert [(event.kind, event.occurred_at) for event in answer.events] == ([(state[0], REPORTED_AT)] if state else [])


@pytest.mark.parametrize("status", sorted(TAKEN))
def test_what_was_taken_and_given_back(status):
    content = a_payment(a_capture(), status=status, balances=balances(12900, 400))
    success, total = answer_to(PAYMENT, content).events
    assert (success.kind, success.amount, success.capture_ref) == (Kind.PAYMENT_SUCCEEDED, 12900, "act_1")
    assert (total.kind, total.total, total.method) == (Kind.REFUND_SUCCEEDED, 400, None)


def test_an_answer_does_not_count_again_what_webhooks_told():
    delivered = [
        event_of("payment_captured", an_action(ref, amount, at=NOW - timedelta(minutes=1)), ref)
        for ref, amount in (("act_1", 5000), ("act_2", 7900))
    ]
    answer = answer_to(PAYMENT, a_payment(a_capture("act_2"), a_capture("act_1")))
    assert len({event.event_id for event in answer.events}) == 2
    for events in (
        [*delivered, *answer.events],
        [*answer.events, *delivered],
        [delivered[1], *answer.events, delivered[0]],
    ):
        assert captured_by(*events) == 12900
    assert captured_by(*answer.events) == 12900


@pytest.mark.parametrize("younger_s", range(-2, 60, 10))
def test_a_capture_as_young_as_the_answer_is_counted_once(younger_s):
    """By the clock of another machine it may be younger."""
    young = REPORTED_AT + timedelta(seconds=younger_s)
    delivered = [
        event_of("payment_captured", an_action("act_a", 100, at=REPORTED_AT - timedelta(hours=1)), "evt_a"),
        event_of("payment_captured", an_action("act_b", 200, at=young), "evt_b"),
    ]
    answer = answer_to(PAYMENT, a_payment(a_capture("act_a"), a_capture("act_b"), balances=balances(300)))
    for events in itertools.permutations([*delivered, *answer.events]):
        assert captured_by(*events) == 300
    since = event_of("payment_captured", an_action("act_c", 50, at=young + timedelta(seconds=1)), "evt_c")
    assert captured_by(*answer.events, since, *delivered) == 350


def test_of_two_answers_within_a_second_the_one_that_knows_more_captures_stands():
    answers = [
        answer_to(PAYMENT, a_payment(*(a_capture(ref) for ref in refs), balances=balances(total))).events
        for refs, total in ((["act_c"], 100), (["act_c", "act_b"], 300), (["act_c", "act_b", "act_a"], 600))
    ]
    for events in itertools.permutations(answers):
        assert captured_by(*(event for answer in events for event in answer)) == 600


def test_a_capture_that_was_declined_took_nothing():
    events = answer_to(PAYMENT, a_payment(a_capture("act_1", "20051"), a_capture("act_2"))).events
    assert [event.capture_ref for event in events] == ["act_2"]


@pytest.mark.parametrize(
    "payment",
    [
        a_payment(),
        a_payment(a_capture(code="20051")),
        a_payment() | {"actions": None},
        a_payment(a_capture(), balances=None),
        a_payment(a_capture(), balances={"total_captured": 12900}),
    ],
)
def test_an_answer_that_could_be_counted_wrong_is_refused(payment):
    with pytest.raises(BadPayload):
        answer_to(PAYMENT, payment)


@pytest.mark.parametrize(
    ("actions", "failure", "code"),
    [
        ([{"type": "Authorization", "response_code": "20051"}], FailureClass.INSUFFICIENT_FUNDS, "20051"),
        ([{"response_code": "10000"}], FailureClass.UNKNOWN, None),
        (None, FailureClass.UNKNOWN, None),
    ],
)
def test_why_a_payment_was_declined(actions, failure, code):
    (event,) = answer_to(PAYMENT, a_payment(status="Declined") | {"actions": actions}).events
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("approved", "kind"),
    [(True, Kind.REFUND_SUCCEEDED), (False, Kind.REFUND_FAILED), (None, Kind.REFUND_PENDING)],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_refunds_among_the_actions(wrapped, approved, kind):
    actions = [{"id": "act_1", "type": "Capture", "approved": True}, a_refund(approved=approved)]
    (event,) = answer_to(REFUND, {"items": actions} if wrapped else actions).events
    assert (event.kind, event.refund_ref, event.payment_ref, event.order_ref) == (
        kind,
        "act_refund",
        "pay_1",
        "ORDER-1",
    )
    assert event.occurred_at == NOW - timedelta(hours=1)
    assert (event.amount, event.currency) == (None, None)  # the webhook had them; actions have no currency


def test_a_refund_whose_action_tells_its_currency():
    (event,) = answer_to(REFUND, [a_refund(currency="EUR", processed_on=None)]).events
    assert (event.amount, event.currency, event.occurred_at) == (400, "EUR", REPORTED_AT)


def test_an_action_that_is_not_there_is_not_found():
    assert not answer_to(REFUND, [a_refund(id="act_other")]).found


@pytest.mark.parametrize(
    "content", [[], {"items": []}, {"items": {}}, [a_refund(type="Capture")], [a_refund(approved=1)]]
)
def test_odd_lists_of_actions_are_refused(content):
    with pytest.raises(BadPayload):
        answer_to(REFUND, content)


def test_payments_of_an_order():
    other = a_payment(status="Pending", reference="ORDER-2")
    answer = answer_to(ORDER, {"data": [other, a_payment(status="Authorized")]})
    assert [event.order_ref for event in answer.events] == ["ORDER-1"]
    assert not answer_to(ORDER, {"data": [other]}).found


def test_a_query_by_reference_alone_learns_the_order():
    answer = answer_to(Query(about="payment", payment_ref="pay_1"), a_payment(status="Authorized"))
    assert answer.events[0].order_ref == "ORDER-1"


def test_not_found_comes_without_a_body():
    assert not answer_to(PAYMENT, b"", 404).found


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (404, b"<html>", BadPayload),
        (422, b"{}", BadPayload),
        (401, b"", AccessDenied),
        (403, b"", AccessDenied),
        (429, b"", Unavailable),
        (500, b"", Unavailable),
        (200, a_payment(id="pay_2"), BadPayload),
        (200, b"null", BadPayload),
    ],
)
def test_other_answers(status, content, error):
    with pytest.raises(error):
        answer_to(PAYMENT, content, status)


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=attrgetter("name"))
def test_a_simulated_story_ends_as_it_says(template):
    played = SimulatedStory(SIMULATOR, Checkout, template)
    delivered = played.deliveries()
    assert played.end(delivered) == played.story.expected
    assert played.end([*played.answers(), *delivered]) == played.story.expected
    if not played.story.expected.refunded and template.status != "refunding":
        assert played.end(played.answers()) == played.story.expected  # what an action gave back stands in its webhook


def test_the_simulated_api_refuses_and_breaks_as_checkout_does():
    played = SimulatedStory(SIMULATOR, Checkout, SIMULATOR.templates[0])
    assert broken_answers(played) == ["Unavailable", "Unavailable", "AccessDenied"]
    for query in (
        Query(about="payment", payment_ref="nobody"),
        Query(about="payment", order_ref="nobody"),
        Query(about="refund", payment_ref="nobody", refund_ref="nobody"),
    ):
        assert not played.answer(query).found


def test_the_simulators_impostor_and_an_altered_amount_are_refused():
    played = SimulatedStory(SIMULATOR, Checkout, SIMULATOR.templates[0])
    event = played.story.events[0]
    for signed in (
        impostor_of(played).sign(played.story, event, now=NOW, again=0),
        with_amount_raised(played.signer.sign(played.story, event, now=NOW, again=0), played.signer.amount_follows),
    ):
        with pytest.raises(BadSignature):
            played.gateway.verify(request_of(signed), NOW)
