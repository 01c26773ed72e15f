"""WeChat Pay v2: queries and answers, and the story that the sandbox plays."""

import re
from datetime import timedelta

import msgspec
import pytest
from simulator_walk import asked, delivered, ledger_with, outcome_of, story_of, truth_of
from specimen import NOW
from specimen_wechatpay_v2 import COMMON, PAYMENT, PAYMENT_ANSWER, REFUND_ANSWER, response
from wechatpay_v2_factories import API_KEY, BY_ORDER, OF_REFUND, PAID_AT, a_gateway, answer_to, without
from wechatpy.pay import utils as official

from tillkeeper.domain.events import Kind
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.messages import Answer, Query, Response
from tillkeeper.gateways.registry import build
from tillkeeper.gateways.wechatpay.objects import TRADE_STATES
from tillkeeper.gateways.wechatpay_v2.objects import REFUND_STATUSES
from tillkeeper.gateways.wechatpay_v2.settings import WeChatPayV2Settings
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import xml
from tillkeeper.sandbox.simulators.wechatpay_v2.simulator import SIMULATOR, SUB_MCH_ID
from tillkeeper.sandbox.simulators.wechatpay_v2.templates import TEMPLATES

TOLD_AT = NOW
BY_NUMBER = Query(about="payment", order_ref="ORDER-1", payment_ref=PAYMENT["transaction_id"])


def test_a_payment_is_asked_by_its_number_or_its_orders():
    call = a_gateway().query_request(BY_NUMBER, now=NOW, nonce="n")
    assert (call.method, call.url) == ("POST", "https://api.mch.weixin.qq.com/pay/orderquery")
    assert b"<transaction_id>1004400740202610050005092168</transaction_id>" in call.body
    assert b"<out_trade_no>ORDER-1</out_trade_no>" in a_gateway().query_request(BY_ORDER, now=NOW, nonce="n").body
    call = a_gateway().query_request(OF_REFUND, now=NOW, nonce="n")
    assert call.url.endswith("/pay/refundquery")
    assert b"<out_refund_no>R-1</out_refund_no>" in call.body


def test_an_answer_is_asked_for_in_the_accounts_algorithm():
    body = a_gateway(sign_type="HMAC-SHA256").query_request(BY_ORDER, now=NOW, nonce="n").body
    fields = dict(re.findall(r"<(\w+)>([^<]*)</", body.decode()))
    assert fields["sign_type"] == "HMAC-SHA256"
    assert fields.pop("sign") == official.calculate_signature_hmac(fields, API_KEY)


@pytest.mark.parametrize("ref", [None, "", "a b", "<", "x" * 65])
def test_a_reference_that_wechat_pay_does_not_allow_is_not_asked_with(ref):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="refund", order_ref="O", refund_ref=ref), now=NOW, nonce="n")


@pytest.mark.parametrize(("word", "state"), TRADE_STATES.items())
def test_every_state_of_a_payment(word, state):
    fields = without(PAYMENT_ANSWER, *([] if word in {"SUCCESS", "REFUND"} else ["transaction_id", "time_end"]))
    answer = answer_to(BY_ORDER, fields | {"trade_state": word})
    assert answer.found
    if state is None:
        assert answer.events == ()
        return
    (event,) = answer.events
    assert (event.kind, event.failure) == (state.kind, state.failure)
    assert (event.amount, event.currency, event.order_ref) == (12900, "CNY", "ORDER-1")
    paid = state.kind is Kind.PAYMENT_SUCCEEDED
    assert event.payment_ref == (PAYMENT["transaction_id"] if paid else "ORDER-1")
    assert event.occurred_at == (PAID_AT if paid else TOLD_AT)


@pytest.mark.parametrize(
    ("query", "fields", "word"),
    [
        (BY_ORDER, PAYMENT_ANSWER | {"trade_state": "NEW"}, ("trade_state", "NEW")),
        (OF_REFUND, REFUND_ANSWER | {"refund_status_0": "NEW"}, ("refund_status", "NEW")),
        (OF_REFUND, REFUND_ANSWER | {"fee_type": "XXB"}, ("fee_type", "XXB")),
    ],
)
def test_a_state_that_is_not_known_makes_no_event_and_is_told(words, query, fields, word):
    assert answer_to(query, fields) == Answer(found=True)
    assert words() == [word]


def test_of_a_payment_that_gave_something_back_all_refunds_are_asked_about():
    answer = answer_to(BY_ORDER, PAYMENT_ANSWER | {"trade_state": "REFUND"})
    (event,) = answer.events
    assert (event.kind, event.amount, event.has_refunds) == (Kind.PAYMENT_SUCCEEDED, 12900, True)
    (query,) = answer.also
    assert (query.about, query.payment_ref, query.refund_ref) == ("refund", event.payment_ref, None)
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert call.url.endswith("/pay/refundquery")
    assert f"<transaction_id>{event.payment_ref}</transaction_id>".encode() in call.body
    second = {"out_refund_no_1": "R-2", "refund_fee_1": "500", "refund_status_1": "PROCESSING"}
    answer = answer_to(query, REFUND_ANSWER | second)
    assert [(each.kind, each.refund_ref, each.amount) for each in answer.events] == [
        (Kind.REFUND_SUCCEEDED, "R-1", 400),
        (Kind.REFUND_PENDING, "R-2", 500),
    ]
    assert answer.also == ()
    with pytest.raises(BadPayload, match="transaction_id"):
        answer_to(query, REFUND_ANSWER | {"transaction_id": "1"})
    assert answer_to(BY_ORDER, PAYMENT_ANSWER).also == ()


@pytest.mark.parametrize(("word", "state"), REFUND_STATUSES.items())
def test_every_state_of_a_refund_has_the_time_of_the_answer(word, state):
    (event,) = answer_to(OF_REFUND, REFUND_ANSWER | {"refund_status_0": word}).events
    assert (event.kind, event.failure, event.occurred_at) == (state.kind, state.failure, TOLD_AT)
    assert (event.amount, event.currency, event.refund_ref) == (400, "CNY", "R-1")
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "1004400740202610050005092168")
    assert event.failure_code == (word if state.failure else None)


def test_a_refund_is_found_among_those_of_its_payment():
    fields = REFUND_ANSWER | {
        "refund_count": "2",
        "out_refund_no_0": "R-0",
        "out_refund_no_1": "R-1",
        "refund_fee_1": "500",
        "refund_status_1": "PROCESSING",
    }
    (event,) = answer_to(OF_REFUND, fields).events
    assert (event.kind, event.amount) == (Kind.REFUND_PENDING, 500)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (OF_REFUND, REFUND_ANSWER | {"out_refund_no_0": "R-2"}),
        (OF_REFUND, REFUND_ANSWER | {"refund_status_0": ""}),
        (OF_REFUND, REFUND_ANSWER | {"refund_fee_0": ""}),
        (OF_REFUND, without(REFUND_ANSWER, "out_trade_no")),
        (BY_ORDER, PAYMENT_ANSWER | {"out_trade_no": "ORDER-2"}),
        (BY_NUMBER, PAYMENT_ANSWER | {"transaction_id": "2"}),
        (BY_ORDER, PAYMENT_ANSWER | {"mch_id": "10000101"}),
        (BY_ORDER, PAYMENT_ANSWER | {"appid": "wx"}),
        (BY_ORDER, PAYMENT_ANSWER | {"result_code": "FAIL", "err_code": "PARAM_ERROR"}),
        (BY_ORDER, without(PAYMENT_ANSWER, "result_code")),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(query, fields):
    with pytest.raises(BadPayload):
        answer_to(query, fields)


@pytest.mark.parametrize(("query", "code"), [(BY_ORDER, "ORDERNOTEXIST"), (OF_REFUND, "REFUNDNOTEXIST")])
def test_what_wechat_pay_does_not_know_is_not_found_and_not_failed(query, code):
    fields = COMMON | {"result_code": "FAIL", "err_code": code}
    assert answer_to(query, fields) == Answer(found=False)
    with pytest.raises(BadSignature):
        a_gateway().read_response(query, response(xml(fields)), now=NOW)


@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        (200, COMMON | {"result_code": "FAIL", "err_code": "SYSTEMERROR"}, Unavailable),
        (200, COMMON | {"result_code": "FAIL", "err_code": "SIGNERROR"}, AccessDenied),
        (200, {"return_code": "FAIL", "return_msg": "签名失败"}, AccessDenied),
        (401, {}, AccessDenied),
        (403, {}, AccessDenied),
        (429, {}, Unavailable),
        (502, {}, Unavailable),
        (404, PAYMENT_ANSWER, BadPayload),
        (200, {}, BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is(status, fields, error):
    with pytest.raises(error) as caught:
        answer_to(BY_ORDER, fields, status=status)
    assert "签名" not in str(caught.value)


# The sandbox.


def a_play(**mode):
    signer = msgspec.structs.replace(SIMULATOR.new_signer("wechatpay_v2-main"), **mode)
    settings = WeChatPayV2Settings.model_validate({"gateway": "wechatpay_v2", **SIMULATOR.settings(signer)})
    return signer, build(signer.account, settings)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [{}, {"sign_type": "HMAC-SHA256"}, {"sub_mch_id": SUB_MCH_ID}], ids=str)
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_every_story_ends_as_the_template_says(template, mode):
    signer, gateway = a_play(**mode)
    story = story_of(SIMULATOR, signer, template)
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    events = delivered(gateway, SIMULATOR, signer, story, api)
    assert outcome_of(story, events) == truth_of(story)
    refunds = {event.refund_ref for event in story.events if event.event_type in SIMULATOR.fetched}
    queries = [Query(about="payment", order_ref=story.order_ref)]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in sorted(refunds)]
    events = [event for query in queries for event in asked(gateway, api, query, NOW).events]
    assert outcome_of(story, events) == truth_of(story)
    if refunds:  # which may be known to nobody
        (payment,) = (event for event in events if event.kind is Kind.PAYMENT_SUCCEEDED)
        of_payment = Query(about="refund", order_ref=story.order_ref, payment_ref=payment.payment_ref)
        assert asked(gateway, api, queries[0], NOW).also == (of_payment,)
        assert list(asked(gateway, api, of_payment, NOW).events) == events[1:]
    if story.expected.status not in {Status.UNPAID, Status.FAILED}:
        by_number = Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref)
        assert list(asked(gateway, api, by_number, NOW).events) == events[:1]


def test_the_sandbox_tells_no_more_than_it_knows():
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, TEMPLATES[0])
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    for query in (
        Query(about="payment", order_ref="till-7"),
        Query(about="payment", order_ref=None, payment_ref="42"),
        Query(about="refund", order_ref=story.order_ref, refund_ref="re_7"),
    ):
        assert asked(gateway, api, query, NOW) == Answer(found=False)
    before = story.started_at + timedelta(seconds=0)
    assert asked(gateway, api, Query(about="payment", order_ref=story.order_ref), before) == Answer(found=True)


def test_the_sandbox_refuses_strangers_and_forges_answers():
    signer, gateway = a_play()
    story = story_of(SIMULATOR, signer, TEMPLATES[0])
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    impostor = SIMULATOR.impostor(signer)
    settings = WeChatPayV2Settings.model_validate({"gateway": "wechatpay_v2", **SIMULATOR.settings(impostor)})
    query = Query(about="payment", order_ref=story.order_ref)
    with pytest.raises(AccessDenied):
        asked(build("x", settings), api, query, NOW)
    with pytest.raises(BadSignature):
        asked(gateway, api, query, NOW, forged=True)
    for status in (429, 500):
        sealed_ = api.signed(api.error_response(status, None), now=NOW)
        with pytest.raises(Unavailable):
            gateway.read_response(query, Response(status=200, headers={}, body=sealed_.body), now=NOW)


def test_an_order_that_stood_in_for_its_payment_no_longer_does_once_that_has_a_number():
    stood_in = Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1")
    paid, closed = answer_to(stood_in, PAYMENT_ANSWER).events
    assert (paid.kind, paid.payment_ref) == (Kind.PAYMENT_SUCCEEDED, PAYMENT["transaction_id"])
    assert (closed.kind, closed.payment_ref, closed.occurred_at) == (Kind.PAYMENT_CANCELLED, "ORDER-1", TOLD_AT)
    assert closed.failure is None
    assert answer_to(BY_ORDER, PAYMENT_ANSWER).events == (paid,)
