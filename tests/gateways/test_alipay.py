"""Alipay: what notices mean."""

from datetime import UTC, datetime

import pytest
from alipay_factories import PAID_AT, REFUNDED_AT, settings, without
from pydantic import ValidationError
from specimen import NOW, public_pem, request_of
from specimen_alipay import FIELDS, SELLER_ID, TRADE

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.objects import FAILURES
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.sandbox.simulators.alipay.objects import (
    alipay_closed,
    alipay_finished,
    alipay_pending,
    alipay_refund,
)
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery


@pytest.fixture(scope="module")
def gateway(keys):
    return Alipay("alipay-main", settings(alipay_public_key=public_pem(keys.own)))


@pytest.fixture
def signed(keys):
    def sign(fields):
        return request_of(alipay_delivery(keys.own, fields))

    return sign


@pytest.fixture
def events_of(gateway, signed):
    def read(fields):
        return gateway.parse(gateway.verify(signed(fields), NOW))

    return read


@pytest.fixture
def event_of(events_of):
    def read(fields):
        (event,) = events_of(fields)
        return event

    return read


# -- what notices mean -------------------------------------------------------------------------------------------------


def test_a_payment_that_waits_for_its_payer_is_pending(event_of):
    event = event_of(alipay_pending(TRADE))
    assert (event.kind, event.amount, event.occurred_at) == (Kind.PAYMENT_PENDING, 12900, TRADE.created_at)


def test_a_success_names_order_payment_amount_and_time(event_of):
    assert event_of(FIELDS) == PaymentEvent(
        event_id=FIELDS["notify_id"],
        kind=Kind.PAYMENT_SUCCEEDED,
        account="alipay-main",
        occurred_at=PAID_AT,
        order_ref="ORDER-1",
        payment_ref="2026100522001400000000000001",
        amount=12900,
        currency="CNY",
        method="ALIPAYACCOUNT",
    )


@pytest.mark.parametrize(
    ("bills", "method"),
    [
        ('[{"amount":"129.00","fundChannel":"PCREDIT"}]', "PCREDIT"),
        ('[{"amount":"1.00","fundChannel":"PCREDIT"},{"amount":"128.00","fundChannel":"PCREDIT"}]', "PCREDIT"),
        ('[{"amount":"1.00","fundChannel":"COUPON"},{"amount":"128.00","fundChannel":"PCREDIT"}]', None),
        ('[{"fundChannel":"PCREDIT"},{}]', None),
        ('[{"fundChannel":["PCREDIT"]}]', None),
        ('[{"fundChannel":"P CREDIT"}]', None),
        ('["PCREDIT"]', None),
        ("[]", None),
        ("{}", None),
        ("PCREDIT", None),
        ("", None),
    ],
)
def test_the_method_is_the_one_channel_if_there_is_one(event_of, bills, method):
    assert event_of(FIELDS | {"fund_bill_list": bills}).method == method
    assert event_of(without(FIELDS, "fund_bill_list")).method is None


def test_a_finished_trade_succeeded_when_it_was_paid(event_of):
    event = event_of(alipay_finished(TRADE, PAID_AT, NOW))
    assert (event.kind, event.amount, event.occurred_at) == (Kind.PAYMENT_SUCCEEDED, 12900, PAID_AT)
    assert event.event_id != FIELDS["notify_id"]


def test_a_trade_closed_without_a_refund_expired_unpaid(event_of):
    event = event_of(alipay_closed(TRADE, NOW))
    assert (event.kind, event.amount, event.occurred_at) == (Kind.PAYMENT_CANCELLED, 12900, NOW)
    assert (event.failure, event.failure_code) == (FailureClass.EXPIRED_UNPAID, "TRADE_CLOSED")


@pytest.mark.parametrize(("total", "status"), [(100, "TRADE_SUCCESS"), (12900, "TRADE_CLOSED")])
def test_a_refund_tells_the_running_total_whatever_the_status_says(event_of, total, status):
    fields = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=total, refund_ref="R-1")
    assert fields["trade_status"] == status
    assert fields["gmt_refund"].endswith(".631")
    assert event_of(fields) == PaymentEvent(
        event_id=fields["notify_id"],
        kind=Kind.REFUND_SUCCEEDED,
        account="alipay-main",
        occurred_at=REFUNDED_AT.replace(microsecond=0),
        order_ref="ORDER-1",
        payment_ref="2026100522001400000000000001",
        refund_ref="R-1",
        total=total,
        currency="CNY",
    )


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED", "SOMETHING_NEW", ""])
def test_refund_fee_alone_tells_of_a_refund(event_of, status):
    event = event_of(FIELDS | {"refund_fee": "0.01", "trade_status": status})
    assert (event.kind, event.total, event.amount, event.refund_ref) == (Kind.REFUND_SUCCEEDED, 1, None, None)
    assert event.occurred_at == PAID_AT


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("TRADE_SUCCESS", Kind.PAYMENT_SUCCEEDED),
        ("TRADE_FINISHED", Kind.PAYMENT_SUCCEEDED),
        ("TRADE_CLOSED", Kind.PAYMENT_CANCELLED),
    ],
)
@pytest.mark.parametrize("refund_fee", ["0.00", ""])
def test_a_refund_fee_of_nothing_tells_of_no_refund(event_of, status, kind, refund_fee):
    fields = FIELDS | {"trade_status": status, "refund_fee": refund_fee, "gmt_refund": "", "out_biz_no": "ORDER-1"}
    event = event_of(without(fields, "gmt_payment"))
    assert (event.kind, event.amount, event.total, event.refund_ref) == (kind, 12900, None, None)


def test_a_notice_of_a_refund_says_so_although_its_sum_is_nothing_so_far(event_of):
    event = event_of(FIELDS | {"refund_fee": "0.00", "gmt_refund": "2026-10-05 12:00:00.000"})
    assert (event.kind, event.total) == (Kind.REFUND_SUCCEEDED, 0)


def test_a_refund_of_an_unknown_sum_is_all_of_a_closed_trade(event_of):
    refund = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=12900, refund_ref="R-1")
    event = event_of(without(refund, "refund_fee"))
    assert (event.kind, event.total) == (Kind.REFUND_SUCCEEDED, 12900)


@pytest.mark.parametrize("refund_fee", ["0.00", "", None])
def test_a_trade_that_was_paid_and_is_closed_gave_all_back(event_of, refund_fee):
    fields = FIELDS | {"trade_status": "TRADE_CLOSED", "gmt_close": "2026-10-05 20:00:00"}
    event = event_of(fields if refund_fee is None else fields | {"refund_fee": refund_fee})
    assert (event.kind, event.total, event.occurred_at) == (Kind.REFUND_SUCCEEDED, 12900, NOW)
    assert event_of(fields | {"refund_fee": "1.00"}).total == 100


def test_a_refund_of_an_unknown_sum_is_told_as_one(event_of, events_of):
    """Nobody knows how much it was: the payment says that there is one, and Alipay is asked, or people look."""
    partial = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=100, refund_ref="R-1")
    event = event_of(without(partial, "refund_fee"))
    assert (event.kind, event.amount, event.has_refunds) == (Kind.PAYMENT_SUCCEEDED, 12900, True)
    whole = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=12900, refund_ref="R-1")
    closed = FIELDS | {"trade_status": "TRADE_CLOSED", "total_amount": ""}
    for fields in (without(whole, "refund_fee", "total_amount"), closed):
        with pytest.raises(BadPayload, match="refund_fee"):
            events_of(fields)


@pytest.mark.parametrize(
    "change",
    [
        {"app_id": "2021004199999999"},
        {"seller_id": "2088999999999999"},
        {"trade_status": ""},
        {"notify_type": "dut_user_sign", "trade_status": ""},
        {"notify_type": "fund_auth_freeze", "trade_status": "", "auth_no": "2026100510002001660000000001"},
        {"msg_method": "alipay.trade.refund.depositback.completed", "trade_status": "", "notify_type": ""},
    ],
    ids=str,
)
def test_what_is_not_ours_or_about_no_trade_is_authentic_without_events(events_of, change):
    assert events_of(FIELDS | change) == ()


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"trade_status": "trade_success"}, ("trade_status", "trade_success")),
        ({"trade_status": "TRADE_HALTED"}, ("trade_status", "TRADE_HALTED")),
        ({"trans_currency": "XXB"}, ("trans_currency", "XXB")),
    ],
    ids=str,
)
def test_a_word_that_is_not_known_makes_no_event_and_is_told(events_of, words, change, unknown):
    assert events_of(FIELDS | change) == ()
    assert words() == [unknown]


@pytest.mark.parametrize(
    ("currency", "written", "amount"),
    [("THB", "88.80", 8880), ("JPY", "8880", 8880), ("JPY", "8880.00", 8880), ("CNY", "88.80", 8880)],
)
def test_a_trade_across_borders_is_in_the_currency_that_it_is_priced_in(event_of, currency, written, amount):
    """What it settles in, and what the payer pays in, are other amounts of it."""
    others = {
        "trans_currency": currency,
        "settle_currency": "USD",
        "settle_amount": "2.44",
        "pay_currency": "CNY",
        "pay_amount": "18.20",
    }
    event = event_of(FIELDS | others | {"total_amount": written})
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, amount, currency)
    refund = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=100, refund_ref="R-1")
    event = event_of(refund | others | {"total_amount": written, "refund_fee": written})
    assert (event.kind, event.total, event.currency) == (Kind.REFUND_SUCCEEDED, amount, currency)


def test_what_no_notice_says_is_in_the_accounts_currency(keys, signed):
    own = {"alipay_public_key": public_pem(keys.own), "trans_currency": "THB"}
    gateway = Alipay("alipay-main", settings(**own))
    for fields, currency in ((FIELDS, "THB"), (FIELDS | {"trans_currency": "CNY"}, "CNY")):
        (event,) = gateway.parse(gateway.verify(signed(fields), NOW))
        assert (event.amount, event.currency) == (12900, currency)
    with pytest.raises(ValidationError, match="ISO 4217"):
        settings(**own | {"trans_currency": "BAHT"})


def test_a_seller_who_cannot_take_the_money_yet_was_not_paid(event_of):
    event = event_of(FIELDS | {"trade_status": "TRADE_PENDING"})
    assert (event.kind, event.amount, event.occurred_at) == (Kind.PAYMENT_PENDING, 12900, PAID_AT)


def test_a_payment_of_no_seller_is_refused_where_one_is_configured(events_of):
    for fields in (FIELDS | {"seller_id": ""}, without(FIELDS, "seller_id")):
        with pytest.raises(BadPayload, match="seller_id"):
            events_of(fields)
        assert events_of(fields | {"notify_type": "dut_user_sign", "trade_status": ""}) == ()


def test_any_seller_of_the_app_is_ours_where_none_is_configured(keys, signed):
    gateway = Alipay("alipay-main", settings(seller_id=None, alipay_public_key=public_pem(keys.own)))
    for seller_id in (SELLER_ID, "2088999999999999", ""):
        assert gateway.parse(gateway.verify(signed(FIELDS | {"seller_id": seller_id}), NOW))


@pytest.mark.parametrize(
    "change",
    [
        {"app_id": ""},
        {"trade_no": ""},
        {"trade_no": "9" * 256},
        {"out_trade_no": "9" * 256},
        {"notify_id": "9" * 256},
        {"total_amount": ""},
        {"total_amount": "0"},
        {"total_amount": "0.00"},
        {"total_amount": "-1.00"},
        {"total_amount": "+1.00"},
        {"total_amount": "1,00"},
        {"total_amount": "1.001"},
        {"total_amount": "1e3"},
        {"total_amount": "NaN"},
        {"total_amount": "\uff11.00"},
        {"total_amount": " 1.00"},
        {"total_amount": "99999999999999999999.00"},
        {"refund_fee": "-0.01"},
        {"refund_fee": "x"},
        {"gmt_payment": "2026-10-05"},
        {"gmt_payment": "2026-10-05T12:00:00"},
        {"gmt_payment": "2026-10-05 12:00:00+08:00"},
        {"gmt_payment": "2026-13-05 12:00:00"},
        {"gmt_payment": "2026-10-05 24:00:00"},
        {"gmt_payment": "0000-01-01 00:00:00"},
        {"gmt_payment": "0001-01-01 00:00:00"},
        {"gmt_payment": "\uff12026-10-05 12:00:00"},
        {"gmt_payment": "1790000000"},
    ],
)
def test_an_authentic_notice_that_makes_no_sense_is_refused(events_of, change):
    with pytest.raises(BadPayload):
        events_of(FIELDS | change)


# -- times and identity ------------------------------------------------------------------------------------------------


def test_times_are_shanghais_with_milliseconds_cut_off(event_of):
    fields = FIELDS | {"gmt_payment": "2026-10-05 00:30:59.999"}
    assert event_of(fields).occurred_at == datetime(2026, 10, 4, 16, 30, 59, tzinfo=UTC)


TIMES = ("gmt_refund", "gmt_payment", "gmt_close", "gmt_create", "notify_time")


@pytest.mark.parametrize(
    ("change", "order"),
    [
        ({"trade_status": "WAIT_BUYER_PAY"}, ["gmt_create", "notify_time"]),
        ({"trade_status": "TRADE_SUCCESS"}, ["gmt_payment", "gmt_close", "gmt_create", "notify_time"]),
        ({"trade_status": "TRADE_FINISHED"}, ["gmt_payment", "gmt_close", "gmt_create", "notify_time"]),
        ({"trade_status": "TRADE_CLOSED"}, ["gmt_close", "gmt_create", "notify_time"]),
        ({"refund_fee": "1.00"}, ["gmt_refund", "gmt_close", "gmt_payment", "gmt_create", "notify_time"]),
    ],
    ids=str,
)
def test_the_best_time_there_is_tells_when(event_of, events_of, change, order):
    hours = {name: f"2026-10-05 {hour:02d}:00:00" for hour, name in enumerate(TIMES, start=8)}
    fields = FIELDS | hours | change
    if "refund_fee" not in change:
        del fields["gmt_refund"]
    if change.get("trade_status") == "TRADE_CLOSED":
        del fields["gmt_payment"]
    for name in order:
        assert event_of(fields).occurred_at == datetime(2026, 10, 5, TIMES.index(name), tzinfo=UTC)
        fields = without(fields, name)
    with pytest.raises(BadPayload, match="tells when"):
        events_of(fields)


def test_a_repeated_notice_is_the_same_event(event_of):
    later = {"notify_time": "2026-10-05 19:59:59"}
    for fields in (FIELDS, without(FIELDS, "notify_id")):
        assert event_of(fields) == event_of(fields | later)


def test_without_a_notify_id_different_facts_have_different_names(event_of):
    notices = [
        alipay_pending(TRADE),
        FIELDS,
        alipay_closed(TRADE, PAID_AT),
        alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=100, refund_ref="R-1"),
        alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=200, refund_ref="R-2"),
        FIELDS | {"trade_no": "2026100522001400000000000002"},
    ]
    assert len({event_of(without(fields, "notify_id")).event_id for fields in notices}) == len(notices)
    assert len({event_of(fields).event_id for fields in notices[:-1]}) == len(notices) - 1


# -- answers -----------------------------------------------------------------------------------------------------------


def test_the_answer_is_success_to_the_letter(gateway):
    reply = gateway.acknowledge()
    assert (reply.status, reply.body) == (200, b"success")
    assert (gateway.refuse(503).status, gateway.refuse(503).body) == (503, b"fail")


def test_failures_are_named_by_their_sub_code():
    assert FAILURES["ACQ.BUYER_BALANCE_NOT_ENOUGH"] is FailureClass.INSUFFICIENT_FUNDS
    assert FAILURES["ACQ.TRADE_HAS_CLOSE"] is FailureClass.EXPIRED_UNPAID
    assert "ACQ.TRADE_NOT_EXIST" not in FAILURES  # the payer has not opened it, which is no failure


def test_an_unproven_notice_for_this_app_names_the_merchants_own_number(gateway, keys):
    forged = alipay_delivery(keys.foreign, FIELDS)
    assert gateway.claimed_references(request_of(forged)).order_ref == FIELDS["out_trade_no"]
    for field, value in (("app_id", "2021000000000000"), ("out_trade_no", "a b")):
        assert gateway.claimed_references(request_of(alipay_delivery(keys.foreign, {**FIELDS, field: value}))) is None
