"""Alipay: queries as the official package sends them, and certificate mode."""

import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
import rsa as python_rsa
from alipay.aop.api import DefaultAlipayClient as OfficialClient
from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.domain.AlipayTradeFastpayRefundQueryModel import AlipayTradeFastpayRefundQueryModel
from alipay.aop.api.domain.AlipayTradeQueryModel import AlipayTradeQueryModel
from alipay.aop.api.exception.Exception import ResponseException
from alipay.aop.api.request.AlipayTradeFastpayRefundQueryRequest import AlipayTradeFastpayRefundQueryRequest
from alipay.aop.api.request.AlipayTradeQueryRequest import AlipayTradeQueryRequest
from alipay.aop.api.util.SignatureUtils import get_sign_content, sign_with_rsa, sign_with_rsa2, verify_with_rsa
from alipay_api_factories import (
    BY_ORDER,
    KEYS,
    PAYMENT,
    REFUND,
    TRADE_NAME,
    TRADE_NO,
    a_gateway,
    answered,
    compact,
    settings,
    the,
    without,
)
from certificates import SM2_ROOT, issue
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from specimen import NOW, private_pem, public_pem
from specimen_alipay import APP_ID, REFUND_ANSWER, TRADE_ANSWER, answer

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.alipay.keys import serial_of, serials_of_roots
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery
from tillkeeper.gateways.messages import Query, Response

API = "https://openapi.alipay.com/gateway.do"


# The official package.


@pytest.fixture
def pkcs1():
    return KEYS.other.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.fixture
def package(pkcs1, monkeypatch):
    """Its client, with our key and our clock."""
    shanghai = NOW + timedelta(hours=8)
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: shanghai))
    monkeypatch.setattr(OfficialClient, "datetime", clock)
    monkeypatch.setattr(OfficialClient.THREAD_LOCAL, "uuid", "0", raising=False)
    config = AlipayClientConfig()
    config.app_id, config.app_private_key = APP_ID, pkcs1
    config.alipay_public_key = public_pem(KEYS.own)
    config.format = "JSON"
    return OfficialClient.DefaultAlipayClient(config)


def trade_query(**about):
    model = AlipayTradeQueryModel()
    for name, value in about.items():
        setattr(model, name, value)
    return AlipayTradeQueryRequest(biz_model=model)


def refund_query(**about):
    model = AlipayTradeFastpayRefundQueryModel()
    for name, value in about.items():
        setattr(model, name, value)
    return AlipayTradeFastpayRefundQueryRequest(biz_model=model)


def parameters(call):
    pairs = parse_qsl(urlsplit(call.url).query, strict_parsing=True)
    pairs += parse_qsl(call.body.decode(), strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize(
    ("query", "officially"),
    [
        (PAYMENT, trade_query(trade_no=TRADE_NO)),
        (BY_ORDER, trade_query(out_trade_no="ORDER-1")),
        (Query(about="payment", order_ref="订单 & 1=+"), trade_query(out_trade_no="订单 & 1=+")),
        (REFUND, refund_query(trade_no=TRADE_NO, out_request_no="R-1", query_options=["gmt_refund_pay"])),
    ],
    ids=["payment", "order", "odd order", "refund"],
)
def test_the_official_package_asks_the_same_and_verifies_our_signature(package, query, officially):
    theirs = dict(parse_qsl(package.sdk_execute(officially), strict_parsing=True))
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    ours = parameters(call)
    assert call.method == "POST"
    assert call.headers == {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
    assert json.loads(ours["biz_content"]) == json.loads(theirs["biz_content"])
    apart = ("sign", "biz_content")
    assert without(ours, *apart) == without(theirs, *apart)
    content = get_sign_content(without(ours, "sign")).encode()
    assert verify_with_rsa(public_pem(KEYS.other), content, ours["sign"])
    with pytest.raises(python_rsa.VerificationError):
        verify_with_rsa(public_pem(KEYS.own), content, ours["sign"])


@pytest.mark.parametrize("content", [TRADE_ANSWER, REFUND_ANSWER, {"code": "10000", "text": '}","sign":"x', "é": "支"}])
def test_the_official_package_takes_the_same_answers_and_cuts_out_the_same_piece(package, content):
    response = answer(KEYS.own, TRADE_NAME, compact(content))
    assert package._DefaultAlipayClient__parse_response(response.body) == compact(content).decode()
    with pytest.raises(ResponseException):
        package._DefaultAlipayClient__parse_response(answer(KEYS.other, TRADE_NAME, compact(content)).body)


@pytest.mark.parametrize("space", ["", " ", "\n  "])
@pytest.mark.parametrize("more", [{}, {"subject": '}","sign":"x"}'}, {"subject": '支付 \\ " { } é'}])
def test_what_the_official_package_signs_is_verified_however_it_is_laid_out(space, more):
    pkcs1 = KEYS.own.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    plain = json.dumps(TRADE_ANSWER | more, ensure_ascii=False, indent=2 if space else None)
    sign = sign_with_rsa2(pkcs1, plain, "utf-8")
    body = f'{space}{{{space}"{TRADE_NAME}"{space}:{space}{plain}{space},{space}"sign"{space}:{space}"{sign}"{space}}}'
    response = Response(status=200, headers={}, body=f"{body}{space}".encode())
    assert the(a_gateway().read_response(PAYMENT, response, now=NOW)).kind is Kind.PAYMENT_SUCCEEDED


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(0, 9), max_size=4), st.booleans())
def test_whatever_else_an_answer_holds_it_is_verified(more, is_ascii):
    plain = json.dumps(more | TRADE_ANSWER, ensure_ascii=is_ascii).encode(errors="ignore")
    if "\\u0000" in plain.decode():  # no database can keep it
        with pytest.raises(BadPayload, match="character"):
            answered(PAYMENT, plain)
    else:
        assert answered(PAYMENT, plain).events


SLASHES = TRADE_ANSWER | {"subject": "1/2 kg 咖啡", "store_name": "a\\/b"}  # a backslash stands before the second slash


def escaped(text):
    return text.replace("/", r"\/")


@pytest.mark.parametrize("charset", ["utf-8", "GBK", "gb2312", "gb18030"])
@pytest.mark.parametrize("signed_in", ["utf-8", "gb18030"])
@pytest.mark.parametrize(
    ("signs", "writes"),
    [(lambda each: each, lambda each: each), (escaped, escaped), (lambda each: each, escaped)],
    ids=["plain", "escaped and then signed", "signed and then escaped"],
)
def test_an_answer_may_be_written_otherwise_than_it_was_signed(charset, signed_in, signs, writes):
    """Slashes are escaped after signing, as the official Java package allows for; and what is signed may be in the
    answer's charset, or in the one that was asked for."""
    plain = compact(SLASHES).decode()
    sign = b64encode(KEYS.own.sign(signs(plain).encode(signed_in), PKCS1v15(), SHA256())).decode()
    body = f'{{"{TRADE_NAME}":{writes(plain)},"sign":"{writes(sign)}"}}'.encode(charset)
    response = Response(status=200, headers={"content-type": [f"text/html;charset={charset}"]}, body=body)
    if (charset, signed_in) == ("utf-8", "gb18030"):  # nothing says so
        with pytest.raises(BadSignature):
            a_gateway().read_response(PAYMENT, response, now=NOW)
        return
    event = the(a_gateway().read_response(PAYMENT, response, now=NOW))
    assert (event.kind, event.amount) == (Kind.PAYMENT_SUCCEEDED, 12900)


def test_what_is_read_of_an_answer_is_what_was_signed():
    """Here the text as it came says another order than the text that is signed."""
    plain = compact(TRADE_ANSWER | {"out_trade_no": "ORDER/1"})
    body = answer(KEYS.own, TRADE_NAME, plain).body.replace(b"ORDER/1", rb"ORDER\/1")
    query = msgspec.structs.replace(BY_ORDER, order_ref="ORDER/1")
    response = Response(status=200, headers={}, body=body)
    assert the(a_gateway().read_response(query, response, now=NOW)).order_ref == "ORDER/1"
    twice = Response(status=200, headers={}, body=body.replace(rb"ORDER\/1", rb"ORDER\\/1"))  # backslash and slash
    with pytest.raises(BadSignature):
        a_gateway().read_response(query, twice, now=NOW)


def test_an_answer_that_is_not_in_the_charset_that_it_says_is_read_as_what_was_asked_for():
    response = answer(KEYS.own, TRADE_NAME, compact(TRADE_ANSWER | {"subject": "咖啡豆豆€"}))
    response = msgspec.structs.replace(response, headers={"content-type": ["text/html;charset=GBK"]})
    assert the(a_gateway().read_response(PAYMENT, response, now=NOW)).amount == 12900


def test_a_service_providers_app_asks_with_the_merchants_token(package):
    call = a_gateway(app_auth_token="201510BBaabdb44d8fd04607abf8d5931ec75D84").query_request(
        PAYMENT, now=NOW, nonce="n"
    )
    told_of = parameters(call)
    assert told_of["app_auth_token"] == "201510BBaabdb44d8fd04607abf8d5931ec75D84"
    sign = told_of.pop("sign")
    assert verify_with_rsa(public_pem(KEYS.other), get_sign_content(told_of).encode(), sign)


def test_sha_1_is_refused(package):
    pkcs1 = KEYS.own.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    body = compact({TRADE_NAME: TRADE_ANSWER, "sign": sign_with_rsa(pkcs1, compact(TRADE_ANSWER).decode(), "utf-8")})
    with pytest.raises(BadSignature):
        a_gateway().read_response(PAYMENT, Response(status=200, headers={}, body=body), now=NOW)


def test_a_good_signature_does_not_cover_a_second_answer_beside_it():
    response = answer(KEYS.own, TRADE_NAME, compact(TRADE_ANSWER))
    forged = compact(TRADE_ANSWER | {"trade_status": "TRADE_SUCCESS", "total_amount": "1.00"})
    repeated, beside = (
        Response(status=200, headers={}, body=b'{"' + name + b'":' + forged + b"," + response.body[1:])
        for name in (TRADE_NAME.encode(), b"error_response")
    )
    with pytest.raises(BadPayload, match="repeats"):
        a_gateway().read_response(PAYMENT, repeated, now=NOW)
    assert the(a_gateway().read_response(PAYMENT, beside, now=NOW)).amount == 12900


@pytest.mark.parametrize("sign", ["", "x", 7, None, b64encode(bytes(256)).decode()])
def test_an_odd_signature_is_refused(sign):
    body = compact({TRADE_NAME: TRADE_ANSWER, "sign": sign})
    with pytest.raises((BadSignature, BadPayload)):
        a_gateway().read_response(PAYMENT, Response(status=200, headers={}, body=body), now=NOW)


# Certificate mode.


@pytest.fixture(scope="module")
def app(class_2):
    return issue("App", KEYS.other, by=class_2)


@pytest.fixture(scope="module")
def mode(leaf, class_2, root, app):
    return {
        "alipay_public_key": None,
        "alipay_cert": leaf.pem + class_2.pem,
        "alipay_root_cert": SM2_ROOT + root.pem,
        "app_cert": app.pem,
    }


def test_certificate_mode_names_both_sides_certificates(mode, app, root, package):
    call = a_gateway(**mode).query_request(PAYMENT, now=NOW, nonce="n")
    ours = parameters(call)
    assert ours["app_cert_sn"] == serial_of(app.certificate)
    assert ours["alipay_root_cert_sn"] == serial_of(root.certificate)
    assert verify_with_rsa(public_pem(KEYS.other), get_sign_content(without(ours, "sign")).encode(), ours["sign"])


def test_a_serial_number_is_written_as_alipays_own_tools_write_it():
    """The app certificate in the Node SDK's tests has this issuer and number, and there this digest."""
    names = [
        (x509.NameOID.COUNTRY_NAME, "CN"),
        (x509.NameOID.ORGANIZATION_NAME, "Ant Financial"),
        (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"),
        (x509.NameOID.COMMON_NAME, "Ant Financial Certification Authority Class 1 R1"),
    ]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    certificate = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=KEYS.own.public_key(),
        serial_number=42701552708448241360226107228231049510,
        not_valid_before=datetime(2020, 5, 18, tzinfo=UTC),
        not_valid_after=datetime(2022, 5, 18, tzinfo=UTC),
    ).sign(KEYS.own, SHA256())
    assert serial_of(certificate) == "866efef280dec9137a87d047ac446315"


def test_of_a_bundle_the_rsa_roots_count_in_their_order(root):
    other = issue("Other root", KEYS.own, ca=True)
    both = [hashlib.md5(f"CN={name}{authority.certificate.serial_number}".encode()).hexdigest()
            for name, authority in (("Other root", other), ("Root", root))]  # fmt: skip
    assert serials_of_roots(other.pem + SM2_ROOT + root.pem) == "_".join(both)


def test_in_certificate_mode_an_answer_names_its_certificate(mode, leaf):
    gateway = a_gateway(**mode)
    for serial, is_good in ((serial_of(leaf.certificate), True), ("0" * 32, False)):
        more = f',"alipay_cert_sn":"{serial}"'.encode()
        response = answer(KEYS.own, TRADE_NAME, compact(TRADE_ANSWER), more=more)
        if is_good:
            assert gateway.read_response(PAYMENT, response, now=NOW).events
        else:
            with pytest.raises(BadSignature, match="another certificate"):
                gateway.read_response(PAYMENT, response, now=NOW)
    assert answered(PAYMENT, TRADE_ANSWER, gateway=gateway).events
    with pytest.raises(BadSignature, match="not by"):
        answered(PAYMENT, TRADE_ANSWER, gateway=gateway, key=KEYS.other)
    with pytest.raises(BadSignature, match="not valid at this time"):
        answered(PAYMENT, TRADE_ANSWER, gateway=gateway, now=NOW + timedelta(days=365))


def test_certificate_mode_without_the_apps_certificate_cannot_ask(mode):
    with pytest.raises(CannotQuery, match="app_cert"):
        a_gateway(**mode | {"app_cert": None}).query_request(PAYMENT, now=NOW, nonce="n")


def test_without_the_apps_key_nothing_can_be_asked():
    with pytest.raises(CannotQuery, match="app_private_key"):
        a_gateway(app_private_key=None).query_request(PAYMENT, now=NOW, nonce="n")


@pytest.mark.parametrize("change", [{"app_private_key": None}, {"app_private_key": private_pem(KEYS.own)}])
def test_an_app_certificate_must_be_of_the_apps_key(mode, change):
    with pytest.raises(ValidationError, match="not the certificate of app_private_key"):
        settings(**mode | change)


def test_an_app_certificate_is_for_certificate_mode_and_must_be_one(mode, app):
    with pytest.raises(ValidationError, match="certificate mode"):
        settings(alipay_public_key=public_pem(KEYS.own), app_cert=app.pem)
    with pytest.raises(ValidationError, match="not PEM"):
        settings(**mode | {"app_cert": "no certificate"})
