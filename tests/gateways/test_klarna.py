"""Klarna, checked against documents only: pushes, notifications, and what each state of an order says."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from operator import attrgetter

import pytest
from pydantic import ValidationError
from specimen import NOW, Request, Response, request_of
from walking import Walk, assert_ends_as_told, facts_after, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.facts import ObjectStatus
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import held_in_all
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.klarna.gateway import Klarna
from tillkeeper.gateways.klarna.objects import FRAUD_STATUSES, NOT_CAPTURED
from tillkeeper.gateways.klarna.settings import KlarnaSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.klarna.objects import klarna_capture, klarna_order, klarna_refund
from tillkeeper.sandbox.simulators.klarna.signing import klarna_notified, klarna_pushed
from tillkeeper.sandbox.simulators.klarna.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

REF = "7849fd84-47dc-4919-a7ce-0123456789ab"
DATE = "Mon, 05 Oct 2026 11:59:57 GMT"
REPORTED_AT = NOW - timedelta(seconds=3)
CREATED_AT = datetime(2026, 10, 5, 11, 50, tzinfo=UTC)
CAPTURED_AT = datetime(2026, 10, 5, 11, 55, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 10, 5, 11, 58, tzinfo=UTC)
ORDER = Query(about="payment", payment_ref=REF)


def a_gateway(**settings):
    base = {"gateway": "klarna", "username": "K123_shop", "password": "password-of-tests"}
    return Klarna("klarna-main", KlarnaSettings.model_validate(base | settings))


def an_order(**more):
    return klarna_order(REF, 12900, "EUR", "ORDER-1", **more)


def captured(amount=12900, **more):
    captured = {"status": "CAPTURED", "captured_amount": amount, "captures": [klarna_capture("c-1", amount)]}
    return an_order(**captured | more)


def asked_by(query="", body=b"", method_headers=None):
    """What a delivery has us ask; never an event."""
    verified = a_gateway().verify(Request(headers=method_headers or {}, body=body, query=query), NOW)
    assert a_gateway().parse(verified) == ()
    return a_gateway().queries_for(verified)


def response(content, status=200):
    return Response(status=status, headers={"date": [DATE]}, body=json.dumps(content).encode())


def answered(order, query=ORDER):
    return a_gateway().read_response(query, response(order), now=NOW).events


# --- deliveries -------------------------------------------------------------------------------------------------------


def test_a_push_with_an_empty_body_names_the_order_in_its_query():
    assert asked_by(f"klarna_order_id={REF}") == (ORDER,)
    assert asked_by(f"shop=1&klarna_order_id={REF}") == (ORDER,)  # our own URL may hold more
    assert asked_by(f"klarna_order_id={REF}", b"{}") == (ORDER,)  # the body of a push means nothing


@pytest.mark.parametrize("event_type", ["FRAUD_RISK_ACCEPTED", "FRAUD_RISK_REJECTED", "FRAUD_RISK_STOPPED", "NEWS"])
def test_a_notification_names_the_order_and_is_believed_in_nothing_else(event_type):
    _, body = klarna_notified(REF, event_type)
    assert asked_by(body=body) == (ORDER,)
    assert asked_by("shop=1", body) == (ORDER,)


@pytest.mark.parametrize(
    "query",
    [
        "klarna_order_id=",
        "klarna_order_id",
        "klarna_order_id=../../refunds",
        "klarna_order_id=..%2F..%2Frefunds",
        "klarna_order_id=-1",
        "klarna_order_id=%7Bcheckout.order.id%7D",  # the placeholder, left as it is
        f"klarna_order_id={REF}&klarna_order_id={REF}",
        f"klarna_order_id={'a' * 65}",
        f"klarna_order_id={REF}&more={'a' * 3000}",
        f"klarna_order_id={REF}&é=1",
        "klarna_order_id=%zz",
        "other=1",
        "",
    ],
)
def test_a_push_that_names_no_order_is_refused(query):
    with pytest.raises(BadPayload):
        asked_by(query)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"order_id": 7}', b'{"order_id": "../1"}', b"order_id=1"])
def test_a_notification_that_names_no_order_is_refused(body):
    with pytest.raises(BadPayload):
        asked_by(body=body)


# --- what an order says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fraud", "state"), sorted(FRAUD_STATUSES.items()))
def test_an_authorised_order_is_not_paid(fraud, state):
    (event,) = answered(an_order(fraud_status=fraud))
    assert (event.kind, event.failure) == state
    assert (event.order_ref, event.payment_ref, event.amount, event.currency) == ("ORDER-1", REF, 12900, "EUR")
    assert event.occurred_at == (REPORTED_AT if state[1] else CREATED_AT)
    assert event.method == "INVOICE"


def test_a_review_that_ends_well_is_the_higher_word_of_the_same_instant():
    events = [*answered(an_order(fraud_status="ACCEPTED")), *answered(an_order(fraud_status="PENDING"))]
    (payment,) = facts_after(events).payments.values()
    assert payment.status is ObjectStatus.AUTHORIZED


@pytest.mark.parametrize("status", sorted(NOT_CAPTURED.keys() - {"AUTHORIZED"}))
def test_an_order_that_ended_without_a_capture_is_cancelled(status):
    for fraud in ("ACCEPTED", "REJECTED"):
        (event,) = answered(an_order(status=status, fraud_status=fraud))
        assert (event.kind, event.failure) == NOT_CAPTURED[status]
        assert event.occurred_at == REPORTED_AT
    assert NOT_CAPTURED["EXPIRED"][1] is FailureClass.EXPIRED_UNPAID


def test_each_capture_is_a_success_of_its_own():
    captures = [klarna_capture("c-1", 9000), klarna_capture("c-2", 900)]
    of_both = part_captured(captured_amount=9900, captures=captures, remaining_authorized_amount=3000)
    *events, rest = answered(of_both)
    assert (rest.kind, rest.amount) == (Kind.PAYMENT_AUTHORIZED, 12900)
    assert [(event.kind, event.capture_ref, event.amount) for event in events] == [
        (Kind.PAYMENT_SUCCEEDED, "c-1", 9000),
        (Kind.PAYMENT_SUCCEEDED, "c-2", 900),
    ]
    assert {event.occurred_at for event in events} == {CAPTURED_AT}
    assert len({event.event_id for event in events}) == 2


def test_two_captures_of_one_amount_and_instant_are_two_events():
    captures = [klarna_capture("c-1", 500), klarna_capture("c-2", 500)]
    *events, _ = answered(an_order(status="PART_CAPTURED", captured_amount=1000, captures=captures))
    assert len({event.event_id for event in events}) == 2


def part_captured(**more):
    captured = {"status": "PART_CAPTURED", "captured_amount": 9000, "captures": [klarna_capture("c-1", 9000)]}
    return an_order(**captured | {"remaining_authorized_amount": 3900} | more)


@pytest.mark.parametrize(
    ("more", "held"),
    [
        ({}, 3900),
        ({"remaining_authorized_amount": None}, 3900),
        ({"order_amount": 20000}, 3900),  # the rest is what can still be captured, whatever was ordered
        ({"remaining_authorized_amount": 0}, 0),
        ({"status": "CAPTURED"}, 0),
        ({"status": "CLOSED"}, 0),
        ({"status": "EXPIRED"}, 0),
        ({"status": "CANCELLED"}, 0),
    ],
)
def test_what_is_left_of_an_authorization_is_held_until_it_is_released_or_expires(more, held):
    before = answered(an_order())
    order = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({before[0].account}))
    facts = facts_after([*before, *answered(part_captured(**more))])
    summary = summarize(order, facts)
    assert (summary.status, summary.captured, held_in_all(order, facts)) == (Status.PARTIALLY_PAID, 9000, held)


@pytest.mark.parametrize(
    ("order", "kinds", "noted"),
    [
        (an_order(status="OF_NEXT_YEAR"), [], ["OF_NEXT_YEAR"]),
        (an_order(fraud_status="OF_NEXT_YEAR"), [], ["OF_NEXT_YEAR"]),
        (an_order(status="CANCELLED", fraud_status="NEW"), [Kind.PAYMENT_CANCELLED], ["NEW"]),
        (captured(status="NEWER", fraud_status="NEW"), [Kind.PAYMENT_SUCCEEDED], ["NEWER", "NEW"]),
        (part_captured(status="NEW"), [Kind.PAYMENT_SUCCEEDED], ["NEW"]),
    ],
)
def test_a_word_that_nobody_knows_is_noted_and_what_is_known_counts(order, kinds, noted):
    with unknown_words() as words:
        assert [event.kind for event in answered(order)] == kinds
    assert [word.word for word in words] == noted


def test_refunds_are_told_each_and_as_their_total():
    refunds = [klarna_refund("r-1", 300), klarna_refund(None, 100)]
    _, named, total = answered(captured(refunded_amount=400, refunds=refunds))
    assert (named.kind, named.refund_ref, named.amount, named.total) == (Kind.REFUND_SUCCEEDED, "r-1", 300, None)
    assert (total.kind, total.refund_ref, total.amount, total.total) == (Kind.REFUND_SUCCEEDED, None, None, 400)
    assert named.occurred_at == total.occurred_at == REFUNDED_AT
    _, alone = answered(captured(refunded_amount=400, refunds=None))
    assert (alone.total, alone.occurred_at) == (400, REPORTED_AT)


@pytest.mark.parametrize("fraud", ["REJECTED", "STOPPED"])
def test_fraud_that_is_found_after_a_capture_is_a_dispute(fraud):
    paid, dispute = answered(captured(fraud_status=fraud))
    assert paid.kind is Kind.PAYMENT_SUCCEEDED
    assert (dispute.kind, dispute.dispute_ref, dispute.amount) == (Kind.DISPUTE_OPENED, f"{REF}:fraud", 12900)


@pytest.mark.parametrize("status", ["CAPTURED", "CLOSED", "EXPIRED", "PART_CAPTURED"])
def test_what_was_captured_stays_so_however_the_order_ends(status):
    (event,) = answered(captured(status=status))
    assert (event.kind, event.amount) == (Kind.PAYMENT_SUCCEEDED, 12900)


def test_an_order_without_a_reference_is_the_queries():
    query = Query(about="payment", order_ref="ORDER-9", payment_ref=REF)
    assert answered(an_order(merchant_reference1=""), query)[0].order_ref == "ORDER-9"
    assert answered(an_order(merchant_reference1=None))[0].order_ref is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_id": REF[:-1] + "c"},
        {"order_amount": "12900"},
        {"order_amount": -1},
        {"captures": []},
        {"captures": {}},
        {"captured_amount": 12800},
        {"captures": [klarna_capture("", 12900)]},
        {"captures": [klarna_capture("c" * 300, 12900)]},
        {"captures": [klarna_capture("c-1", 12900, captured_at="today")]},
        {"refunds": [klarna_refund("r-1", 1, refunded_at=None)]},
    ],
)
def test_an_order_that_cannot_be_is_refused(wrong):
    with pytest.raises(BadPayload):
        answered(captured(**wrong))


# --- asking -----------------------------------------------------------------------------------------------------------


def test_an_order_is_queried_with_the_credentials_and_acknowledged_once_it_was_read():
    gateway = a_gateway(api_base="https://api-na.klarna.com/")
    call = gateway.query_request(ORDER, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://api-na.klarna.com/ordermanagement/v1/orders/{REF}")
    scheme, _, value = call.headers["Authorization"].partition(" ")
    assert (scheme, b64decode(value)) == ("Basic", b"K123_shop:password-of-tests")
    (then,) = gateway.read_response(ORDER, response(an_order()), now=NOW).then
    assert (then.method, then.url, then.body) == ("POST", f"{call.url}/acknowledge", b"")
    assert then.headers["Authorization"] == call.headers["Authorization"]


@pytest.mark.parametrize(
    "query",
    [
        Query(about="payment", order_ref="ORDER-1"),
        Query(about="payment", payment_ref="../1"),
        Query(about="refund", payment_ref=REF, refund_ref="r-1"),
    ],
)
def test_only_orders_by_klarnas_ids_can_be_queried(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "code"), [(404, "NO_SUCH_ORDER"), (404, "NOT_FOUND"), (400, "INVALID_ORDER_ID")])
def test_what_klarna_does_not_know_is_not_found_and_not_acknowledged(status, code):
    answer = a_gateway().read_response(ORDER, response({"error_code": code}, status), now=NOW)
    assert (answer.found, answer.events, answer.then) == (False, (), ())


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (401, {}, AccessDenied),
        (403, {}, AccessDenied),
        (429, {}, Unavailable),
        (502, {}, Unavailable),
        (422, {}, BadPayload),
        (404, {}, BadPayload),  # somebody's proxy
        (400, {"error_code": "BAD_VALUE"}, BadPayload),
        (404, [], BadPayload),
        (200, [], BadPayload),
    ],
)
def test_an_error_says_whose_it_is(status, content, refusal):
    with pytest.raises(refusal):
        a_gateway().read_response(ORDER, response(content, status), now=NOW)


@pytest.mark.parametrize("username", ["", "K123:shop", "K 123", "K123\n", "Ké"])
def test_a_user_name_that_basic_cannot_carry_is_refused(username):
    with pytest.raises(ValidationError):
        a_gateway(username=username)


# --- the play ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def walk():
    return Walk(SIMULATOR)


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=attrgetter("name"))
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template):
    story = story_of(SIMULATOR, template)
    events, at_the_end = list(walk.told_by(story)), walk.asked_at_the_end(story)
    assert_ends_as_told(story, events)
    assert_ends_as_told(story, at_the_end)
    assert any(event.kind.is_dispute for event in at_the_end) is ("fraud" in template.name)


def test_the_simulated_api_keeps_to_its_own_and_takes_acknowledgements(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0])
    ours = Query(about="payment", payment_ref=story.payment_ref)
    with pytest.raises(AccessDenied):
        walk.answer(story, ours, authorization="Basic b2Y6YW5vdGhlcg==")
    assert not walk.answer(story, ORDER).found
    (then,) = walk.answer(story, ours).then
    api = SIMULATOR.api(walk.signer, ledger_of({story.account: "klarna"}, [story]))
    assert api.respond(put_of(then), now=NOW, as_of=NOW).status == 204
    (elsewhere,) = walk.answer(story, ours).then
    assert SIMULATOR.api(walk.signer, ledger_of({})).respond(put_of(elsewhere), now=NOW, as_of=NOW).status == 404
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, put_of(then)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(ORDER, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)


def test_a_push_looks_like_klarnas():
    request = request_of(klarna_pushed(), query=f"klarna_order_id={REF}")
    assert request.body == b""
