"""Alipay: what a trade and a refund say of themselves, and what is no answer."""

from datetime import UTC, datetime

import pytest
from alipay_api_factories import (
    BY_ORDER,
    KEYS,
    PAYMENT,
    REFUND,
    REFUND_NAME,
    TRADE_NAME,
    TRADE_NO,
    a_gateway,
    answered,
    compact,
    the,
    without,
)
from specimen import NOW
from specimen_alipay import REFUND_ANSWER, TRADE_ANSWER

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.alipay.objects import KINDS
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Unavailable
from tillkeeper.gateways.messages import Answer, Query, Response

PAID_AT = datetime(2026, 10, 5, 11, 59, tzinfo=UTC)


def unsigned(query, content, **more):
    name = REFUND_NAME if query.about == "refund" else TRADE_NAME
    response = Response(status=200, headers={}, body=compact({name: content} | more))
    return a_gateway().read_response(query, response, now=NOW)


# What a trade says of itself.


@pytest.mark.parametrize("query", [PAYMENT, BY_ORDER])
@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED"])
def test_a_trade_that_was_paid_succeeded_when_it_was(query, status):
    event = the(answered(query, TRADE_ANSWER | {"trade_status": status}))
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "CNY")
    assert (event.order_ref, event.payment_ref, event.occurred_at) == ("ORDER-1", TRADE_NO, PAID_AT)
    assert (event.method, event.evidence) == ("ALIPAYACCOUNT", Evidence.QUERY)
    assert event.event_id == f"query:{TRADE_NO}:payment.succeeded:20261005T115900Z:12900"


def test_a_trade_that_was_paid_at_a_time_not_told_succeeded_by_now():
    assert the(answered(PAYMENT, without(TRADE_ANSWER, "send_pay_date"))).occurred_at == NOW


def test_a_trade_that_waits_for_its_payer_is_pending():
    event = the(answered(PAYMENT, without(TRADE_ANSWER, "send_pay_date") | {"trade_status": "WAIT_BUYER_PAY"}))
    assert (event.kind, event.amount, event.occurred_at) == (Kind.PAYMENT_PENDING, 12900, NOW)


def test_a_seller_who_cannot_take_the_money_yet_was_not_paid():
    event = the(answered(PAYMENT, TRADE_ANSWER | {"trade_status": "TRADE_PENDING"}))
    assert (event.kind, event.occurred_at) == (Kind.PAYMENT_PENDING, NOW)


@pytest.mark.parametrize("status", ["WAIT_BUYER_PAY", "TRADE_PENDING", "TRADE_CLOSED"])
def test_nothing_happened_to_a_trade_that_has_no_number_yet(status):
    content = without(TRADE_ANSWER, "send_pay_date", "trade_no") | {"trade_status": status}
    assert answered(BY_ORDER, content) == Answer(found=True)


@pytest.mark.parametrize(
    ("query", "content", "word"),
    [
        (PAYMENT, TRADE_ANSWER | {"trade_status": "TRADE_HALTED"}, ("trade_status", "TRADE_HALTED")),
        (PAYMENT, TRADE_ANSWER | {"trans_currency": "XXB"}, ("trans_currency", "XXB")),
        (REFUND, REFUND_ANSWER | {"refund_status": "REFUND_HALF"}, ("refund_status", "REFUND_HALF")),
        (REFUND, REFUND_ANSWER | {"trans_currency": "XXB"}, ("trans_currency", "XXB")),
    ],
)
def test_a_word_that_is_not_known_makes_no_event_and_is_told(words, query, content, word):
    assert answered(query, content) == Answer(found=True)
    assert words() == [word]


@pytest.mark.parametrize(
    ("currency", "written", "amount"), [("THB", "88.80", 8880), ("JPY", "8880", 8880), ("CNY", "88.80", 8880)]
)
def test_a_trade_across_borders_is_in_the_currency_that_it_is_priced_in(currency, written, amount):
    priced = {"trans_currency": currency, "total_amount": written, "settle_currency": "USD", "settle_amount": "2.44"}
    event = the(answered(PAYMENT, TRADE_ANSWER | priced))
    assert (event.amount, event.currency) == (amount, currency)
    closed = answered(PAYMENT, TRADE_ANSWER | priced | {"trade_status": "TRADE_CLOSED"})
    assert [(each.amount or each.total, each.currency) for each in closed.events] == [(amount, currency)] * 2


def test_an_answer_about_a_refund_is_in_the_accounts_currency_for_it_names_none():
    event = the(answered(REFUND, REFUND_ANSWER, gateway=a_gateway(trans_currency="THB")))
    assert (event.amount, event.currency) == (400, "THB")


def test_a_trade_closed_unpaid_expired():
    event = the(answered(PAYMENT, without(TRADE_ANSWER, "send_pay_date") | {"trade_status": "TRADE_CLOSED"}))
    assert (event.kind, event.failure, event.failure_code) == (
        Kind.PAYMENT_CANCELLED,
        FailureClass.EXPIRED_UNPAID,
        "TRADE_CLOSED",
    )
    assert event.occurred_at == NOW


def test_a_trade_paid_and_closed_was_given_back_whole():
    payment, refund = answered(PAYMENT, TRADE_ANSWER | {"trade_status": "TRADE_CLOSED"}).events
    assert (payment.kind, payment.amount, payment.occurred_at, payment.failure) == (
        Kind.PAYMENT_SUCCEEDED,
        12900,
        PAID_AT,
        None,
    )
    assert (refund.kind, refund.total, refund.amount, refund.occurred_at) == (Kind.REFUND_SUCCEEDED, 12900, None, NOW)
    assert (refund.order_ref, refund.payment_ref, refund.refund_ref) == ("ORDER-1", TRADE_NO, None)


def test_every_state_is_tested_here():
    assert len(KINDS) == 5


@pytest.mark.parametrize(("code", "sub_code"), [("40004", "ACQ.TRADE_NOT_EXIST")], ids=["the payer never opened it"])
@pytest.mark.parametrize("query", [PAYMENT, BY_ORDER, REFUND])
def test_a_trade_that_does_not_exist_is_not_found_and_not_failed(query, code, sub_code):
    content = {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "交易不存在"}
    assert answered(query, content) == Answer(found=False)


# What is told of a refund.


def test_a_refund_that_succeeded_has_its_own_amount_and_time():
    event = the(answered(REFUND, REFUND_ANSWER))
    assert (event.kind, event.amount, event.total, event.refund_ref) == (Kind.REFUND_SUCCEEDED, 400, None, "R-1")
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", TRADE_NO)
    assert event.occurred_at == datetime(2026, 10, 5, 11, 59, 30, tzinfo=UTC)
    assert the(answered(REFUND, without(REFUND_ANSWER, "gmt_refund_pay"))).occurred_at == NOW


def test_refunds_that_each_trade_numbers_from_one_are_events_of_their_own():
    query = Query(about="refund", order_ref="ORDER-1", refund_ref="R-1")  # asked by the order's number
    first, second = (the(answered(query, REFUND_ANSWER | {"trade_no": each})) for each in (TRADE_NO, "9" * 28))
    assert (first.refund_ref, first.amount, first.occurred_at) == (second.refund_ref, second.amount, second.occurred_at)
    assert first.event_id != second.event_id


@pytest.mark.parametrize("change", [{}, {"refund_status": ""}, {"refund_status": None}])
def test_success_without_a_refund_status_is_no_refund(change):
    content = without(REFUND_ANSWER, "refund_status") | change
    assert answered(REFUND, content) == Answer(found=True)
    assert answered(REFUND, {"code": "10000", "msg": "Success"}) == Answer(found=True)


# What is no answer.


@pytest.mark.parametrize(
    ("code", "sub_code", "error"),
    [
        ("20000", "isp.unknow-error", Unavailable),
        ("20000", None, Unavailable),
        ("40005", "isv.app-call-limited", Unavailable),
        ("40004", "ACQ.SYSTEM_ERROR", Unavailable),
        ("40004", "aop.ACQ.SYSTEM_ERROR", Unavailable),
        ("20001", "aop.invalid-auth-token", AccessDenied),
        ("40001", "isv.missing-signature", AccessDenied),
        ("40002", "isv.invalid-signature", AccessDenied),
        ("40002", "isv.invalid-app-id", AccessDenied),
        ("40003", "isv.account-unusual", AccessDenied),
        ("40006", "isv.insufficient-isv-permissions", AccessDenied),
        ("40004", "ACQ.ACCESS_FORBIDDEN", AccessDenied),
    ],
)
@pytest.mark.parametrize("name", [TRADE_NAME, "error_response"])
def test_an_error_says_whose_turn_it_is_signed_or_not(code, sub_code, error, name):
    content = {"code": code, "msg": "…", "sub_code": sub_code, "sub_msg": "ORDER-1 …"}
    with pytest.raises(error) as caught:
        answered(PAYMENT, content, name=name)
    assert "ORDER-1" not in str(caught.value)
    with pytest.raises(error):
        unsigned(PAYMENT, content)
    with pytest.raises(BadSignature):
        answered(PAYMENT, content, key=KEYS.foreign)


@pytest.mark.parametrize(
    "content", [TRADE_ANSWER, {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, {"code": "\n" * 99}]
)
def test_an_unsigned_answer_is_no_data(content):
    for more in ({}, {"sign": None}, {"sign": ""}):
        with pytest.raises(BadSignature, match="not signed"):
            unsigned(PAYMENT, content, **more)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, {"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER"}),
        (PAYMENT, {"code": "90000"}),
        (PAYMENT, {}),
        (PAYMENT, b'"encrypted"'),
        (PAYMENT, TRADE_ANSWER | {"trade_no": "2"}),
        (BY_ORDER, TRADE_ANSWER | {"out_trade_no": "ORDER-2"}),
        (PAYMENT, TRADE_ANSWER | {"total_amount": "1.001"}),
        (PAYMENT, TRADE_ANSWER | {"total_amount": 129}),
        (PAYMENT, without(TRADE_ANSWER, "total_amount")),
        (BY_ORDER, without(TRADE_ANSWER, "trade_no")),
        (PAYMENT, TRADE_ANSWER | {"send_pay_date": "yesterday"}),
        (REFUND, REFUND_ANSWER | {"out_request_no": "R-2"}),
        (REFUND, without(REFUND_ANSWER, "out_request_no")),
        (REFUND, REFUND_ANSWER | {"refund_amount": "-1.00"}),
    ],
)
def test_an_authentic_answer_that_makes_no_sense_is_refused(query, content):
    with pytest.raises(BadPayload):
        answered(query, content)


def test_an_answer_to_another_kind_of_query_is_refused():
    with pytest.raises(BadPayload, match="none to this query"):
        answered(PAYMENT, TRADE_ANSWER, name=REFUND_NAME)


@pytest.mark.parametrize(
    ("status", "error"), [(429, Unavailable), (502, Unavailable), (302, BadPayload), (404, BadPayload)]
)
def test_a_status_other_than_200_is_no_answer(status, error):
    with pytest.raises(error):
        a_gateway().read_response(PAYMENT, Response(status=status, headers={}, body=b"{}"), now=NOW)


def test_there_is_no_list_of_events():
    with pytest.raises(CannotQuery):
        a_gateway().events_request(since=NOW, until=NOW, after=None)
    with pytest.raises(BadPayload):
        a_gateway().read_events(Response(status=200, headers={}, body=b"{}"))
