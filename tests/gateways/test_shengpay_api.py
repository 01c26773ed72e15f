"""Shengpay: queries and answers, and the story that the sandbox plays."""

import json
from datetime import timedelta

import msgspec
import pytest
from shengpay_factories import BY_ORDER, KEYS, OF_REFUND, PAID_AT, a_gateway, answer_to, made, without
from simulator_walk import asked, delivered, ledger_with, outcome_of, put_of, story_of, truth_of
from specimen import NOW, private_pem, public_pem, request_of, response_of
from specimen_shengpay import COMMON, PAYMENT_ANSWER, REFUND, plain_of

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.gateways.registry import build
from tillkeeper.gateways.shengpay.objects import REFUND_STATUSES, TRADE_STATES
from tillkeeper.gateways.shengpay.settings import ShengPaySettings
from tillkeeper.sandbox.simulators.registry import ledger_of
from tillkeeper.sandbox.simulators.shengpay.signing import sign
from tillkeeper.sandbox.simulators.shengpay.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.shengpay.templates import TEMPLATES

TOLD_AT = NOW
BY_NUMBER = Query(about="payment", order_ref="ORDER-1", payment_ref="WP20261005000001")


@pytest.mark.parametrize(
    ("query", "path", "about"),
    [
        (BY_NUMBER, "/api/v3/payment/orderquery", {"transactionId": "WP20261005000001"}),
        (BY_ORDER, "/api/v3/payment/orderquery", {"outTradeNo": "ORDER-1"}),
        (OF_REFUND, "/api/v3/payment/refundquery", {"outRefundNo": "R-1"}),
    ],
)
def test_a_query_is_signed_by_the_merchant(query, path, about):
    call = a_gateway().query_request(query, now=NOW, nonce="n" * 40)
    assert (call.method, call.url) == ("POST", f"https://mchapi.shengpay.com{path}")
    fields = json.loads(call.body)
    assert fields["sign"] == sign(KEYS.other, fields, "RSA2")
    asked_with = {"appId": "312343123132131331232", "mchId": "93762611", "nonceStr": "n" * 32, "signType": "RSA2"}
    assert without(fields, "sign") == asked_with | about


def test_a_query_is_signed_as_the_account_says():
    fields = json.loads(made(sign_type="RSA").query_request(BY_ORDER, now=NOW, nonce="n").body)
    assert fields["signType"] == "RSA"
    assert fields["sign"] == sign(KEYS.other, fields, "RSA")


@pytest.mark.parametrize("ref", [None, "", "a b", '"', "x" * 65])
def test_an_odd_reference_is_not_asked_with(ref):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="refund", order_ref="O", refund_ref=ref), now=NOW, nonce="n")


@pytest.mark.parametrize(("word", "state"), TRADE_STATES.items())
def test_every_state_of_a_payment(word, state):
    fields = without(PAYMENT_ANSWER, *([] if word in {"SUCCESS", "REFUND"} else ["transactionId", "timeEnd"]))
    answer = answer_to(BY_ORDER, fields | {"tradeState": word})
    assert answer.found
    if state is None:
        assert answer.events == ()
        return
    (event,) = answer.events
    is_paid = state.kind is Kind.PAYMENT_SUCCEEDED
    assert (event.kind, event.failure, event.amount) == (state.kind, state.failure, 12900)
    assert event.has_refunds is (word == "REFUND")
    assert event.payment_ref == ("WP20261005000001" if is_paid else "ORDER-1")
    assert event.occurred_at == (PAID_AT if is_paid else TOLD_AT)


@pytest.mark.parametrize(("word", "state"), REFUND_STATUSES.items())
def test_every_state_of_a_refund_has_the_time_of_the_answer(word, state):
    (event,) = answer_to(OF_REFUND, REFUND | {"refundStatus": word}).events
    assert (event.kind, event.failure, event.occurred_at) == (state.kind, state.failure, TOLD_AT)
    assert (event.amount, event.refund_ref, event.order_ref) == (400, "R-1", "ORDER-1")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (OF_REFUND, REFUND | {"outRefundNo": "R-2"}),
        (BY_ORDER, PAYMENT_ANSWER | {"outTradeNo": "ORDER-2"}),
        (BY_NUMBER, PAYMENT_ANSWER | {"transactionId": "2"}),
        (BY_ORDER, PAYMENT_ANSWER | {"mchId": "93762612"}),
        (BY_ORDER, COMMON | {"resultCode": "FAIL", "errorCode": "MEMBER_NOT_EXIST"}),
        (BY_ORDER, without(PAYMENT_ANSWER, "resultCode")),
        (BY_ORDER, b"[]"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(query, fields):
    with pytest.raises(BadPayload):
        answer_to(query, fields)


def test_what_shengpay_does_not_know_is_not_found_and_not_failed():
    fields = COMMON | {"resultCode": "FAIL", "errorCode": "ORDER_NOT_EXIST"}
    for query in (BY_ORDER, OF_REFUND):
        assert answer_to(query, fields) == Answer(found=False)
        with pytest.raises(BadSignature):
            answer_to(query, fields, key=KEYS.foreign)
        with pytest.raises(BadSignature):
            answer_to(query, plain_of(fields))


@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        (200, COMMON | {"resultCode": "FAIL", "errorCode": "BIZERR_NEED_RETRY"}, Unavailable),
        (200, {"returnCode": "FAIL", "returnMsg": "签名错误", "errorCode": "SIGN_ERROR"}, AccessDenied),
        (200, {"returnCode": "FAIL", "returnMsg": "签名错误"}, AccessDenied),
        (200, COMMON | {"resultCode": "FAIL", "errorCode": "MCH_NOT_FOUND"}, AccessDenied),
        (401, {}, AccessDenied),
        (429, {}, Unavailable),
        (502, b"<html>", Unavailable),
        (404, PAYMENT_ANSWER, BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is(status, fields, error):
    with pytest.raises(error) as caught:
        answer_to(BY_ORDER, fields, status=status)
    assert "签名" not in str(caught.value)


# The sandbox.


def a_play():
    signer = msgspec.structs.replace(VOICE, sign_type="RSA2")
    settings = ShengPaySettings.model_validate({"gateway": "shengpay", **SIMULATOR.settings(signer)})
    return signer, build(signer.account, settings)


VOICE = SIMULATOR.new_signer("shengpay-main")  # making keys takes a while
IMPOSTOR = SIMULATOR.impostor(VOICE)


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_every_story_ends_as_the_template_says(template):
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, template)
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    events = delivered(gateway, SIMULATOR, signer, story, api)
    assert outcome_of(story, events) == truth_of(story)
    refunds = {event.refund_ref for event in story.events if event.event_type.startswith("REFUND.")}
    queries = [Query(about="payment", order_ref=story.order_ref)]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in sorted(refunds)]
    answered = [event for query in queries for event in asked(gateway, api, query, NOW).events]
    assert outcome_of(story, answered) == truth_of(story)
    by_number = Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref)
    assert list(asked(gateway, api, by_number, NOW).events) == answered[:1]


def test_the_sandbox_speaks_rsa_with_sha_1_too():
    signer = msgspec.structs.replace(VOICE, sign_type="RSA")
    gateway = build("old", ShengPaySettings.model_validate({"gateway": "shengpay", **SIMULATOR.settings(signer)}))
    story = story_of(SIMULATOR, signer, TEMPLATES[0])
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    assert outcome_of(story, delivered(gateway, SIMULATOR, signer, story, api))
    (event,) = asked(gateway, api, Query(about="payment", order_ref=story.order_ref), NOW).events
    assert event.kind is Kind.PAYMENT_SUCCEEDED


def test_the_sandbox_refuses_strangers_and_forges_answers():
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, TEMPLATES[0])
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    query = Query(about="payment", order_ref=story.order_ref)
    settings = {"gateway": "shengpay", **SIMULATOR.settings(signer)}
    for more in (
        {"mch_private_key": private_pem(KEYS.other)},
        {"mch_id": "1"},
        {"sign_type": "RSA"},
    ):
        with pytest.raises(AccessDenied):
            asked(build("x", ShengPaySettings.model_validate(settings | more)), api, query, NOW)
    with pytest.raises(BadSignature):
        asked(gateway, api, query, NOW, forged=True)
    forged = IMPOSTOR.sign(story, story.events[0], now=NOW, again=0)
    with pytest.raises(BadSignature):
        gateway.verify(request_of(forged), NOW)
    for unknown in (
        Query(about="payment", order_ref="till-7"),
        Query(about="payment", order_ref=None, payment_ref="WP7"),
        Query(about="refund", order_ref=story.order_ref, refund_ref="re_7"),
    ):
        assert asked(gateway, api, unknown, NOW) == Answer(found=False)
    before = story.started_at - timedelta(seconds=1)
    assert asked(gateway, api, query, before) == Answer(found=False)
    for status in (429, 500):
        reply = api.signed(api.error_response(status, None), now=NOW)
        with pytest.raises(Unavailable):
            gateway.read_response(query, response_of((reply.headers, reply.body), reply.status), now=NOW)


def test_the_sandbox_knows_no_other_queries():
    _, gateway = a_play()
    put = put_of(gateway.query_request(BY_ORDER, now=NOW, nonce="n"))
    api = SIMULATOR.api(VOICE, ledger_of({}))
    assert api.respond(msgspec.structs.replace(put, path="/x"), now=NOW, as_of=NOW).status == 404
    for body in (b"", b"[]", b"{}"):
        reply = api.respond(msgspec.structs.replace(put, body=body), now=NOW, as_of=NOW)
        assert reply.summary == "SIGN_ERROR"
    assert public_pem(VOICE.key) == SIMULATOR.settings(VOICE)["shengpay_public_key"]


def test_an_order_that_stood_in_for_its_payment_no_longer_does_once_that_has_a_number():
    stood_in = Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1")
    paid, closed = answer_to(stood_in, PAYMENT_ANSWER).events
    assert (paid.kind, paid.payment_ref) == (Kind.PAYMENT_SUCCEEDED, "WP20261005000001")
    assert (closed.kind, closed.payment_ref, closed.occurred_at) == (Kind.PAYMENT_CANCELLED, "ORDER-1", TOLD_AT)
    assert closed.failure is None
    assert answer_to(BY_ORDER, PAYMENT_ANSWER).events == (paid,)
