"""Flutterwave: queries and answers, and the story that the sandbox plays."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import msgspec
import pytest
from flutterwave_factories import (
    KEY,
    PAYMENT,
    REFUND,
    a_charge,
    a_gateway,
    a_refund,
    a_transaction,
    answer_to,
    response,
    v3,
)
from specimen import NOW
from walking import Walk, assert_ends_as_told, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery, Unavailable
from tillkeeper.gateways.flutterwave.objects import CHARGE_STATUSES, REFUND_STATUSES
from tillkeeper.gateways.messages import Query, Response, Token
from tillkeeper.sandbox.simulators.flutterwave.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

ORDER = Query(about="payment", order_ref="ORDER-1")
TOLD_AT = NOW - timedelta(seconds=3)
MADE_AT = datetime(2026, 10, 5, 11, 58, tzinfo=UTC)


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "of_v4", "of_v3"),
    [
        (PAYMENT, "/charges/chg_1", "/v3/transactions/chg_1/verify"),
        (
            Query(about="payment", order_ref="O&R 1"),
            "/charges?reference=O%26R+1",
            "/v3/transactions/verify_by_reference?tx_ref=O%26R+1",
        ),
        (REFUND, "/refunds/rfd_1", "/v3/refunds/rfd_1"),
    ],
)
def test_where_each_query_goes(query, of_v4, of_v3):
    for gateway, path in ((a_gateway(), of_v4), (v3(), of_v3)):
        call = gateway.query_request(query, now=NOW, nonce="n")
        assert call.method == "GET"
        assert call.url.endswith(f".com{path}")
        assert call.headers["Authorization"] == f"Bearer {KEY}"


def test_without_credentials_nothing_can_be_queried():
    with pytest.raises(CannotQuery, match="client_id"):
        a_gateway(secret_key=None).query_request(PAYMENT, now=NOW, nonce="n")
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment"), now=NOW, nonce="n")


def test_v4s_credentials_are_exchanged_for_a_token():
    gateway = a_gateway(client_id="an_id", client_secret="a_client_secret")
    call = gateway.token_request(now=NOW)
    assert (call.method, call.url.split("/")[2]) == ("POST", "idp.flutterwave.com")
    assert parse_qs(call.body.decode()) == {
        "client_id": ["an_id"],
        "client_secret": ["a_client_secret"],
        "grant_type": ["client_credentials"],
    }
    assert "Authorization" not in gateway.query_request(PAYMENT, now=NOW, nonce="n").headers
    token = gateway.read_token(response({"access_token": "t0ken", "expires_in": 600}), now=NOW)
    assert token == Token(value="t0ken", until=NOW + timedelta(seconds=600))


def test_nobody_signs_in_with_a_secret_key():
    assert a_gateway().token_request(now=NOW) is None
    assert v3(client_id="an_id", client_secret="a_client_secret").token_request(now=NOW) is None


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (400, {"error": "invalid_client"}, AccessDenied),
        (401, {}, AccessDenied),
        (404, {}, BadPayload),
        (429, {}, Unavailable),
        (503, {}, Unavailable),
        (200, {"access_token": "t", "expires_in": 0}, BadPayload),
        (200, {"access_token": "t", "expires_in": 10**9}, BadPayload),
        (200, {"expires_in": 600}, BadPayload),
        (200, [], BadPayload),
    ],
)
def test_a_token_that_is_not_given_says_why(status, content, refusal):
    gateway = a_gateway(client_id="an_id", client_secret="a_client_secret")
    with pytest.raises(refusal):
        gateway.read_token(response(content, status), now=NOW)


@pytest.mark.parametrize(("status", "kind"), CHARGE_STATUSES.items())
def test_what_a_charge_says_when_queried(status, kind):
    (event,) = answer_to(PAYMENT, a_charge(status=status))
    assert (event.kind, event.amount, event.order_ref) == (kind, 12900, "ORDER-1")
    assert event.occurred_at == (MADE_AT if kind is Kind.PAYMENT_SUCCEEDED else TOLD_AT)


def test_what_v3s_transaction_says():
    query = Query(about="payment", payment_ref="288200108")
    (event,) = answer_to(query, a_transaction(), v3())
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12950, "NGN")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "288200108", "card")
    (by_order,) = answer_to(ORDER, a_transaction(created_at=None), v3())
    assert by_order.occurred_at == TOLD_AT


def test_charges_of_other_references_are_left_out():
    events = answer_to(ORDER, [a_charge(), a_charge(id="chg_2", reference="ORDER-10")])
    assert [event.payment_ref for event in events] == ["chg_1"]
    assert answer_to(ORDER, []) == ()
    assert answer_to(ORDER, None) == ()


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_what_v3s_refund_says(status, kind):
    query = Query(about="refund", payment_ref="908790", refund_ref="75923")
    refund = {"id": 75923, "amount_refunded": 69.5, "status": status, "created_at": "2026-10-05T11:58:00.000Z"}
    for more in ({}, {"tx_id": 908790}):
        (event,) = answer_to(query, refund | more, v3(currency="NGN"))
        assert (event.kind, event.amount, event.currency) == (kind, 6950, "NGN")
        assert (event.refund_ref, event.payment_ref, event.order_ref) == ("75923", "908790", None)
        assert event.occurred_at == (TOLD_AT if kind is Kind.REFUND_FAILED else MADE_AT)


@pytest.mark.parametrize(("query", "data"), [(PAYMENT, a_charge(id="chg_2")), (REFUND, a_refund(id="rfd_2"))])
def test_an_answer_about_something_else_is_refused(query, data):
    with pytest.raises(BadPayload):
        answer_to(query, data)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, {"status": "failed", "error": {"type": "RESOURCE_NOT_FOUND", "code": "10404"}}),
        (400, {"status": "error", "message": "No transaction was found for this id", "data": None}),
        (404, {"status": "error", "message": "Transaction not found"}),
    ],
)
def test_not_found_is_an_answer(status, content):
    answer = a_gateway().read_response(PAYMENT, response(content, status), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (401, {}, AccessDenied),
        (403, {"status": "error"}, AccessDenied),
        (429, {}, Unavailable),
        (500, {"status": "error"}, Unavailable),
        (400, {"status": "error", "message": "Invalid id"}, BadPayload),
        (404, {"status": "failed", "error": []}, BadPayload),
        (404, {}, BadPayload),  # somebody's proxy
        (404, {"status": "success"}, BadPayload),
        (200, {"status": "error"}, BadPayload),
        (200, [], BadPayload),
    ],
)
def test_an_error_says_whose_it_is(status, content, refusal):
    with pytest.raises(refusal):
        a_gateway().read_response(PAYMENT, response(content, status), now=NOW)


# --- the play ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def walk():
    return Walk(SIMULATOR)


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
@pytest.mark.parametrize(("currency", "gap_s"), [("NGN", 30), ("XAF", 0)])
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, currency, gap_s):
    story = story_of(SIMULATOR, template, currency=currency, gap_s=gap_s)
    if template.in_other_currency:
        story = msgspec.structs.replace(story, due_currency="USD")
    events = list(walk.told_by(story))
    assert_ends_as_told(story, events)
    assert any(each.kind.is_dispute for each in events) is ("charged back" in template.name)
    refunds = {each.refund_ref for each in story.events if each.event_type.startswith("refund.")}
    queries = [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in refunds]
    assert_ends_as_told(
        story,
        [
            *walk.asked_at_the_end(story),
            *(event for query in queries for event in walk.answer(story, query).events),
        ],
    )


def test_the_simulated_api_keeps_to_its_own(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0], currency="NGN")
    with pytest.raises(AccessDenied):
        walk.answer(story, PAYMENT, authorization="Bearer of_another")
    for query in (PAYMENT, ORDER, REFUND):
        assert not walk.answer(story, query).found
    by_order = Query(about="payment", order_ref=story.order_ref)
    assert walk.answer(story, by_order).events == walk.asked_at_the_end(story)
    for query in (by_order, Query(about="payment", payment_ref=story.payment_ref)):
        assert not walk.answer(story, query, as_of=story.started_at).found
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    call = walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, put_of(call)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)
