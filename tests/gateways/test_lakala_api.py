"""Queries to Lakala, checked against documents only: requests, signed answers, and errors by their words."""

import json
from base64 import b64decode, b64encode

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from lakala_notices import (
    AGGREGATED_REFUND,
    BY_NUMBER,
    BY_ORDER,
    CASHIER,
    KEYS,
    OF_REFUND,
    PAYMENT_NO,
    PLAIN,
    REFUND_NO,
    event_of,
    made,
    standing,
    without,
)
from specimen import NOW, response_of
from specimen_lakala import (
    AGGREGATED,
    NOTICE,
    ORDER,
    ORDER_ANSWER,
    REFUND_NOTICE,
    REFUND_TRADE,
    TRADE,
    answer_of,
    headers_of,
    plain_of,
)

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
)
from tillkeeper.gateways.messages import Answer, Query


@pytest.mark.parametrize(
    ("gateway", "query", "path", "about"),
    [
        (CASHIER, BY_NUMBER, "ccss/counter/order/query", {"out_order_no": "ORDER-1"}),
        (CASHIER, BY_ORDER, "ccss/counter/order/query", {"out_order_no": "ORDER-1"}),
        (CASHIER, OF_REFUND, "ccss/counter/order/query", {"out_order_no": "ORDER-1"}),
        (PLAIN, BY_NUMBER, "labs/query/tradequery", {"trade_no": PAYMENT_NO, "term_no": "C9597363"}),
        (PLAIN, BY_ORDER, "labs/query/tradequery", {"out_trade_no": "ORDER-1", "term_no": "C9597363"}),
        (PLAIN, OF_REFUND, "labs/query/tradequery", {"trade_no": REFUND_NO, "term_no": "C9597363"}),
    ],
)
def test_a_query_is_signed_over_five_lines(gateway, query, path, about):
    call = gateway.query_request(query, now=NOW, nonce="0123456789abcdef")
    assert (call.method, call.url) == ("POST", f"https://s2.lakala.com/api/v3/{path}")
    content = json.loads(call.body)
    assert (content["version"], content["req_time"], content["out_org_code"]) == ("3.0", "20261005200000", "OP00000003")
    assert content["req_data"] == {"merchant_no": "82239105398007K"} | about
    head, _, signature = call.headers["Authorization"].partition(',signature="')
    at = str(int(NOW.timestamp()))
    assert head == (
        'LKLAPI-SHA256withRSA appid="OP00000003",serial_no="00dfba8194c41b84cf",'
        f'timestamp="{at}",nonce_str="0123456789ab"'
    )
    signed = f"OP00000003\n00dfba8194c41b84cf\n{at}\n0123456789ab\n".encode() + call.body + b"\n"
    KEYS.other.public_key().verify(b64decode(signature.rstrip('"')), signed, PKCS1v15(), SHA256())


@pytest.mark.parametrize("missing", ["app_id", "merchant_serial", "merchant_private_key"])
def test_without_credentials_nothing_is_asked(missing):
    with pytest.raises(CannotQuery):
        made(**{missing: None}).query_request(BY_ORDER, now=NOW, nonce="n")


def test_a_trade_is_asked_about_only_with_a_terminals_number():
    assert made(term_no=None).query_request(BY_ORDER, now=NOW, nonce="n")
    with pytest.raises(CannotQuery):
        made(cashier=False, term_no=None).query_request(BY_ORDER, now=NOW, nonce="n")


@pytest.mark.parametrize("ref", [None, "", "a b", '"', "x" * 65])
def test_an_odd_reference_is_not_asked_with(ref):
    for gateway in (CASHIER, PLAIN):
        for query in (
            Query(about="refund", order_ref="ORDER-1", refund_ref=ref),
            Query(about="payment", order_ref=ref),
        ):
            with pytest.raises(CannotQuery):
                gateway.query_request(query, now=NOW, nonce="n")


def answer_to(query, body, gateway=CASHIER, *, status=200, key=KEYS.own, **headers):
    signed_headers = headers_of(key, body) | {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.read_response(query, response_of((signed_headers, body), status), now=NOW)


def traded(query, fields):
    return answer_to(query, answer_of(fields, "BBS00000"), PLAIN)


def test_an_order_tells_all_its_trades():
    answer = answer_to(BY_ORDER, answer_of(ORDER_ANSWER))
    assert [event.kind for event in answer.events] == [Kind.REFUND_SUCCEEDED, Kind.PAYMENT_SUCCEEDED]
    assert all(event.evidence is Evidence.QUERY for event in answer.events)
    assert standing(*answer.events) == (Status.PARTIALLY_REFUNDED, 12900, 400)
    assert standing(event_of(NOTICE), event_of(REFUND_NOTICE), *answer.events) == standing(*answer.events)
    (back,) = answer_to(OF_REFUND, answer_of(ORDER_ANSWER)).events
    assert (back.refund_ref, back.amount) == (REFUND_NO, 400)
    other = msgspec.structs.replace(OF_REFUND, refund_ref="R7")
    assert answer_to(other, answer_of(ORDER_ANSWER)) == Answer(found=False)


def test_a_refund_that_names_no_payment_is_of_the_only_one():
    bare = without(REFUND_TRADE, "origin_trade_no")
    second = TRADE | {"trade_no": "second"}

    def payment_ref(trades):
        events = answer_to(OF_REFUND, answer_of(ORDER_ANSWER | {"order_trade_info_list": trades})).events
        return events[0].payment_ref

    assert payment_ref([bare, TRADE]) == PAYMENT_NO
    assert payment_ref([bare, TRADE, second | {"trade_status": "F"}]) == PAYMENT_NO
    assert payment_ref([bare, TRADE, second]) is None


@pytest.mark.parametrize("none", [{}, {"order_trade_info_list": None}, {"order_trade_info_list": []}])
def test_an_order_without_trades_tells_how_it_ended(none):
    assert answer_to(BY_ORDER, answer_of(ORDER | {"order_status": "1"} | none)) == Answer(found=True)
    (event,) = answer_to(BY_ORDER, answer_of(ORDER | {"order_status": "4"} | none)).events
    assert (event.kind, event.payment_ref) == (Kind.PAYMENT_CANCELLED, "ORDER-1")


def test_a_trade_tells_of_itself():
    (event,) = traded(BY_ORDER, AGGREGATED).events
    assert (event.kind, event.amount, event.payment_ref) == (Kind.PAYMENT_SUCCEEDED, 12900, PAYMENT_NO)
    assert traded(BY_NUMBER, AGGREGATED).events == (event,)
    assert traded(BY_ORDER, AGGREGATED | {"trade_status": "CREATE"}) == Answer(found=True)
    (back,) = traded(OF_REFUND, AGGREGATED_REFUND).events
    assert (back.kind, back.refund_ref, back.amount) == (Kind.REFUND_SUCCEEDED, REFUND_NO, 400)


@pytest.mark.parametrize(
    ("gateway", "query", "fields"),
    [
        (PLAIN, BY_ORDER, AGGREGATED | {"out_trade_no": "ORDER-2"}),
        (PLAIN, BY_NUMBER, AGGREGATED | {"trade_no": "2"}),
        (PLAIN, BY_ORDER, AGGREGATED | {"merchant_no": "822000000000001"}),
        (PLAIN, BY_NUMBER, AGGREGATED | {"trade_main_type": "REFUND"}),
        (PLAIN, OF_REFUND, AGGREGATED | {"trade_no": REFUND_NO}),
        (PLAIN, OF_REFUND, AGGREGATED_REFUND | {"trade_no": "R7"}),
        (CASHIER, BY_ORDER, ORDER_ANSWER | {"out_order_no": "ORDER-2"}),
        (CASHIER, BY_ORDER, ORDER_ANSWER | {"order_trade_info_list": {}}),
        (CASHIER, BY_ORDER, ORDER_ANSWER | {"order_trade_info_list": [7]}),
        (CASHIER, BY_ORDER, "x"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(gateway, query, fields):
    with pytest.raises(BadPayload):
        answer_to(query, answer_of(fields), gateway)


def test_headers_of_an_answer_may_be_quoted():
    body = answer_of(ORDER_ANSWER)
    quoted = {name: f'"{value}"' for name, value in headers_of(KEYS.own, body).items() if name.startswith("Lklapi")}
    got = CASHIER.read_response(BY_ORDER, response_of((headers_of(KEYS.own, body) | quoted, body)), now=NOW)
    assert got == answer_to(BY_ORDER, body)


@pytest.mark.parametrize(
    "headers",
    [
        {"Lklapi_Appid": "OP00000004"},
        {"Lklapi_Nonce": "a b"},
        {"Lklapi_Timestamp": ""},
        {"Lklapi_Serial": "0"},
        {"Lklapi_Signature": b64encode(bytes(256)).decode()},
        {"Lklapi_Signature": "A" * 1028},
    ],
)
def test_an_answer_with_another_header_is_refused(headers):
    with pytest.raises(BadSignature):
        answer_to(BY_ORDER, answer_of(ORDER_ANSWER), **headers)


def test_an_answer_that_is_not_signed_is_refused():
    with pytest.raises(BadSignature):
        CASHIER.read_response(BY_ORDER, response_of(({}, answer_of(ORDER_ANSWER))), now=NOW)


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        (200, {"code": "BBS11112", "msg": "x"}, Unavailable),
        (200, {"code": "000099", "msg": "系统繁忙，请重试"}, Unavailable),
        (200, {"code": "GW0001", "msg": "验签失败"}, AccessDenied),
        (401, {}, AccessDenied),
        (429, {}, Unavailable),
        (502, {}, Unavailable),
        (404, {}, BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is(is_signed, status, fields, error):
    body = plain_of(fields)
    headers = headers_of(KEYS.own, body) if is_signed else {}
    with pytest.raises(error) as caught:
        CASHIER.read_response(BY_ORDER, response_of((headers, body), status), now=NOW)
    assert fields.get("msg", "?") not in str(caught.value)


def test_what_lakala_does_not_know_is_not_found_and_not_failed():
    body = plain_of({"code": "000002", "msg": "订单不存在"})
    assert answer_to(BY_ORDER, body) == Answer(found=False)
    assert CASHIER.read_response(BY_ORDER, response_of(({}, body)), now=NOW) == Answer(found=False)
    with pytest.raises(BadSignature):
        answer_to(BY_ORDER, body, key=KEYS.foreign)


@pytest.mark.parametrize("code", ["000007", "签名"])
def test_a_code_that_nobody_knows_is_refused_if_signed_and_a_persons_turn_if_not(code):
    body = plain_of({"code": code, "msg": "?"})
    with pytest.raises(BadPayload):
        answer_to(BY_ORDER, body)
    with pytest.raises(AccessDenied) as denied:
        CASHIER.read_response(BY_ORDER, response_of(({}, body)), now=NOW)
    assert "签名" not in str(denied.value)
