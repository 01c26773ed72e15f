"""Alipay: what the official package signs is verified, all else is refused; keys and certificates."""

from base64 import b64encode
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import pytest
import rsa as python_rsa
from alipay.aop.api.util.SignatureUtils import (
    get_sign_content,
    sign_with_rsa,
    sign_with_rsa2,
    verify_with_rsa,
)
from alipay_factories import PAID_AT, REFUNDED_AT, forged, settings, without
from certificates import SM2_ROOT, issue
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError
from specimen import NOW, private_pem, public_pem, request_of
from specimen_alipay import APP_ID, FIELDS, SELLER_ID, TRADE

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.simulators.alipay.objects import (
    AlipayTrade,
    alipay_closed,
    alipay_pending,
    alipay_refund,
    alipay_success,
)
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery, alipay_form, alipay_signature


@pytest.fixture(scope="module")
def gateway(keys):
    return Alipay("alipay-main", settings(alipay_public_key=public_pem(keys.own)))


@pytest.fixture(scope="module")
def pkcs1(keys):
    """Our key as the official package wants it."""
    return keys.own.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


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


# -- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF-8", "utf8", "UTF_8", "gbk", "GBK", "gb2312", "GB2312", "gb18030", "GB18030"]
)
def test_what_the_official_package_signs_is_verified(gateway, pkcs1, charset):
    fields = {**FIELDS, "charset": charset, "subject": "咖啡豆 + 滤纸 = 100%", "body": "", "passback_params": "a=1&b=2"}
    sign = sign_with_rsa2(pkcs1, get_sign_content(fields), charset)
    verified = gateway.verify(request_of(alipay_form(list(fields.items()), sign, charset)), NOW)
    assert verified.content == fields
    assert verified.key == "alipay_public_key"


@pytest.mark.parametrize("charset", ["utf-8", "gbk"])
@pytest.mark.parametrize(
    "make",
    [
        alipay_pending,
        lambda trade: alipay_success(trade, PAID_AT),
        lambda trade: alipay_closed(trade, PAID_AT),
        lambda trade: alipay_refund(trade, PAID_AT, REFUNDED_AT, total=1, refund_ref="R-1"),
    ],
    ids=["pending", "success", "closed", "refund"],
)
def test_what_the_sandbox_signs_the_official_package_verifies(keys, make, charset):
    trade = AlipayTrade(
        app_id=APP_ID, seller_id=SELLER_ID, order_ref="O", payment_ref="P", amount=2, created_at=NOW, charset=charset
    )
    _, body = alipay_delivery(keys.own, make(trade))
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, encoding=charset))
    sign = fields.pop("sign")
    assert fields.pop("sign_type") == "RSA2"
    assert verify_with_rsa(public_pem(keys.own), get_sign_content(fields).encode(charset), sign)
    with pytest.raises(python_rsa.VerificationError):
        verify_with_rsa(public_pem(keys.other), get_sign_content(fields).encode(charset), sign)


def test_the_content_type_tells_the_charset_where_no_field_does(gateway, pkcs1):
    fields = without({**FIELDS, "subject": "咖啡豆"}, "charset")
    sign = sign_with_rsa2(pkcs1, get_sign_content(fields), "gbk")
    headers, body = alipay_form(list(fields.items()), sign, "gbk")
    assert gateway.verify(request_of((headers, body)), NOW).content["subject"] == "咖啡豆"
    with pytest.raises(BadPayload):
        gateway.verify(Request(headers={}, body=body), NOW)


def test_what_is_said_to_be_gb2312_may_hold_any_character_of_its_successors(gateway, pkcs1):
    """Alipay's table of charsets names gb2312, which has no such characters, and platforms write them all the same."""
    fields = {**FIELDS, "charset": "gb2312", "subject": "镕 \U00020000"}
    sign = sign_with_rsa2(pkcs1, get_sign_content(fields), "gb18030")
    headers, body = alipay_form(list(fields.items()), sign, "gb18030")
    assert gateway.verify(request_of((headers, body)), NOW).content["subject"] == "镕 \U00020000"


def test_a_notice_that_says_another_charset_than_it_is_signed_in_is_refused(gateway, keys):
    text = "&".join(f"{name}={value}" for name, value in sorted(FIELDS.items()))
    sign = alipay_signature(keys.own, text.encode("gbk"))
    with pytest.raises(BadSignature):
        gateway.verify(request_of(alipay_form(list(FIELDS.items()), sign, "utf-8")), NOW)


def test_sign_type_may_be_absent(gateway, signed):
    request = signed(FIELDS)
    body = request.body.replace(b"&sign_type=RSA2", b"")
    assert body != request.body
    assert gateway.verify(Request(headers=request.headers, body=body), NOW).content == FIELDS


def test_sign_type_may_be_signed_as_older_families_of_notices_do(gateway, pkcs1):
    sign = sign_with_rsa2(pkcs1, get_sign_content({**FIELDS, "sign_type": "RSA2"}), "utf-8")
    assert gateway.verify(request_of(alipay_form(list(FIELDS.items()), sign, "utf-8")), NOW).content == FIELDS


@pytest.mark.parametrize("sign_type", ["RSA", "rsa2", "", "MD5", "RSA2 ", "DSA"])
def test_any_other_sign_type_is_refused(gateway, signed, sign_type):
    request = signed(FIELDS)
    body = request.body.replace(b"sign_type=RSA2", urlencode({"sign_type": sign_type}).encode())
    with pytest.raises(BadSignature, match="sign_type"):
        gateway.verify(Request(headers=request.headers, body=body), NOW)


def test_sha_1_is_refused_even_if_it_is_called_rsa2(gateway, pkcs1):
    sign = sign_with_rsa(pkcs1, get_sign_content(FIELDS), "utf-8")
    with pytest.raises(BadSignature, match="not by"):
        gateway.verify(request_of(alipay_form(list(FIELDS.items()), sign, "utf-8")), NOW)


@pytest.mark.parametrize(
    "sign", ["", "A" * 1028, "é", "====", "A", "AA=A", b64encode(bytes(256)).decode(), b64encode(bytes(10)).decode()]
)
def test_a_sign_that_cannot_be_one_is_refused(gateway, sign):
    with pytest.raises(BadSignature):
        gateway.verify(request_of(alipay_form(list(FIELDS.items()), sign, "utf-8")), NOW)


def test_a_signature_is_taken_in_one_writing_only(gateway, keys):
    _, body = alipay_delivery(keys.own, FIELDS)
    sign = dict(parse_qsl(body.decode()))["sign"]
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(sign[-3])
    other = sign[:-3] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last + 1] + "=="
    for written in (other, sign + "\n", f"{sign[:76]}\n{sign[76:]}"):
        with pytest.raises(BadSignature) as refused:
            gateway.verify(request_of(alipay_form(list(FIELDS.items()), written, "utf-8")), NOW)
        assert refused.value.step is VerificationStep.HEADER


def test_a_form_without_sign_is_refused(gateway):
    with pytest.raises(BadSignature, match="missing"):
        gateway.verify(Request(headers={}, body=urlencode(FIELDS).encode()), NOW)


def test_a_repeated_field_is_refused_although_the_signature_covers_one_of_them(gateway, signed):
    request = signed(FIELDS)
    with pytest.raises(BadPayload, match="repeats"):
        gateway.verify(Request(headers=request.headers, body=b"total_amount=0.01&" + request.body), NOW)


@pytest.mark.parametrize(
    ("into", "hidden"),
    [("receipt_amount", "refund_fee"), ("out_trade_no", "point_amount"), ("subject", "total_amount")],
)
def test_a_field_cannot_be_merged_into_the_value_before_it(gateway, keys, into, hidden):
    """The signed text stays the same: a refund would be read as a payment, or an order not be found."""
    refund = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=100, refund_ref="R-1")
    fields = refund | {"point_amount": "0.00", "receipt_amount": "129.00"}
    names = sorted(fields)
    assert names[names.index(into) + 1] == hidden
    merged = without(fields, hidden) | {into: f"{fields[into]}&{hidden}={fields[hidden]}"}
    assert get_sign_content(merged) == get_sign_content(fields)
    sign = alipay_signature(keys.own, get_sign_content(fields).encode())
    assert gateway.verify(request_of(alipay_form(list(fields.items()), sign, "utf-8")), NOW)
    with pytest.raises(BadSignature, match=into):
        gateway.verify(request_of(alipay_form(list(merged.items()), sign, "utf-8")), NOW)


OTHERS = alipay_success(
    AlipayTrade(
        app_id=APP_ID,
        seller_id="2088000000000666",
        order_ref="ORDER-1",  # anybody may call an order so
        payment_ref="2026100522001400000000000666",
        amount=12900,
        created_at=NOW - timedelta(minutes=2),
        subject=f"x&seller_id={SELLER_ID}&subject=y",
    ),
    PAID_AT,
    passback_params="abc",
)
ABROAD = FIELDS | {"trans_currency": "THB"}
BACK = alipay_refund(TRADE, PAID_AT, REFUNDED_AT, total=100, refund_ref="R-1", passback_params="abc")


def cut_anew(text, names):
    """A signed text as fields of other names, each from where its name stands last."""
    begins = sorted(0 if text.startswith(f"{name}=") else text.rindex(f"&{name}=") + 1 for name in names)
    pieces = [text[a:b].removesuffix("&") for a, b in zip(begins, [*begins[1:], len(text)], strict=True)]
    return dict(piece.split("=", 1) for piece in pieces)


def merged(fields, into, *names):
    """Fields hidden in the value before them."""
    hidden = "".join(f"&{name}={fields[name]}" for name in names)
    return without(fields, *names) | {into: fields[into] + hidden}


def named(fields, into, value):
    """A field hidden in the name of the next."""
    return without(fields, into, value) | {f"{into}={fields[into]}&{value}": fields[value]}


@pytest.mark.parametrize(
    ("genuine", "changed"),
    [
        (OTHERS, named(OTHERS, "seller_email", "seller_id")),
        (FIELDS, named(FIELDS, "invoice_amount", "notify_id")),
        (OTHERS, merged(OTHERS, "passback_params", "point_amount", "receipt_amount", "seller_email", "seller_id")),
        (OTHERS, cut_anew(get_sign_content(OTHERS), set(OTHERS) - {"point_amount", "receipt_amount", "seller_email"})),
        (ABROAD, merged(ABROAD, "trade_status", "trans_currency")),
        (ABROAD, merged(ABROAD, "total_amount", "trade_no", "trade_status", "trans_currency")),
        (BACK, merged(BACK, "passback_params", "refund_fee")),
        (BACK, merged(BACK, "notify_type", "out_biz_no", "out_trade_no", "passback_params")),
    ],
    ids=[
        "name",
        "name hides notify_id",
        "seller swallowed",
        "and another put in",
        "currency",
        "and all before",
        "refund swallowed",
        "into a word",
    ],
)
def test_no_other_reading_of_what_is_signed_is_taken(gateway, keys, genuine, changed):
    with pytest.raises(BadSignature, match="another field") as refused:
        gateway.verify(forged(keys, genuine, changed), NOW)
    assert refused.value.step is VerificationStep.CONTENT  # or people would look for another key


def test_text_of_merchant_and_payer_may_hold_separators(events_of):
    more = {"subject": "fish & chips=5&more", "passback_params": "out_trade_no=9&total_amount=9.00&trade_no=1&app_id=2"}
    assert events_of(FIELDS | more) == events_of(FIELDS)
    for passed_back in ("merchantBizType=3C&merchantBizNo=2016010101111", "merchantBizType%3d3C%26seller_id%3d2016"):
        assert events_of(FIELDS | {"passback_params": passed_back}) == events_of(FIELDS)


# -- keys and certificates ---------------------------------------------------------------------------------------------


def bare(pem):
    return "".join(pem.splitlines()[1:-1])


def test_the_public_key_may_be_bare_as_the_console_shows_it(keys, signed):
    for text in (bare(public_pem(keys.own)), f" {bare(public_pem(keys.own))}\n", public_pem(keys.own)):
        gateway = Alipay("alipay-main", settings(alipay_public_key=text))
        assert gateway.verify(signed(FIELDS), NOW).content == FIELDS


def test_the_app_private_key_may_be_bare_in_both_formats(keys, pkcs1):
    for text in (private_pem(keys.own), bare(private_pem(keys.own)), bare(pkcs1) + "\n", pkcs1):
        read = settings(alipay_public_key=public_pem(keys.own), app_private_key=text)
        assert "PRIVATE KEY-----" in read.app_private_key
        assert "PRIVATE" not in repr(read)
    assert settings(alipay_public_key=public_pem(keys.own), app_private_key=None).app_private_key is None


@pytest.mark.parametrize("text", ["", "no key", "AAAA", 5])
def test_an_app_private_key_that_is_none_is_refused(keys, text):
    with pytest.raises(ValidationError):
        settings(alipay_public_key=public_pem(keys.own), app_private_key=text)


@pytest.mark.parametrize("spoil", [lambda _: "no key", "!{}".format, "{}\u200b".format])
def test_what_is_wrong_with_an_app_private_key_is_said(keys, spoil):
    with pytest.raises(ValidationError, match="error, app_private_key is neither PEM nor the base64 of a private key "):
        settings(alipay_public_key=public_pem(keys.own), app_private_key=spoil(bare(private_pem(keys.own))))


@pytest.mark.parametrize("text", ["", " ", "no key", "AAAA"])
def test_a_public_key_that_is_none_is_refused(text):
    with pytest.raises(ValidationError, match="public key"):
        settings(alipay_public_key=text)


def test_a_public_key_that_is_short_is_refused():
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ValidationError, match="2048"):
        settings(alipay_public_key=public_pem(short))


def test_certificate_mode_verifies_and_names_the_certificate(keys, leaf, class_2, root, pkcs1):
    mode = settings(alipay_cert=leaf.pem + class_2.pem, alipay_root_cert=SM2_ROOT + root.pem)
    gateway = Alipay("alipay-main", AlipaySettings.model_validate(mode.model_dump()))
    sign = sign_with_rsa2(pkcs1, get_sign_content(FIELDS), "utf-8")
    verified = gateway.verify(request_of(alipay_form(list(FIELDS.items()), sign, "utf-8")), NOW)
    assert verified.key == f"alipay_cert:{leaf.certificate.serial_number:x}"
    assert gateway.parse(verified)[0].kind is Kind.PAYMENT_SUCCEEDED
    with pytest.raises(BadSignature):
        gateway.verify(request_of(alipay_delivery(keys.other, FIELDS)), NOW)


def test_a_wrong_root_is_refused_at_once(keys, leaf, class_2):
    with pytest.raises(ValidationError, match="does not chain"):
        settings(alipay_cert=leaf.pem + class_2.pem, alipay_root_cert=issue("Root", keys.own, ca=True).pem)


@pytest.mark.parametrize("shift", [timedelta(days=-365), timedelta(days=365)])
def test_a_certificate_out_of_its_time_is_refused(leaf, class_2, root, signed, shift):
    mode = settings(alipay_cert=leaf.pem + class_2.pem, alipay_root_cert=root.pem)
    gateway = Alipay("alipay-main", mode)
    assert gateway.verify(signed(FIELDS), NOW)
    with pytest.raises(BadSignature, match="not valid at this time") as refused:
        gateway.verify(signed(FIELDS), NOW + shift)
    assert refused.value.step is VerificationStep.KEY


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("alipay_cert",),
        ("alipay_root_cert",),
        ("alipay_public_key", "alipay_cert"),
        ("alipay_public_key", "alipay_cert", "alipay_root_cert"),
    ],
    ids="+".join,
)
def test_there_is_exactly_one_mode(keys, leaf, class_2, root, given):
    texts = {
        "alipay_public_key": public_pem(keys.own),
        "alipay_cert": leaf.pem + class_2.pem,
        "alipay_root_cert": root.pem,
    }
    with pytest.raises(ValidationError, match="either alipay_public_key"):
        settings(**{name: texts[name] for name in given})
