"""WeChat Pay v3: what the package wechatpayv3 signs is verified, all else is refused; keys and headers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specimen import NOW, certificate_pem, private_pem, public_pem, request_of, with_header
from specimen_wechatpay import APIV3_KEY, KEY_ID, SERIAL
from wechatpay_factories import BY_CERTIFICATE, KEYS, a_gateway, a_refund, a_transaction, event_of
from wechatpayv3 import utils as official
from wechatpayv3.core import Core

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.simulators.wechatpay.signing import (
    WeChatPayKey,
    wechatpay_body,
    wechatpay_delivery,
    wechatpay_signed,
)

UNIX = str(int(NOW.timestamp()))
BY_PUBLIC_KEY = WeChatPayKey(KEY_ID, KEYS.other)


def signed_by_the_package(
    body, *, key=KEYS.own, serial=SERIAL, timestamp=UNIX, nonce="5K8264ILTKCH16CQ2502SI8ZNMTM67VS"
):
    headers = {
        "wechatpay-timestamp": [timestamp],
        "wechatpay-nonce": [nonce],
        "wechatpay-serial": [serial],
        "wechatpay-signature": [official.rsa_sign(key, f"{timestamp}\n{nonce}\n{body.decode()}\n")],
        "wechatpay-signature-type": ["WECHATPAY2-SHA256-RSA2048"],
    }
    return Request(headers=headers, body=body)


# The package signs, we verify; and the other way round.


@pytest.mark.parametrize(("key", "serial"), [(KEYS.own, SERIAL), (KEYS.other, KEY_ID)], ids=["certificate", "key"])
@pytest.mark.parametrize("text", ["{}", '{"summary":"支付成功"}', "", "not JSON", "line\nline\n"])
def test_what_the_package_signs_is_verified(key, serial, text):
    verified = a_gateway().verify(signed_by_the_package(text.encode(), key=key, serial=serial), NOW)
    assert verified.key == serial
    assert verified.content == text.encode()


@given(st.text())
def test_whatever_the_package_signs_is_verified(text):
    body = text.encode(errors="ignore")
    assert a_gateway().verify(signed_by_the_package(body), NOW).content == body


@pytest.fixture
def package_by_certificate(tmp_path):
    (tmp_path / f"{SERIAL}.pem").write_text(certificate_pem(KEYS.own, int(SERIAL, 16)))
    return Core("1900000100", "5157", private_pem(KEYS.foreign), APIV3_KEY, cert_dir=str(tmp_path))


@pytest.fixture
def package_by_public_key():
    return Core(
        "1900000100",
        "5157",
        private_pem(KEYS.foreign),
        APIV3_KEY,
        public_key=public_pem(KEYS.other),
        public_key_id=KEY_ID,
    )


@pytest.mark.parametrize(
    ("package", "key"), [("package_by_certificate", BY_CERTIFICATE), ("package_by_public_key", BY_PUBLIC_KEY)]
)
@pytest.mark.parametrize(
    ("event_type", "resource"), [("TRANSACTION.SUCCESS", a_transaction()), ("REFUND.SUCCESS", a_refund())]
)
def test_the_package_accepts_and_opens_what_the_sandbox_signs(package, key, event_type, resource, request):
    headers, body = wechatpay_delivery(key, APIV3_KEY, NOW, event_type, resource)
    opened = request.getfixturevalue(package).callback(headers, body)
    assert opened["event_type"] == event_type
    assert opened["resource"] == resource
    assert not request.getfixturevalue(package).callback(headers, body + b" ")


def test_what_the_package_opens_we_open_alike():
    body = json.loads(wechatpay_body(APIV3_KEY, NOW, "TRANSACTION.SUCCESS", json.dumps(a_transaction()).encode()))
    sealed = body["resource"]
    opened = official.aes_decrypt(sealed["nonce"], sealed["ciphertext"], sealed["associated_data"], APIV3_KEY)
    assert json.loads(opened)["transaction_id"] == event_of("TRANSACTION.SUCCESS", a_transaction()).payment_ref


# Keys and headers.


def test_both_kinds_of_key_hold_at_once_and_are_named():
    for key in (BY_CERTIFICATE, BY_PUBLIC_KEY):
        request = request_of(wechatpay_signed(key, NOW, b"{}"))
        assert a_gateway().verify(request, NOW).key == key.serial


@pytest.mark.parametrize("written", [SERIAL.lower(), "00" + SERIAL])
def test_a_serial_may_be_written_in_small_letters_or_with_zeros(written):
    assert a_gateway().verify(signed_by_the_package(b"{}", serial=written), NOW).key == SERIAL


@pytest.mark.parametrize("serial", ["", "7", SERIAL + "0", KEY_ID + "0", "PUB_KEY_ID_", "ﬀ", "x" * 5000])
def test_an_unknown_serial_is_refused_though_the_signature_is_good(serial):
    with pytest.raises(BadSignature, match="serial"):
        a_gateway().verify(signed_by_the_package(b"{}", serial=serial), NOW)


def test_the_serial_of_another_known_key_is_refused():
    with pytest.raises(BadSignature, match="not by the key"):
        a_gateway().verify(signed_by_the_package(b"{}", serial=KEY_ID), NOW)


def test_an_only_key_is_not_used_for_an_unknown_serial():
    gateway = a_gateway(platform_certs={})
    with pytest.raises(BadSignature, match="serial"):
        gateway.verify(signed_by_the_package(b"{}", key=KEYS.other, serial="7A"), NOW)


def test_the_probe_is_refused():
    probe = with_header(signed_by_the_package(b"{}"), "wechatpay-signature", ["WECHATPAY/SIGNTEST/" + "A" * 300])
    with pytest.raises(BadSignature, match="probe"):
        a_gateway().verify(probe, NOW)


def test_another_signature_type_is_refused_and_an_absent_one_is_not():
    request = signed_by_the_package(b"{}")
    for types in (["WECHATPAY2-SM2-WITH-SM3"], [""], ["WECHATPAY2-SHA256-RSA2048"] * 2):
        with pytest.raises(BadSignature) as refused:
            a_gateway().verify(with_header(request, "wechatpay-signature-type", types), NOW)
        assert refused.value.step is VerificationStep.HEADER
    assert a_gateway().verify(with_header(request, "wechatpay-signature-type", []), NOW)


def test_signed_bytes_cannot_move_between_nonce_and_body():
    signed = signed_by_the_package(b"first\nsecond")
    moved = with_header(signed, "wechatpay-nonce", [signed.header("wechatpay-nonce") + "\nfirst"])
    with pytest.raises(BadSignature, match="nonce"):
        a_gateway().verify(Request(headers=moved.headers, body=b"second"), NOW)


@pytest.mark.parametrize("nonce", ["é", "a\r", "\x00", "n" * 300])
def test_a_nonce_that_cannot_be_one_is_refused(nonce):
    with pytest.raises(BadSignature, match="nonce") as refused:
        a_gateway().verify(signed_by_the_package(b"{}", nonce=nonce), NOW)
    assert refused.value.step is VerificationStep.HEADER


@pytest.mark.parametrize("header", ["timestamp", "nonce", "serial", "signature"])
def test_each_header_must_stand_exactly_once(header):
    request = signed_by_the_package(b"{}")
    for values in ([], [request.header(f"wechatpay-{header}")] * 2):
        with pytest.raises(BadSignature, match="exactly once"):
            a_gateway().verify(with_header(request, f"wechatpay-{header}", values), NOW)
