"""WeChat Pay: what notices mean."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError
from specimen import NOW, certificate_pem, private_pem, public_pem
from specimen_wechatpay import APIV3_KEY, KEY_ID, SERIAL, settings_of
from wechatpay_factories import KEYS, a_gateway, a_refund, a_transaction, event_of, events_of

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.wechatpay.objects import REFUND_STATUSES, TRADE_STATES
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.simulators.wechatpay.objects import rfc3339
from tillkeeper.sandbox.simulators.wechatpay.signing import (
    wechatpay_body,
)


def combined(*sub_orders, **more):
    return {
        "combine_appid": "wx8888888888888888",
        "combine_mchid": "1900000100",
        "combine_out_trade_no": "COMBINED-1",
        "scene_info": {"device_id": "POS1:1"},
        "sub_orders": list(sub_orders),
        "combine_payer_info": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    } | more


# States.


@pytest.mark.parametrize(
    ("state", "kind", "failure"),
    [
        ("SUCCESS", "payment.succeeded", None),
        ("REFUND", "payment.succeeded", None),
        ("USERPAYING", "payment.pending", None),
        ("CLOSED", "payment.cancelled", "expired_unpaid"),
        ("REVOKED", "payment.cancelled", "user_cancelled"),
        ("PAYERROR", "payment.failed", "unknown"),
        ("ACCEPT", "payment.pending", None),
        ("ACCEPTED", "payment.pending", None),
        ("PAY_FAIL", "payment.failed", "unknown"),
        ("FAIL", "payment.failed", "unknown"),
    ],
)
def test_what_happens_to_a_payment_is_told_by_its_state(state, kind, failure):
    event = event_of("TRANSACTION.SUCCESS", a_transaction(trade_state=state), id="EV-7")
    assert event.event_id == "EV-7"
    assert event.kind == kind
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "4200001")
    assert (event.amount, event.total, event.currency) == (12900, None, "CNY")
    assert event.occurred_at == NOW - timedelta(seconds=2)
    assert event.failure == failure
    assert event.failure_code == (state if failure else None)
    assert event.has_refunds is (state == "REFUND")


@pytest.mark.parametrize("state", ["NOTPAY", "PAY_BACK"])
def test_a_payment_not_begun_or_long_paid_changes_nothing(state):
    assert events_of("TRANSACTION.SUCCESS", a_transaction(trade_state=state)) == ()


@pytest.mark.parametrize("event_type", ["TRANSACTION.FAIL", "TRANSACTION.INDUSTRY_FAILED", "TRANSACTION.SUCCESS"])
@pytest.mark.parametrize("state", ["PAY_FAIL", "ACCEPTED", "FAIL"])
def test_a_deduction_that_has_no_number_goes_by_its_orders(event_type, state):
    event = event_of(event_type, a_transaction(trade_state=state, transaction_id=None, success_time=None, payer=None))
    assert (event.order_ref, event.payment_ref, event.amount) == ("ORDER-1", "ORDER-1", 12900)


@pytest.mark.parametrize(
    ("event_type", "resource", "word"),
    [
        ("TRANSACTION.SUCCESS", a_transaction(trade_state="HALF"), ("trade_state", "HALF")),
        ("REFUND.SUCCESS", a_refund(refund_status="HALF"), ("refund_status", "HALF")),
        (
            "TRANSACTION.SUCCESS",
            a_transaction(amount={"total": 1, "currency": "cny"}),
            ("amount.currency", "cny"),
        ),
        ("REFUND.SUCCESS", a_refund(amount={"refund": 1, "currency": "XXB"}), ("amount.currency", "XXB")),
    ],
)
def test_a_word_that_is_not_known_makes_no_event_and_is_told(words, event_type, resource, word):
    assert events_of(event_type, resource) == ()
    assert words() == [word]


@pytest.mark.parametrize(
    ("status", "kind", "failure"),
    [
        ("SUCCESS", "refund.succeeded", None),
        ("PROCESSING", "refund.pending", None),
        ("ABNORMAL", "refund.failed", "account_frozen"),
        ("CLOSED", "refund.failed", "unknown"),
    ],
)
@pytest.mark.parametrize("event_type", ["REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"])
def test_what_happens_to_a_refund_is_told_by_its_status(event_type, status, kind, failure):
    event = event_of(event_type, a_refund(refund_status=status))
    assert event.kind == kind
    assert (event.order_ref, event.payment_ref, event.refund_ref) == ("ORDER-1", "4200001", "RORDER-1")
    assert (event.amount, event.total, event.currency) == (400, None, "CNY")
    assert event.occurred_at == NOW - timedelta(seconds=3)
    assert event.failure == failure


def test_every_state_of_the_tables_is_tested_here():
    assert len(TRADE_STATES) == 12
    assert len(REFUND_STATUSES) == 4


@pytest.mark.parametrize("event_type", ["COUPON.USE", "PAYSCORE.USER_PAID", "SOMETHING", "refund.success"])
def test_a_type_of_no_interest_is_answered_and_changes_nothing(event_type):
    assert events_of(event_type, a_transaction()) == ()


def test_the_order_amount_counts_and_not_what_the_payer_paid_after_a_coupon():
    amount = {"total": 12900, "payer_total": 12400, "currency": "CNY", "payer_currency": "CNY"}
    assert event_of("TRANSACTION.SUCCESS", a_transaction(amount=amount)).amount == 12900


def test_another_currency_is_kept():
    amount = {"total": 12900, "payer_total": 12400, "currency": "HKD", "payer_currency": "CNY"}
    assert event_of("TRANSACTION.SUCCESS", a_transaction(amount=amount)).currency == "HKD"


def test_a_refund_is_known_by_the_merchants_number_else_by_wechats_own():
    assert event_of("REFUND.SUCCESS", a_refund(refund_id=None)).refund_ref == "RORDER-1"
    assert event_of("REFUND.SUCCESS", a_refund(out_refund_no=None)).refund_ref == "5030001"


def test_the_method_is_the_trade_type():
    assert event_of("TRANSACTION.SUCCESS", a_transaction(trade_type="NATIVE")).method == "NATIVE"
    assert event_of("TRANSACTION.SUCCESS", a_transaction(trade_type=None)).method is None


def test_a_closed_refund_has_the_time_of_its_notice():
    refund = a_refund(refund_status="CLOSED", success_time=None)
    assert event_of("REFUND.CLOSED", refund, create_time=rfc3339(NOW - timedelta(hours=1))).occurred_at == (
        NOW - timedelta(hours=1)
    )


def test_times_of_shanghai_come_out_in_utc():
    event = event_of("TRANSACTION.SUCCESS", a_transaction(success_time="2026-01-01T07:59:59+08:00"))
    assert event.occurred_at == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)


# Not ours.


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("TRANSACTION.SUCCESS", a_transaction(mchid="1900000109")),
        ("TRANSACTION.SUCCESS", a_transaction(appid="wx7777777777777777")),
        ("REFUND.SUCCESS", a_refund(mchid="1900000109")),
    ],
)
def test_another_shops_event_is_answered_and_changes_nothing(event_type, resource):
    assert events_of(event_type, resource) == ()


def test_without_an_app_id_every_app_of_the_merchant_is_ours():
    gateway = a_gateway(app_id=None)
    assert events_of("TRANSACTION.SUCCESS", a_transaction(appid="wx7777777777777777"), gateway=gateway)


def test_an_event_of_no_merchant_is_refused():
    with pytest.raises(BadPayload, match="mchid"):
        events_of("TRANSACTION.SUCCESS", a_transaction(mchid=None))


# Service providers (服务商), who have sub-merchants.

PROVIDED = {"mchid": None, "appid": None, "sp_mchid": "1900000100", "sp_appid": "wx8888888888888888"}


def provided(resource, sub_mch_id="1900000109", **more):
    return resource | PROVIDED | {"sub_mchid": sub_mch_id, "sub_appid": "wx7777777777777777"} | more


@pytest.mark.parametrize(
    ("event_type", "resource", "kind"),
    [("TRANSACTION.SUCCESS", a_transaction(), "payment.succeeded"), ("REFUND.SUCCESS", a_refund(), "refund.succeeded")],
)
@pytest.mark.parametrize(
    "provide", [provided, lambda each: each | {"sub_mchid": "1900000109"}], ids=["sp_mchid", "mchid"]
)
def test_a_service_providers_account_counts_its_sub_merchants_payments(event_type, resource, kind, provide):
    for gateway in (a_gateway(), a_gateway(sub_mch_ids=["1900000110", "1900000109"])):
        event = event_of(event_type, provide(resource), gateway=gateway)
        assert (event.kind, event.order_ref, event.payment_ref) == (kind, "ORDER-1", "4200001")


@pytest.mark.parametrize("event_type", ["TRANSACTION.SUCCESS", "REFUND.SUCCESS"])
@pytest.mark.parametrize(
    "of",
    [
        lambda each: provided(
            each, sp_mchid="1900000101"
        ),  # another provider, even where its sub-merchant is our number
        lambda each: provided(each, sp_mchid="1900000101", sub_mchid="1900000100"),
        lambda each: provided(each, sub_mch_id="1900000110"),
        lambda each: provided(each, sub_mch_id=None),
        lambda each: each,  # the provider's own, as a merchant
    ],
)
def test_others_count_for_nothing(event_type, of):
    resource = a_transaction() if event_type == "TRANSACTION.SUCCESS" else a_refund()
    assert events_of(event_type, of(resource), gateway=a_gateway(sub_mch_ids=["1900000109"])) == ()


def test_the_app_may_be_the_providers_or_the_sub_merchants():
    for app_id, counts in (("wx8888888888888888", 1), ("wx7777777777777777", 1), ("wx6666666666666666", 0)):
        assert (
            len(events_of("TRANSACTION.SUCCESS", provided(a_transaction()), gateway=a_gateway(app_id=app_id))) == counts
        )


# Combined payments (合单), which pay several orders at once.


def a_sub_order(number, **more):
    amount = {"total_amount": 1000 * number, "payer_amount": 999, "currency": "CNY", "payer_currency": "CNY"}
    order = a_transaction(out_trade_no=f"ORDER-{number}", transaction_id=f"420000{number}", amount=amount)
    return {name: value for name, value in order.items() if name not in {"appid", "payer"}} | more


def test_each_order_of_a_combined_payment_is_paid_for_itself():
    payment = combined(
        a_sub_order(1), a_sub_order(2), a_sub_order(3, mchid="1900000109"), a_sub_order(4, trade_state="NOTPAY")
    )
    events = events_of("TRANSACTION.SUCCESS", payment, id="EV-7")
    assert [(event.event_id, event.order_ref, event.payment_ref, event.amount) for event in events] == [
        ("EV-7:ORDER-1", "ORDER-1", "4200001", 1000),
        ("EV-7:ORDER-2", "ORDER-2", "4200002", 2000),
    ]
    assert {(event.kind, event.currency, event.occurred_at) for event in events} == {
        ("payment.succeeded", "CNY", NOW - timedelta(seconds=2))
    }
    assert len(events_of("TRANSACTION.SUCCESS", combined(a_sub_order(1)), id="EV-7")) == 1


def test_of_a_combined_payment_others_orders_count_for_nothing():
    assert events_of("TRANSACTION.SUCCESS", combined(a_sub_order(1), combine_appid="wx7777777777777777")) == ()
    of_two = combined(a_sub_order(1, sub_mchid="1900000109"), a_sub_order(2, sub_mchid="1900000110"))
    (event,) = events_of("TRANSACTION.SUCCESS", of_two, gateway=a_gateway(sub_mch_ids=["1900000110"]))
    assert event.order_ref == "ORDER-2"


# What is no payment, though its event_type is that of one.


SHARED = {
    "mchid": "1900000100",
    "transaction_id": "4200001",
    "order_id": "1217752501201407033233368018",
    "out_order_no": "P20150806125346",
    "receiver": {"type": "MERCHANT_ID", "account": "1900000109", "amount": 888, "description": "运费"},
    "success_time": "2026-10-05T19:59:58+08:00",
}


def typed(original_type):
    return json.loads(wechatpay_body(APIV3_KEY, NOW, "", json.dumps(SHARED).encode()))["resource"] | {
        "original_type": original_type
    }


def test_profit_sharing_is_acknowledged_and_changes_nothing(words):
    assert events_of("TRANSACTION.SUCCESS", SHARED, resource=typed("profitsharing")) == ()
    sp = SHARED | {"sp_mchid": "1900000100", "sub_mchid": "1900000109"}
    sealed = json.loads(wechatpay_body(APIV3_KEY, NOW, "", json.dumps(sp).encode()))["resource"]
    assert events_of("TRANSACTION.SUCCESS", sp, resource=sealed | {"original_type": "profitsharing"}) == ()
    assert words() == []


def test_what_is_of_another_type_and_looks_like_no_payment_is_acknowledged_and_told(words):
    assert events_of("TRANSACTION.SUCCESS", SHARED, resource=typed("something")) == ()
    assert words() == [("resource.original_type", "something")]


@pytest.mark.parametrize("original_type", [None, "combine_transaction", "parking"])
def test_what_looks_like_a_payment_is_one_whatever_its_type_is_called(original_type):
    body = json.loads(wechatpay_body(APIV3_KEY, NOW, "TRANSACTION.SUCCESS", json.dumps(a_transaction()).encode()))
    resource = body["resource"] | {"original_type": original_type}
    assert event_of("TRANSACTION.SUCCESS", a_transaction(), resource=resource).amount == 12900


# What makes no sense.


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("TRANSACTION.SUCCESS", a_transaction(trade_state=None)),
        ("TRANSACTION.SUCCESS", a_transaction(out_trade_no="")),
        ("TRANSACTION.SUCCESS", a_transaction(out_trade_no="x" * 256)),
        ("TRANSACTION.SUCCESS", a_transaction(transaction_id=None)),
        ("TRANSACTION.SUCCESS", a_transaction(amount=None)),
        ("TRANSACTION.SUCCESS", a_transaction(amount={"total": -1, "currency": "CNY"})),
        ("TRANSACTION.SUCCESS", a_transaction(amount={"total": "1", "currency": "CNY"})),
        ("TRANSACTION.SUCCESS", a_transaction(success_time="yesterday")),
        ("REFUND.SUCCESS", a_refund(refund_status=None)),
        ("TRANSACTION.SUCCESS", combined({"mchid": "1900000100"})),
        ("TRANSACTION.SUCCESS", combined({"out_trade_no": "ORDER-2"})),
        ("TRANSACTION.SUCCESS", combined("ORDER-2")),
        ("TRANSACTION.SUCCESS", combined() | {"sub_orders": {}}),
        ("REFUND.SUCCESS", a_refund(refund_id=None, out_refund_no=None)),
        ("REFUND.SUCCESS", a_refund(amount={"total": 1})),
    ],
)
def test_a_resource_that_makes_no_sense_is_refused(event_type, resource):
    with pytest.raises(BadPayload):
        events_of(event_type, resource)


def sealed_resource(**changes):
    body = json.loads(wechatpay_body(APIV3_KEY, NOW, "TRANSACTION.SUCCESS", json.dumps(a_transaction()).encode()))
    return body["resource"] | changes


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (None, "missing"),
        (sealed_resource(algorithm="AEAD_SM4_GCM"), "algorithm"),
        (sealed_resource(nonce="short"), "nonce"),
        (sealed_resource(nonce="支付支付"), "open"),
        (sealed_resource(nonce="x" * 200), "nonce"),
        (sealed_resource(associated_data="refund"), "open"),
        (sealed_resource(associated_data=None), "open"),
        (sealed_resource(ciphertext="AAAA"), "open"),
        (sealed_resource(ciphertext="é"), "base64"),
        (sealed_resource(ciphertext="A"), "base64"),
        (sealed_resource(ciphertext=""), "missing"),
    ],
)
def test_a_resource_that_does_not_open_is_refused(resource, reason):
    with pytest.raises(BadPayload, match=reason):
        events_of("TRANSACTION.SUCCESS", a_transaction(), resource=resource)


def test_a_resource_sealed_for_another_merchant_is_refused():
    with pytest.raises(BadPayload, match="apiv3_key"):
        events_of("TRANSACTION.SUCCESS", a_transaction(), gateway=a_gateway(apiv3_key="f" * 32))


def test_a_resource_without_associated_data_opens():
    plain, nonce = json.dumps(a_transaction()).encode(), "0123456789ab"
    ciphertext = b64encode(AESGCM(APIV3_KEY.encode()).encrypt(nonce.encode(), plain, b"")).decode()
    for absent in ({"associated_data": ""}, {}):
        resource = {"algorithm": "AEAD_AES_256_GCM", "ciphertext": ciphertext, "nonce": nonce, **absent}
        assert event_of("TRANSACTION.SUCCESS", a_transaction(), resource=resource).amount == 12900


# Answers and settings.


def test_success_is_an_empty_answer_and_an_error_is_json():
    assert (a_gateway().acknowledge().status, a_gateway().acknowledge().body) == (204, b"")
    refusal = a_gateway().refuse(401)
    assert refusal.content_type == "application/json"
    assert json.loads(refusal.body) == {"code": "FAIL", "message": "refused"}


def pem_of(key):
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"platform_certs": {}, "public_keys": {}}, "platform_certs or public_keys"),
        ({"platform_certs": {"77": certificate_pem(KEYS.own, int(SERIAL, 16))}}, "another serial"),
        ({"platform_certs": {SERIAL: "no PEM"}}, "certificate is not PEM"),
        ({"platform_certs": {SERIAL: public_pem(KEYS.own)}}, "certificate is not PEM"),
        ({"public_keys": {KEY_ID: "no PEM"}}, "public key is not PEM"),
        ({"public_keys": {KEY_ID: pem_of(ec.generate_private_key(ec.SECP256R1()).public_key())}}, "must be RSA"),
        ({"public_keys": {KEY_ID: pem_of(rsa.generate_private_key(65537, 1024).public_key())}}, "2048 bits"),
        ({"public_keys": {f"{KEY_ID}{at}": public_pem(KEYS.own) for at in range(6)}}, "at most 5"),
        ({"apiv3_key": "too short for it"}, "32 characters"),
        ({"apiv3_key": " " * 32}, "empty"),
        ({"mch_id": ""}, "mch_id"),
        ({"merchant_private_key": "no PEM"}, "private key is not PEM"),
        ({"merchant_private_key": public_pem(KEYS.own)}, "private key is not PEM"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_could_not_work_say_why_and_never_show_the_key(settings, says):
    with pytest.raises(ValidationError, match=says) as caught:
        a_gateway(**settings)
    assert APIV3_KEY not in str(caught.value)


def test_a_merchant_key_that_is_not_rsa_is_refused():
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ValidationError, match="must be RSA"):
        a_gateway(merchant_private_key=private_pem(key))


def test_a_merchant_key_is_taken_and_not_shown():
    settings = WeChatPaySettings.model_validate(
        settings_of(KEYS) | {"merchant_private_key": private_pem(KEYS.own), "merchant_serial": "77"}
    )
    assert "PRIVATE" not in repr(settings)
    assert APIV3_KEY not in repr(settings)
