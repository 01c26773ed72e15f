"""Lakala, checked against documents only: what its certificate signs is verified, all else is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from lakala_notices import (
    CASHIER,
    KEYS,
    events_of,
    made,
    queries_of,
    without,
)
from pydantic import ValidationError
from specimen import NOW, request_of, with_header
from specimen_lakala import (
    AGGREGATED,
    NOTICE,
    OLD,
    ORDER,
    REFUND_NOTICE,
    plain_of,
    posted,
)

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.sandbox.simulators.lakala.signing import sign
from tillkeeper.sandbox.simulators.lakala.simulator import certificate_of

# The signature.


def test_the_official_samples_shape_is_taken():
    """No space behind the scheme, a line end behind each comma, a nonce of ten characters, ISO's number for yuan."""
    body = plain_of(OLD)
    signature = sign(KEYS.own, ("1630905585", "9003323344"), body)
    authorization = f'LKLAPI-SHA256withRSAtimestamp="1630905585",\nnonce_str="9003323344",\nsignature="{signature}"'
    got = CASHIER.verify(request_of(({"Authorization": authorization}, body)), NOW)
    (event,) = CASHIER.parse(got)
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 1, "CNY")
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "2021090666210003610012")
    assert event.occurred_at == datetime(2026, 10, 5, 5, 19, 43, tzinfo=UTC)
    assert event.event_id == "2021090666210003610012:PAY:S"
    assert got.key == CASHIER.key_labels()[0]


@pytest.mark.parametrize(
    "layout",
    [
        'LKLAPI-SHA256withRSA timestamp="{t}",nonce_str="{n}",signature="{s}"',
        '  LKLAPI-SHA256withRSA   timestamp="{t}" , nonce_str="{n}" ,\r\n signature="{s}"  ',
        'LKLAPI-SHA256withRSA signature="{s}",nonce_str="{n}",timestamp="{t}"',
        'LKLAPI-SHA256withRSA appid="OP1",serial_no="7",timestamp="{t}",nonce_str="{n}",signature="{s}"',
    ],
)
@pytest.mark.parametrize("nonce", ["9003323344", "aB3dE6gH9jK2", "a-b", "x" * 64])
def test_the_header_is_read_leniently(layout, nonce):
    body = plain_of(NOTICE)
    authorization = layout.format(t="1630905585", n=nonce, s=sign(KEYS.own, ("1630905585", nonce), body))
    assert CASHIER.verify(request_of(({"Authorization": authorization}, body)), NOW).key


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "LKLAPI-SHA256withRSA",
        'LKLAPI-SHA1withRSA timestamp="1",nonce_str="n",signature="AAAA"',
        'WECHATPAY2-SHA256-RSA2048 timestamp="1",nonce_str="n",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n"',
        'LKLAPI-SHA256withRSA timestamp="1",timestamp="1",nonce_str="n",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n",signature="AAAA",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n";signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="x",nonce_str="n",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="",nonce_str="n",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="\u0661",nonce_str="n",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="a b",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="a\nb",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="é",signature="AAAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n",signature="AAA"',
        'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n",signature="签名"',
        f'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n",signature="{"A" * 1025}"',
    ],
)
def test_an_odd_header_is_refused_at_the_header(authorization):
    with pytest.raises(BadSignature) as refused:
        CASHIER.verify(with_header(posted(KEYS.own, plain_of(NOTICE)), "authorization", [authorization]), NOW)
    assert refused.value.step is VerificationStep.HEADER


def test_a_line_of_the_body_cannot_be_passed_off_as_nonce():
    body = plain_of(NOTICE)
    signature = sign(KEYS.own, ("1", "n"), b"first\n" + body)
    authorization = f'LKLAPI-SHA256withRSA timestamp="1",nonce_str="n\nfirst",signature="{signature}"'
    with pytest.raises(BadSignature):
        CASHIER.verify(request_of(({"Authorization": authorization}, body)), NOW)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=5), timedelta(days=400), -timedelta(days=1)])
def test_any_signed_time_is_taken_for_no_tolerance_is_documented(age):
    assert CASHIER.parse(CASHIER.verify(posted(KEYS.own, plain_of(NOTICE), NOW - age), NOW)) == events_of(NOTICE)


def test_a_certificate_counts_only_while_it_is_valid():
    begins, ends = NOW - timedelta(days=1), NOW + timedelta(days=1)
    gateway = made(platform_cert=certificate_of(KEYS.own, since=begins, until=ends))
    request = posted(KEYS.own, plain_of(NOTICE))
    for at in (begins, NOW, ends):
        assert gateway.verify(request, at).key
    for at in (begins - timedelta(seconds=1), ends + timedelta(seconds=1)):
        with pytest.raises(BadSignature) as refused:
            gateway.verify(request, at)
        assert refused.value.step is VerificationStep.KEY


def test_old_and_new_certificate_hold_together_while_one_is_renewed():
    old = certificate_of(KEYS.own, until=NOW + timedelta(days=1))
    new = certificate_of(KEYS.other, since=NOW - timedelta(days=1))
    gateway = made(platform_cert=f"{old}\n{new}{old}")
    assert len(set(gateway.key_labels())) == len(gateway.key_labels()) == 2
    for key, label in zip((KEYS.own, KEYS.other), gateway.key_labels(), strict=True):
        assert gateway.verify(posted(key, plain_of(NOTICE)), NOW).key == label
    with pytest.raises(BadSignature) as refused:
        gateway.verify(posted(KEYS.own, plain_of(NOTICE)), NOW + timedelta(days=2))
    assert refused.value.step is VerificationStep.SIGNATURE
    with pytest.raises(BadSignature):
        gateway.verify(posted(KEYS.foreign, plain_of(NOTICE)), NOW)


@pytest.mark.parametrize(
    "more",
    [
        {"platform_cert": ""},
        {"platform_cert": "MIIB"},
        {"platform_cert": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
        {"platform_cert": "".join(certificate_of(KEYS.own) for _ in range(6))},
        {"merchant_private_key": "x"},
        {"merchant_no": ""},
        {"app_id": 'a"b'},
    ],
)
def test_settings_that_make_no_sense_are_refused(more):
    with pytest.raises(ValidationError):
        made(**more)


# Whose it is.


@pytest.mark.parametrize("fields", [NOTICE, REFUND_NOTICE, AGGREGATED, OLD, NOTICE | {"order_status": "6"}])
def test_another_merchants_notice_counts_for_nothing(fields):
    for name in {"merchant_no", "merchantNo"} & fields.keys():
        other = fields | {name: "822000000000001"}
        assert (events_of(other), queries_of(other)) == ((), ())
        with pytest.raises(BadPayload):
            events_of(without(fields, name))


def test_what_is_no_notice_of_a_payment_changes_nothing():
    assert events_of({"merchant_no": ORDER["merchant_no"], "separate_no": "1", "status": "SUCCESS"}) == ()
