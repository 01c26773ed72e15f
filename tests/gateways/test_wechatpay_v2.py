"""WeChat Pay v2: the package wechatpy signs and we verify, and opens what the sandbox seals; every state by table."""

import json
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwalk import asked, delivered, ledger_with, outcome_of, story_of, truth_of
from pydantic import ValidationError
from specimen import NOW
from specimen_wechatpay_v2 import COMMON, PAYMENT, PAYMENT_ANSWER, REFUND_ANSWER, SETTINGS, request, response, sealed
from test_conformance import HOSTILE_XML
from wechatpy.pay import WeChatPay as Package
from wechatpy.pay import utils as official

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.messages import Answer, ClaimedReferences, Query, Response
from tillkeeper.gateways.registry import build
from tillkeeper.gateways.wechatpay.objects import TRADE_STATES
from tillkeeper.gateways.wechatpay_v2.fields import signature
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2
from tillkeeper.gateways.wechatpay_v2.objects import ERRORS, REFUND_STATUSES
from tillkeeper.gateways.wechatpay_v2.settings import WeChatPayV2Settings
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import sealed_info, sign, xml
from tillkeeper.sandbox.simulators.wechatpay_v2.simulator import SIMULATOR, SUB_MCH_ID
from tillkeeper.sandbox.simulators.wechatpay_v2.templates import TEMPLATES

API_KEY = SETTINGS["api_key"]
PAID_AT = datetime(2026, 10, 5, 11, 59, 58, tzinfo=UTC)
TOLD_AT = NOW
REFUND = {
    "out_refund_no": "R-1",
    "out_trade_no": "ORDER-1",
    "refund_fee": "400",
    "refund_id": "50000408942026100507145868882",
    "refund_status": "SUCCESS",
    "success_time": "2026-10-05 19:59:58",
    "total_fee": "12900",
    "transaction_id": "1004400740202610050005092168",
}
BY_ORDER = Query(about="payment", order_ref="ORDER-1")
BY_NUMBER = Query(about="payment", order_ref="ORDER-1", payment_ref=PAYMENT["transaction_id"])
OF_REFUND = Query(about="refund", order_ref="ORDER-1", refund_ref="R-1")


def a_gateway(**settings):
    return WeChatPayV2("wechat-old", WeChatPayV2Settings.model_validate(SETTINGS | settings))


def the_package(**more):
    return Package(appid=SETTINGS["app_id"], api_key=API_KEY, mch_id=SETTINGS["mch_id"], **more)


def events_of(fields, gateway=None, key=API_KEY):
    gateway = gateway or a_gateway()
    return gateway.parse(gateway.verify(request(sealed(xml(fields), key)), NOW))


def event_of(fields):
    (event,) = events_of(fields)
    return event


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


def refund_notice(refund=None, *, key=API_KEY, plain=None, **more):
    inner = xml(refund or REFUND, "root") if plain is None else plain
    return request(xml({**without(COMMON, "result_code"), "req_info": sealed_info(key, inner), **more}))


def queries_of(request):
    gateway = a_gateway()
    verified = gateway.verify(request, NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


# The package signs, we verify; and the other way round.


@pytest.mark.parametrize(
    ("sign_type", "by_package"),
    [("MD5", official.calculate_signature), ("HMAC-SHA256", official.calculate_signature_hmac)],
)
def test_what_the_package_signs_is_verified(sign_type, by_package):
    body = official.dict_to_xml(PAYMENT, sign=by_package(PAYMENT, API_KEY)).encode()
    gateway = a_gateway(sign_type=sign_type)
    (event,) = gateway.parse(gateway.verify(request(body), NOW))
    assert (event.kind, event.amount, event.order_ref) == (Kind.PAYMENT_SUCCEEDED, 12900, "ORDER-1")


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=12).filter(lambda it: it != "sign"),
        st.text(max_size=20),
        max_size=8,
    )
)
def test_package_sandbox_and_gateway_sign_alike(fields):
    assert signature(fields, API_KEY, "MD5") == official.calculate_signature(fields, API_KEY)
    assert signature(fields, API_KEY, "MD5") == sign(fields, API_KEY, "MD5")
    assert signature(fields, API_KEY, "HMAC-SHA256") == official.calculate_signature_hmac(fields, API_KEY)
    assert signature(fields, API_KEY, "HMAC-SHA256") == sign(fields, API_KEY, "HMAC-SHA256")


def test_the_package_accepts_what_the_sandbox_signs():
    parsed = the_package().parse_payment_result(sealed(xml(PAYMENT)).decode())
    assert (parsed["transaction_id"], parsed["total_fee"]) == (PAYMENT["transaction_id"], 12900)


def test_the_package_opens_what_the_sandbox_encrypts():
    parsed = the_package().parse_refund_notify_result(refund_notice().body.decode())
    assert parsed == REFUND | {"refund_fee": 400, "total_fee": 12900}


def test_the_package_and_we_sign_queries_alike():
    body = a_gateway().query_request(BY_ORDER, now=NOW, nonce="n" * 40).body.decode()
    fields = dict(re.findall(r"<(\w+)>([^<]*)</", body))
    assert len(fields["nonce_str"]) == 32
    assert the_package().check_signature(fields)


# The signature.


def test_the_algorithm_is_the_accounts_and_never_the_deliverys():
    claims = PAYMENT | {"sign_type": "HMAC-SHA256"}
    body = official.dict_to_xml(claims, sign=official.calculate_signature_hmac(claims, API_KEY)).encode()
    with pytest.raises(BadSignature, match="sign_type") as refused:
        a_gateway().verify(request(body), NOW)
    assert refused.value.step is VerificationStep.HEADER
    assert a_gateway(sign_type="HMAC-SHA256").verify(request(body), NOW).key == "api_key"
    silent = official.dict_to_xml(PAYMENT, sign=official.calculate_signature_hmac(PAYMENT, API_KEY)).encode()
    with pytest.raises(BadSignature, match="MD5") as refused:
        a_gateway().verify(request(silent), NOW)
    assert refused.value.step is VerificationStep.SIGNATURE


def test_a_blank_field_does_not_take_part_and_an_indexed_one_does():
    body = sealed(xml(PAYMENT))
    assert a_gateway().verify(request(body.replace(b"</xml>", b"<device_info></device_info></xml>")), NOW)
    with pytest.raises(BadSignature):
        a_gateway().verify(request(body.replace(b"<coupon_fee_0>10", b"<coupon_fee_0>11")), NOW)


@pytest.mark.parametrize("sign_", ["", "\u00e9", "0" * 32])
def test_a_missing_or_wrong_sign_is_refused(sign_):
    with pytest.raises(BadSignature):
        a_gateway().verify(request(xml(PAYMENT | {"sign": sign_})), NOW)


def test_the_sign_is_upper_case():
    body = sealed(xml(PAYMENT))
    low = re.sub(rb"<sign>(.*)</sign>", lambda found: found[0].lower(), body)
    with pytest.raises(BadSignature):
        a_gateway().verify(request(low), NOW)


@pytest.mark.parametrize("more", [{"api_key": ""}, {"api_key": " "}, {"api_key": "short"}, {"sign_type": "SHA1"}])
def test_settings_that_would_let_anybody_sign_are_refused(more):
    with pytest.raises(ValidationError):
        a_gateway(**more)


# Payments.


def test_a_payment_is_what_the_order_costs_whatever_coupons_paid():
    event = event_of(PAYMENT)
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "CNY")
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "1004400740202610050005092168")
    assert (event.event_id, event.method, event.evidence) == (event.payment_ref, "JSAPI", Evidence.WEBHOOK)
    assert event.occurred_at == PAID_AT
    assert event_of(without(PAYMENT, "fee_type")).currency == "CNY"
    assert event_of(PAYMENT | {"fee_type": "JPY"}).currency == "JPY"


@pytest.mark.parametrize(("code", "state"), ERRORS.items())
def test_a_failure_has_the_class_of_its_code(code, state):
    event = event_of(without(PAYMENT, "transaction_id") | {"result_code": "FAIL", "err_code": code})
    assert (event.kind, event.failure) == (state.kind, state.failure)
    assert event.failure_code == (code if state.failure else None)
    assert event.payment_ref == "ORDER-1"
    assert event.event_id == f"ORDER-1:{code}:20261005195958"


def test_the_payer_who_is_typing_has_not_failed():
    assert ERRORS["USERPAYING"].kind is Kind.PAYMENT_PENDING


@pytest.mark.parametrize("more", [{}, {"err_code": ""}, {"err_code": "NEWCODE"}, {"err_code": "odd words"}])
def test_a_failure_of_unknown_code_is_a_failure(more):
    event = event_of(without(PAYMENT, "time_end", "total_fee") | {"result_code": "FAIL"} | more)
    assert (event.kind, event.failure, event.amount) == (Kind.PAYMENT_FAILED, FailureClass.UNKNOWN, None)
    assert event.failure_code == ("NEWCODE" if more.get("err_code") == "NEWCODE" else "FAIL")
    assert event.occurred_at == NOW


def test_a_success_and_a_failure_of_one_transaction_are_two_events():
    assert event_of(PAYMENT).event_id != event_of(PAYMENT | {"result_code": "FAIL"}).event_id


def test_what_is_another_merchants_or_apps_counts_for_nothing():
    assert events_of(PAYMENT | {"mch_id": "10000101"}) == ()
    assert events_of(PAYMENT | {"appid": "wx2421b1c4370ec43c"}) == ()


@pytest.mark.parametrize(
    "fields",
    [
        PAYMENT | {"return_code": "FAIL"},
        PAYMENT | {"total_fee": "12900.00"},
        PAYMENT | {"total_fee": "-1"},
        PAYMENT | {"total_fee": "9" * 18},
        PAYMENT | {"total_fee": "9" * 19},
        PAYMENT | {"time_end": "2026-10-05 19:59:58"},
        PAYMENT | {"out_trade_no": "x" * 300},
        *(without(PAYMENT, name) for name in ("return_code", "result_code", "mch_id", "appid")),
        *(without(PAYMENT, name) for name in ("out_trade_no", "transaction_id", "total_fee")),
    ],
    ids=lambda it: str(len(it)),
)
def test_an_authentic_payment_that_makes_no_sense_is_refused(fields):
    with pytest.raises(BadPayload):
        events_of(fields)


# Deductions (委托代扣): result_code says only that the notice is a good one.


@pytest.mark.parametrize(
    ("word", "kind", "failure"),
    [
        ("SUCCESS", Kind.PAYMENT_SUCCEEDED, None),
        ("REFUND", Kind.PAYMENT_SUCCEEDED, None),
        ("ACCEPT", Kind.PAYMENT_PENDING, None),
        ("PAY_FAIL", Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
        ("CLOSED", Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    ],
)
def test_a_deduction_ended_as_its_trade_state_says(word, kind, failure):
    event = event_of(PAYMENT | {"trade_state": word, "contract_id": "100005698"})
    assert (event.kind, event.failure, event.amount, event.order_ref) == (kind, failure, 12900, "ORDER-1")
    assert event.has_refunds is (word == "REFUND")
    name = event.payment_ref if word == "SUCCESS" else f"{event.payment_ref}:{word}:{PAYMENT['time_end']}"
    assert event.event_id == name


def test_a_notice_of_a_word_that_is_not_known_makes_no_event_and_is_told(words):
    assert events_of(PAYMENT | {"trade_state": "NOTPAY"}) == ()
    for unknown in (("trade_state", "HALF"), ("result_code", "success"), ("fee_type", "XXB")):
        assert events_of(PAYMENT | dict([unknown])) == ()
        assert words()[-1] == unknown


# Service providers, combined payments, and what is about no payment.


def test_a_service_providers_account_counts_its_sub_merchants_payments():
    of = {"sub_mch_id": "10000109", "sub_appid": "wx2421b1c4370ec43d"}
    for gateway in (a_gateway(), a_gateway(sub_mch_ids=["10000108", "10000109"])):
        assert len(events_of(PAYMENT | of, gateway)) == 1
    assert len(events_of(PAYMENT | of, a_gateway(app_id=of["sub_appid"]))) == 1  # the app may be the sub-merchant's
    for others in (of | {"sub_mch_id": "10000110"}, {}, of | {"mch_id": "10000101"}):
        assert events_of(PAYMENT | others, a_gateway(sub_mch_ids=["10000109"])) == ()


def test_a_service_provider_asks_in_the_name_of_its_sub_merchant():
    for query in (BY_ORDER, OF_REFUND):
        body = a_gateway(sub_mch_ids=["10000109"]).query_request(query, now=NOW, nonce="n").body
        assert b"<mch_id>10000100</mch_id><sub_mch_id>10000109</sub_mch_id>" in body


def test_of_several_sub_merchants_one_is_asked_about_after_the_other():
    gateway = a_gateway(sub_mch_ids=["10000108", "10000109"])
    unknown = COMMON | {"sub_mch_id": "10000108", "result_code": "FAIL", "err_code": "ORDERNOTEXIST"}
    first = answer_to(BY_ORDER, unknown, gateway=gateway)
    (further,) = first.also
    assert not first.found
    assert b"<sub_mch_id>10000109</sub_mch_id>" in gateway.query_request(further, now=NOW, nonce="n").body
    paid = PAYMENT_ANSWER | {"sub_mch_id": "10000109", "trade_state": "REFUND"}
    (of_refunds,) = answer_to(further, paid, gateway=gateway).also
    assert of_refunds.sub_mch_id == "10000109"
    assert answer_to(further, unknown, gateway=gateway) == Answer(found=False)


def an_order(number, **more):
    return {
        "appid": SETTINGS["app_id"],
        "mch_id": SETTINGS["mch_id"],
        "openid": "oUpF8uMEb4qRXf22hE3X68TekukE",
        "total_fee": 1000 * number,
        "cash_fee": 999,
        "transaction_id": f"420000{number}",
        "out_trade_no": f"ORDER-{number}",
        "attach": None,
        "time_end": "20261005195958",
    } | more


def combined(*orders):
    return {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_appid": SETTINGS["app_id"],
        "combine_mch_id": SETTINGS["mch_id"],
        "combine_out_trade_no": "COMBINED-1",
        "trade_type": "JSAPI",
        "sub_order_list": json.dumps({"order_num": len(orders), "order_list": orders}),
    }


def test_each_order_of_a_combined_payment_is_paid_for_itself():
    events = events_of(combined(an_order(1), an_order(2), an_order(3, mch_id="10000101")))
    assert [(it.event_id, it.order_ref, it.amount, it.currency, it.method) for it in events] == [
        ("4200001", "ORDER-1", 1000, "CNY", "JSAPI"),
        ("4200002", "ORDER-2", 2000, "CNY", "JSAPI"),
    ]
    assert {(it.kind, it.occurred_at) for it in events} == {(Kind.PAYMENT_SUCCEEDED, PAID_AT)}


@pytest.mark.parametrize("orders", [[], {}, "[]", '{"order_list":{}}', '{"order_list":["ORDER-1"]}', "{"])
def test_a_combined_payment_without_a_list_of_orders_is_refused(orders):
    written = orders if isinstance(orders, str) else json.dumps(orders)
    with pytest.raises(BadPayload):
        events_of(combined() | {"sub_order_list": written})


CONTRACT = {
    "return_code": "SUCCESS",
    "result_code": "SUCCESS",
    "mch_id": SETTINGS["mch_id"],
    "contract_code": "100001256",
    "plan_id": "123",
    "openid": "oUpF8uMEb4qRXf22hE3X68TekukE",
    "change_type": "ADD",
    "operate_time": "2026-10-05 19:59:58",
    "contract_id": "Wx15463511252015071056489715",
}
RISK = {"return_code": "SUCCESS", "mch_id": SETTINGS["mch_id"], "event_code": "1", "transaction_id_list": "{}"}
RENTED = {"mch_id": SETTINGS["mch_id"], "appid": SETTINGS["app_id"], "event_type": "CHECK.SUCCESS", "event_id": "1"}


@pytest.mark.parametrize(
    ("fields", "sign_type"),
    [
        (CONTRACT, "MD5"),
        ({name: it for name, it in CONTRACT.items() if not name.endswith("_code") or "contract" in name}, "MD5"),
        (RISK | {"sign_type": "HMAC-SHA256"}, "HMAC-SHA256"),
        (RENTED | {"algorithm": "HMAC-SHA256"}, "HMAC-SHA256"),
    ],
    ids=["contract", "contract without codes", "risk", "rented"],
)
def test_what_is_about_no_payment_is_acknowledged_and_changes_nothing(fields, sign_type):
    body = xml(fields | {"sign": sign(fields, API_KEY, sign_type)})
    gateway = a_gateway()
    verified = gateway.verify(request(body), NOW)
    assert (gateway.parse(verified), gateway.queries_for(verified)) == ((), ())
    forged = xml(fields | {"sign": sign(fields, "192006250b4c09247ec02edce69f6a2e", sign_type)})
    with pytest.raises(BadSignature):
        gateway.verify(request(forged), NOW)


@pytest.mark.parametrize("name", ["sign_type", "algorithm"])
def test_a_payment_is_signed_as_the_account_says_and_never_as_it_says_itself(name):
    fields = PAYMENT | {name: "HMAC-SHA256"}
    with pytest.raises(BadSignature, match="sign_type is not MD5"):
        a_gateway().verify(request(xml(fields | {"sign": sign(fields, API_KEY, "HMAC-SHA256")})), NOW)


# Refund notices.


def test_a_refund_notice_is_a_query_and_no_event():
    assert queries_of(refund_notice()) == (Query(about="refund", refund_ref="R-1"),)


def test_of_two_notices_a_third_can_be_made_and_all_it_does_is_to_have_wechat_pay_asked():
    """Blocks of 16 bytes are encrypted each by itself: here those of one refund's amount go into another's notice."""

    def sealed_blocks(refund):
        text = xml({"out_refund_no": "R-1", "refund_fee": refund, "transaction_id": "1"}, "root")
        return b64decode(sealed_info(API_KEY, text))

    small, great = sealed_blocks("00000000000000001"), sealed_blocks("99999999999999991")
    assert len(small) == len(great)
    mixed = b"".join(great[at : at + 16] if at % 32 else small[at : at + 16] for at in range(0, len(small), 16))
    assert mixed not in (small, great)
    request = refund_notice(req_info=b64encode(mixed).decode())
    assert queries_of(request) == (Query(about="refund", refund_ref="R-1"),)


def test_a_refund_notice_of_another_merchant_or_app_counts_for_nothing():
    assert queries_of(refund_notice(mch_id="10000101")) == ()
    assert queries_of(refund_notice(appid="wx2421b1c4370ec43c")) == ()


def test_the_reference_of_a_refund_notice_is_narrow():
    for odd in ("R|1", "../R", "R 1"):
        with pytest.raises(BadPayload):
            queries_of(refund_notice(REFUND | {"out_refund_no": odd}))
    with pytest.raises(BadPayload):
        queries_of(refund_notice(without(REFUND, "out_refund_no")))


@pytest.mark.parametrize(
    "req_info",
    ["", "é", "not base64", "AAAA", b64encode(bytes(16)).decode(), b64encode(bytes(4096)).decode(), "=" * 8],
)
def test_what_does_not_open_is_refused(req_info):
    with pytest.raises(BadSignature):
        a_gateway().verify(refund_notice(req_info=req_info), NOW)


def test_what_is_encrypted_with_another_key_is_refused():
    with pytest.raises(BadSignature, match="req_info") as refused:
        a_gateway().verify(refund_notice(key="192006250b4c09247ec02edce69f6a2e"), NOW)
    assert refused.value.step is VerificationStep.SIGNATURE


@pytest.mark.parametrize("plain", HOSTILE_XML.values(), ids=HOSTILE_XML)
def test_nonsense_that_opens_is_refused_in_the_same_words(plain):
    with pytest.raises(BadSignature, match="req_info does not open"):
        a_gateway().verify(refund_notice(plain=plain), NOW)


def test_a_signed_notice_is_never_taken_for_a_refund():
    """A payment's notice with something encrypted in it is judged by its signature."""
    fields = PAYMENT | {"req_info": sealed_info(API_KEY, xml(REFUND, "root"))}
    assert event_of(fields).kind is Kind.PAYMENT_SUCCEEDED
    with pytest.raises(BadSignature):
        events_of(fields, key="192006250b4c09247ec02edce69f6a2e")


# Hints, and answers to deliveries.


def test_a_notice_names_its_payment_without_proof():
    named = a_gateway().claimed_references(request(xml(PAYMENT)))
    assert named == ClaimedReferences(order_ref="ORDER-1", payment_ref="1004400740202610050005092168")
    assert a_gateway().claimed_references(refund_notice()) is None
    assert a_gateway().claimed_references(request(b"<xml>")) is None


def test_it_answers_in_xml():
    assert a_gateway().acknowledge().body.startswith(b"<xml><return_code><![CDATA[SUCCESS]]>")
    assert b"FAIL" in a_gateway().refuse(401).body


# Asking.


def answer_to(query, fields, *, gateway=None, status=200):
    body = sealed(xml(fields))
    signed = response(body)
    return (gateway or a_gateway()).read_response(
        query, Response(status=status, headers=signed.headers, body=body), now=NOW
    )


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
    assert [(it.kind, it.refund_ref, it.amount) for it in answer.events] == [
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
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda it: it.name)
def test_every_story_ends_as_the_template_says(template, mode):
    signer, gateway = a_play(**mode)
    story = story_of(SIMULATOR, signer, template)
    api = SIMULATOR.api(signer, ledger_with(SIMULATOR, story))
    events = delivered(gateway, SIMULATOR, signer, story, api)
    assert outcome_of(story, events) == truth_of(story)
    refunds = {it.refund_ref for it in story.events if it.event_type in SIMULATOR.fetched}
    queries = [Query(about="payment", order_ref=story.order_ref)]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in sorted(refunds)]
    events = [it for query in queries for it in asked(gateway, api, query, NOW).events]
    assert outcome_of(story, events) == truth_of(story)
    if refunds:  # which may be known to nobody
        (payment,) = (it for it in events if it.kind is Kind.PAYMENT_SUCCEEDED)
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
