"""Paystack: queries and answers, and the story that the sandbox plays."""

from datetime import timedelta

import msgspec
import pytest
from paystack_factories import (
    PAYMENT,
    REFUND,
    REFUNDS,
    SECRET,
    a_gateway,
    a_refund,
    a_transaction,
    answer_to,
    events_of,
    response,
)
from specimen import NOW, request_of
from walking import Walk, assert_ends_as_told, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.paystack.objects import TRANSACTION_STATUSES
from tillkeeper.sandbox.simulators.paystack.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

TOLD_AT = NOW - timedelta(seconds=3)


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/transaction/verify/REF-1"),
        (Query(about="payment", order_ref="ORDER-1"), "/transaction/verify/ORDER-1"),
        (REFUND, "/refund/9001"),
        (REFUNDS, "/refund?transaction=REF-1&perPage=100"),
    ],
)
def test_where_each_query_goes(query, path):
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://api.paystack.co{path}")
    assert call.headers["Authorization"] == f"Bearer {SECRET}"


def test_an_order_whose_reference_stands_elsewhere_cannot_be_queried():
    query = Query(about="payment", order_ref="ORDER-1")
    with pytest.raises(CannotQuery, match="order_ref_path"):
        a_gateway(order_ref_path="metadata.ref").query_request(query, now=NOW, nonce="n")
    assert a_gateway(order_ref_path="reference").query_request(query, now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "kind"), TRANSACTION_STATUSES.items())
def test_what_a_transaction_says_when_queried(status, kind):
    first, *others = answer_to(PAYMENT, a_transaction(status=status))
    assert (first.kind, first.amount, first.order_ref) == (kind, 12900, "ORDER-1")
    assert first.occurred_at == (NOW - timedelta(minutes=1) if kind is Kind.PAYMENT_SUCCEEDED else TOLD_AT)
    assert [other.kind for other in others] == ([Kind.REFUND_SUCCEEDED] if status == "reversed" else [])


def test_what_was_reversed_went_back_as_a_whole():
    back = answer_to(PAYMENT, a_transaction(status="reversed"))[1]
    assert (back.total, back.amount, back.payment_ref, back.occurred_at) == (12900, None, "REF-1", TOLD_AT)


@pytest.mark.parametrize("transaction", [7, None, {"reference": "REF-1", "metadata": {"order_id": "ORDER-1"}}])
def test_a_refund_that_is_queried_is_of_the_payment_of_the_query(transaction):
    query = Query(about="refund", payment_ref="REF-1", refund_ref="9001")
    (event,) = answer_to(query, a_refund(transaction_reference=None, transaction=transaction))
    assert (event.refund_ref, event.payment_ref) == ("9001", "REF-1")
    assert event.order_ref == ("ORDER-1" if isinstance(transaction, dict) else None)


def test_each_refund_of_a_list_is_an_event():
    listed = [a_refund(id=9001), a_refund(id=9002, status="processing", transaction_reference=None)]
    listed[1] |= {"transaction": {"reference": "REF-1", "metadata": {"order_id": "ORDER-1"}}}
    events = answer_to(REFUNDS, listed)
    assert [(event.refund_ref, event.kind) for event in events] == [
        ("9001", Kind.REFUND_SUCCEEDED),
        ("9002", Kind.REFUND_PENDING),
    ]
    assert [(event.payment_ref, event.order_ref) for event in events] == [("REF-1", None), ("REF-1", "ORDER-1")]


@pytest.mark.parametrize("data", [[], None])
def test_a_list_without_refunds_finds_none(data):
    answer = a_gateway().read_response(REFUNDS, response(data), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    "data",
    [
        [a_refund(), a_refund(id=9002, transaction_reference="REF-2")],
        [a_refund(transaction_reference=None, transaction=7)],
        [a_refund(id=None)],
        [7],
        a_refund(),
    ],
)
def test_a_list_that_may_hold_refunds_of_others_is_refused(data):
    with pytest.raises(BadPayload):
        answer_to(REFUNDS, data)


def test_a_refund_tells_its_transaction_where_nobody_else_does():
    query = Query(about="refund", refund_ref="9001")
    refund = a_refund(transaction_reference=None, transaction={"reference": "REF-1"})
    assert answer_to(query, refund)[0].payment_ref == "REF-1"


@pytest.mark.parametrize(
    ("query", "data"),
    [
        (PAYMENT, a_transaction(reference="REF-2")),
        (REFUND, a_refund(id=9002)),
        (REFUND, a_refund(id=None)),
        (PAYMENT, None),
        (PAYMENT, []),
    ],
)
def test_an_answer_about_something_else_is_refused(query, data):
    with pytest.raises(BadPayload):
        answer_to(query, data)


def no(code, message="No."):
    return {"status": False, "message": message, "code": code}


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (400, no("transaction_not_found")),
        (404, no("transaction_not_found")),
        (400, no(None, "Transaction reference not found")),
        (404, no("unknown", "Refund not found")),
    ],
)
def test_not_found_is_an_answer(status, more):
    answer = a_gateway().read_response(PAYMENT, response(None, status, more), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    ("status", "more", "refusal"),
    [
        (400, no("invalid_params"), BadPayload),
        (400, no("Odd Code"), BadPayload),
        (404, {"status": True}, BadPayload),
        (200, no("transaction_not_found"), BadPayload),
        (401, no("invalid_Key"), AccessDenied),
        (403, {}, AccessDenied),
        (429, {}, Unavailable),
        (500, no("api_error"), Unavailable),
    ],
)
def test_an_error_says_whose_it_is(status, more, refusal):
    with pytest.raises(refusal):
        a_gateway().read_response(PAYMENT, response(None, status, more), now=NOW)


# --- the play ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def walk():
    return Walk(SIMULATOR)


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
@pytest.mark.parametrize("gap_s", [30, 0])
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, gap_s):
    story = story_of(SIMULATOR, template, currency="NGN", gap_s=gap_s)
    if template.in_other_currency:
        story = msgspec.structs.replace(story, due_currency="USD")
    assert_ends_as_told(story, walk.told_by(story))
    asked = [Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref)]
    refunds = {each.refund_ref for each in story.events if each.event_type.startswith("refund.")}
    asked += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in refunds]
    assert_ends_as_told(story, [event for query in asked for event in walk.answer(story, query).events])


def test_the_simulated_api_keeps_to_its_own(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0], currency="NGN")
    ours = Query(about="payment", order_ref=story.order_ref)  # nobody told the payment's own reference yet
    with pytest.raises(AccessDenied):
        walk.answer(story, ours, authorization="Bearer of_another")
    for query in (PAYMENT, REFUND, REFUNDS):
        assert not walk.answer(story, query).found
    (early,) = walk.answer(story, ours, as_of=story.started_at).events
    assert early.kind is Kind.PAYMENT_PENDING
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    call = walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, put_of(call)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)


def test_an_impostor_is_refused(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0], currency="NGN")
    signed = SIMULATOR.impostor(walk.signer).sign(story, story.events[0], now=NOW, again=0)
    with pytest.raises(BadSignature):
        walk.gateway.verify(request_of(signed), NOW)


def test_free_text_is_kept_without_whom_it_is_about():
    said = "Refused for jane@shop.example, card 4242 4242 4242 4242"
    [event] = events_of("charge.failed", a_transaction(status="failed", gateway_response=said))
    assert event.failure_code == "Refused for <email>, card <card>"
    gateway = a_gateway(secret_keys=["sk_live_of_february"])
    with pytest.raises(BadPayload) as told:
        events_of("charge.failed", a_transaction(status="failed", domain=said), gateway, "sk_live_of_february")
    assert "jane" not in str(told.value) + told.value.reason
    assert "4242" not in told.value.reason
