"""Shengpay: signatures and what notices mean."""

import json
from base64 import b64encode
from contextlib import suppress

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from hypothesis import given
from hypothesis import strategies as st
from meaning import WRONG_LEAVES
from pydantic import ValidationError
from shengpay_factories import BY_ORDER, KEYS, OF_REFUND, PAID_AT, THE_GATEWAY, a_gateway, answer_to, made, without
from specimen import NOW, request_of, response_of
from specimen_shengpay import HEADERS, PAYMENT, PAYMENT_ANSWER, REFUND, plain_of, sealed

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Refused,
    VerificationStep,
)
from tillkeeper.gateways.messages import Answer, ClaimedReferences, Query
from tillkeeper.gateways.shengpay.objects import TRADE_STATES
from tillkeeper.gateways.shengpay.signature import as_signed, signing_text
from tillkeeper.sandbox.simulators.shengpay.signing import sign, text_of

CARD = {
    "mchId": "93762611",
    "appId": "312343123132131331232",
    "eventType": "BIND",
    "agreementNo": "AGR2026061600001",
    "resultCode": "SUCCESS",
}
MUTE = made(mch_private_key=None)


def signed(body, key=KEYS.own, sign_type="RSA2"):
    body = body if isinstance(body, bytes) else plain_of(body)
    return request_of((HEADERS, sealed(key, body, sign_type)))


def events_of(fields, gateway=THE_GATEWAY):
    return gateway.parse(gateway.verify(signed(fields), NOW))


def event_of(fields, gateway=THE_GATEWAY):
    (event,) = events_of(fields, gateway)
    return event


def queries_of(fields, gateway=THE_GATEWAY):
    return gateway.queries_for(gateway.verify(signed(fields), NOW))


# The signature.


def test_what_is_signed_is_as_the_documents_say():
    fields = {
        "appId": "312343123132131331232",
        "body": "商品",
        "extra": '{"payRestriction":{"cardType":"DR"}}',
        "mchId": 93762611,
        "attach": "",
        "detail": None,
        "sign": "x",
    }
    expected = 'appId=312343123132131331232&body=商品&extra={"payRestriction":{"cardType":"DR"}}&mchId=93762611'
    raw = {name: json.dumps(value).encode() for name, value in fields.items()}
    assert signing_text({name: as_signed(value, raw[name]) for name, value in fields.items()}) == expected
    assert text_of(fields) == expected


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789", min_size=1, max_size=12),
        st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=20) | st.lists(st.integers(0, 9)),
        max_size=8,
    )
)
def test_two_writings_of_what_is_signed_agree(fields):
    raw = {name: json.dumps(value).encode() for name, value in fields.items()}
    assert signing_text({name: as_signed(value, raw[name]) for name, value in fields.items()}) == text_of(fields)


def test_a_number_takes_part_as_it_is_written():
    body = b'{"mchId":"93762611","amount":1.50,"signType":"RSA2","sign":"%b"}'
    signature = KEYS.own.sign(b"amount=1.50&mchId=93762611&signType=RSA2", PKCS1v15(), SHA256())
    assert a_gateway().verify(request_of((HEADERS, body % b64encode(signature))), NOW).key == "shengpay_public_key"
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of((HEADERS, body.replace(b"1.50", b"1.5") % b64encode(signature))), NOW)


@pytest.mark.parametrize(("sign_type", "digest"), [("RSA2", SHA256()), ("RSA", SHA1())])
def test_both_algorithms_are_known_and_the_account_says_which(sign_type, digest):
    fields = PAYMENT | {"signType": sign_type}
    signature = KEYS.own.sign(text_of(fields).encode(), PKCS1v15(), digest)
    request = request_of((HEADERS, plain_of(fields | {"sign": b64encode(signature).decode()})))
    other = {"RSA2": "RSA", "RSA": "RSA2"}[sign_type]
    assert made(sign_type=sign_type).verify(request, NOW)
    with pytest.raises(BadSignature, match="signType") as refused:
        made(sign_type=other).verify(request, NOW)
    assert refused.value.step is VerificationStep.HEADER


@pytest.mark.parametrize("sign_type", [None, "", "rsa2", "MD5", "RSA2 ", 2, ["RSA2"]])
def test_another_sign_type_is_refused_though_the_signature_is_good(sign_type):
    fields = PAYMENT | {"signType": sign_type}
    body = plain_of(fields | {"sign": sign(KEYS.own, fields, "RSA2")})
    with pytest.raises(BadSignature, match="signType"):
        a_gateway().verify(request_of((HEADERS, body)), NOW)


@pytest.mark.parametrize("signature", [None, "", 7, "x" * 1025, "not base64", "é", b64encode(bytes(256)).decode()])
def test_an_odd_signature_is_refused(signature):
    body = plain_of(PAYMENT | {"signType": "RSA2", "sign": signature})
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of((HEADERS, body)), NOW)


def test_a_changed_json_text_field_is_refused():
    request = signed(PAYMENT)
    changed = request.body.replace(rb"\"DR\"", rb"\"CR\"")
    assert changed != request.body
    with pytest.raises(BadSignature):
        a_gateway().verify(msgspec.structs.replace(request, body=changed), NOW)


# What is signed of an order that another merchant made, with this one's number in a text of its own.
OTHERS = PAYMENT | {
    "mchId": "11111111",
    "outTradeNo": "CHEAP-1",
    "totalFee": 1,
    "attach": '{"x":"&mchId=93762611&outTradeNo=ORDER-1&p="}',
}
LAST = "&mchId=11111111&nonceStr=NotificationNonce1234567890&openId=15&outTradeNo=CHEAP-1"
CARDS = "&bankType=ICBC&cardNo=1234&cardType=DC&couponFee=100&couponId0=10000"


@pytest.mark.parametrize(
    ("genuine", "changed"),
    [
        (
            OTHERS,
            without(OTHERS, "bankType", "cardNo", "cardType", "couponFee", "couponId0", "nonceStr", "openId")
            | {"attach": '{"x":"', "mchId": "93762611", "outTradeNo": "ORDER-1", "p": f'"}}{CARDS}{LAST}'},
        ),
        (
            OTHERS,
            without(OTHERS, "bankType", "cardNo", "cardType", "couponFee", "couponId0", "nonceStr", "openId")
            | {"attach": '{"x":"', "mchId": "93762611", "outTradeNo": "ORDER-1"}
            | {f'p="}}{CARDS}&mchId': f"11111111{LAST.removeprefix('&mchId=11111111')}"},
        ),
        (
            REFUND,
            without(REFUND, "refundFee", "refundId")
            | {"outTradeNo": "ORDER-1&refundFee=400&refundId=RFWP2026100500001"},
        ),
        (
            REFUND,
            without(REFUND, "refundId", "refundRequestSource")
            | {"refundFee": 400, "refundId=RFWP2026100500001&refundRequestSource": "API"},
        ),
    ],
    ids=["of another merchant", "in a name", "refund in a value", "refund in a name"],
)
def test_no_other_reading_of_what_is_signed_is_taken(genuine, changed):
    sign_type = {"signType": "RSA2"}
    assert text_of(changed | sign_type) == text_of(genuine | sign_type)
    body = plain_of(changed | sign_type | {"sign": sign(KEYS.own, genuine | sign_type, "RSA2")})
    with pytest.raises(BadSignature, match="another field") as refused:
        THE_GATEWAY.verify(request_of((HEADERS, body)), NOW)
    assert refused.value.step is VerificationStep.CONTENT  # or people would look for another key
    with pytest.raises(BadSignature, match="another field"):
        THE_GATEWAY.read_response(BY_ORDER, response_of((HEADERS, body)), now=NOW)


def test_a_merchants_text_may_hold_separators():
    assert events_of(PAYMENT | {"attach": "fish & chips&more=5&", "body": {"a": "b&c=d"}}) == events_of(PAYMENT)


@pytest.mark.parametrize(
    "more",
    [
        {"shengpay_public_key": ""},
        {"shengpay_public_key": "MIIB"},
        {"mch_private_key": "x"},
        {"sign_type": "MD5"},
        {"mch_id": ""},
    ],
)
def test_settings_that_would_let_anybody_sign_are_refused(more):
    with pytest.raises(ValidationError):
        made(**more)


# Payments.


def test_a_payment_is_what_the_order_costs_whatever_coupons_paid():
    event = event_of(PAYMENT)
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "CNY")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "WP20261005000001", "MWEB")
    assert (event.event_id, event.evidence) == ("WP20261005000001", Evidence.WEBHOOK)
    assert event.occurred_at == PAID_AT


@pytest.mark.parametrize(
    ("more", "failure", "code"),
    [
        ({}, FailureClass.UNKNOWN, "FAIL"),
        ({"errorCode": "PAY_ERROR"}, FailureClass.UNKNOWN, "PAY_ERROR"),
        ({"errorCode": "BIZERR_NEED_RETRY"}, FailureClass.GATEWAY_FAULT, "BIZERR_NEED_RETRY"),
        ({"errorCode": "银行失败"}, FailureClass.UNKNOWN, "FAIL"),
    ],
)
def test_a_failed_payment_is_an_event_of_its_own(more, failure, code):
    event = event_of(without(PAYMENT, "timeEnd", "totalFee") | {"resultCode": "FAIL"} | more)
    assert (event.kind, event.failure, event.failure_code) == (Kind.PAYMENT_FAILED, failure, code)
    assert (event.event_id, event.amount) == (f"WP20261005000001:FAIL:{code}", None)
    assert event.occurred_at == NOW
    assert event_of(without(PAYMENT, "transactionId") | {"resultCode": "FAIL"}).payment_ref == "ORDER-1"


def test_what_is_another_merchants_or_apps_counts_for_nothing():
    for fields in (PAYMENT, REFUND, REFUND | {"refundStatus": "PROCESSING"}):
        for more in ({"mchId": "93762612"}, {"appId": "3"}, {"appId": ""}):
            assert events_of(fields | more) == ()
            assert queries_of(fields | more) == ()
    gateway = made(app_id=None)
    assert event_of(PAYMENT | {"appId": "3"}, gateway).kind is Kind.PAYMENT_SUCCEEDED
    assert event_of(without(PAYMENT, "appId"), gateway).kind is Kind.PAYMENT_SUCCEEDED


def test_a_card_that_was_bound_changes_nothing():
    assert events_of(CARD) == ()
    assert queries_of(CARD) == ()


def test_a_blank_type_of_event_which_nobody_signed_hides_no_payment():
    assert events_of(PAYMENT | {"eventType": ""}) == events_of(PAYMENT)


@pytest.mark.parametrize(("word", "state"), TRADE_STATES.items())
def test_an_answer_that_somebody_posts_says_no_more_than_it_said(word, state):
    """It is signed like a notice, and its resultCode says only that the query was a good one."""
    events = events_of(PAYMENT_ANSWER | {"tradeState": word})
    assert [(event.kind, event.failure) for event in events] == ([] if state is None else [(state.kind, state.failure)])
    assert [event.has_refunds for event in events if event.has_refunds] == ([True] if word == "REFUND" else [])


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [
        (PAYMENT | {"resultCode": "success"}, ("resultCode", "success")),
        (PAYMENT | {"tradeState": "NEW"}, ("tradeState", "NEW")),
        (REFUND | {"resultCode": "NEW"}, ("resultCode", "NEW")),
        (REFUND | {"refundStatus": "NEW"}, ("refundStatus", "NEW")),
    ],
)
def test_a_word_that_is_not_known_makes_no_event_and_is_told(words, fields, unknown):
    assert events_of(fields, made(mch_private_key=None)) == ()
    assert set(words()) == {unknown}
    is_refund = fields["resultCode"] == "SUCCESS" and "refundId" in fields
    query = OF_REFUND if is_refund else BY_ORDER
    if fields["resultCode"] == "SUCCESS":
        assert answer_to(query, fields) == Answer(found=True)


def test_a_refund_whose_state_is_not_known_is_asked_about():
    assert events_of(REFUND | {"refundStatus": "NEW"}) == ()
    assert [query.refund_ref for query in queries_of(REFUND | {"refundStatus": "NEW"})] == ["R-1"]


FAILED = without(PAYMENT, "timeEnd", "transactionId") | {"resultCode": "FAIL", "errorCode": "PAY_ERROR"}


@pytest.mark.parametrize("name", sorted(FAILED))
def test_a_wrong_type_in_a_failure_is_refused_or_harmless(name):
    """The conformance suite's specimen succeeded: of what did not, other fields are read."""
    for leaf in WRONG_LEAVES:
        with suppress(Refused):
            assert {event.kind for event in events_of(FAILED | {name: leaf})} <= {Kind.PAYMENT_FAILED}
        with suppress(Refused, AccessDenied):
            answer = answer_to(BY_ORDER, FAILED | {"resultCode": "SUCCESS", "tradeState": "PAY_ERROR", name: leaf})
            assert {event.kind for event in answer.events} <= {Kind.PAYMENT_FAILED}


@pytest.mark.parametrize(
    "fields",
    [
        PAYMENT | {"returnCode": "FAIL"},
        PAYMENT | {"totalFee": 129.5},
        PAYMENT | {"totalFee": "129.00"},
        PAYMENT | {"totalFee": -1},
        PAYMENT | {"totalFee": True},
        PAYMENT | {"totalFee": "9" * 18},
        PAYMENT | {"timeEnd": "2026-10-05 19:59:58"},
        PAYMENT | {"outTradeNo": "x" * 300},
        *(
            without(PAYMENT, each)
            for each in ("returnCode", "resultCode", "mchId", "outTradeNo", "transactionId", "totalFee")
        ),
        REFUND | {"resultCode": "FAIL"},
        REFUND | {"resultCode": "FAIL", "refundStatus": "PROCESSING"},
        REFUND | {"refundFee": "4.00"},
        REFUND | {"refundSuccessTime": "now"},
        REFUND | {"refundId": 7},
        *(
            without(REFUND, each)
            for each in ("refundStatus", "outRefundNo", "outTradeNo", "transactionId", "refundFee")
        ),
    ],
    ids=lambda each: str(len(each)),
)
def test_an_authentic_notice_that_makes_no_sense_is_refused(fields):
    with pytest.raises(BadPayload):
        events_of(fields)


# Refunds.


def test_a_refund_repeats_the_payments_number_and_is_told_apart_by_its_own():
    event = event_of(REFUND)
    assert (event.kind, event.amount, event.currency) == (Kind.REFUND_SUCCEEDED, 400, "CNY")
    assert (event.refund_ref, event.payment_ref, event.order_ref) == ("R-1", "WP20261005000001", "ORDER-1")
    assert event.event_id == "refund:RFWP2026100500001:SUCCESS"
    assert event.occurred_at == PAID_AT
    assert event.event_id != event_of(PAYMENT).event_id


def test_amounts_may_be_numbers_or_texts():
    assert event_of(PAYMENT | {"totalFee": "12900"}).amount == 12900
    assert event_of(REFUND | {"refundFee": 400}).amount == 400


@pytest.mark.parametrize(
    ("result", "status"),
    [("SUCCESS", "PROCESSING"), ("SUCCESS", "CHANGE"), ("FAIL", "CHANGE"), ("FAIL", "REFUND_CLOSE"), ("FAIL", "")],
)
def test_a_refund_without_a_time_of_its_own_is_asked_about(result, status):
    fields = REFUND | {"resultCode": result, "refundStatus": status, "refundSuccessTime": ""}
    assert events_of(fields) == ()
    assert queries_of(fields) == (
        Query(about="refund", order_ref="ORDER-1", payment_ref="WP20261005000001", refund_ref="R-1"),
    )
    assert queries_of(REFUND) == ()
    assert queries_of(REFUND | {"refundSuccessTime": ""}) != ()


def test_references_to_ask_with_are_narrow():
    pending = REFUND | {"refundStatus": "PROCESSING"}
    (query,) = queries_of(pending | {"outTradeNo": "a|b", "transactionId": "../x"})
    assert query == Query(about="refund", refund_ref="R-1")
    for odd in ("R|1", "../R"):
        with pytest.raises(BadPayload):
            queries_of(pending | {"outRefundNo": odd})


def test_where_nothing_can_be_asked_a_failed_refund_is_an_event_and_one_on_its_way_waits_for_its_end():
    for gateway in (MUTE, made(app_id=None)):
        assert queries_of(REFUND | {"refundStatus": "PROCESSING"}, gateway) == ()
        assert events_of(REFUND | {"refundStatus": "PROCESSING"}, gateway) == ()
        event = event_of(REFUND | {"refundStatus": "CHANGE"}, gateway)
        assert (event.kind, event.failure) == (Kind.REFUND_FAILED, FailureClass.ACCOUNT_FROZEN)
        assert (event.event_id, event.occurred_at) == ("refund:RFWP2026100500001:CHANGE", NOW)
        assert event_of(REFUND | {"refundSuccessTime": ""}, gateway).occurred_at == NOW
        with pytest.raises(CannotQuery):
            gateway.query_request(OF_REFUND, now=NOW, nonce="n")


# Hints, and answers to deliveries.


def test_a_notice_names_its_payment_without_proof():
    named = ClaimedReferences(order_ref="ORDER-1", payment_ref="WP20261005000001")
    assert a_gateway().claimed_references(request_of((HEADERS, plain_of(PAYMENT)))) == named
    assert a_gateway().claimed_references(request_of((HEADERS, plain_of(REFUND)))) == named
    for body in (b"[]", b"{", plain_of(CARD)):
        assert a_gateway().claimed_references(request_of((HEADERS, body))) is None


def test_it_answers_in_plain_text_and_capitals():
    reply = a_gateway().acknowledge()
    assert (reply.status, reply.body, reply.content_type) == (200, b"SUCCESS", "text/plain")
