"""Stripe's signature: the official package signs and we verify, and the other way round."""

from datetime import timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from specimen import NOW, with_header
from stripe_factories import OLDER, SECRET, UNIX, a_gateway, an_intent, signed_by_stripe

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.stripe.signature import SIGNATURE_HEADER_CHARS_MAX
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body, stripe_delivery

# The official package signs, we verify; and the other way round.


@pytest.mark.parametrize("text", ["{}", '{"name":"Ada 王 é"}', "", "not JSON", '{"a": 1.10}\n'])
def test_what_the_official_package_signs_is_verified(text):
    gateway = a_gateway()
    verified = gateway.verify(signed_by_stripe(text.encode()), NOW)
    assert verified.key == gateway.key_labels()[0]
    assert verified.content == text.encode()


@given(st.text())
def test_whatever_the_official_package_signs_is_verified(text):
    body = text.encode(errors="ignore")
    assert a_gateway().verify(signed_by_stripe(body), NOW).content == body


def test_the_official_package_accepts_what_the_sandbox_signs():
    headers, body = stripe_delivery(SECRET, NOW, "payment_intent.succeeded", an_intent())
    # Their clock cannot be set, so their tolerance is widened; the signature is what is asked about.
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET, tolerance=10**10)
    assert event.type == "payment_intent.succeeded"
    assert event.data.object.id == "pi_1"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], OLDER, tolerance=10**10)


def test_a_body_of_the_sandbox_is_of_real_size():
    assert 2000 <= len(stripe_body(NOW, "payment_intent.succeeded", an_intent())) <= 2600


# The signature header.


def test_either_of_two_secrets_fits_and_is_named():
    gateway = a_gateway(webhook_secrets=[SECRET, OLDER])
    assert gateway.verify(signed_by_stripe(b"{}"), NOW).key == gateway.key_labels()[0]
    assert gateway.verify(signed_by_stripe(b"{}", secret=OLDER), NOW).key == gateway.key_labels()[1]


def signature_by(secret):
    return signed_by_stripe(b"{}", secret=secret).header("stripe-signature").partition("v1=")[2]


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ("t={t},v1={own}", True),
        ("v1={own},t={t}", True),
        ("t={t},v1={other},v1={own}", True),
        ("t={t},v1={own},v1={other},v0=6ffb", True),
        ("t={t},v0={own}", False),
        ("t={t},v1={other}", False),
        ("t={t},v1=", False),
        ("t={t},v1={own}0", False),
        ("t={t},v1={own},t={t}", False),
        ("v1={own}", False),
        ("t=,v1={own}", False),
        ("t={t}, v1={own}", False),
        ("t=0{t},v1={own}", False),
        ("t={t};v1={own}", False),
        ("t={t},v1={upper}", False),
        ("t={t}" + ",v1={other}" * 100 + ",v1={own}", False),
    ],
)
def test_a_signature_header_is_read_as_stripe_writes_it(header, good):
    own = signature_by(SECRET)
    value = header.format(t=UNIX, own=own, other=signature_by(OLDER), upper=own.upper())
    request = with_header(signed_by_stripe(b"{}"), "stripe-signature", [value])
    if good:
        assert a_gateway().verify(request, NOW)
        return
    with pytest.raises(BadSignature):
        a_gateway().verify(request, NOW)


def test_the_secret_is_used_whole():
    with pytest.raises(BadSignature):
        a_gateway().verify(signed_by_stripe(b"{}", secret=SECRET.removeprefix("whsec_")), NOW)


def test_the_time_is_signed():
    later = NOW + timedelta(seconds=200)
    value = signed_by_stripe(b"{}").header("stripe-signature").replace(str(UNIX), str(UNIX + 200))
    with pytest.raises(BadSignature, match="webhook_secrets"):
        a_gateway().verify(with_header(signed_by_stripe(b"{}"), "stripe-signature", [value]), later)


def a_header_of(chars):
    signed = signed_by_stripe(b"{}").header("stripe-signature") + ",v0="
    return signed + "0" * (chars - len(signed))


def test_a_header_is_as_long_as_it_may_be_and_no_longer():
    gateway, genuine = a_gateway(), signed_by_stripe(b"{}")
    assert gateway.verify(with_header(genuine, "stripe-signature", [a_header_of(SIGNATURE_HEADER_CHARS_MAX)]), NOW)
    with pytest.raises(BadSignature, match=r"^the signature header is not ASCII or too long$") as refused:
        gateway.verify(with_header(genuine, "stripe-signature", [a_header_of(SIGNATURE_HEADER_CHARS_MAX + 1)]), NOW)
    assert refused.value.step is VerificationStep.HEADER


@pytest.mark.parametrize("header", ["v1=00", "t=1,t=1,v1=00"])
def test_a_header_that_does_not_tell_one_time_is_refused_for_that(header):
    with pytest.raises(BadSignature, match=r"^the signature header does not tell one time$") as refused:
        a_gateway().verify(with_header(signed_by_stripe(b"{}"), "stripe-signature", [header]), NOW)
    assert refused.value.step is VerificationStep.HEADER


def test_what_no_secret_signed_is_refused_by_the_name_of_the_setting():
    with pytest.raises(BadSignature, match=r"^no v1 signature is by any of the webhook_secrets$") as refused:
        a_gateway().verify(signed_by_stripe(b"{}", secret=OLDER), NOW)
    assert refused.value.step is VerificationStep.SIGNATURE
    assert [label.partition(":")[0] for label in a_gateway(webhook_secrets=[SECRET, OLDER]).key_labels()] == [
        "webhook_secrets[0]",
        "webhook_secrets[1]",
    ]
