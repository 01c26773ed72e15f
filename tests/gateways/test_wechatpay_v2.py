"""WeChat Pay v2: what notices mean."""

import json
from base64 import b64decode, b64encode

import pytest
from hostile import HOSTILE_XML
from specimen import NOW
from specimen_wechatpay_v2 import COMMON, PAYMENT, PAYMENT_ANSWER, SETTINGS, request, sealed
from wechatpay_v2_factories import (
    API_KEY,
    BY_ORDER,
    OF_REFUND,
    PAID_AT,
    REFUND,
    a_gateway,
    answer_to,
    refund_notice,
    without,
)

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.messages import Answer, ClaimedReferences, Query
from tillkeeper.gateways.wechatpay_v2.objects import ERRORS
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import sealed_info, sign, xml


def events_of(fields, gateway=None, key=API_KEY):
    gateway = gateway or a_gateway()
    return gateway.parse(gateway.verify(request(sealed(xml(fields), key)), NOW))


def event_of(fields):
    (event,) = events_of(fields)
    return event


def queries_of(request):
    gateway = a_gateway()
    verified = gateway.verify(request, NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


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
    ids=lambda each: str(len(each)),
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
    assert [(event.event_id, event.order_ref, event.amount, event.currency, event.method) for event in events] == [
        ("4200001", "ORDER-1", 1000, "CNY", "JSAPI"),
        ("4200002", "ORDER-2", 2000, "CNY", "JSAPI"),
    ]
    assert {(event.kind, event.occurred_at) for event in events} == {(Kind.PAYMENT_SUCCEEDED, PAID_AT)}


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
        ({name: value for name, value in CONTRACT.items() if not name.endswith("_code") or "contract" in name}, "MD5"),
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
