"""WeChat Pay v2: what the official package signs is verified, all else is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from specimen import NOW
from specimen_wechatpay_v2 import PAYMENT, SETTINGS, request, sealed
from wechatpay_v2_factories import API_KEY, BY_ORDER, REFUND, a_gateway, refund_notice
from wechatpy.pay import WeChatPay as Package
from wechatpy.pay import utils as official

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import (
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.wechatpay_v2.fields import signature
from tillkeeper.sandbox.simulators.wechatpay_v2.signing import sign, xml


def the_package(**more):
    return Package(appid=SETTINGS["app_id"], api_key=API_KEY, mch_id=SETTINGS["mch_id"], **more)


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
        st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=12).filter(lambda each: each != "sign"),
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
