"""Shopee, checked against documents only: a push names an order, and the order's state makes the events."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError
from simulated_stories import SimulatedStory, broken_answers, impostor_of
from specimen import NOW, request_of, response_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.messages import Answer, Query, Reply
from tillkeeper.gateways.shopee.gateway import Shopee
from tillkeeper.gateways.shopee.objects import PAID_STATUSES
from tillkeeper.gateways.shopee.settings import ShopeeSettings
from tillkeeper.sandbox.simulators.shopee.api import shopee_answer
from tillkeeper.sandbox.simulators.shopee.objects import shopee_amount, shopee_order
from tillkeeper.sandbox.simulators.shopee.signing import shopee_push, shopee_signed
from tillkeeper.sandbox.simulators.shopee.simulator import SIMULATOR

KEY = "90e0bd35c8a63d24052d2acb14ee4ae98e2f7a76e7428c3fa6e9da941960cac0"
OLDER = "shpk_older_key_of_the_till"
URL = "https://till.example/webhooks/shopee-main"
SHOP = 37698001
SN = "261005DYQX6AH5"
UNIX = int(NOW.timestamp())
PAID_AT = datetime.fromtimestamp(UNIX - 600, UTC)
PAYMENT = Query(about="payment", order_ref=SN, payment_ref=SN)
TOKEN = "5f48f7bdba99c7461860ec4eac874577"


def a_gateway(**settings):
    base = {
        "gateway": "shopee",
        "partner_keys": [KEY],
        "push_url": URL,
        "partner_id": "1000639",
        "shop_id": str(SHOP),
        "access_token": TOKEN,
    }
    return Shopee("shopee-main", ShopeeSettings.model_validate(base | settings))


def fetched(body, gateway=None):
    gateway = gateway or a_gateway()
    verified = gateway.verify(request_of(shopee_signed(KEY, URL, body)), NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


def a_push(status="READY_TO_SHIP", sn=SN, shop_id=SHOP, **more):
    return shopee_push(sn, status, shop_id=shop_id, at=UNIX, **more)


def an_order(status="READY_TO_SHIP", amount="129.90", currency="SGD", **more):
    times = {"update_time": UNIX, "pay_time": UNIX - 600} | more
    return shopee_order(SN, Decimal(amount), currency, status, **times)


def answer_to(query, body, status=200):
    return a_gateway().read_response(query, response_of(({}, body), status), now=NOW)


def events_of(*fields, **more):
    answer = answer_to(PAYMENT, shopee_answer(an_order(*fields, **more)))
    assert answer.found
    return answer.events


def an_error(error, message="said"):
    return json.dumps({"error": error, "message": message, "request_id": "r"}).encode()


# The signature.


def test_the_url_and_the_body_are_signed_with_a_bar_between():
    body = a_push()
    signature = hmac.new(KEY.encode(), URL.encode() + b"|" + body, hashlib.sha256).hexdigest()
    request = request_of(({"Authorization": signature}, body))
    assert a_gateway().verify(request, NOW).key == a_gateway().key_labels()[0]


def test_the_key_is_used_as_the_text_that_is_shown_and_not_as_hex():
    body = a_push()
    signature = hmac.new(bytes.fromhex(KEY), URL.encode() + b"|" + body, hashlib.sha256).hexdigest()
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of(({"Authorization": signature}, body)), NOW)


def test_no_scheme_word_stands_before_the_signature():
    headers, body = shopee_signed(KEY, URL, a_push())
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of(({"Authorization": f"Bearer {headers['Authorization']}"}, body)), NOW)


@pytest.mark.parametrize("url", [f"{URL}/", URL.replace("https", "http"), URL.upper(), f"{URL}?a=1", ""])
def test_the_url_is_signed_letter_for_letter(url):
    with pytest.raises(BadSignature) as caught:
        a_gateway().verify(request_of(shopee_signed(KEY, url, a_push())), NOW)
    assert caught.value.step is VerificationStep.SIGNATURE


def test_either_of_two_keys_fits_and_is_named():
    gateway = a_gateway(partner_keys=[KEY, OLDER])
    assert gateway.verify(request_of(shopee_signed(OLDER, URL, a_push())), NOW).key == gateway.key_labels()[1]


@pytest.mark.parametrize(
    "settings", [{"push_url": "till.example"}, {"shop_id": "0"}, {"shop_id": "x"}, {"partner_id": ""}]
)
def test_settings_that_are_none_are_refused(settings):
    with pytest.raises(ValidationError):
        a_gateway(**settings)


# Pushes.


@pytest.mark.parametrize("status", [*sorted(PAID_STATUSES), "CANCELLED", "SOMETHING_NEW"])
def test_a_push_about_an_order_has_it_asked_about(status):
    assert fetched(a_push(status)) == (PAYMENT,)


def test_an_order_that_nobody_paid_yet_need_not_be_asked_about():
    assert fetched(a_push("UNPAID")) == ()


def test_saving_the_url_sends_a_push_that_is_answered_with_success():
    assert fetched(b'{"code":0,"data":{"verify_info":"This is a Verification message."},"timestamp":1}') == ()
    assert a_gateway().acknowledge() == Reply(status=200, body=b"")


@pytest.mark.parametrize("code", [1, 2, 4, 10, 12, 29])
def test_other_pushes_are_of_no_interest(code):
    assert fetched(a_push(code=code)) == ()


def test_a_push_about_another_shop_is_not_ours():
    assert fetched(a_push(shop_id=SHOP + 1)) == ()


@pytest.mark.parametrize("sn", ["", "../x", "a b", "x" * 65, "é"])
def test_an_order_number_that_is_none_is_refused(sn):
    with pytest.raises(BadPayload):
        fetched(a_push(sn=sn))


@pytest.mark.parametrize(
    "body", [b"{}", b'{"code":"3"}', b'{"code":3}', b'{"code":true}', b'{"code":3,"shop_id":37698001,"data":[]}', b"[]"]
)
def test_a_push_that_cannot_be_read_is_refused(body):
    with pytest.raises(BadPayload):
        fetched(body)


def test_what_an_unproven_push_names():
    named = a_gateway().claimed_references(request_of(({}, a_push())))
    assert (named.order_ref, named.payment_ref) == (SN, SN)
    assert a_gateway().claimed_references(request_of(({}, b"{}"))) is None
    assert a_gateway().claimed_references(request_of(({}, b"["))) is None


# What an order's state says.


@pytest.mark.parametrize("status", sorted(PAID_STATUSES - {"TO_RETURN"}))
def test_an_order_that_goes_on_was_paid(status):
    (event,) = events_of(status)
    assert (event.kind, event.occurred_at) == (Kind.PAYMENT_SUCCEEDED, PAID_AT)
    assert (event.order_ref, event.payment_ref) == (SN, SN)
    assert (event.amount, event.currency, event.method) == (12990, "SGD", "Credit/Debit Card")


def test_an_order_that_the_merchant_calls_otherwise_is_named_so():
    query = Query(about="payment", order_ref="M-1", payment_ref=SN)
    (event,) = answer_to(query, shopee_answer(an_order())).events
    assert (event.order_ref, event.payment_ref) == ("M-1", SN)


def test_a_query_without_the_order_learns_it():
    (event,) = answer_to(Query(about="payment", payment_ref=SN), shopee_answer(an_order())).events
    assert event.order_ref == SN


def test_every_status_of_a_paid_order_tells_the_same_event():
    assert len({event.event_id for status in PAID_STATUSES - {"TO_RETURN"} for event in events_of(status)}) == 1


def test_without_a_time_of_payment_it_is_the_updates():
    (event,) = events_of(pay_time=None)
    assert event.occurred_at == NOW


@pytest.mark.parametrize("cash", [{"cod": True}, {"payment_method": "Cash on Delivery"}])
@pytest.mark.parametrize("status", sorted(PAID_STATUSES - {"TO_RETURN"}))
def test_cash_on_delivery_is_paid_only_when_the_order_is_completed(status, cash):
    (event,) = events_of(status, pay_time=None, **cash)
    assert event.kind is (Kind.PAYMENT_SUCCEEDED if status == "COMPLETED" else Kind.PAYMENT_PENDING)
    assert event.occurred_at == NOW


@pytest.mark.parametrize("cod", [None, 0, "false"])
def test_what_could_be_cash_on_delivery_is_not_taken_for_paid(cod):
    with pytest.raises(BadPayload):
        events_of(cod=cod)


def test_nothing_is_said_of_an_order_that_nobody_paid_yet():
    assert events_of("UNPAID", pay_time=None) == ()


@pytest.mark.parametrize("cash", [False, True])
def test_what_is_sent_back_is_disputed_until_a_person_looked(cash):
    payment, dispute = events_of("TO_RETURN", cod=cash)
    assert payment.kind is (Kind.PAYMENT_PENDING if cash else Kind.PAYMENT_SUCCEEDED)
    assert (dispute.kind, dispute.dispute_ref, dispute.amount) == (Kind.DISPUTE_OPENED, f"{SN}-return", 12990)
    assert dispute.method is None


def test_what_was_paid_and_then_cancelled_was_refunded_whole():
    payment, refund = events_of("CANCELLED", cancel_by="buyer")
    assert (payment.kind, payment.occurred_at) == (Kind.PAYMENT_SUCCEEDED, PAID_AT)
    assert (refund.kind, refund.refund_ref, refund.amount) == (Kind.REFUND_SUCCEEDED, f"{SN}-cancelled", 12990)
    assert (refund.payment_ref, refund.occurred_at) == (SN, NOW)


@pytest.mark.parametrize("pay_time", [None, 0])
@pytest.mark.parametrize(
    ("reason", "failure", "code"),
    [
        ({"cancel_reason": "Unpaid Order", "cancel_by": "system"}, FailureClass.EXPIRED_UNPAID, "Unpaid Order"),
        ({"cancel_reason": "Suspected fraud order"}, FailureClass.SUSPECTED_FRAUD, "Suspected fraud order"),
        ({"cancel_reason": "Change of mind", "cancel_by": "buyer"}, FailureClass.USER_CANCELLED, "Change of mind"),
        ({"cancel_by": "BUYER"}, FailureClass.USER_CANCELLED, "BUYER"),
        ({"cancel_by": "seller", "cancel_reason": "OUT_OF_STOCK" * 9}, FailureClass.UNKNOWN, ("OUT_OF_STOCK" * 9)[:64]),
        ({}, FailureClass.UNKNOWN, None),
    ],
)
def test_why_an_order_was_cancelled_unpaid(reason, failure, code, pay_time):
    (event,) = events_of("CANCELLED", pay_time=pay_time, **reason)
    assert (event.kind, event.failure, event.failure_code) == (Kind.PAYMENT_CANCELLED, failure, code)


def test_cash_that_was_never_paid_is_not_refunded():
    (event,) = events_of("CANCELLED", cod=True)
    assert event.kind is Kind.PAYMENT_CANCELLED


def test_a_word_that_is_not_known_makes_no_event_and_is_told(words):
    assert events_of("MELTED") == ()
    assert events_of(currency="XXB") == ()
    assert words() == [("order_status", "MELTED"), ("currency", "XXB")]


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("10000.0", "VND", 10000),
        ("10000", "VND", 10000),
        ("10000.0", "IDR", 1000000),
        ("1E+4", "IDR", 1000000),
        ("310.0", "TWD", 31000),
        ("129.9", "SGD", 12990),
        ("0.29", "MYR", 29),
    ],
)
def test_amounts_in_major_units(written, currency, minor):
    (event,) = events_of(amount=written, currency=currency)
    assert event.amount == minor


@pytest.mark.parametrize(("written", "currency"), [("10000.5", "VND"), ("0.001", "SGD"), ("-1.00", "SGD")])
def test_amounts_that_do_not_fit_are_refused(written, currency):
    with pytest.raises(BadPayload):
        events_of(amount=written, currency=currency)


def test_the_sandbox_writes_decimals_where_there_are_none():
    assert [str(shopee_amount(10000, each)) for each in ("VND", "IDR")] == ["10000.0", "100.00"]


# Asking.


@pytest.mark.parametrize("query", [PAYMENT, Query(about="payment", order_ref=SN)])
def test_a_call_is_signed_over_path_time_token_and_shop(query):
    url = urlsplit(a_gateway(partner_keys=[KEY, OLDER]).query_request(query, now=NOW, nonce="n").url)
    query = dict(parse_qsl(url.query))
    signed = f"1000639/api/v2/order/get_order_detail{UNIX}{TOKEN}{SHOP}"
    assert f"{url.scheme}://{url.netloc}{url.path}" == (
        "https://partner.shopeemobile.com/api/v2/order/get_order_detail"
    )
    assert query == {
        "partner_id": "1000639",
        "timestamp": str(UNIX),
        "access_token": TOKEN,
        "shop_id": str(SHOP),
        "sign": hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).hexdigest(),
        "order_sn_list": SN,
        "response_optional_fields": "total_amount,pay_time,payment_method,cancel_by,cancel_reason",
    }


@pytest.mark.parametrize(
    "query",
    [
        Query(about="refund", order_ref=SN, payment_ref=SN, refund_ref="r"),
        Query(about="payment"),
        Query(about="payment", order_ref="a,b"),
    ],
)
def test_what_cannot_be_asked(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


def test_without_a_token_nothing_is_asked():
    with pytest.raises(CannotQuery, match="access_token"):
        a_gateway(access_token=None).query_request(PAYMENT, now=NOW, nonce="n")


@pytest.mark.parametrize(
    "body",
    [an_error("error_not_found"), an_error("order.error_not_found"), shopee_answer()],
    ids=["v2", "order", "none"],
)
def test_not_found_is_no_failure(body):
    assert answer_to(PAYMENT, body) == Answer(found=False)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, an_error("error_server"), Unavailable),
        (200, an_error("error_rate_limit"), Unavailable),
        (429, b"", Unavailable),
        (502, b"<html>", Unavailable),
        (403, an_error("invalid_acceess_token"), AccessDenied),
        (200, an_error("invalid_access_token"), AccessDenied),
        (200, an_error("error_auth"), AccessDenied),
        (200, an_error("error_sign"), AccessDenied),
        (401, b"", AccessDenied),
        (200, an_error("error_param"), BadPayload),
        (200, an_error("Strange Words"), BadPayload),
        (404, b"", BadPayload),
        (400, shopee_answer(an_order()), BadPayload),
        (200, b'{"response":{"order_list":[]}}', BadPayload),
        (200, b'{"error":"","response":{"order_list":{}}}', BadPayload),
        (200, shopee_answer(an_order(), an_order()), BadPayload),
        (200, shopee_answer(shopee_order("261005OTHER", Decimal(1), "SGD", "COMPLETED")), BadPayload),
    ],
)
def test_other_answers(status, body, error):
    with pytest.raises(error):
        answer_to(PAYMENT, body, status)


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda each: each.name)
@pytest.mark.parametrize("currency", ["IDR", "VND", "SGD"])
def test_a_simulated_story_ends_as_it_says(template, currency):
    if template.in_other_currency and currency == "VND":
        currency = "TWD"  # VND is what the order is due in then
    played = SimulatedStory(SIMULATOR, Shopee, template, currency)
    assert played.end(played.deliveries()) == played.story.expected
    assert played.end(played.answers()) == played.story.expected


def test_the_simulated_api_refuses_and_breaks_as_shopee_does():
    played = SimulatedStory(SIMULATOR, Shopee, SIMULATOR.templates[0])
    assert broken_answers(played) == ["Unavailable", "Unavailable", "BadPayload"]
    assert not played.answer(Query(about="payment", order_ref="nobody")).found


@pytest.mark.parametrize(
    ("changed", "late"), [({"access_token": "another_token"}, 0), ({"shop_id": "1"}, 0), ({}, 301)]
)
def test_the_simulated_api_checks_the_signature_and_its_time(changed, late):
    played = SimulatedStory(SIMULATOR, Shopee, SIMULATOR.templates[0])
    changed_settings = {"gateway": "shopee", **SIMULATOR.settings(played.signer), **changed}
    played.gateway = Shopee("shopee-main", ShopeeSettings.model_validate(changed_settings))
    asked = played.gateway.query_request
    played.gateway.query_request = lambda query, now, nonce: asked(
        query, now=now - timedelta(seconds=late), nonce=nonce
    )
    with pytest.raises(AccessDenied):
        played.answer(PAYMENT)


def test_the_simulators_impostor_is_refused():
    played = SimulatedStory(SIMULATOR, Shopee, SIMULATOR.templates[0])
    signed = impostor_of(played).sign(played.story, played.story.events[0], now=NOW, again=0)
    with pytest.raises(BadSignature):
        played.gateway.verify(request_of(signed), NOW)
