"""Asking WeChat Pay: the package wechatpayv3 builds the same request, verifies and signs answers; every state."""

import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest
from simulator_walk import asked, delivered, ledger_with, outcome_of, story_of, truth_of
from specimen import NOW, certificate_pem, private_pem, public_pem, rsa_keys
from specimen_wechatpay import APIV3_KEY, KEY_ID, PLAIN, REFUND_ANSWER, SERIAL, settings_of
from wechatpayv3 import core as package_core
from wechatpayv3 import utils as official
from wechatpayv3.core import Core

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Unavailable
from tillkeeper.gateways.messages import Answer, Query, Response
from tillkeeper.gateways.registry import build
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.objects import REFUND_STATUSES, TRADE_STATES
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_signed
from tillkeeper.sandbox.simulators.wechatpay.simulator import SIMULATOR, provider_of

KEYS = rsa_keys()
VOICE = SIMULATOR.new_signer("wechatpay-main")
API = "https://api.mch.weixin.qq.com"
ABROAD = "https://apihk.mch.weixin.qq.com"
NONCE = "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"
MERCHANT_SERIAL = settings_of(KEYS)["merchant_serial"]
TRADE = json.loads(PLAIN)
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="4200000000202610050000000001")
BY_ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=PAYMENT.payment_ref, refund_ref="R-1")
PAID_AT = datetime(2026, 10, 5, 11, 59, 58, tzinfo=UTC)
CERTIFICATE = WeChatPayKey(SERIAL, KEYS.own)
TOLD_AT = NOW - timedelta(seconds=4)


def a_gateway(**changes):
    return THE_GATEWAY if not changes else made(**changes)


def made(**changes):
    return WeChatPay("wechat-main", WeChatPaySettings.model_validate(settings_of(KEYS) | changes))


THE_GATEWAY = made()  # reading a private key takes a while


def response(content, *, status=200, key=CERTIFICATE, at=TOLD_AT):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers, body = wechatpay_signed(key, at, body)
    return Response(status=status, headers={name.lower(): [value] for name, value in headers.items()}, body=body)


def answered(query, content, *, gateway=None, **more):
    return (gateway or a_gateway()).read_response(query, response(content, **more), now=NOW)


def bare(status, content=b""):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status=status, headers={}, body=body)


def the(answer):
    (event,) = answer.events
    return event


def without(content, *names):
    return {name: value for name, value in content.items() if name not in names}


# The package wechatpayv3.


@pytest.fixture(params=["certificate", "public key"])
def package(request, tmp_path, monkeypatch):
    """Its core, in either mode, with our key and our clock; what it would send is remembered."""
    monkeypatch.setattr(official.time, "time", NOW.timestamp)
    monkeypatch.setattr(official.uuid, "uuid4", lambda: NONCE)
    if request.param == "certificate":
        (tmp_path / "platform.pem").write_text(certificate_pem(KEYS.own, int(SERIAL, 16)))
        more = {"cert_dir": str(tmp_path)}
    else:
        more = {"public_key": public_pem(KEYS.other), "public_key_id": KEY_ID}
    core = Core("1900000100", MERCHANT_SERIAL, private_pem(KEYS.other), APIV3_KEY, **more)
    core.mode = {"public_keys": {}} if request.param == "certificate" else {"platform_certs": {}}
    return core


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/v3/pay/transactions/id/4200000000202610050000000001?mchid=1900000100"),
        (BY_ORDER, "/v3/pay/transactions/out-trade-no/ORDER-1?mchid=1900000100"),
        (
            Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1"),
            "/v3/pay/transactions/out-trade-no/ORDER-1?mchid=1900000100",
        ),
        (REFUND, "/v3/refund/domestic/refunds/R-1"),
    ],
    ids=["payment", "order", "payment never completed", "refund"],
)
def test_the_package_asks_the_same_to_the_letter_of_the_signature(package, query, path, monkeypatch):
    sent = {}

    def get(**call):
        sent.update(call)
        return SimpleNamespace(status_code=500, headers={}, text="", content=b"")

    monkeypatch.setattr(package_core.requests, "get", get)
    package.request(path)
    call = a_gateway(**package.mode).query_request(query, now=NOW, nonce=NONCE)
    assert (call.method, call.url, call.body) == ("GET", sent["url"], b"")
    assert call.headers["Authorization"] == sent["headers"]["Authorization"]
    assert call.headers.get("Wechatpay-Serial") == sent["headers"].get("Wechatpay-Serial")
    assert call.headers["Accept"] == sent["headers"]["Accept"]


@pytest.mark.parametrize(
    ("query", "path", "abroad"),
    [
        (PAYMENT, f"/v3/pay/partner/transactions/id/{PAYMENT.payment_ref}?sp_mchid=1900000100&sub_mchid=1900000109", 0),
        (BY_ORDER, "/v3/pay/partner/transactions/out-trade-no/ORDER-1?sp_mchid=1900000100&sub_mchid=1900000109", 0),
        (REFUND, "/v3/refund/domestic/refunds/R-1?sub_mchid=1900000109", 0),
        (BY_ORDER, "/v3/global/transactions/out-trade-no/ORDER-1?sp_mchid=1900000100&sub_mchid=1900000109", 1),
        (REFUND, "/v3/global/refunds/out-refund-no/R-1?sp_mchid=1900000100&sub_mchid=1900000109", 1),
    ],
)
def test_a_service_provider_asks_in_the_name_of_its_sub_merchant(query, path, abroad):
    base = ABROAD if abroad else API
    call = a_gateway(sub_mch_ids=["1900000109"], api_base=base).query_request(query, now=NOW, nonce=NONCE)
    assert call.url == f"{base}{path}"
    assert 'mchid="1900000100"' in call.headers["Authorization"]


@pytest.mark.parametrize("query", [PAYMENT, BY_ORDER, REFUND])
def test_of_several_sub_merchants_one_is_asked_about_after_the_other(query):
    numbers = ["1900000109", "1900000110", "1900000111"]
    gateway = a_gateway(sub_mch_ids=numbers)
    for number in numbers:
        assert gateway.query_request(query, now=NOW, nonce=NONCE).url.endswith(f"sub_mchid={number}")
        unknown = {"code": "ORDER_NOT_EXIST"}
        answer = answered(query, unknown, status=404, gateway=gateway)
        assert gateway.read_response(query, bare(404, unknown), now=NOW) == answer
        assert (answer.found, answer.events) == (False, ())
        if number == numbers[-1]:
            assert answer.also == ()
        else:
            (query,) = answer.also
    other = msgspec.structs.replace(query, sub_mch_id="1900000112")  # who is no longer served
    assert answered(other, unknown, status=404, gateway=gateway) == Answer(found=False)


def test_a_sub_merchants_payment_is_read_as_any():
    provided = without(TRADE, "mchid", "appid") | {"sp_mchid": "1900000100", "sp_appid": "wx8888888888888888"}
    gateway = a_gateway(sub_mch_ids=["1900000109"])
    event = the(answered(PAYMENT, provided | {"sub_mchid": "1900000109"}, gateway=gateway))
    assert (event.kind, event.amount) == (Kind.PAYMENT_SUCCEEDED, 12900)
    with pytest.raises(BadPayload, match="another merchant"):
        answered(PAYMENT, provided | {"sub_mchid": "1900000110"}, gateway=gateway)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, f"/v3/global/transactions/id/{PAYMENT.payment_ref}?mchid=1900000100"),
        (BY_ORDER, "/v3/global/transactions/out-trade-no/ORDER-1?mchid=1900000100"),
        (REFUND, "/v3/global/refunds/out-refund-no/R-1?mchid=1900000100"),
    ],
)
def test_abroad_the_paths_are_others(query, path):
    gateway = a_gateway(api_base=ABROAD)
    assert gateway.query_request(query, now=NOW, nonce=NONCE).url == f"{ABROAD}{path}"
    assert gateway.key_refresh_request(now=NOW, nonce=NONCE).url == f"{ABROAD}/v3/global/certificates"


def test_odd_characters_of_a_reference_are_signed_as_they_are_sent():
    call = a_gateway(api_base="http://127.0.0.1:9/wechat").query_request(
        Query(about="payment", order_ref="A|B*C@D-E_F"), now=NOW, nonce=NONCE
    )
    path = "/wechat/v3/pay/transactions/out-trade-no/A%7CB%2AC%40D-E_F?mchid=1900000100"
    assert call.url == f"http://127.0.0.1:9{path}"
    fields = dict(re.findall(r'(\w+)="([^"]*)"', call.headers["Authorization"]))
    signed = f"GET\n{path}\n{fields['timestamp']}\n{fields['nonce_str']}\n\n"
    assert fields["signature"] == official.rsa_sign(KEYS.other, signed)
    assert (fields["mchid"], fields["serial_no"], fields["timestamp"]) == (
        "1900000100",
        MERCHANT_SERIAL,
        str(int(NOW.timestamp())),
    )


@pytest.mark.parametrize("content", [PLAIN, json.dumps(REFUND_ANSWER, ensure_ascii=False).encode(), b"{}"])
def test_the_package_verifies_the_answers_that_we_verify(package, content):
    key = CERTIFICATE if package.mode == {"public_keys": {}} else WeChatPayKey(KEY_ID, KEYS.other)
    signed = response(content, key=key)
    headers = {name: values[0] for name, values in signed.headers.items()}
    assert package._verify_signature(headers, signed.body.decode())
    assert not package._verify_signature(headers, signed.body.decode() + " ")


def test_what_the_package_signs_is_verified():
    timestamp = str(int(NOW.timestamp()))
    headers = {
        "wechatpay-timestamp": [timestamp],
        "wechatpay-nonce": [NONCE],
        "wechatpay-serial": [KEY_ID],
        "wechatpay-signature": [official.rsa_sign(KEYS.other, f"{timestamp}\n{NONCE}\n{PLAIN.decode()}\n")],
        "wechatpay-signature-type": ["WECHATPAY2-SHA256-RSA2048"],
    }
    assert a_gateway().read_response(PAYMENT, Response(status=200, headers=headers, body=PLAIN), now=NOW).events


@pytest.mark.parametrize("missing", ["merchant_serial", "merchant_private_key"])
def test_without_the_merchants_key_nothing_can_be_asked(missing):
    with pytest.raises(CannotQuery, match="merchant_serial and merchant_private_key"):
        a_gateway(**{missing: None}).query_request(PAYMENT, now=NOW, nonce=NONCE)


# What a transaction says of itself.


@pytest.mark.parametrize(
    ("state", "kind", "failure"),
    [
        ("SUCCESS", Kind.PAYMENT_SUCCEEDED, None),
        ("REFUND", Kind.PAYMENT_SUCCEEDED, None),
        ("NOTPAY", None, None),
        ("USERPAYING", Kind.PAYMENT_PENDING, None),
        ("CLOSED", Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
        ("REVOKED", Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
        ("PAYERROR", Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
        ("ACCEPT", Kind.PAYMENT_PENDING, None),
        ("ACCEPTED", Kind.PAYMENT_PENDING, None),
        ("PAY_FAIL", Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
        ("FAIL", Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
        ("PAY_BACK", None, None),
    ],
)
@pytest.mark.parametrize("query", [PAYMENT, BY_ORDER])
def test_what_a_transaction_says_by_its_state(query, state, kind, failure):
    answer = answered(query, TRADE | {"trade_state": state})
    assert answer.found
    if kind is None:
        assert answer.events == ()
        return
    event = the(answer)
    assert (event.kind, event.failure, event.amount, event.currency) == (kind, failure, 12900, "CNY")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", PAYMENT.payment_ref, "JSAPI")
    assert (event.occurred_at, event.evidence) == (PAID_AT, Evidence.QUERY)
    name = f"query:{PAYMENT.payment_ref}:{kind}:20261005T115958Z:12900"
    assert event.event_id == (f"{name}:has_refunds" if state == "REFUND" else name)
    assert event.has_refunds is (state == "REFUND")


def test_every_state_is_tested_here():
    assert len(TRADE_STATES) == 12
    assert len(REFUND_STATUSES) == 4


@pytest.mark.parametrize(
    ("query", "content", "word"),
    [
        (PAYMENT, TRADE | {"trade_state": "HALF"}, ("trade_state", "HALF")),
        (REFUND, REFUND_ANSWER | {"status": "HALF"}, ("status", "HALF")),
    ],
)
def test_a_state_that_is_not_known_makes_no_event_and_is_told(words, query, content, word):
    assert answered(query, content) == Answer(found=True)
    assert words() == [word]


def test_without_a_time_of_success_the_signed_time_of_the_answer_stands_in():
    paying = without(TRADE, "success_time") | {"trade_state": "USERPAYING"}
    assert the(answered(PAYMENT, paying)).occurred_at == TOLD_AT


@pytest.mark.parametrize("query", [BY_ORDER, Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1")])
def test_a_payment_never_completed_goes_by_its_orders_number(query):
    content = without(TRADE, "transaction_id", "success_time", "amount") | {"trade_state": "CLOSED"}
    event = the(answered(query, content))
    assert (event.kind, event.payment_ref, event.amount, event.currency) == (
        Kind.PAYMENT_CANCELLED,
        "ORDER-1",
        None,
        None,
    )
    with pytest.raises(BadPayload, match="payment_ref"):
        answered(query, content | {"trade_state": "SUCCESS"})


# What is told of a refund.


@pytest.mark.parametrize(
    ("status", "kind", "failure", "at"),
    [
        ("SUCCESS", Kind.REFUND_SUCCEEDED, None, PAID_AT),
        ("PROCESSING", Kind.REFUND_PENDING, None, PAID_AT - timedelta(seconds=8)),
        ("ABNORMAL", Kind.REFUND_FAILED, FailureClass.ACCOUNT_FROZEN, TOLD_AT),
        ("CLOSED", Kind.REFUND_FAILED, FailureClass.UNKNOWN, TOLD_AT),
    ],
)
def test_what_a_refund_says_by_its_status(status, kind, failure, at):
    content = REFUND_ANSWER | {"status": status}
    event = the(answered(REFUND, content if status == "SUCCESS" else without(content, "success_time")))
    assert (event.kind, event.failure, event.amount, event.currency) == (kind, failure, 400, "CNY")
    assert (event.refund_ref, event.payment_ref, event.order_ref) == ("R-1", PAYMENT.payment_ref, "ORDER-1")
    assert event.occurred_at == at
    assert event.event_id == f"query:{PAYMENT.payment_ref}:R-1:{kind}:{at:%Y%m%dT%H%M%SZ}:400"


# What is no answer.


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"])
@pytest.mark.parametrize("query", [PAYMENT, BY_ORDER, REFUND])
def test_what_does_not_exist_is_not_found_and_not_failed(query, code):
    content = {"code": code, "message": "订单不存在"}
    assert answered(query, content, status=404) == Answer(found=False)
    assert a_gateway().read_response(query, bare(404, content), now=NOW) == Answer(found=False)
    with pytest.raises(BadSignature):
        answered(query, content, status=404, key=WeChatPayKey(SERIAL, KEYS.foreign))


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (401, {"code": "SIGN_ERROR", "message": "…"}, AccessDenied),
        (403, {"code": "NO_AUTH"}, AccessDenied),
        (400, {"code": "APPID_MCHID_NOT_MATCH"}, AccessDenied),
        (400, {"code": "MCH_NOT_EXISTS"}, AccessDenied),
        (202, b"", Unavailable),
        (429, {"code": "FREQUENCY_LIMITED"}, Unavailable),
        (500, {"code": "SYSTEM_ERROR"}, Unavailable),
        (502, b"<html>", Unavailable),
        (400, {"code": "PARAM_ERROR"}, BadPayload),
        (400, {"code": "param error"}, BadPayload),
        (400, {"code": 7}, BadPayload),
        (404, b"<html>", BadPayload),
        (404, {"code": "NOT_FOUND"}, BadPayload),
        (204, b"", BadPayload),
        (302, b"", BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is_signed_or_not(status, content, error):
    for answer in (bare(status, content), response(content, status=status)):
        with pytest.raises(error):
            a_gateway().read_response(PAYMENT, answer, now=NOW)


def test_an_unsigned_answer_is_no_data():
    with pytest.raises(BadSignature):
        a_gateway().read_response(PAYMENT, bare(200, PLAIN), now=NOW)


@pytest.mark.parametrize("shift_s", [-301, 301])
def test_an_answer_of_another_time_is_refused(shift_s):
    with pytest.raises(BadSignature, match="300 s"):
        answered(PAYMENT, PLAIN, at=NOW + timedelta(seconds=shift_s))


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, TRADE | {"mchid": "1900000109"}),
        (PAYMENT, without(TRADE, "mchid")),
        (PAYMENT, TRADE | {"appid": "wx7777777777777777"}),
        (PAYMENT, TRADE | {"transaction_id": "4200000000202610050000000002"}),
        (PAYMENT, without(TRADE, "transaction_id")),
        (BY_ORDER, TRADE | {"out_trade_no": "ORDER-2"}),
        (PAYMENT, without(TRADE, "trade_state")),
        (PAYMENT, without(TRADE, "amount")),
        (PAYMENT, TRADE | {"amount": {"total": -1, "currency": "CNY"}}),
        (PAYMENT, TRADE | {"success_time": "yesterday"}),
        (PAYMENT, []),
        (REFUND, REFUND_ANSWER | {"out_refund_no": "R-2"}),
        (REFUND, without(REFUND_ANSWER, "status")),
        (REFUND, without(REFUND_ANSWER, "amount")),
    ],
)
def test_an_authentic_answer_that_makes_no_sense_is_refused(query, content):
    with pytest.raises(BadPayload):
        answered(query, content)


@pytest.mark.parametrize("ref", ["", "订单", "a b", "../x", "x" * 65])
def test_a_reference_that_wechat_pay_does_not_allow_cannot_be_asked_about(ref):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment", order_ref=ref), now=NOW, nonce=NONCE)


def test_there_is_no_list_of_events():
    with pytest.raises(CannotQuery):
        a_gateway().events_request(since=NOW, until=NOW, after=None)
    with pytest.raises(BadPayload):
        a_gateway().read_events(bare(200, b"{}"))


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda each: each, provider_of], ids=["merchant", "service provider"])
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
def test_every_story_of_the_sandbox_ends_as_its_template_says(template, make):
    signer = make(VOICE)
    gateway = build(
        signer.account, WeChatPaySettings.model_validate({"gateway": "wechatpay", **SIMULATOR.settings(signer)})
    )
    story = story_of(SIMULATOR, signer, template)
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    assert outcome_of(story, delivered(gateway, SIMULATOR, signer, story, api)) == truth_of(story)
    refunds = {event.refund_ref for event in story.events if event.event_type.startswith("REFUND")}
    queries = [Query(about="payment", order_ref=story.order_ref)]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in sorted(refunds)]
    events = [event for query in queries for event in asked(gateway, api, query, NOW).events]
    assert outcome_of(story, events) == truth_of(story)


def test_an_order_that_stood_in_for_its_payment_no_longer_does_once_that_has_a_number():
    stood_in = Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1")
    paid, closed = answered(stood_in, TRADE).events
    assert (paid.kind, paid.payment_ref) == (Kind.PAYMENT_SUCCEEDED, PAYMENT.payment_ref)
    assert (closed.kind, closed.payment_ref, closed.occurred_at) == (Kind.PAYMENT_CANCELLED, "ORDER-1", TOLD_AT)
    assert closed.failure is None
    assert answered(BY_ORDER, TRADE).events == (paid,)
