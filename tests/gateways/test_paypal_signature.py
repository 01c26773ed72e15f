"""What PayPal signs: the text is made by the package `paypalrestsdk`, and a forged checksum pays nothing."""

import zlib
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from paypal_samples import a_gateway, a_learner, answer_to, forged, refused, signed
from paypalrestsdk.notifications import WebhookEvent
from specimen import NOW, request_of, with_header
from specimen_paypal import URL, WEBHOOK_ID, identity

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.sandbox.simulators.paypal.objects import paypal_capture


@pytest.mark.parametrize("body", [b"{}", b'{"id":"WH-1",  "odd": "layout"}\n', '{"a":"é"}'.encode()])
def test_the_text_to_be_signed_is_the_packages(body):
    text = WebhookEvent._get_expected_sig("d5d54e60-c0f5", "2026-10-05T11:59:00Z", WEBHOOK_ID, body.decode())
    headers = {
        "Paypal-Transmission-Id": "d5d54e60-c0f5",
        "PAYPAL-TRANSMISSION-TIME": "2026-10-05T11:59:00Z",
        "paypal-transmission-sig": b64encode(identity().key.sign(text.encode(), PKCS1v15(), SHA256())).decode(),
        "PayPal-Cert-Url": URL,
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    }
    verified = a_gateway().verify(request_of((headers, body)), NOW)
    assert verified.content.body == body
    assert (verified.key,) == a_gateway().key_labels()


def test_the_checksum_is_written_without_a_sign():
    body = b'{"n":3}'
    assert zlib.crc32(body) > 0x7FFFFFFF  # it would be negative in 32 bits with a sign
    assert a_gateway().verify(signed(body), NOW)


def test_a_checksum_that_matches_is_no_signature():
    request = signed()
    assert (
        refused(a_gateway(), with_header(request, "paypal-transmission-id", ["another"])) is VerificationStep.SIGNATURE
    )


def test_a_delivery_for_another_webhook_is_refused():
    assert refused(a_gateway(), signed(webhook_id="4JH86294D6297924G")) is VerificationStep.SIGNATURE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paypal-auth-algo", "SHA1withRSA"),
        ("paypal-auth-algo", "sha256withrsa"),
        ("paypal-transmission-sig", "A"),
        ("paypal-transmission-sig", "AAAAA"),
        ("paypal-transmission-sig", "é"),
        ("paypal-transmission-sig", "A" * 2000),
        ("paypal-transmission-id", f"a|2026|{WEBHOOK_ID}"),
        ("paypal-transmission-time", f"2026|{WEBHOOK_ID}"),
        ("paypal-transmission-time", ""),
    ],
)
def test_odd_headers_are_refused(name, value):
    assert refused(a_gateway(), with_header(signed(), name, [value])) is VerificationStep.HEADER


ODD_URLS = [
    "http://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
    "https://evil-api.paypal.com/v1/notifications/certs/CERT-1",
    "https://www.paypal.com/v1/notifications/certs/CERT-1",
    "https://apixpaypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
    "https://user:word@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example#api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example\\@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/CERT-1?next=https://evil.example",
    "https://api.paypal.com/v1/notifications/certs/CERT-1#fragment",
    "https://api.paypal.com/v1/notifications/certs/../../oauth2/token",
    "https://api.paypal.com/v1/notifications/certs/%2e%2e",
    "https://api.paypal.com/v1/notifications/certs/",
    "https://api.paypal.com/v1/notifications/certs/CERT-1/more",
    "https://api.paypal.com/v1/notifications/certs/" + "A" * 129,
    "https://api.paypal.com/v1/notifications/certs/CERT-1\n",
    "https://api.paypal.com/v1/notifications/certs/CERT-\u0661",
    " https://api.paypal.com/v1/notifications/certs/CERT-1",
    "//api.paypal.com/v1/notifications/certs/CERT-1",
    "",
]


@pytest.mark.parametrize("url", ODD_URLS, ids=range(len(ODD_URLS)))
def test_a_certificate_from_elsewhere_is_neither_believed_nor_fetched(url):
    gateway, request = a_learner(), with_header(signed(), "paypal-cert-url", [url])
    assert refused(gateway, request) is VerificationStep.KEY
    with pytest.raises(BadSignature) as caught:
        gateway.missing_key_request(request, now=NOW, nonce="n")
    assert caught.value.step is VerificationStep.KEY


@pytest.mark.parametrize(
    ("api_base", "step"),
    [
        ("https://api-m.paypal.com", VerificationStep.MODE),
        ("https://api.paypal.com", VerificationStep.MODE),
        ("https://api-m.sandbox.paypal.com", None),
        ("http://127.0.0.1:1", None),
    ],
)
def test_the_sandbox_is_not_believed_at_a_live_account(api_base, step):
    gateway = a_gateway(api_base=api_base)
    assert gateway.live is (None if "127" in api_base else step is not None)
    if step is None:
        assert gateway.verify(signed(), NOW)
    else:
        assert refused(gateway, signed()) is step


def test_a_forged_checksum_passes_for_paypals_and_pays_nothing():
    resource = paypal_capture("7CAPFORGED", 99900, "EUR", "ORDER-2", at=NOW)
    told = {"id": "WH-2", "event_type": "PAYMENT.CAPTURE.COMPLETED", "create_time": "2026-10-05T12:00:00Z"}
    request, gateway = forged({**told, "resource": resource}), a_gateway(confirm_by_query=True)
    verified = gateway.verify(request, NOW)  # this is what a checksum is worth
    assert gateway.parse(verified) == ()
    (query,) = gateway.queries_for(verified)
    assert query.payment_ref == "7CAPFORGED"
    assert not answer_to(query, {"name": "RESOURCE_NOT_FOUND"}, 404).found
