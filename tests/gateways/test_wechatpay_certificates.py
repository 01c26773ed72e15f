"""Platform certificates fetched: the package wechatpayv3 takes in the same; what is refused; how long they count."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from certificates import issue
from cryptography.hazmat.primitives.serialization import Encoding
from specimen import NOW, response_of, rsa_keys, with_header
from specimen_wechatpay import APIV3_KEY, KEY_ID, SERIAL, settings_of, specimen
from wechatpayv3 import core as package_core
from wechatpayv3 import utils as official
from wechatpayv3.core import Core

from tillkeeper.gateways.account import ROTATED_MAX
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable, VerificationStep
from tillkeeper.gateways.messages import Call, Response
from tillkeeper.gateways.wechatpay.certificates import LISTED_MAX, REST
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.simulators.wechatpay.api import platform_certificate, wechatpay_certificates
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_signed

KEYS = rsa_keys()
NONCE = "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"
NEW = WeChatPayKey("7777777777777777777777777777777777777777", KEYS.foreign)  # not configured anywhere
CONFIGURED = WeChatPayKey(SERIAL, KEYS.own)
NEW_CERTIFICATE = platform_certificate(NEW, NOW)
NOTICE = specimen(KEYS).valid
CALL = Call(method="GET", url="https://api.mch.weixin.qq.com/v3/certificates", headers={})


def made(**changes):
    return WeChatPay("wechat-main", WeChatPaySettings.model_validate(settings_of(KEYS) | changes))


@pytest.fixture
def gateway():
    return made()


def listed(*certificates, by=CONFIGURED, at=NOW, **changes):
    content = json.loads(wechatpay_certificates(APIV3_KEY, certificates))
    for each in content["data"]:
        each.update(changes)
    return response_of(wechatpay_signed(by, at, json.dumps(content).encode()))


def a_notice(key=NEW, at=NOW):
    headers, body = wechatpay_signed(key, at, NOTICE.body)
    return response_of((headers, body)), body


def request(key=NEW, at=NOW):
    response, body = a_notice(key, at)
    return type(NOTICE)(headers=response.headers, body=body)


def missing_key_request(gateway, asked=None, now=NOW):
    return gateway.missing_key_request(asked or request(), now=now, nonce=NONCE)


# The package.


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Its core as it starts without a certificate, with our key, clock and answers."""
    monkeypatch.setattr(official.time, "time", NOW.timestamp)
    monkeypatch.setattr(official.uuid, "uuid4", lambda: NONCE)
    sent = {}

    def get(**call):
        sent.update(call)
        response = listed(NEW_CERTIFICATE, by=NEW)
        headers = {name: values[0] for name, values in response.headers.items()}
        return SimpleNamespace(status_code=200, headers=headers, text=response.body.decode(), content=response.body)

    monkeypatch.setattr(package_core.requests, "get", get)
    merchant = settings_of(KEYS)
    core = Core(
        "1900000100",
        merchant["merchant_serial"],
        merchant["merchant_private_key"],
        APIV3_KEY,
        cert_dir=str(tmp_path),
    )
    return core, sent


def test_the_package_asks_the_same_and_takes_in_the_same(package, gateway):
    core, sent = package
    call = missing_key_request(gateway)
    assert (call.method, call.url, call.body) == ("GET", sent["url"], b"")
    assert call.headers["Authorization"] == sent["headers"]["Authorization"]
    assert "Wechatpay-Serial" not in call.headers
    assert [certificate.serial_number for certificate in core._certificates] == [int(NEW.serial, 16)]
    gateway.read_key(CALL, listed(NEW_CERTIFICATE, by=NEW), now=NOW)
    assert gateway.verify(request(), NOW).key == NEW.serial


# When it is fetched.


def test_a_notice_by_a_new_certificate_is_taken_once_the_list_is_fetched(gateway):
    with pytest.raises(BadSignature) as refused:
        gateway.verify(request(), NOW)
    assert refused.value.step is VerificationStep.KEY
    gateway.read_key(CALL, listed(NEW_CERTIFICATE), now=NOW)
    [event] = gateway.parse(gateway.verify(request(), NOW))
    assert event.order_ref == "ORDER-1"
    assert gateway.verify(NOTICE, NOW).key == SERIAL  # beside the one that is configured


def test_it_is_fetched_for_what_could_be_a_certificate_and_is_not_at_hand(gateway):
    assert missing_key_request(gateway) is not None
    assert missing_key_request(gateway, NOTICE) is None
    assert missing_key_request(gateway, request(WeChatPayKey("PUB_KEY_ID_0199", KEYS.foreign))) is None
    assert missing_key_request(gateway, with_header(request(), "wechatpay-serial", [])) is None
    assert missing_key_request(gateway, with_header(request(), "wechatpay-serial", ["../../x"])) is None
    assert missing_key_request(made(merchant_serial=None)) is None
    assert missing_key_request(made(platform_certs={})) is not None


def test_what_was_not_in_the_list_is_not_asked_for_again_at_once(gateway):
    gateway.read_key(CALL, listed(platform_certificate(CONFIGURED, NOW)), now=NOW)
    assert missing_key_request(gateway, now=NOW + REST / 2) is None
    assert missing_key_request(gateway, now=NOW + REST) is not None


def test_it_is_fetched_from_time_to_time_where_certificates_are_used(gateway):
    assert gateway.key_refresh_request(now=NOW, nonce=NONCE) == missing_key_request(gateway)
    assert made(merchant_serial=None).key_refresh_request(now=NOW, nonce=NONCE) is None
    by_public_key = made(platform_certs={})
    assert by_public_key.key_refresh_request(now=NOW, nonce=NONCE) is None
    by_public_key.read_key(CALL, listed(NEW_CERTIFICATE, by=NEW), now=NOW)
    assert by_public_key.key_refresh_request(now=NOW, nonce=NONCE) is not None


# What is taken in.


def test_a_list_may_be_signed_by_a_public_key_a_fetched_certificate_or_one_in_it(gateway):
    gateway.read_key(CALL, listed(NEW_CERTIFICATE, by=WeChatPayKey(KEY_ID, KEYS.other)), now=NOW)
    gateway.read_key(CALL, listed(by=NEW), now=NOW)
    assert gateway.verify(request(), NOW)


@pytest.mark.parametrize(
    "response",
    [
        listed(NEW_CERTIFICATE, by=WeChatPayKey(SERIAL, KEYS.foreign)),
        listed(NEW_CERTIFICATE, by=WeChatPayKey("88888888", KEYS.foreign)),
        listed(NEW_CERTIFICATE, by=WeChatPayKey(NEW.serial, KEYS.own)),
        listed(NEW_CERTIFICATE, at=NOW - timedelta(hours=1)),
        Response(status=200, headers={}, body=listed(NEW_CERTIFICATE).body),
    ],
    ids=["by another key", "by a stranger", "by a key that is not the certificate's", "an hour ago", "unsigned"],
)
def test_a_list_that_is_not_the_gateways_is_refused_and_nothing_is_learnt(gateway, response):
    with pytest.raises(BadSignature):
        gateway.read_key(CALL, response, now=NOW)
    with pytest.raises(BadSignature):
        gateway.verify(request(), NOW)
    assert missing_key_request(gateway) is not None


def sealed_by_another():
    content = json.loads(wechatpay_certificates("x" * 32, [NEW_CERTIFICATE]))
    return response_of(wechatpay_signed(CONFIGURED, NOW, json.dumps(content).encode()))


def sealing(plain):
    """A list with something else in a certificate's place."""
    certificate = SimpleNamespace(
        serial_number=int(NEW.serial, 16),
        public_bytes=lambda _: plain,
        not_valid_before_utc=NOW,
        not_valid_after_utc=NOW,
    )
    return listed(certificate)


@pytest.mark.parametrize(
    "response",
    [
        sealed_by_another(),
        sealing(b"no certificate"),
        sealing(b"\xff"),
        listed(NEW_CERTIFICATE, serial_no="88888888"),
        listed(NEW_CERTIFICATE, serial_no=None),
        listed(NEW_CERTIFICATE, encrypt_certificate=None),
        listed(*[NEW_CERTIFICATE] * (LISTED_MAX + 1)),
        response_of(wechatpay_signed(CONFIGURED, NOW, b'{"data": {}}')),
        response_of(wechatpay_signed(CONFIGURED, NOW, b"<html>")),
        response_of(wechatpay_signed(CONFIGURED, NOW, b'{"code": "RESOURCE_NOT_EXISTS"}'), status=404),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(gateway, response):
    with pytest.raises(BadPayload):
        gateway.read_key(CALL, response, now=NOW)


def test_whose_fault_it_is_that_there_is_no_list(gateway):
    with pytest.raises(Unavailable):
        gateway.read_key(CALL, Response(status=500, headers={}, body=b""), now=NOW)
    with pytest.raises(AccessDenied):
        gateway.read_key(CALL, Response(status=401, headers={}, body=b'{"code": "SIGN_ERROR"}'), now=NOW)


def test_a_certificate_counts_while_it_is_valid(gateway):
    certificate = issue(
        "Tenpay", KEYS.foreign, since=NOW - timedelta(days=1), until=NOW + timedelta(days=1)
    ).certificate
    key = WeChatPayKey(f"{certificate.serial_number:x}", KEYS.foreign)
    gateway.read_key(CALL, listed(certificate), now=NOW)
    assert gateway.verify(request(key), NOW)
    after = NOW + timedelta(days=1, seconds=1)
    with pytest.raises(BadSignature):
        gateway.verify(request(key, after), after)
    assert missing_key_request(gateway, request(key, after), after) is not None


def test_a_configured_certificate_counts_while_it_is_valid_and_then_the_list_is_fetched():
    gateway = made(platform_certs={NEW.serial: NEW_CERTIFICATE.public_bytes(Encoding.PEM).decode()})
    assert gateway.key_labels()[0] == NEW.serial
    for at in (NEW_CERTIFICATE.not_valid_before_utc, NEW_CERTIFICATE.not_valid_after_utc):
        assert gateway.verify(request(at=at), at).key == NEW.serial
        assert missing_key_request(gateway, request(at=at), at) is None
    for at in (
        NEW_CERTIFICATE.not_valid_before_utc - timedelta(seconds=1),
        NEW_CERTIFICATE.not_valid_after_utc + timedelta(seconds=1),
    ):
        with pytest.raises(BadSignature, match="not valid at this time; was it renewed") as refused:
            gateway.verify(request(at=at), at)
        assert refused.value.step is VerificationStep.KEY
        assert missing_key_request(gateway, request(at=at), at) is not None


def test_certificates_before_and_after_their_time_are_passed_over(gateway):
    over = issue("Tenpay", KEYS.foreign, since=NOW - timedelta(days=2), until=NOW - timedelta(days=1)).certificate
    not_yet = issue("Tenpay", KEYS.foreign, since=NOW + timedelta(days=1), until=NOW + timedelta(days=2)).certificate
    gateway.read_key(CALL, listed(over, not_yet), now=NOW)
    for certificate in (over, not_yet):
        with pytest.raises(BadSignature):
            gateway.verify(request(WeChatPayKey(f"{certificate.serial_number:x}", KEYS.foreign)), NOW)


def test_no_more_are_kept_than_those_that_are_valid_for_longest(gateway):
    certificates = [
        issue("Tenpay", KEYS.foreign, until=NOW + timedelta(days=day)).certificate for day in range(1, ROTATED_MAX + 3)
    ]
    for certificate in certificates:
        gateway.read_key(CALL, listed(certificate), now=NOW)
    known = []
    for certificate in certificates:
        try:
            gateway.verify(request(WeChatPayKey(f"{certificate.serial_number:x}", KEYS.foreign)), NOW)
        except BadSignature:
            continue
        known.append(certificate)
    assert known == certificates[-ROTATED_MAX:]
