"""Lakala, checked against documents only: every state by table, and the story that the sandbox plays."""

import json

import msgspec
import pytest
from lakala_notices import (
    AGGREGATED_REFUND,
    BEGAN_AT,
    BY_ORDER,
    CASHIER,
    KEYS,
    MUTE,
    ORIGIN,
    PAID_AT,
    PAYMENT_NO,
    PLAIN,
    REFUND_NO,
    event_of,
    events_of,
    queries_of,
    refund,
    standing,
    trade,
    without,
)
from simulator_walk import asked, delivered, ledger_with, outcome_of, put_of, story_of, truth_of
from specimen import NOW, private_pem, request_of, response_of
from specimen_lakala import (
    AGGREGATED,
    NOTICE,
    OLD,
    ORDER,
    REFUND_NOTICE,
    plain_of,
)

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    Unavailable,
)
from tillkeeper.gateways.lakala.aggregated import PAYMENT_STATES, RETURN_STATES
from tillkeeper.gateways.lakala.cashier import RETURN_TRADES, TRADES
from tillkeeper.gateways.lakala.settings import LakalaSettings
from tillkeeper.gateways.messages import Answer, ClaimedReferences, Query
from tillkeeper.gateways.registry import build
from tillkeeper.sandbox.simulators.lakala.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.lakala.templates import TEMPLATES

# The aggregated payments.


def test_an_aggregated_payment():
    event = event_of(AGGREGATED)
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "CNY")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", PAYMENT_NO, "WECHAT")
    assert (event.event_id, event.evidence) == (f"{PAYMENT_NO}:SUCCESS", Evidence.WEBHOOK)
    assert event.occurred_at == PAID_AT
    assert event_of(AGGREGATED | {"total_amount": 12900}) == event
    assert event_of(without(AGGREGATED, "trade_status") | {"trade_state": "SUCCESS"}) == event
    assert event_of(AGGREGATED | {"trade_state": "SUCCESS", "currency": "156"}) == event
    assert event_of(without(AGGREGATED, "trade_time")).occurred_at == NOW


@pytest.mark.parametrize("word", ["FAIL", "CLOSE"])
def test_a_failure_is_not_lost_behind_a_word_without_a_time_that_came_before(word):
    waiting = event_of(without(AGGREGATED, "trade_time") | {"trade_status": "DEAL"})
    end = event_of(AGGREGATED | {"trade_status": word})  # its trade_time is two seconds before
    assert standing(waiting)[0] is Status.PROCESSING
    for events in ((waiting, end), (end, waiting)):
        assert standing(*events)[0] is Status.FAILED


@pytest.mark.parametrize(("word", "state"), PAYMENT_STATES.items())
def test_every_state_of_an_aggregated_payment(word, state):
    events = events_of(AGGREGATED | {"trade_status": word})
    if state is None:
        assert events == ()
        return
    first, *more = events
    assert (first.kind, first.failure, first.event_id) == (state.kind, state.failure, f"{PAYMENT_NO}:{word}")
    assert first.failure_code == (word if state.failure else None)
    if word in {"REFUND", "REVOKED"}:
        (back,) = more
        assert (back.kind, back.total, back.amount, back.payment_ref) == (
            Kind.REFUND_SUCCEEDED,
            12900,
            None,
            PAYMENT_NO,
        )
        assert back.event_id != first.event_id
        assert back.occurred_at == NOW
    else:
        assert more == []


def test_all_given_back_is_not_counted_twice():
    one = event_of(AGGREGATED | {"trade_no": "R1", "trade_main_type": "REFUND", "refund_amount": "400"} | ORIGIN)
    whole = events_of(AGGREGATED | {"trade_status": "REFUND"})
    assert standing(event_of(AGGREGATED), one) == (Status.PARTIALLY_REFUNDED, 12900, 400)
    assert standing(event_of(AGGREGATED), one, *whole) == (Status.REFUNDED, 12900, 12900)
    assert standing(event_of(AGGREGATED | {"trade_status": "PART_REFUND"}), one) == (
        Status.PARTIALLY_REFUNDED,
        12900,
        400,
    )


@pytest.mark.parametrize(("word", "state"), RETURN_STATES.items())
def test_every_state_of_an_aggregated_refund(word, state):
    """A refund's own out_trade_no is no order's."""
    events = events_of(AGGREGATED_REFUND | {"trade_status": word})
    if state is None:
        assert events == ()
        return
    (event,) = events
    assert (event.kind, event.failure, event.amount, event.currency) == (state.kind, state.failure, 400, "CNY")
    assert (event.order_ref, event.payment_ref, event.refund_ref) == ("ORDER-1", PAYMENT_NO, REFUND_NO)
    assert (event.event_id, event.occurred_at) == (f"{REFUND_NO}:{word}", NOW)


@pytest.mark.parametrize("kind", ["REFUND", "CANCEL"])
def test_the_total_of_a_refunds_notice_is_never_taken_for_the_refunds(kind):
    fields = without(AGGREGATED_REFUND, *ORIGIN, "refund_amount") | {"trade_main_type": kind}
    event = event_of(fields)
    assert (event.amount, event.currency, event.order_ref, event.payment_ref) == (None, None, None, None)
    assert standing(event_of(AGGREGATED), event) == (Status.PAID, 12900, 0)


# The cashier.


def test_a_payment_at_the_cashier_is_its_trades_amount():
    event = event_of(NOTICE | {"total_amount": 67200})  # of an order that is paid in parts
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "CNY")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", PAYMENT_NO, "ALIPAY")
    assert (event.event_id, event.occurred_at) == (f"{PAYMENT_NO}:PAY:S", PAID_AT)
    assert event_of(trade(trade_amount="12900", pay_mode="")).method == "SCPAY"
    assert event_of(trade(trade_time="")).occurred_at == NOW


@pytest.mark.parametrize(("word", "state"), TRADES.items())
def test_every_state_of_a_cashiers_payment(word, state):
    event, *more = events_of(trade(trade_status=word, trade_time=""))
    assert (event.kind, event.failure, event.amount) == (state.kind, state.failure, 12900)
    assert event.occurred_at == (BEGAN_AT if state.kind is Kind.PAYMENT_PENDING else NOW)
    assert bool(more) is (word == "C")


def test_a_payment_that_is_reversed_after_it_succeeded_was_not_paid():
    failed, reversed_ = events_of(trade(trade_status="C"))
    assert (failed.kind, reversed_.kind, reversed_.amount) == (Kind.PAYMENT_FAILED, Kind.PAYMENT_REVERSED, 12900)
    assert reversed_.payment_ref == PAYMENT_NO
    assert reversed_.event_id != failed.event_id
    assert standing(failed, reversed_) == (Status.FAILED, 0, 0)
    for order in ((event_of(NOTICE), failed, reversed_), (reversed_, failed, event_of(NOTICE))):
        assert standing(*order)[1:] == (0, 0)


@pytest.mark.parametrize(("word", "state"), RETURN_TRADES.items())
@pytest.mark.parametrize("kind", ["REFUND", "CANCEL"])
def test_every_state_of_a_cashiers_refund(kind, word, state):
    event = event_of(refund(trade_status=word, trade_type=kind))
    assert (event.kind, event.failure, event.amount, event.method) == (state.kind, state.failure, 400, None)
    assert (event.order_ref, event.payment_ref, event.refund_ref) == ("ORDER-1", PAYMENT_NO, REFUND_NO)
    assert event.event_id == f"{REFUND_NO}:{kind}:{word}"
    assert event.occurred_at == (BEGAN_AT if state.kind is Kind.REFUND_PENDING else PAID_AT)


def test_a_refund_need_not_name_its_payment():
    event = event_of(refund(origin_trade_no=""))
    assert (event.payment_ref, event.order_ref) == (None, "ORDER-1")
    named = event_of(REFUND_NOTICE)
    assert standing(event_of(NOTICE), event, named) == (Status.PARTIALLY_REFUNDED, 12900, 400)


@pytest.mark.parametrize(
    ("status", "kind", "failure"),
    [
        ("3", Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
        ("4", Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
        ("5", Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
        ("7", Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    ],
)
@pytest.mark.parametrize("none", [{}, {"order_trade_info": None}, {"order_trade_info": {}}])
def test_an_order_that_nobody_tried_to_pay_goes_by_its_own_number(none, status, kind, failure):
    event = event_of(ORDER | {"order_status": status} | none)
    assert (event.kind, event.failure, event.failure_code, event.amount) == (kind, failure, status, None)
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "ORDER-1")
    assert event.event_id == f"26100511012001101011025385338:order:{status}"


def test_an_order_that_waits_says_nothing():
    for status in ("0", "1"):
        assert events_of(ORDER | {"order_status": status}) == ()


@pytest.mark.parametrize("fields", [NOTICE | {"order_status": "6"}, ORDER | {"order_status": "6"}])
def test_money_given_back_that_the_notice_does_not_show_is_asked_about(fields):
    assert (events_of(fields), queries_of(fields)) == ((), (BY_ORDER,))
    for odd in ("a|b", "../x"):
        with pytest.raises(BadPayload):
            queries_of(fields | {"out_order_no": odd})
    assert queries_of(REFUND_NOTICE) == queries_of(NOTICE) == ()


def test_where_it_cannot_be_asked_the_payment_is_at_least_told():
    for gateway in (MUTE, PLAIN):
        assert queries_of(NOTICE | {"order_status": "6"}, gateway) == ()
        assert event_of(NOTICE | {"order_status": "6"}, gateway).kind is Kind.PAYMENT_SUCCEEDED
        with pytest.raises(BadPayload):
            events_of(ORDER | {"order_status": "6"}, gateway)


# The family of 2021.


def test_the_oldest_family_tells_a_payment_and_of_a_refund_no_amount():
    for word, state in TRADES.items():
        event, *_ = events_of(OLD | {"payStatus": word})
        assert (event.kind, event.amount, event.payment_ref) == (state.kind, 1, "2021090666210003610012")
    event = event_of(OLD | {"tradeType": "REFUND"})
    assert (event.kind, event.amount, event.currency) == (Kind.REFUND_SUCCEEDED, None, None)
    assert (event.refund_ref, event.payment_ref) == ("2021090666210003610012", None)
    assert event_of(OLD | {"currency": "CNY"}).currency == "CNY"


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [
        (OLD | {"currency": "999"}, ("currency", "999")),
        (OLD | {"currency": "XXB"}, ("currency", "XXB")),
        (OLD | {"tradeType": "NEW"}, ("trade_type", "NEW")),
        (OLD | {"payStatus": "N"}, ("trade_status", "N")),
        (AGGREGATED | {"trade_status": "NEW"}, ("trade_status", "NEW")),
        (AGGREGATED | {"currency": "XXB"}, ("currency", "XXB")),
        (AGGREGATED_REFUND | {"trade_status": "REFUND"}, ("trade_status", "REFUND")),
        (ORDER | {"order_status": "8"}, ("order_status", "8")),
        (NOTICE | {"currency": "XXB"}, ("currency", "XXB")),
        (trade(trade_type="NEW"), ("trade_type", "NEW")),
        (trade(trade_status="N"), ("trade_status", "N")),
    ],
    ids=str,
)
def test_a_word_that_is_not_known_makes_no_event_and_is_told(words, fields, unknown):
    assert events_of(fields, MUTE) == ()
    assert words() == [unknown]


def test_what_is_known_of_an_order_counts_beside_a_word_that_is_not(words):
    assert event_of(NOTICE | {"order_status": "8"}).kind is Kind.PAYMENT_SUCCEEDED
    assert words() == [("order_status", "8")]


def test_that_money_went_back_is_told_where_it_is_not_told_which():
    assert not event_of(NOTICE).has_refunds
    assert event_of(NOTICE | {"order_status": "6"}, MUTE).has_refunds  # where it can be asked about, it is
    assert not event_of(refund(), MUTE).has_refunds
    for word, has_refunds in (("SUCCESS", False), ("PART_REFUND", True)):
        assert event_of(AGGREGATED | {"trade_status": word}).has_refunds is has_refunds


def test_what_is_about_no_payment_is_acknowledged_and_changes_nothing():
    split = {"separate_no": "20261005770188000010", "out_separate_no": "S-1", "status": "SUCCESS", "total_amt": "100"}
    assert events_of(split) == ()
    assert queries_of(split) == ()


@pytest.mark.parametrize(
    "fields",
    [
        OLD | {"currency": 156},
        OLD | {"amount": 0.5},
        OLD | {"amount": True},
        OLD | {"tradeTime": "2021-09-06"},
        OLD | {"orderCreateTime": "x"},
        *(without(OLD, each) for each in ("merchantOrderNo", "payStatus", "lklOrderNo", "amount", "tradeType")),
        AGGREGATED | {"trade_state": "FAIL"},
        AGGREGATED | {"total_amount": "129.00"},
        AGGREGATED | {"total_amount": -1},
        AGGREGATED | {"out_trade_no": "x" * 300},
        *(without(AGGREGATED, each) for each in ("trade_status", "out_trade_no", "trade_no", "total_amount")),
        AGGREGATED_REFUND | {"refund_amount": "4.00"},
        without(AGGREGATED_REFUND, "trade_no"),
        NOTICE | {"order_trade_info": "x"},
        trade(trade_amount=None),
        trade(trade_time="2021092264452"),
        ORDER | {"order_status": "2"},
        without(ORDER | {"order_status": "4"}, "pay_order_no"),
        *(without(NOTICE, each) for each in ("order_status", "out_order_no", "order_create_time", "order_trade_info")),
    ],
    ids=lambda each: str(len(each)),
)
def test_an_authentic_notice_that_makes_no_sense_is_refused(fields):
    with pytest.raises(BadPayload):
        events_of(fields)


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        ("账户余额不足", FailureClass.INSUFFICIENT_FUNDS),
        ("超出单笔限额", FailureClass.LIMIT_EXCEEDED),
        ("次数超限", FailureClass.LIMIT_EXCEEDED),
        ("交易超时", FailureClass.NETWORK_TIMEOUT),
        ("卡已过期", FailureClass.CARD_EXPIRED_OR_INVALID),
        ("有效期错误", FailureClass.CARD_EXPIRED_OR_INVALID),
        ("卡已冻结", FailureClass.ACCOUNT_FROZEN),
        ("此卡已挂失", FailureClass.ACCOUNT_FROZEN),
        ("触发风控", FailureClass.SUSPECTED_FRAUD),
        ("存在风险", FailureClass.SUSPECTED_FRAUD),
        ("欺诈卡", FailureClass.SUSPECTED_FRAUD),
        ("支付密码错误", FailureClass.BANK_VERIFICATION_FAILED),
        ("短信验证失败", FailureClass.BANK_VERIFICATION_FAILED),
        ("优惠券已用", FailureClass.COUPON_CONFLICT),
        ("不支持的卡种", FailureClass.METHOD_UNAVAILABLE),
        ("用户取消支付", FailureClass.USER_CANCELLED),
        ("系统异常", FailureClass.GATEWAY_FAULT),
        ("交易失败", FailureClass.UNKNOWN),
        ("", FailureClass.UNKNOWN),
        (7, FailureClass.UNKNOWN),
    ],
)
def test_a_failure_is_known_by_its_words(words, failure):
    assert event_of(trade(trade_status="F", result_desc=words)).failure is failure
    assert event_of(AGGREGATED | {"trade_status": "FAIL", "trade_state_desc": words}).failure is failure
    assert event_of(refund(trade_status="F", trade_remark=words)).failure is failure
    assert event_of(trade(result_desc=words)).failure is None


# Hints, and answers to deliveries.


def test_a_notice_names_its_payment_without_proof():
    def named(fields):
        return CASHIER.claimed_references(request_of(({}, fields if isinstance(fields, bytes) else plain_of(fields))))

    assert named(NOTICE) == ClaimedReferences(order_ref="ORDER-1")
    assert named(AGGREGATED) == ClaimedReferences(order_ref="ORDER-1", payment_ref=PAYMENT_NO)
    assert named(AGGREGATED_REFUND) == ClaimedReferences(order_ref="ORDER-1", payment_ref=PAYMENT_NO)
    assert named(OLD) == ClaimedReferences(order_ref="ORDER-1", payment_ref="2021090666210003610012")
    for body in (b"[]", b"{", {"merchant_no": "1"}, {"out_order_no": "../x"}):
        assert named(body) is None


def test_it_answers_in_lakalas_form():
    reply = CASHIER.acknowledge()
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert json.loads(reply.body) == {"code": "SUCCESS", "message": "执行成功"}
    assert json.loads(CASHIER.refuse(401).body)["code"] == "FAIL"


# The sandbox.

VOICE = SIMULATOR.new_signer("lakala-main")  # making keys takes a while
SETTINGS = {"gateway": "lakala", **SIMULATOR.settings(VOICE)}
PLAYED = build(VOICE.account, LakalaSettings.model_validate(SETTINGS))


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_every_story_ends_as_the_template_says(template):
    story = story_of(SIMULATOR, VOICE, template)
    api = SIMULATOR.api(VOICE, ledger_with(SIMULATOR, story))
    events = delivered(PLAYED, SIMULATOR, VOICE, story, api)
    assert outcome_of(story, events) == truth_of(story)
    answered = asked(PLAYED, api, Query(about="payment", order_ref=story.order_ref), NOW).events
    assert outcome_of(story, answered) == truth_of(story)
    assert outcome_of(story, [*answered, *events]) == outcome_of(story, [*events, *answered]) == truth_of(story)
    for ref in {event.refund_ref for event in story.events if event.event_type.startswith("REFUND.")}:
        query = Query(about="refund", order_ref=story.order_ref, refund_ref=ref)
        assert [event.refund_ref for event in asked(PLAYED, api, query, NOW).events] == [ref]


def test_the_sandbox_refuses_strangers_and_forges_answers():
    story = story_of(SIMULATOR, VOICE, TEMPLATES[0])
    api = SIMULATOR.api(VOICE, ledger_with(SIMULATOR, story))
    query = Query(about="payment", order_ref=story.order_ref)
    for more in ({"merchant_private_key": private_pem(KEYS.other)}, {"merchant_serial": "7"}):
        stranger = build("x", LakalaSettings.model_validate(SETTINGS | more))
        with pytest.raises(AccessDenied):
            asked(stranger, api, query, NOW)
    with pytest.raises(BadSignature):
        asked(PLAYED, api, query, NOW, forged=True)
    another = build("x", LakalaSettings.model_validate(SETTINGS | {"merchant_no": "822000000000001"}))
    assert asked(another, api, query, NOW) == Answer(found=False)
    assert asked(PLAYED, api, Query(about="payment", order_ref="T-7"), NOW) == Answer(found=False)
    for status in (429, 500):
        reply = api.signed(api.error_response(status, None), now=NOW)
        with pytest.raises(Unavailable):
            PLAYED.read_response(query, response_of((reply.headers, reply.body), reply.status), now=NOW)
    put = put_of(PLAYED.query_request(query, now=NOW, nonce="n"))
    assert api.respond(msgspec.structs.replace(put, path="/x"), now=NOW, as_of=NOW).status == 404
    assert api.respond(msgspec.structs.replace(put, headers={}), now=NOW, as_of=NOW).summary == "验签失败"
