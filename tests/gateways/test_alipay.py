"""Alipay against its official package, in both modes and charsets; then what every kind of notice means."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import pytest
import rsa as python_rsa
from alipay.aop.api.util.SignatureUtils import (
    get_sign_content,
    sign_with_rsa,
    sign_with_rsa2,
    verify_with_rsa,
)
from certificates import SM2_ROOT, issue
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError
from specimen import NOW, private_pem, public_pem, request_of
from specimen_alipay import APP_ID, FIELDS, SELLER_ID, TRADE

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.objects import FAILURES
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.simulators.alipay.objects import (
    AlipayTrade,
    alipay_closed,
    alipay_finished,
    alipay_pending,
    alipay_refund,
    alipay_success,
)
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery, alipay_form, alipay_signature

PAID_AT = NOW - timedelta(minutes=1)
REFUNDED_AT = NOW - timedelta(seconds=30) + timedelta(milliseconds=631)


def settings(**changes):
    return AlipaySettings.model_validate({"gateway": "alipay", "app_id": APP_ID, "seller_id": SELLER_ID, **changes})


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


@pytest.fixture
def event_of(events_of):
    def read(fields):
        (event,) = events_of(fields)
        return event

    return read


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


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
        with pytest.raises(BadSignature):
            gateway.verify(request_of(alipay_form(list(FIELDS.items()), written, "utf-8")), NOW)


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


def forged(keys, genuine, changed):
    """Other fields under the genuine signature, which covers them as well."""
    text = get_sign_content(genuine)
    assert get_sign_content(changed) == text
    assert changed != genuine
    return request_of(alipay_form(list(changed.items()), alipay_signature(keys.own, text.encode()), "utf-8"))


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
    with pytest.raises(BadSignature, match="not valid at this time"):
        gateway.verify(signed(FIELDS), NOW + shift)


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
    ids=lambda change: ascii(change)[:40],
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
