"""Razorpay: queries and answers, and the story that the sandbox plays."""

import json
from datetime import timedelta

import pytest
import razorpay
from razorpay_factories import KEY, ORDER_ID, a_gateway, a_payment, a_refund, event_of, events_of
from simulated_stories import SimulatedStory, broken_answers, impostor_of, with_amount_raised
from specimen import NOW, request_of, response_of
from walking import facts_after

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.razorpay.gateway import Razorpay
from tillkeeper.gateways.razorpay.objects import PAYMENT_STATUSES, REFUND_STATUSES
from tillkeeper.sandbox.simulators.razorpay.objects import (
    razorpay_order,
)
from tillkeeper.sandbox.simulators.razorpay.simulator import SIMULATOR

PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pay_1")
ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="pay_1", refund_ref="rfnd_1")


def answer_to(query, content, status=200, gateway=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}
    return (gateway or a_gateway()).read_response(query, response_of((headers, body), status), now=NOW)


def a_list(*items):
    return {"entity": "collection", "count": len(items), "items": [*items]}


# Asking.


@pytest.mark.parametrize(("key_id", "live"), [("rzp_live_1", True), ("rzp_test_1", False), ("odd", None), (None, None)])
def test_the_key_tells_the_mode(key_id, live):
    assert a_gateway(key_id=key_id).live is live


class Recorder:
    """A session that sends nothing, and remembers what it was to send."""

    def __init__(self):
        self.sent = []

    def get(self, url, **options):
        self.sent.append((url, options))
        response = razorpay.client.requests.Response()
        response.status_code = 200
        response._content = b"{}"
        return response


@pytest.mark.parametrize(
    ("query", "officially"),
    [
        (PAYMENT, lambda each: each.payment.fetch("pay_1")),
        (REFUND, lambda each: each.refund.fetch("rfnd_1")),
        (Query(about="payment", order_ref=ORDER_ID), lambda each: each.order.payments(ORDER_ID)),
    ],
    ids=["payment", "refund", "order"],
)
def test_the_official_package_sends_the_same_request(query, officially):
    recorder = Recorder()
    officially(razorpay.Client(session=recorder, auth=tuple(KEY.values())))
    ((url, options),) = recorder.sent
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    prepared = razorpay.client.requests.Request("GET", url, auth=options["auth"]).prepare()
    assert (call.method, call.url) == ("GET", prepared.url)
    assert call.headers["Authorization"] == prepared.headers["Authorization"]


def test_an_order_is_found_by_its_receipt():
    url = a_gateway().query_request(Query(about="payment", order_ref="order_1001"), now=NOW, nonce="n").url
    assert url == "https://api.razorpay.com/v1/orders?receipt=order_1001&count=100&expand%5B%5D=payments"


@pytest.mark.parametrize("settings", [{"key_id": None}, {"key_secret": None}])
def test_without_a_key_nothing_is_queried(settings):
    with pytest.raises(CannotQuery, match="not set"):
        a_gateway(**settings).query_request(PAYMENT, now=NOW, nonce="n")


@pytest.mark.parametrize("order_ref", [None, "R" * 41, "é", " ", "a\n"])
def test_a_receipt_that_razorpay_cannot_keep(order_ref):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment", order_ref=order_ref), now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "kind"), PAYMENT_STATUSES.items())
def test_payments_by_status(status, kind):
    answer = answer_to(PAYMENT, a_payment(status=status))
    assert answer.found
    assert [event.kind for event in answer.events] == ([kind] if kind else [])


def test_a_payment_that_was_let_go_is_not_refunded():
    (event,) = answer_to(PAYMENT, a_payment(status="refunded", captured=False, amount_refunded=12900)).events
    assert (event.kind, event.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID)


def test_what_was_given_back_so_far_is_a_total():
    success, total = answer_to(PAYMENT, a_payment(status="captured", amount_refunded=400)).events
    assert (success.kind, success.amount, total.kind, total.total) == (
        Kind.PAYMENT_SUCCEEDED,
        12900,
        Kind.REFUND_SUCCEEDED,
        400,
    )
    assert total.occurred_at == NOW - timedelta(seconds=3)


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_refunds_by_status(status, kind):
    (event,) = answer_to(REFUND, a_refund(status=status)).events
    assert (event.kind, event.amount, event.order_ref) == (kind, 400, "ORDER-1")


FEE = {"amount": 13204, "fee": 304, "tax": 46}


@pytest.mark.parametrize(
    ("settings", "payment", "order", "told"),
    [
        ({}, {"fee_bearer": "customer"}, {}, (12900, 304, None)),
        ({}, {"fee_bearer": "platform"}, {}, (13204, None, None)),
        ({}, {"fee_bearer": "customer", "fee": None}, {}, (13204, None, None)),
        ({"payer_bears_fee": True}, {}, {}, (12900, 304, None)),
        ({"payer_bears_fee": True}, {"fee": 0}, {}, (13204, None, None)),
        ({"payer_bears_fee": True}, {"fee": 99999}, {}, (13204, None, None)),
        # The order beside it tells what was asked for.
        ({}, {}, {"amount": 12900}, (12900, 304, None)),
        ({}, {}, {"amount": 12854}, (12854, 350, None)),
        ({}, {}, {"amount": 13204}, (13204, None, None)),
        ({}, {"offer_id": "offer_1"}, {"amount": 15000, "amount_paid": 13204}, (13204, None, 1796)),
        ({}, {}, {"amount": 15000, "amount_paid": 13204, "offers": ["offer_1"]}, (13204, None, 1796)),
        ({}, {}, {"amount": 15000, "amount_paid": 13204}, (13204, None, None)),
        ({}, {"offer_id": "offer_1"}, {"amount": 15000, "amount_paid": 15000}, (13204, None, None)),
    ],
)
def test_what_the_payer_gave_on_top_and_what_an_offer_took_off(settings, payment, order, told):
    order = {"order": razorpay_order("ORDER-1", 1, "INR") | order} if order else {}
    name = "order.paid" if order else "payment.captured"
    event = event_of(name, a_gateway(**settings), payment=a_payment(**FEE | payment), **order)
    assert (event.amount, event.on_top, event.discount) == told


@pytest.mark.parametrize("turn", [1, -1])
def test_a_fee_that_only_order_paid_tells_of_is_not_overpaid(turn):
    """Both come within a second, and payment.captured does not say who bears the fee."""
    payment = a_payment(**FEE)
    alone = event_of("payment.captured", payment=payment)
    paid = event_of("order.paid", payment=payment, order=razorpay_order("ORDER-1", 12900, "INR"))
    facts = facts_after([alone, paid][::turn])
    order = Order(order_ref="ORDER-1", amount=12900, currency="INR", accounts=frozenset({"razorpay-main"}))
    assert (alone.amount, paid.amount, summarize(order, facts).captured) == (13204, 12900, 12900)


def test_a_total_holds_the_fee_that_goes_back_as_well():
    _, total = answer_to(PAYMENT, a_payment(**FEE, fee_bearer="customer", amount_refunded=13204)).events
    assert (total.total, total.on_top) == (13204, None)


def test_a_refund_queried_alone_has_its_payment_queried():
    alone = Query(about="refund", refund_ref="rfnd_1")
    assert answer_to(alone, a_refund()).also == (Query(about="payment", payment_ref="pay_1"),)
    assert answer_to(REFUND, a_refund()).also == ()


@pytest.mark.parametrize(
    ("query", "subject", "word"),
    [
        (PAYMENT, a_payment(status="odd"), ("payment.status", "odd")),
        (REFUND, a_refund(status="odd"), ("refund.status", "odd")),
        (PAYMENT, a_payment(currency="XXY"), ("currency", "XXY")),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(query, subject, word):
    with unknown_words() as words:
        answer = answer_to(query, subject)
    assert (answer.found, answer.events) == (True, ())
    assert [(each.field, each.word) for each in words] == [word]


def test_an_event_in_a_currency_that_nobody_knows_changes_nothing():
    assert events_of("payment.captured", payment=a_payment(currency="XXY")) == ()


def test_a_payment_found_by_receipt_is_that_orders_whatever_its_notes_say():
    payments = a_list(a_payment(order_ref=None, status="captured"))
    answer = answer_to(ORDER, a_list(razorpay_order("ORDER-1", 12900, "INR", payments=payments)))
    assert [(event.payment_ref, event.order_ref) for event in answer.events] == [("pay_1", "ORDER-1")]


@pytest.mark.parametrize(
    "content",
    [
        a_list(),
        a_list(razorpay_order("ORDER-2", 12900, "INR", payments=a_list(a_payment()))),
        a_list(razorpay_order("ORDER-1", 12900, "INR", payments=a_list())),
        a_list(razorpay_order("ORDER-1", 12900, "INR")),
    ],
)
def test_an_order_without_payments_is_none_found(content):
    assert not answer_to(ORDER, content).found


def test_a_list_that_is_none_is_refused():
    with pytest.raises(BadPayload):
        answer_to(ORDER, {"items": {}})


def test_payments_of_razorpays_own_order():
    query = Query(about="payment", order_ref=ORDER_ID)
    content = a_list(a_payment(order_ref=None, order_id=ORDER_ID), a_payment(order_id="order_FPoIeimWki9j8B"))
    assert [event.order_ref for event in answer_to(query, content).events] == [ORDER_ID]


def test_a_query_without_the_order_learns_it():
    query = Query(about="payment", payment_ref="pay_1")
    assert answer_to(query, a_payment()).events[0].order_ref == "ORDER-1"
    assert answer_to(query, a_payment(order_ref=None, order_id=ORDER_ID)).events[0].order_ref == ORDER_ID


def an_error(description, code="BAD_REQUEST_ERROR"):
    return {"error": {"code": code, "description": description}}


@pytest.mark.parametrize("description", ["The id provided does not exist", "pay_1 is not a valid id"])
def test_not_found_comes_as_a_bad_request(description):
    assert not answer_to(PAYMENT, an_error(description), 400).found


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (400, an_error("something else"), BadPayload),
        (400, an_error("The id provided does not exist", "odd code 7"), BadPayload),
        (404, b"<html>", BadPayload),
        (401, an_error("Authentication failed"), AccessDenied),
        (429, b"", Unavailable),
        (502, b"", Unavailable),
        (200, {"id": "pay_2"}, BadPayload),
        (200, [], BadPayload),
    ],
)
def test_other_answers(status, content, error):
    with pytest.raises(error):
        answer_to(PAYMENT, content, status)


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
def test_a_simulated_story_ends_as_it_says(template):
    told = SimulatedStory(SIMULATOR, Razorpay, template)
    assert told.end(told.deliveries()) == told.story.expected
    assert told.end(told.answers()) == told.story.expected


def test_the_simulated_api_refuses_and_breaks_as_razorpay_does():
    told = SimulatedStory(SIMULATOR, Razorpay, SIMULATOR.templates[0])
    assert broken_answers(told) == ["Unavailable", "Unavailable", "AccessDenied"]
    for query in (
        Query(about="payment", payment_ref="nobody"),
        Query(about="payment", order_ref="nobody"),
        Query(about="refund", refund_ref="nobody"),
    ):
        assert not told.answer(query).found


def test_the_simulators_impostor_and_an_altered_amount_are_refused():
    told = SimulatedStory(SIMULATOR, Razorpay, SIMULATOR.templates[0])
    event = told.story.events[0]
    for signed in (
        impostor_of(told).sign(told.story, event, now=NOW, again=0),
        with_amount_raised(told.signer.sign(told.story, event, now=NOW, again=0), told.signer.amount_follows),
    ):
        with pytest.raises(BadSignature):
            told.gateway.verify(request_of(signed), NOW)
