"""PayPal's API: signing in, where each object is found, what each state says, and the sandbox's stories."""

import json
from base64 import b64encode
from datetime import timedelta
from operator import attrgetter

import pytest
from paypal_samples import (
    AUTHORIZATION,
    CAPTURE_ID,
    ORDER,
    ORDER_ID,
    PAYMENT,
    REFUND,
    REPORTED_AT,
    SALE,
    SALE_REFUND,
    a_capture,
    a_dispute,
    a_gateway,
    a_refund,
    a_sale,
    a_sale_refund,
    an_order,
    answer_to,
    event_of,
    fetched,
    paid_order,
    status_after,
    summary_after,
)
from specimen import NOW, request_of, response_of
from walking import Walk, assert_ends_as_told, story_of

from tests.pure.sandbox.querying import answer as asked_at
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.paypal.codes import AUTHORIZATIONS, CAPTURES, REFUNDS
from tillkeeper.gateways.paypal.objects import STANDS
from tillkeeper.gateways.paypal.webhook import CONFIRMED
from tillkeeper.sandbox.simulators.paypal.objects import paypal_money
from tillkeeper.sandbox.simulators.paypal.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of


def test_a_token_is_requested_by_the_client():
    call = a_gateway().token_request(now=NOW)
    assert (call.method, call.url) == ("POST", "https://api-m.sandbox.paypal.com/v1/oauth2/token")
    assert call.headers["Authorization"] == f"Basic {b64encode(b'AConformance:EConformanceOfTheTill').decode()}"
    assert call.body == b"grant_type=client_credentials"


def read_token(content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return a_gateway().read_token(response_of(({}, body), status), now=NOW)


def test_a_token_lives_as_long_as_paypal_says():
    token = read_token({"access_token": "A21AAF", "token_type": "Bearer", "expires_in": 32400})
    assert (token.value, token.until) == ("A21AAF", NOW + timedelta(hours=9))


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        ({"error": "invalid_client"}, 401, AccessDenied),
        ({"error": "unsupported_grant_type"}, 400, AccessDenied),
        (b"", 403, AccessDenied),
        (b"", 429, Unavailable),
        (b"", 503, Unavailable),
        ({}, 302, BadPayload),
        ({"name": "RESOURCE_NOT_FOUND"}, 404, BadPayload),
        (b"[]", 200, BadPayload),
        (b"", 200, BadPayload),
        ({"access_token": "a b", "expires_in": 1}, 200, BadPayload),
        ({"access_token": "a\n", "expires_in": 1}, 200, BadPayload),
        ({"access_token": "a" * 5000, "expires_in": 1}, 200, BadPayload),
        ({"access_token": "a", "expires_in": 0}, 200, BadPayload),
        ({"access_token": "a", "expires_in": 10**12}, 200, BadPayload),
        ({"access_token": "a", "expires_in": "1"}, 200, BadPayload),
        ({"access_token": "a"}, 200, BadPayload),
    ],
)
def test_what_is_no_token(content, status, error):
    with pytest.raises(error):
        read_token(content, status)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/v2/payments/captures/7CAP1"),
        (ORDER, "/v2/checkout/orders/5ORD1"),
        (AUTHORIZATION, "/v2/payments/authorizations/7CAP1"),
        (SALE, "/v1/payments/sale/7CAP1"),
        (REFUND, "/v2/payments/refunds/1REF1"),
        (SALE_REFUND, "/v1/payments/refund/1REF1"),
    ],
)
def test_where_each_answer_is(query, path):
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://api-m.sandbox.paypal.com{path}")
    assert "Authorization" not in call.headers  # the token is added by whoever signed in


@pytest.mark.parametrize(
    "query",
    [
        Query(about="payment", payment_ref="a/b"),
        Query(about="payment", payment_ref="order-"),
        Query(about="payment", order_ref="ORDER-1"),
        Query(about="refund", payment_ref=CAPTURE_ID),
        Query(about="refund", refund_ref="order-1"),
    ],
)
def test_what_cannot_be_queried(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


def test_without_a_client_nothing_is_queried():
    gateway = a_gateway(client_id=None, client_secret=None)
    with pytest.raises(CannotQuery, match="client_id"):
        gateway.query_request(PAYMENT, now=NOW, nonce="n")
    with pytest.raises(CannotQuery, match="client_id"):
        gateway.token_request(now=NOW)


@pytest.mark.parametrize(("status", "kind"), CAPTURES.items())
def test_captures_by_status(status, kind):
    for query, content in ((PAYMENT, a_capture(status=status)), (SALE, a_sale(state=status.lower()))):
        first, *more = answer_to(query, content).events
        assert (first.kind, first.amount, first.payment_ref) == (kind, 12900, query.payment_ref)
        undone = [(Kind.PAYMENT_REVERSED, None)] if kind is Kind.PAYMENT_FAILED else []
        order = [(Kind.PAYMENT_SUCCEEDED, None)] if query is PAYMENT and not undone else []
        back = [(Kind.REFUND_SUCCEEDED, 12900)] if status == "REFUNDED" else []
        assert [(event.kind, event.total) for event in more] == undone + order + back


@pytest.mark.parametrize(("status", "told"), AUTHORIZATIONS.items())
def test_authorizations_by_status(status, told):
    event, *order = answer_to(AUTHORIZATION, a_capture(status=status)).events
    assert event.kind is told[0]
    assert event.amount == (0 if status == "CAPTURED" else 12900)
    assert [event.payment_ref for event in order] == ([f"order-{ORDER_ID}"] if event.kind in STANDS else [])
    assert event.failure is (FailureClass.UNKNOWN if status == "DENIED" else told[1])


@pytest.mark.parametrize(("status", "kind"), REFUNDS.items())
def test_refunds_by_status(status, kind):
    (event,) = answer_to(REFUND, a_refund(status=status)).events
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "1REF1", CAPTURE_ID)
    assert (event.order_ref, event.amount) == ("ORDER-1", 400)
    (event,) = answer_to(SALE_REFUND, a_sale_refund(state=status.lower())).events
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "sale-1REF1", f"sale-{CAPTURE_ID}")


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("CREATED", []),
        ("SAVED", []),
        ("PAYER_ACTION_REQUIRED", []),
        ("APPROVED", [Kind.PAYMENT_PENDING]),
        ("VOIDED", [Kind.PAYMENT_CANCELLED]),
        ("COMPLETED", []),
    ],
)
def test_orders_by_status(status, kinds):
    answer = answer_to(ORDER, an_order(status=status))
    assert answer.found
    assert [event.kind for event in answer.events] == kinds


def test_an_order_tells_its_captures():
    authorization = a_capture(id="3AUT1", status="CAPTURED", custom_id=None)
    captures = [a_capture(custom_id=None), a_capture(id="7CAP2", status="DECLINED")]
    told = answer_to(ORDER, paid_order(*captures, authorizations=[authorization])).events
    assert [(event.kind, event.payment_ref, event.order_ref) for event in told] == [
        (Kind.PAYMENT_SUCCEEDED, f"order-{ORDER_ID}", "ORDER-1"),
        (Kind.PAYMENT_SUCCEEDED, CAPTURE_ID, "ORDER-1"),
        (Kind.PAYMENT_FAILED, "7CAP2", "ORDER-1"),
        (Kind.PAYMENT_REVERSED, "7CAP2", "ORDER-1"),
        (Kind.PAYMENT_SUCCEEDED, "authorization-3AUT1", "ORDER-1"),
    ]


def test_an_approved_order_whose_captures_all_failed_has_failed():
    """Otherwise its approval would be under way for ever."""
    approved = event_of("CHECKOUT.ORDER.APPROVED", an_order())
    later = (NOW + timedelta(seconds=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    declined = a_capture(status="DECLINED", processor_response={"response_code": "5120"})
    answer = answer_to(ORDER, paid_order(declined) | {"update_time": later})
    assert status_after(approved, *answer.events) is Status.FAILED
    assert {event.failure for event in answer.events} == {FailureClass.INSUFFICIENT_FUNDS}


@pytest.mark.parametrize("status", ["VOIDED", "EXPIRED"])
@pytest.mark.parametrize("times", [{"update_time": "2026-10-08T12:00:00Z"}, {"create_time": None, "update_time": None}])
def test_an_approved_order_whose_authorization_was_let_go_is_over(status, times):
    approved = event_of("CHECKOUT.ORDER.APPROVED", an_order())
    declined = a_capture(status="DECLINED")
    authorization = a_capture(id="3AUT1", status=status, **times)
    told = answer_to(ORDER, paid_order(declined, authorizations=[authorization])).events
    assert status_after(approved, *told) is Status.FAILED
    assert (told[-1].kind, told[-1].failure) == (Kind.PAYMENT_CANCELLED, AUTHORIZATIONS[status][1])
    assert told[-1].payment_ref == f"order-{ORDER_ID}"


def test_an_order_tells_what_its_captures_gave_back():
    """Nobody else does where the refunds' webhooks were lost: the capture says only that it was a part."""
    given = a_refund(5000, seller_payable_breakdown={"total_refunded_amount": paypal_money(7000, "EUR")})
    capture = a_capture(status="PARTIALLY_REFUNDED")
    told = answer_to(ORDER, paid_order(capture, refunds=[given])).events
    assert [(event.kind, event.payment_ref, event.refund_ref, event.amount, event.total) for event in told[2:]] == [
        (Kind.REFUND_SUCCEEDED, CAPTURE_ID, "1REF1", 5000, None),
        (Kind.REFUND_SUCCEEDED, CAPTURE_ID, None, None, 7000),
    ]
    assert {event.order_ref for event in told} == {"ORDER-1"}
    assert summary_after(*told).refunded == 7000
    alone = answer_to(ORDER, paid_order(capture, refunds=[a_refund(5000, seller_payable_breakdown=None)])).events
    assert (summary_after(*alone).refunded, len(alone)) == (5000, 3)
    pending = answer_to(ORDER, paid_order(capture, refunds=[a_refund(5000, status="PENDING")])).events
    assert summary_after(*pending).status is Status.REFUNDING


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, a_capture(id="7CAP2")),
        (ORDER, paid_order() | {"purchase_units": {}}),
        (ORDER, paid_order(authorizations={})),
    ],
)
def test_an_answer_that_could_be_counted_wrong_is_refused(query, content):
    with pytest.raises(BadPayload):
        answer_to(query, content)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, a_capture(status="MELTED")),
        (SALE, a_sale(state="melted")),
        (AUTHORIZATION, a_capture(status="MELTED")),
        (REFUND, a_refund(status="MELTED")),
        (ORDER, an_order(status="MELTED")),
        (ORDER, paid_order(refunds=[a_refund(status="MELTED")])),
    ],
)
def test_a_state_of_an_answer_that_nobody_knows_says_nothing_and_is_noted(query, content):
    with unknown_words() as words:
        answer = answer_to(query, content)
    assert (answer.found, answer.events) == (True, ())
    assert [word.word for word in words] == ["MELTED"]


@pytest.mark.parametrize("name", ["RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"])
def test_not_found_is_said_by_name(name):
    assert not answer_to(PAYMENT, {"name": name}, 404).found


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (404, b"<html>", BadPayload),
        (404, {"name": "OTHER"}, BadPayload),
        (422, {}, BadPayload),
        (401, b"", AccessDenied),
        (403, b"", AccessDenied),
        (408, b"", Unavailable),
        (429, b"", Unavailable),
        (500, b"", Unavailable),
    ],
)
def test_other_answers(status, content, error):
    with pytest.raises(error):
        answer_to(PAYMENT, content, status)


def test_the_state_of_an_object_without_a_time_is_that_of_the_answer():
    timeless = a_capture(create_time=None, update_time=None)
    assert {event.occurred_at for event in answer_to(PAYMENT, timeless).events} == {REPORTED_AT}


OURS, OTHERS_PAYEE = "MERCHANT1", "MERCHANT2"


@pytest.mark.parametrize("merchant_id", [None, OURS, OTHERS_PAYEE])
def test_what_names_another_payee_changes_nothing(merchant_id):
    counts = merchant_id != OTHERS_PAYEE
    ours = {"payee": {"merchant_id": OURS}}
    unit = {"amount": paypal_money(12900, "EUR"), "custom_id": "ORDER-1", **ours}
    seller = [{"seller_transaction_id": CAPTURE_ID, "seller": {"merchant_id": OURS}}]
    confirming = a_gateway(merchant_id=merchant_id, confirm_by_query=True)
    for event_type, resource in (
        ("PAYMENT.CAPTURE.PENDING", a_capture(**ours)),
        ("CHECKOUT.ORDER.APPROVED", an_order(purchase_units=[unit])),
        ("CUSTOMER.DISPUTE.CREATED", a_dispute(disputed_transactions=seller)),
    ):
        assert bool(fetched(event_type, resource, confirming)[0]) is counts
    events, queries = fetched("PAYMENT.CAPTURE.COMPLETED", a_capture(**ours), confirming)
    assert (events, bool(queries)) == ((), counts)
    assert fetched("PAYMENT.CAPTURE.REFUNDED", a_refund(), confirming)[1]  # it names none
    theirs = unit | {"payee": {"merchant_id": "MERCHANT3"}, "payments": {"captures": [a_capture(id="7CAP3")]}}
    mixed = an_order(status="COMPLETED", purchase_units=[unit | {"payments": {"captures": [a_capture()]}}, theirs])
    for query, content in ((PAYMENT, a_capture(**ours)), (ORDER, mixed)):
        answer = confirming.read_response(query, response_of(({}, json.dumps(content).encode())), now=NOW)
        assert answer.found
        told = {event.payment_ref for event in answer.events} - {f"order-{ORDER_ID}", "order-5ORD3"}
        assert told == (
            ({CAPTURE_ID} if merchant_id or query is PAYMENT else {CAPTURE_ID, "7CAP3"}) if counts else set()
        )


# Those in two currencies are told by tests/sandbox.
TEMPLATES = [template for template in SIMULATOR.templates if not template.in_other_currency]


def asked_of(walk, story, query):
    return asked_at(
        walk.gateway, walk.simulator.api(walk.signer, ledger_of({"played-main": "paypal"}, [story])), query, now=NOW
    )


def told_by(walk, story):
    for event in story.events:
        verified = walk.gateway.verify(request_of(walk.signer.sign(story, event, now=NOW, again=0)), NOW)
        yield from walk.gateway.parse(verified)
        for query in walk.gateway.queries_for(verified):
            yield from asked_of(walk, story, query).events


@pytest.mark.slow
@pytest.mark.parametrize("currency", ["USD", "JPY", "HUF", "TWD"])
@pytest.mark.parametrize("template", TEMPLATES, ids=attrgetter("name"))
def test_a_simulated_story_ends_as_it_says(template, currency):
    walk = Walk(SIMULATOR)
    story = in_whole_units(story_of(SIMULATOR, template, currency=currency))
    events = list(told_by(walk, story))
    assert_ends_as_told(story, events)
    refunds = {
        event.refund_ref for event in story.events if event.event_type in CONFIRMED and "REFUND" in event.event_type
    }
    ref = story.payment_ref
    queries = [
        Query(about="payment", order_ref=story.order_ref, payment_ref=each) for each in (ref, f"order-5ORD{ref[4:]}")
    ]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=refund) for refund in sorted(refunds)]
    told = [event for query in queries for event in asked_of(walk, story, query).events]
    assert_ends_as_told(story, [*events, *told])


def in_whole_units(story):
    """A hundred times as much: forints are written without decimals, and so each tenth of them must be whole."""
    times = 100
    events = tuple(type(event)(**{**fields(event), "amount": event.amount * times}) for event in story.events)
    truth = type(story.expected)(
        status=story.expected.status, paid=story.expected.paid * times, refunded=story.expected.refunded * times
    )
    return type(story)(**{**fields(story), "amount": story.amount * times, "events": events, "expected": truth})


def fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
