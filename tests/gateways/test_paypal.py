"""PayPal: the text to be signed is made by the package `paypalrestsdk`; certificates, kinds and asking by documents."""

import json
import zlib
from base64 import b64encode
from datetime import timedelta

import msgspec
import pytest
from certificates import issue
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from paypalrestsdk.notifications import WebhookEvent
from pydantic import ValidationError
from specimen import NOW, request_of, response_of, with_header
from specimen_paypal import URL, WEBHOOK_ID, identity, settings_of
from walking import Walk, assert_ends_as_told, story_of

from sandbox.simulators.paypal import (
    SIMULATOR,
    paypal_body,
    paypal_capture,
    paypal_dispute,
    paypal_identity,
    paypal_money,
    paypal_order,
    paypal_refund,
    paypal_signed,
)
from sandbox.simulators.registry import ledger_of
from tests.pure.sandbox.asking import answer as asked_at
from tillkeeper.api_client.key_fetching import Keys, NoKey
from tillkeeper.domain.events import Kind
from tillkeeper.domain.facts import OrderFacts, Step, apply
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order import Order, Status, summarize
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.gateways.messages import Answer, Call, Query
from tillkeeper.gateways.paypal.certificates import (
    KEPT_FOR,
    LEARNT_MAX,
    LIVE_NAME,
    REFUSED_FOR,
    REFUSED_MAX,
    SANDBOX_NAME,
    Certificates,
    trust_in,
)
from tillkeeper.gateways.paypal.codes import AUTHORIZATIONS, CAPTURES, FAILURES, OUTCOMES, REFUNDS
from tillkeeper.gateways.paypal.gateway import PayPal
from tillkeeper.gateways.paypal.objects import STANDS, failure_of
from tillkeeper.gateways.paypal.settings import ABOUT, PayPalSettings
from tillkeeper.gateways.paypal.webhook import CONFIRMED, TYPES

CAPTURE_ID = "7CAP1"
ORDER_ID = "5ORD1"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref=CAPTURE_ID)
ORDER = Query(about="payment", order_ref="ORDER-1", payment_ref=f"order-{ORDER_ID}")
AUTHORIZATION = Query(about="payment", order_ref="ORDER-1", payment_ref=f"authorization-{CAPTURE_ID}")
SALE = Query(about="payment", order_ref="ORDER-1", payment_ref=f"sale-{CAPTURE_ID}")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=CAPTURE_ID, refund_ref="1REF1")
SALE_REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=f"sale-{CAPTURE_ID}", refund_ref="sale-1REF1")
TOLD_AT = NOW - timedelta(seconds=3)


def a_gateway(**settings):
    return PayPal("paypal-main", PayPalSettings.model_validate(settings_of(**settings)))


def a_learner(**settings):
    """One whose certificates must be fetched."""
    return a_gateway(certs={}, **settings)


def signed(body=b"{}", *, url=URL, webhook_id=WEBHOOK_ID, key=None):
    key = key or identity().key
    return request_of(paypal_signed(key, body, webhook_id=webhook_id, certificate_url=url, at=NOW))


def parsed(event_type, resource, gateway=None, **event):
    gateway = gateway or a_gateway()
    body = paypal_body(event_type, resource, **{"event_id": "WH-1", "at": NOW} | event)
    return gateway.parse(gateway.verify(signed(body), NOW))


def event_of(event_type, resource):
    """What it says of the object itself; the rest is of what came before it."""
    return parsed(event_type, resource)[0]


def a_capture(amount=12900, currency="EUR", **more):
    return paypal_capture(CAPTURE_ID, amount, currency, "ORDER-1", at=NOW, **more)


def a_refund(amount=400, **more):
    return paypal_refund("1REF1", CAPTURE_ID, amount, "EUR", at=NOW, **more)


def an_order(**more):
    return paypal_order(ORDER_ID, 12900, "EUR", "ORDER-1", at=NOW, **more)


def paid_order(*captures, status="COMPLETED", **payments):
    unit = {
        "amount": paypal_money(12900, "EUR"),
        "custom_id": "ORDER-1",
        "payments": {"captures": [*captures], **payments},
    }
    return an_order(status=status, purchase_units=[unit])


def a_sale(**more):
    told = {"id": CAPTURE_ID, "amount": {"total": "129.00", "currency": "EUR"}, "state": "completed"}
    return told | {"custom": "ORDER-1", "create_time": "2026-10-05T11:00:00Z", "parent_payment": "PAY-1"} | more


def a_sale_refund(**more):
    return a_sale(id="1REF1", sale_id=CAPTURE_ID) | more


def answer_to(query, content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return a_gateway().read_response(
        query, response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status), now=NOW
    )


def summary_after(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    order = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"paypal-main"}))
    return summarize(order, facts)


def status_after(*events):
    return summary_after(*events).status


def refused(gateway, request, now=NOW):
    with pytest.raises(BadSignature) as caught:
        gateway.verify(request, now)
    return caught.value.step


# The signature.


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


@pytest.mark.parametrize("url", ODD_URLS, ids=ascii)
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


# Certificates.


CALL = Call(method="GET", url=URL, headers={})


def response(pem, status=200):
    return response_of(({}, pem.encode() if isinstance(pem, str) else pem), status)


def test_an_unknown_certificate_is_fetched_once_and_kept_for_some_days():
    gateway, request = a_learner(), signed()
    assert refused(gateway, request) is VerificationStep.KEY
    assert gateway.key_labels() == ()
    call = gateway.missing_key_request(request, now=NOW, nonce="n")
    assert (call.method, call.url, call.body) == ("GET", URL, b"")
    assert not any(name.lower() == "authorization" for name in call.headers)
    gateway.read_key(call, response(identity().chain), now=NOW)
    assert gateway.missing_key_request(request, now=NOW, nonce="n") is None
    assert (gateway.verify(request, NOW).key,) == gateway.key_labels()
    later = NOW + KEPT_FOR
    assert refused(gateway, request, later) is VerificationStep.KEY
    assert gateway.missing_key_request(request, now=later, nonce="n").url == URL


@pytest.mark.parametrize("host", ["api.paypal.com", "api-m.paypal.com", "api.paypal.com:443"])
def test_live_certificates_have_the_live_name(host):
    gateway = a_learner(api_base="https://api-m.paypal.com")
    request = signed(url=f"https://{host}/v1/notifications/certs/CERT-1")
    call = gateway.missing_key_request(request, now=NOW, nonce="n")
    with pytest.raises(BadSignature, match=r"messageverificationcerts\.paypal\.com"):
        gateway.read_key(call, response(identity().chain), now=NOW)


def test_a_delivery_that_could_not_verify_has_nothing_fetched():
    gateway = a_learner()
    for name in ("paypal-transmission-sig", "paypal-transmission-id", "paypal-transmission-time", "paypal-auth-algo"):
        with pytest.raises(BadSignature):
            gateway.missing_key_request(with_header(signed(), name, []), now=NOW, nonce="n")


def test_certificates_of_two_addresses_do_not_get_in_each_others_way():
    gateway, other = a_learner(), URL[:-1] + "9"
    calls = [gateway.missing_key_request(signed(url=url), now=NOW, nonce="n") for url in (URL, other)]
    assert [call.url for call in calls] == [URL, other]
    gateway.read_key(calls[1], response(identity().chain), now=NOW)
    assert gateway.verify(signed(url=other), NOW)
    assert refused(gateway, signed()) is VerificationStep.KEY


def test_the_certificate_in_use_is_fetched_anew_before_it_lapses():
    gateway = a_learner()
    assert gateway.key_refresh_request(now=NOW, nonce="n") is None
    gateway.read_key(CALL, response(identity().chain), now=NOW)
    later = NOW + KEPT_FOR / 2
    again = gateway.key_refresh_request(now=later, nonce="n")
    assert again.url == URL
    gateway.read_key(again, response(identity().chain), now=later)
    assert gateway.verify(signed(), NOW + KEPT_FOR)


def test_the_certificate_in_use_is_the_one_that_verified_last():
    """Anybody can have another of PayPal's fetched after it."""
    gateway, other = a_learner(), URL[:-1] + "9"
    for url in (URL, other):
        gateway.read_key(Call(method="GET", url=url, headers={}), response(identity().chain), now=NOW)
    assert gateway.key_refresh_request(now=NOW, nonce="n").url == other
    assert gateway.verify(signed(), NOW)
    assert gateway.key_refresh_request(now=NOW, nonce="n").url == URL


@pytest.mark.parametrize(("pem", "status"), [("", 404), ("<html>", 200)])
def test_an_address_that_yields_none_is_left_alone_for_a_while(pem, status):
    gateway = a_learner()
    for at in (NOW, NOW + REFUSED_FOR):
        assert gateway.missing_key_request(signed(), now=at, nonce="n")
        with pytest.raises(BadSignature):
            gateway.read_key(CALL, response(pem, status), now=at)
        with pytest.raises(BadSignature, match="a short time ago"):
            gateway.missing_key_request(signed(), now=at + REFUSED_FOR / 2, nonce="n")
    later = NOW + 3 * REFUSED_FOR
    gateway.read_key(CALL, response(identity().chain), now=later)
    assert gateway.verify(signed(), later)


def test_addresses_without_end_are_not_remembered_without_end():
    certificates = Certificates({}, trust_in(identity().authority))
    for at in range(REFUSED_MAX + 1):
        certificates.refuse(f"{URL}{at}", NOW)
    assert not certificates.is_refused(f"{URL}0", NOW)
    assert certificates.is_refused(f"{URL}1", NOW)


async def test_strange_addresses_keep_no_receiver_from_the_certificate_neither_before_nor_after_a_restart():
    """Somebody posts one a second, well formed, and each answer is 404; PayPal's delivery comes between."""

    class Secret:
        learnt = ()

        async def keys_of(self, account):
            return list(self.learnt)

        async def put(self, account, key):
            self.learnt = (key,)

    async def send(call):
        assert is_reachable
        return response(identity().chain) if call.url == URL else response("", 404)

    def a_receiver():
        return Keys(a_learner(), send, key_store=kept, now=lambda: NOW, monotonic_s=lambda: passed_s)

    kept, passed_s, is_reachable = Secret(), 0.0, True
    receiver = a_receiver()
    for passed_s in range(120):
        with pytest.raises((BadSignature, NoKey)):
            await receiver.fetch_for(signed(url=f"{URL}{passed_s}"))
    with pytest.raises(NoKey):
        await receiver.fetch_for(signed())
    with pytest.raises(NoKey):
        await receiver.fetch_for(signed(url=f"{URL}x"))
    assert await receiver.fetch_for(signed())  # PayPal sends again
    is_reachable = False
    assert await a_receiver().fetch_for(signed())


@pytest.mark.parametrize(
    ("pem", "status", "error"),
    [
        ("", 429, Unavailable),
        ("", 503, Unavailable),
        ("", 404, BadSignature),
        ("", 302, BadSignature),
        ("", 200, BadSignature),
        ("<html>", 200, BadSignature),
        (b"\xff", 200, BadSignature),
        ("x" * 100_000, 200, BadSignature),
    ],
)
def test_what_is_fetched_and_is_no_certificate(pem, status, error):
    gateway = a_learner()
    gateway.missing_key_request(signed(), now=NOW, nonce="n")
    with pytest.raises(error):
        gateway.read_key(CALL, response(pem, status), now=NOW)
    assert gateway.key_labels() == ()
    assert refused(gateway, signed()) is VerificationStep.KEY
    assert gateway.missing_key_request(
        signed(url=URL[:-1] + "9"), now=NOW, nonce="n"
    )  # nobody waits for the first any more


HOST = SANDBOX_NAME
END = "-----END CERTIFICATE-----\n"


def test_a_certificate_of_paypals_is_learnt():
    learn_at(HOST, NOW, lambda it: it.chain)


def learn_at(name, at, chain_of):
    """Learns what an authority that is trusted issued for this name."""
    told = paypal_identity(name, at)
    gateway = a_learner(trusted_ca=told.authority)
    gateway.missing_key_request(signed(), now=NOW, nonce="n")
    gateway.read_key(CALL, response(chain_of(told)), now=NOW)


@pytest.mark.parametrize(
    ("name", "at", "chain_of"),
    [
        (HOST, NOW, lambda _: identity().chain),  # by another authority
        ("www.paypal.com", NOW, lambda it: it.chain),
        (LIVE_NAME, NOW, lambda it: it.chain),
        (f"{HOST}.evil.example", NOW, lambda it: it.chain),
        (HOST, NOW - timedelta(days=800), lambda it: it.chain),
        (HOST, NOW + timedelta(days=800), lambda it: it.chain),
        (HOST, NOW, lambda it: it.chain.partition(END)[0] + END),  # without the one between
        (HOST, NOW, lambda it: it.chain.partition(END)[2]),  # the one between alone
        (HOST, NOW, lambda it: it.authority),
        (HOST, NOW, lambda it: it.chain + it.authority * 20),
    ],
)
def test_a_certificate_that_is_not_paypals_is_not_learnt(name, at, chain_of):
    with pytest.raises(BadSignature) as caught:
        learn_at(name, at, chain_of)
    assert caught.value.step is VerificationStep.KEY


def test_a_certificate_that_signed_itself_is_not_learnt(keys):
    gateway = a_learner()
    gateway.missing_key_request(signed(), now=NOW, nonce="n")
    with pytest.raises(BadSignature):
        gateway.read_key(CALL, response(issue(HOST, keys.own).pem), now=NOW)


def test_a_configured_certificate_is_checked_as_well():
    told = paypal_identity("www.paypal.com", NOW)
    gateway = a_gateway(certs={URL: told.chain}, trusted_ca=told.authority)
    assert refused(gateway, signed(key=told.key)) is VerificationStep.KEY


@pytest.mark.parametrize("days", [-366, 366])
def test_a_certificate_is_believed_while_it_is_valid(days):
    gateway = a_gateway()
    assert gateway.verify(signed(), NOW)
    assert refused(gateway, signed(), NOW + timedelta(days=days)) is VerificationStep.KEY
    assert gateway.verify(signed(), NOW)


def test_public_authorities_are_trusted_unless_others_are_named():
    gateway = a_gateway(trusted_ca=None)
    assert refused(gateway, signed()) is VerificationStep.KEY


def test_only_a_few_certificates_are_kept():
    certificates = Certificates({}, trust_in(identity().authority))
    urls = [f"{URL}{at}" for at in range(LEARNT_MAX + 1)]
    for url in (*urls, urls[1]):
        certificates.add(url, identity().chain, NOW)
    assert certificates.at_hand(urls[0], NOW) is None
    assert all(certificates.at_hand(url, NOW) for url in urls[1:])
    assert len(certificates.labels) == 1


# Settings.


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None},
        {"client_secret": None},
        {"webhook_id": ""},
        {"webhook_id": "a|b"},
        {"certs": {"https://evil.example/cert": "PEM"}},
        {"certs": {URL: "no PEM"}},
        {"trusted_ca": "no PEM"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        a_gateway(**wrong)


def test_people_are_told_that_a_checksum_can_be_forged():
    assert "CRC-32" in ABOUT.uncovered


# Events.

PAYMENTS = {
    "PAYMENT.CAPTURE.PENDING": Kind.PAYMENT_PENDING,
    "PAYMENT.CAPTURE.COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "PAYMENT.CAPTURE.DENIED": Kind.PAYMENT_FAILED,
    "PAYMENT.CAPTURE.DECLINED": Kind.PAYMENT_FAILED,
}
AUTHORIZED = {
    "PAYMENT.AUTHORIZATION.CREATED": (Kind.PAYMENT_AUTHORIZED, None),
    "PAYMENT.AUTHORIZATION.DENIED": (Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
    "PAYMENT.AUTHORIZATION.VOIDED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "PAYMENT.AUTHORIZATION.EXPIRED": (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
}
SALES = {
    "PAYMENT.SALE.PENDING": Kind.PAYMENT_PENDING,
    "PAYMENT.SALE.COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "PAYMENT.SALE.DENIED": Kind.PAYMENT_FAILED,
}
REFUND_TYPES = ["PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED"]
DISPUTE_TYPES = [f"CUSTOMER.DISPUTE.{it}" for it in ("CREATED", "UPDATED", "RESOLVED")]
OTHERS = {
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.ORDER.VOIDED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.SALE.REFUNDED",
    "PAYMENT.SALE.REVERSED",
}


def test_every_type_is_tested():
    assert {*PAYMENTS, *AUTHORIZED, *SALES, *REFUND_TYPES, *DISPUTE_TYPES, *OTHERS} == set(TYPES)


@pytest.mark.parametrize(("event_type", "kind"), PAYMENTS.items())
def test_captures_by_type(event_type, kind):
    event = event_of(event_type, a_capture())
    assert (event.kind, event.event_id, event.occurred_at) == (kind, "WH-1", NOW)
    assert (event.payment_ref, event.order_ref) == (CAPTURE_ID, "ORDER-1")
    assert (event.amount, event.currency) == (12900, "EUR")


@pytest.mark.parametrize(("event_type", "told"), AUTHORIZED.items())
def test_authorizations_by_type(event_type, told):
    event = event_of(event_type, a_capture())
    assert (event.kind, event.failure) == told
    assert (event.payment_ref, event.amount) == (f"authorization-{CAPTURE_ID}", 12900)


@pytest.mark.parametrize(("event_type", "kind"), SALES.items())
def test_sales_of_the_first_api_by_type(event_type, kind):
    event = event_of(event_type, a_sale())
    assert (event.kind, event.payment_ref, event.order_ref) == (kind, f"sale-{CAPTURE_ID}", "ORDER-1")
    assert (event.amount, event.currency) == (12900, "EUR")
    assert event.occurred_at == NOW - timedelta(hours=1)


@pytest.mark.parametrize("event_type", REFUND_TYPES)
@pytest.mark.parametrize(("status", "kind"), REFUNDS.items())
def test_refunds_by_status_are_their_own_and_find_their_capture_among_the_links(event_type, status, kind):
    event = event_of(event_type, a_refund(status=status))
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "1REF1", CAPTURE_ID)
    assert (event.amount, event.total, event.order_ref) == (400, None, None)
    assert (event.failure is not None) is (kind is Kind.REFUND_FAILED)


def test_a_refund_whose_breakdown_tells_all_that_was_given_back_tells_its_own():
    total = {"total_refunded_amount": paypal_money(9900, "EUR")}
    assert event_of("PAYMENT.CAPTURE.REFUNDED", a_refund(seller_payable_breakdown=total)).amount == 400


@pytest.mark.parametrize(
    "links",
    [
        [],
        None,
        [{"rel": "self", "href": "https://api.paypal.com/v2/payments/captures/7CAP1"}],
        [{"rel": "up", "href": "https://api.paypal.com/v2/checkout/orders/7CAP1"}],
        [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/../7CAP1"}],
        [{"rel": "up"}],
    ],
)
def test_a_refund_that_names_no_capture_is_asked_about_by_its_own_id(links):
    events, (asked,) = fetched("PAYMENT.CAPTURE.REFUNDED", a_refund(links=links))
    assert (events, asked) == ((), Query(about="refund", refund_ref="1REF1"))
    assert answer_to(REFUND, a_refund(links=links)).events[0].payment_ref == CAPTURE_ID  # as the query says
    with pytest.raises(BadPayload, match="names no capture"):
        answer_to(asked, a_refund(links=links))


@pytest.mark.parametrize("place", ["capture_id", "links"])
def test_a_refund_of_the_first_api_may_be_of_a_capture(place):
    link = {"rel": "capture", "href": f"https://api.paypal.com/v1/payments/capture/{CAPTURE_ID}"}
    refund = {
        "id": "1REF1",
        "amount": {"total": "-4.00", "currency": "EUR"},
        "state": "completed",
        "create_time": "2026-10-05T11:00:00Z",
        "links": [link] if place == "links" else [],
    } | ({"capture_id": CAPTURE_ID} if place == "capture_id" else {})
    event = event_of("PAYMENT.CAPTURE.REFUNDED", refund)
    assert (event.kind, event.refund_ref, event.payment_ref) == (Kind.REFUND_SUCCEEDED, "1REF1", CAPTURE_ID)
    assert event.amount == 400
    assert fetched("PAYMENT.CAPTURE.REFUNDED", refund)[1] == (
        Query(about="refund", payment_ref=CAPTURE_ID, refund_ref="1REF1"),
    )
    reversed_ = event_of("PAYMENT.CAPTURE.REVERSED", refund)
    assert (reversed_.kind, reversed_.payment_ref) == (Kind.PAYMENT_REVERSED, CAPTURE_ID)


def test_a_refund_made_on_paypals_website_names_no_sale_and_is_asked_about_with_its_sale():
    bare = a_sale_refund()
    del bare["sale_id"]
    events, (asked,) = fetched("PAYMENT.SALE.REFUNDED", bare)
    assert (events, asked) == ((), Query(about="refund", refund_ref="sale-1REF1"))
    assert a_gateway().query_request(asked, now=NOW, nonce="n").url.endswith("/v1/payments/refund/1REF1")
    answer = answer_to(asked, a_sale_refund(custom=None))
    assert [(it.kind, it.payment_ref) for it in answer.events] == [(Kind.REFUND_SUCCEEDED, f"sale-{CAPTURE_ID}")]
    assert answer.also == (Query(about="payment", payment_ref=f"sale-{CAPTURE_ID}"),)
    assert answer_to(SALE_REFUND, bare).also == ()
    of_capture = bare | {"capture_id": CAPTURE_ID}
    assert answer_to(asked, of_capture).also == (Query(about="payment", payment_ref=CAPTURE_ID),)
    assert answer_to(asked, bare | {"capture_id": "a/b"}).also == ()
    assert answer_to(asked, bare | {"capture_id": "7", "state": "melted"}) == Answer(found=True)


def test_refunds_of_the_first_api():
    event = event_of("PAYMENT.SALE.REFUNDED", a_sale_refund())
    assert (event.kind, event.refund_ref) == (Kind.REFUND_SUCCEEDED, "sale-1REF1")
    assert (event.payment_ref, event.amount) == (f"sale-{CAPTURE_ID}", 12900)
    minus = a_sale_refund(amount={"total": "-4.00", "currency": "EUR"})
    assert event_of("PAYMENT.SALE.REFUNDED", minus).amount == 400
    (asked,) = answer_to(SALE_REFUND, minus).events
    assert asked.amount == 400


@pytest.mark.parametrize("resource", [a_capture(), a_refund(12900)])
def test_what_paypal_takes_back_undoes_the_capture(resource):
    event = event_of("PAYMENT.CAPTURE.REVERSED", resource)
    assert (event.kind, event.payment_ref, event.dispute_ref) == (Kind.PAYMENT_REVERSED, CAPTURE_ID, None)
    assert event.amount == 12900


@pytest.mark.parametrize("resource", [a_sale_refund(), a_sale_refund(amount={"total": "-129.00", "currency": "EUR"})])
def test_what_paypal_takes_back_of_a_sale_may_have_a_minus(resource):
    event = event_of("PAYMENT.SALE.REVERSED", resource)
    assert (event.kind, event.payment_ref, event.amount) == (Kind.PAYMENT_REVERSED, f"sale-{CAPTURE_ID}", 12900)
    assert event_of("PAYMENT.SALE.REVERSED", a_sale()).payment_ref == f"sale-{CAPTURE_ID}"


LATER = (NOW + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("PAYMENT.CAPTURE.REVERSED", a_capture(update_time=LATER)),
        ("PAYMENT.CAPTURE.DENIED", a_capture(update_time=LATER, status="DECLINED")),
        ("PAYMENT.SALE.REVERSED", a_sale(id=CAPTURE_ID, update_time=LATER)),
        ("PAYMENT.SALE.DENIED", a_sale(id=CAPTURE_ID, update_time=LATER)),
    ],
)
def test_a_success_that_was_taken_back_is_no_money_and_no_answer_about_it_brings_it_back(event_type, resource):
    is_sale = "SALE" in event_type
    completed = parsed(f"PAYMENT.{'SALE' if is_sale else 'CAPTURE'}.COMPLETED", a_sale() if is_sale else a_capture())
    undone = parsed(event_type, resource)
    query, content = (SALE, a_sale()) if is_sale else (PAYMENT, a_capture())
    answer = answer_to(query, content | {"update_time": LATER}).events
    assert summary_after(*completed).status is Status.PAID
    for told in ((*completed, *undone), (*undone, *completed), (*completed, *undone, *answer)):
        summary = summary_after(*told)
        assert (summary.status, summary.captured) == (Status.FAILED, 0)


def test_an_amount_with_a_minus_is_refused_elsewhere():
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", a_capture(amount=-100))


def test_an_approved_order_is_not_paid():
    event = event_of("CHECKOUT.ORDER.APPROVED", an_order())
    assert (event.kind, event.payment_ref, event.order_ref) == (Kind.PAYMENT_PENDING, f"order-{ORDER_ID}", "ORDER-1")
    assert (event.amount, event.currency) == (12900, "EUR")


def test_an_order_of_several_payees_names_no_order_but_the_one_that_all_name():
    def with_refs(*refs):
        units = [{"amount": paypal_money(100, "EUR"), "custom_id": ref} for ref in refs]
        return event_of("CHECKOUT.ORDER.APPROVED", an_order(purchase_units=units))

    assert (with_refs("A", "B").order_ref, with_refs("A", "A").order_ref) == (None, "A")
    assert with_refs("A", "A").amount is None


def test_an_order_without_units_is_refused():
    with pytest.raises(BadPayload):
        parsed("CHECKOUT.ORDER.APPROVED", an_order(purchase_units=None))


def test_an_approval_that_nobody_used_is_cancelled():
    resource = {"order_id": ORDER_ID, "purchase_units": [{"custom_id": "ORDER-1"}]}
    event = event_of("CHECKOUT.PAYMENT-APPROVAL.REVERSED", resource)
    assert (event.kind, event.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID)
    assert (event.payment_ref, event.order_ref) == (f"order-{ORDER_ID}", "ORDER-1")
    assert event.occurred_at == NOW  # it has no time of its own


def a_dispute(**more):
    return paypal_dispute("PP-D-1", CAPTURE_ID, 12900, "EUR", "ORDER-1", at=NOW, **more)


@pytest.mark.parametrize("event_type", DISPUTE_TYPES)
@pytest.mark.parametrize("status", ["OPEN", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW", "RESOLVED"])
def test_disputes_are_open_until_an_outcome_is_told(event_type, status):
    event = event_of(event_type, a_dispute(status=status))
    assert (event.kind, event.dispute_ref, event.payment_ref) == (Kind.DISPUTE_OPENED, "PP-D-1", CAPTURE_ID)
    assert (event.amount, event.order_ref) == (12900, "ORDER-1")


@pytest.mark.parametrize(
    ("code", "kind"), [*OUTCOMES.items(), *dict.fromkeys(("NONE", None), Kind.DISPUTE_OPENED).items()]
)
def test_disputes_by_outcome(code, kind):
    resource = a_dispute(status="RESOLVED", dispute_outcome={"outcome_code": code})
    assert event_of("CUSTOMER.DISPUTE.RESOLVED", resource).kind is kind


def test_a_dispute_need_not_tell_its_amount():
    event = event_of("CUSTOMER.DISPUTE.UPDATED", a_dispute(dispute_amount=None))
    assert (event.kind, event.dispute_ref, event.amount) == (Kind.DISPUTE_OPENED, "PP-D-1", None)


def test_a_dispute_of_several_payments_is_of_none():
    transactions = [{"seller_transaction_id": "A"}, {"seller_transaction_id": "B"}]
    event = event_of("CUSTOMER.DISPUTE.CREATED", a_dispute(disputed_transactions=transactions))
    assert (event.payment_ref, event.order_ref, event.dispute_ref) == (None, None, "PP-D-1")


@pytest.mark.parametrize(
    ("names", "ref"),
    [
        ({"custom_id": "A", "invoice_id": "B"}, "A"),
        ({"custom_id": "", "invoice_id": "B"}, "B"),
        ({"custom_id": None}, None),
    ],
)
def test_the_order_reference_is_custom_id_or_invoice_id(names, ref):
    assert event_of("PAYMENT.CAPTURE.COMPLETED", a_capture(**names)).order_ref == ref


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [
        ("129.00", "EUR", 12900),
        ("0.29", "USD", 29),
        ("1500", "HUF", 150_000),  # ISO 4217 has two digits for it, and PayPal writes none
        ("1500", "TWD", 150_000),
        ("1500", "JPY", 1500),
    ],
)
def test_amounts_are_decimal_text(value, currency, amount):
    event = event_of("PAYMENT.CAPTURE.COMPLETED", a_capture() | {"amount": {"value": value, "currency_code": currency}})
    assert (event.amount, event.currency) == (amount, currency)


@pytest.mark.parametrize(
    "amount",
    [
        {"value": "15.50", "currency_code": "JPY"},
        {"value": "1.001", "currency_code": "EUR"},
        {"value": 129, "currency_code": "EUR"},
        {"value": "1e3", "currency_code": "EUR"},
        {"value": "1.00"},
        {},
        "1.00",
    ],
)
def test_amounts_that_are_none_are_refused(amount):
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", a_capture() | {"amount": amount})


@pytest.mark.parametrize(
    ("event_type", "is_noted"),
    [("BILLING.PLAN.CREATED", False), ("PAYMENT.CAPTURE.NEW", True), ("CHECKOUT.ORDER.NEW", True)],
)
def test_other_types_are_of_no_interest_and_noted_where_they_could_tell_of_money(event_type, is_noted):
    with unknown_words() as words:
        assert parsed(event_type, {"id": "x"}) == ()
    assert list(words) == ([UnknownWord("event_type", event_type)] if is_noted else [])


@pytest.mark.parametrize(
    ("event_type", "resource", "field"),
    [
        ("PAYMENT.CAPTURE.REFUNDED", a_refund(status="MELTED"), "status of a refund"),
        ("PAYMENT.SALE.REFUNDED", a_sale_refund(state="melted"), "status of a refund"),
    ],
)
def test_a_state_that_nobody_knows_is_noted_and_refuses_nothing(event_type, resource, field):
    with unknown_words() as words:
        assert fetched(event_type, resource) == ((), ())
    assert list(words) == [UnknownWord(field, "MELTED")]


def test_an_order_that_is_over_is_told_by_its_captures_or_was_called_off():
    completed = event_of("CHECKOUT.ORDER.COMPLETED", an_order(status="COMPLETED"))
    assert (completed.kind, completed.amount, completed.currency) == (Kind.PAYMENT_SUCCEEDED, 0, "EUR")
    several = an_order(purchase_units=[{"amount": paypal_money(100, "EUR")}] * 2)
    assert event_of("CHECKOUT.ORDER.COMPLETED", several).currency == "EUR"
    with pytest.raises(BadPayload):
        parsed("CHECKOUT.ORDER.COMPLETED", an_order(purchase_units=[]))
    voided = event_of("CHECKOUT.ORDER.VOIDED", an_order(status="VOIDED"))
    assert (voided.kind, voided.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED)


# An order, its authorizations and its captures are one attempt.

APPROVED_FIRST = ("CHECKOUT.ORDER.APPROVED", an_order())
AUTHORIZED_THEN = ("PAYMENT.AUTHORIZATION.CREATED", a_capture() | {"id": "3AUT1"})
OF_BOTH = {"related_ids": {"order_id": ORDER_ID, "authorization_id": "3AUT1"}}


def under_way_after(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    # twice the amount is due, so that what is under way shows
    order = Order(order_ref="ORDER-1", amount=25800, currency="EUR", accounts=frozenset({"paypal-main"}))
    return {ref for (_, ref), it in facts.payments.items() if it.step in {Step.PENDING, Step.AUTHORIZED}}, summarize(
        order, facts
    )


def test_nothing_stays_under_way_beside_a_finished_capture_whichever_comes_first():
    capture = a_capture(supplementary_data=OF_BOTH)
    before = [event for told in (APPROVED_FIRST, AUTHORIZED_THEN) for event in parsed(*told)]
    webhooks = parsed("PAYMENT.CAPTURE.COMPLETED", capture)
    answers = answer_to(PAYMENT, capture).events
    for told in (webhooks, answers):
        for events in ((*before, *told), (*told, *before)):
            under_way, summary = under_way_after(*events)
            assert (under_way, summary.status, summary.captured) == (set(), Status.PARTIALLY_PAID, 12900)
    listed = paid_order(capture, authorizations=[a_capture(status="CAPTURED") | {"id": "3AUT1"}])
    assert under_way_after(*before, *answer_to(ORDER, listed).events)[0] == set()


def test_a_rest_that_can_still_be_captured_stays_authorized():
    capture = a_capture(5000, final_capture=False, supplementary_data=OF_BOTH)
    authorized = parsed(*AUTHORIZED_THEN)
    answer = answer_to(PAYMENT, capture)
    assert under_way_after(*authorized, *answer.events)[0] == {"authorization-3AUT1"}
    assert answer.also == (Query(about="payment", order_ref="ORDER-1", payment_ref="authorization-3AUT1"),)
    asked = Query(about="payment", order_ref="ORDER-1", payment_ref="authorization-3AUT1")
    for status, left, also in (
        ("PARTIALLY_CAPTURED", {"authorization-3AUT1"}, (ORDER,)),
        ("CAPTURED", set(), (ORDER,)),
        ("VOIDED", set(), ()),
    ):
        rest = a_capture(status=status) | {"id": "3AUT1", "supplementary_data": {"related_ids": {"order_id": ORDER_ID}}}
        told = answer_to(asked, rest)
        later = [msgspec.structs.replace(it, as_of=NOW + timedelta(hours=1)) for it in told.events]
        assert under_way_after(*authorized, *answer.events, *later)[0] == left
        assert told.also == also


def test_a_capture_that_failed_leaves_its_order_to_be_paid_otherwise():
    approved = parsed(*APPROVED_FIRST)
    declined = parsed("PAYMENT.CAPTURE.DECLINED", a_capture(status="DECLINED"))
    assert under_way_after(*approved, *declined)[0] == {f"order-{ORDER_ID}"}


def test_a_capture_that_names_paypals_order_alone_has_that_order_asked_about():
    capture = a_capture(custom_id=None)
    events, asked = fetched("PAYMENT.CAPTURE.COMPLETED", capture)
    assert (events, asked) == (
        (),
        (
            Query(about="payment", payment_ref=CAPTURE_ID),
            Query(about="payment", payment_ref=f"order-{ORDER_ID}"),
        ),
    )
    for odd in ({"related_ids": {"order_id": "a/b"}}, {"related_ids": []}, {}, None):
        assert len(fetched("PAYMENT.CAPTURE.COMPLETED", capture | {"supplementary_data": odd})[1]) == 1


def test_what_a_forged_body_could_say_of_an_order_is_not_believed():
    events, _ = fetched("PAYMENT.CAPTURE.PENDING", a_capture(status="PENDING"))
    assert [it.payment_ref for it in events] == [CAPTURE_ID]


def test_an_event_without_meaning_is_refused():
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", a_capture(), event_id="e" * 300)
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", None)


@pytest.mark.parametrize(("code", "failure"), FAILURES.items())
def test_failures_by_table(code, failure):
    by_reason = a_capture(status_details={"reason": code})
    by_bank = a_capture(processor_response={"response_code": code})
    for resource in (by_reason, by_bank):
        event = event_of("PAYMENT.CAPTURE.DECLINED", resource)
        assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("bank", "reason", "failure", "code"),
    [
        ("5120", "DECLINED_BY_RISK_FRAUD_FILTERS", FailureClass.INSUFFICIENT_FUNDS, "5120"),
        ("PPXX", "DECLINED_BY_RISK_FRAUD_FILTERS", FailureClass.SUSPECTED_FRAUD, "DECLINED_BY_RISK_FRAUD_FILTERS"),
        ("PPXX", "OTHER", FailureClass.UNKNOWN, "PPXX"),
        (None, "OTHER", FailureClass.UNKNOWN, "OTHER"),
        (None, None, FailureClass.UNKNOWN, None),
    ],
)
def test_which_code_tells_why(bank, reason, failure, code):
    resource = {"processor_response": {"response_code": bank}, "status_details": {"reason": reason}}
    assert failure_of(resource) == (failure, code)
    assert failure_of({"reason_code": reason}) == failure_of({"status_details": {"reason": reason}})


def test_what_an_unproven_delivery_names():
    def named(event_type, resource):
        return a_gateway().claimed_references(request_of(({}, paypal_body(event_type, resource, event_id="e", at=NOW))))

    capture = named("PAYMENT.CAPTURE.COMPLETED", a_capture())
    assert (capture.payment_ref, capture.order_ref) == (CAPTURE_ID, "ORDER-1")
    assert named("PAYMENT.CAPTURE.REFUNDED", a_refund()).payment_ref == CAPTURE_ID
    assert named("PAYMENT.CAPTURE.COMPLETED", {}) is None
    assert named("BILLING.PLAN.CREATED", {}) is None
    assert named("PAYMENT.CAPTURE.COMPLETED", a_capture(id="/", custom_id="/")) is None


# What is asked for again.

MONEY = {
    "CHECKOUT.ORDER.COMPLETED": (an_order(status="COMPLETED"), ORDER),
    "PAYMENT.CAPTURE.COMPLETED": (a_capture(), PAYMENT),
    "PAYMENT.CAPTURE.REFUNDED": (a_refund(), REFUND),
    "PAYMENT.REFUND.PENDING": (a_refund(status="PENDING"), REFUND),
    "PAYMENT.REFUND.FAILED": (a_refund(status="FAILED"), REFUND),
    "PAYMENT.SALE.COMPLETED": (a_sale(), SALE),
    "PAYMENT.SALE.REFUNDED": (a_sale_refund(), SALE_REFUND),
}


def fetched(event_type, resource, gateway=None):
    gateway = gateway or a_gateway(confirm_by_query=True)
    verified = gateway.verify(signed(paypal_body(event_type, resource, event_id="WH-1", at=NOW)), NOW)
    return gateway.parse(verified), gateway.queries_for(verified)


def test_all_that_tells_of_success_or_of_refunds_is_asked_for_again():
    told = {name for name in TYPES if name in SALES | PAYMENTS and (SALES | PAYMENTS)[name] is Kind.PAYMENT_SUCCEEDED}
    assert CONFIRMED == set(MONEY) == told | {*REFUND_TYPES, "PAYMENT.SALE.REFUNDED", "CHECKOUT.ORDER.COMPLETED"}


@pytest.mark.parametrize(("event_type", "told"), MONEY.items())
def test_money_is_asked_for_again(event_type, told):
    resource, query = told
    events, (asked,) = fetched(event_type, resource)
    assert events == ()
    assert (asked.about, asked.payment_ref, asked.refund_ref) == (
        query.about,
        query.payment_ref,
        query.refund_ref,
    )
    assert a_gateway().query_request(asked, now=NOW, nonce="n")


@pytest.mark.parametrize("settings", [{"confirm_by_query": False}, {"client_id": None, "client_secret": None}])
def test_nothing_is_asked_for_where_it_is_off_or_nobody_can(settings):
    gateway = a_gateway(**{"confirm_by_query": True} | settings)
    for event_type, (resource, _) in MONEY.items():
        events, queries = fetched(event_type, resource, gateway)
        assert events
        assert queries == ()


@pytest.mark.parametrize(
    ("event_type", "resource", "ref"),
    [
        ("PAYMENT.SALE.REFUNDED", a_sale_refund(sale_id=None), "sale-1REF1"),
        ("PAYMENT.CAPTURE.REFUNDED", a_refund(links=[]), REFUND.refund_ref),
    ],
)
def test_a_refund_that_names_no_payment_is_asked_about_wherever_somebody_can(event_type, resource, ref):
    (told,), (query,) = fetched(event_type, resource, a_gateway(confirm_by_query=False))
    assert (told.payment_ref, told.refund_ref, query.refund_ref) == (None, ref, ref)
    nobody = a_gateway(confirm_by_query=False, client_id=None, client_secret=None)
    assert fetched(event_type, resource, nobody)[1] == ()


WON = [code for code, kind in OUTCOMES.items() if kind is Kind.DISPUTE_WON]


@pytest.mark.parametrize("event_type", DISPUTE_TYPES)
@pytest.mark.parametrize("code", WON)
def test_a_dispute_is_won_when_paypal_says_so_itself(event_type, code):
    won = a_dispute(status="RESOLVED", dispute_outcome={"outcome_code": code})
    forged = won | {"update_time": "9999-01-01T00:00:00Z"}
    events, (asked,) = fetched(event_type, forged)
    assert events == ()
    call = a_gateway().query_request(asked, now=NOW, nonce="n")
    assert call.url == "https://api-m.sandbox.paypal.com/v1/customer/disputes/PP-D-1"
    (event,) = answer_to(asked, won).events
    assert (event.kind, event.dispute_ref, event.payment_ref) == (Kind.DISPUTE_WON, "PP-D-1", CAPTURE_ID)
    assert answer_to(asked, a_dispute()).events[0].kind is Kind.DISPUTE_OPENED
    with pytest.raises(BadPayload):
        answer_to(asked, won | {"dispute_id": "PP-D-2"})
    assert not answer_to(asked, {"name": "RESOURCE_NOT_FOUND"}, 404).found


@pytest.mark.parametrize("code", [None, *(code for code in OUTCOMES if code not in WON)])
def test_a_dispute_that_is_open_or_lost_is_told_at_once(code):
    told = {} if code is None else {"status": "RESOLVED", "dispute_outcome": {"outcome_code": code}}
    events, queries = fetched("CUSTOMER.DISPUTE.UPDATED", a_dispute(**told))
    assert (len(events), queries) == (1, ())


@pytest.mark.parametrize(
    ("event_type", "resource"), [("CUSTOMER.DISPUTE.CREATED", a_dispute()), ("PAYMENT.CAPTURE.PENDING", a_capture())]
)
def test_what_happened_in_a_time_to_come_did_not(event_type, resource):
    written = {days: (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (1, 2)}
    assert fetched(event_type, resource | {"update_time": written[1]})[0]
    with pytest.raises(BadPayload, match="to come"):
        fetched(event_type, resource | {"update_time": written[2]})


def test_what_moves_no_money_counts_as_it_is():
    events, queries = fetched("PAYMENT.CAPTURE.PENDING", a_capture())
    assert (len(events), queries) == (1, ())
    assert fetched("BILLING.PLAN.CREATED", {}) == ((), ())


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("PAYMENT.CAPTURE.COMPLETED", a_capture(id="a/b")),
        ("PAYMENT.CAPTURE.COMPLETED", a_capture(id="A.B")),
        ("PAYMENT.CAPTURE.REFUNDED", a_refund(id="a/b")),
        (
            "CUSTOMER.DISPUTE.RESOLVED",
            paypal_dispute("a/b", CAPTURE_ID, 1, "EUR", "ORDER-1", at=NOW)
            | {"status": "RESOLVED", "dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"}},
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused(event_type, resource):
    gateway = a_gateway(confirm_by_query=True)
    verified = gateway.verify(signed(paypal_body(event_type, resource, event_id="WH-1", at=NOW)), NOW)
    with pytest.raises(BadPayload):
        gateway.queries_for(verified)


def crc_table():
    entries = []
    for at in range(256):
        register = at
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
        entries.append(register)
    return entries


def evened(head, tail, wanted):
    """head, four bytes, tail: with this CRC-32.  The register goes back from the end to where the four must lead."""
    table, state, indices = crc_table(), wanted ^ 0xFFFFFFFF, []
    by_top = {entry >> 24: at for at, entry in enumerate(table)}
    for byte in reversed(tail):
        at = by_top[state >> 24]
        state = (((state ^ table[at]) << 8) & 0xFFFFFFFF) | (at ^ byte)
    for _ in range(4):
        indices.append(by_top[state >> 24])
        state = ((state ^ table[indices[-1]]) << 8) & 0xFFFFFFFF
    register, four = zlib.crc32(head) ^ 0xFFFFFFFF, bytearray()
    for at in reversed(indices):
        four.append((register ^ at) & 0xFF)
        register = (register >> 8) ^ table[at]
    return head + bytes(four) + tail


def forged(told):
    """Another event under a genuine transmission: four characters in a field that nobody reads even it out."""
    genuine = signed(paypal_body("PAYMENT.CAPTURE.PENDING", a_capture(), event_id="WH-1", at=NOW))
    for at in range(10_000):
        head = json.dumps({"n": at, **told}).encode()[:-1] + b',"more":"'
        body = evened(head, b'"}', zlib.crc32(genuine.body))
        four = body[len(head) : -2]
        if four.isascii() and four.decode().isprintable() and not {*'"\\'} & {*four.decode()}:
            return with_body(genuine, body)
    raise AssertionError("no four printable characters were found")


def with_body(request, body):
    return type(request)(headers=request.headers, body=body, query=request.query)


def test_a_forged_checksum_passes_for_paypals_and_pays_nothing():
    resource = paypal_capture("7CAPFORGED", 99900, "EUR", "ORDER-2", at=NOW)
    told = {"id": "WH-2", "event_type": "PAYMENT.CAPTURE.COMPLETED", "create_time": "2026-10-05T12:00:00Z"}
    request, gateway = forged({**told, "resource": resource}), a_gateway(confirm_by_query=True)
    verified = gateway.verify(request, NOW)  # this is what a checksum is worth
    assert gateway.parse(verified) == ()
    (query,) = gateway.queries_for(verified)
    assert query.payment_ref == "7CAPFORGED"
    assert not answer_to(query, {"name": "RESOURCE_NOT_FOUND"}, 404).found


# Signing in.


def test_a_token_is_asked_for_by_the_client():
    call = a_gateway().token_request(now=NOW)
    assert (call.method, call.url) == ("POST", "https://api-m.sandbox.paypal.com/v1/oauth2/token")
    assert call.headers["Authorization"] == f"Basic {b64encode(b'AConformance:EConformanceOfTheTill').decode()}"
    assert call.body == b"grant_type=client_credentials"


def hear_token(content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return a_gateway().read_token(response_of(({}, body), status), now=NOW)


def test_a_token_lives_as_long_as_paypal_says():
    token = hear_token({"access_token": "A21AAF", "token_type": "Bearer", "expires_in": 32400})
    assert (token.value, token.until) == ("A21AAF", NOW + timedelta(hours=9))


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        ({"error": "invalid_client"}, 401, AccessDenied),
        ({"error": "unsupported_grant_type"}, 400, AccessDenied),
        (b"", 403, AccessDenied),
        (b"", 429, Unavailable),
        (b"", 503, Unavailable),
        ({}, 302, BadPayload),
        ({"name": "RESOURCE_NOT_FOUND"}, 404, BadPayload),
        (b"[]", 200, BadPayload),
        (b"", 200, BadPayload),
        ({"access_token": "a b", "expires_in": 1}, 200, BadPayload),
        ({"access_token": "a\n", "expires_in": 1}, 200, BadPayload),
        ({"access_token": "a" * 5000, "expires_in": 1}, 200, BadPayload),
        ({"access_token": "a", "expires_in": 0}, 200, BadPayload),
        ({"access_token": "a", "expires_in": 10**12}, 200, BadPayload),
        ({"access_token": "a", "expires_in": "1"}, 200, BadPayload),
        ({"access_token": "a"}, 200, BadPayload),
    ],
)
def test_what_is_no_token(content, status, error):
    with pytest.raises(error):
        hear_token(content, status)


# Asking.


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/v2/payments/captures/7CAP1"),
        (ORDER, "/v2/checkout/orders/5ORD1"),
        (AUTHORIZATION, "/v2/payments/authorizations/7CAP1"),
        (SALE, "/v1/payments/sale/7CAP1"),
        (REFUND, "/v2/payments/refunds/1REF1"),
        (SALE_REFUND, "/v1/payments/refund/1REF1"),
    ],
)
def test_where_each_answer_is(query, path):
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://api-m.sandbox.paypal.com{path}")
    assert "Authorization" not in call.headers  # the token is added by whoever signed in


@pytest.mark.parametrize(
    "query",
    [
        Query(about="payment", payment_ref="a/b"),
        Query(about="payment", payment_ref="order-"),
        Query(about="payment", order_ref="ORDER-1"),
        Query(about="refund", payment_ref=CAPTURE_ID),
        Query(about="refund", refund_ref="order-1"),
    ],
)
def test_what_cannot_be_asked(query):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(query, now=NOW, nonce="n")


def test_without_a_client_nothing_is_asked():
    gateway = a_gateway(client_id=None, client_secret=None)
    with pytest.raises(CannotQuery, match="client_id"):
        gateway.query_request(PAYMENT, now=NOW, nonce="n")
    with pytest.raises(CannotQuery, match="client_id"):
        gateway.token_request(now=NOW)


@pytest.mark.parametrize(("status", "kind"), CAPTURES.items())
def test_captures_by_status(status, kind):
    for query, content in ((PAYMENT, a_capture(status=status)), (SALE, a_sale(state=status.lower()))):
        first, *more = answer_to(query, content).events
        assert (first.kind, first.amount, first.payment_ref) == (kind, 12900, query.payment_ref)
        undone = [(Kind.PAYMENT_REVERSED, None)] if kind is Kind.PAYMENT_FAILED else []
        order = [(Kind.PAYMENT_SUCCEEDED, None)] if query is PAYMENT and not undone else []
        back = [(Kind.REFUND_SUCCEEDED, 12900)] if status == "REFUNDED" else []
        assert [(it.kind, it.total) for it in more] == undone + order + back


@pytest.mark.parametrize(("status", "told"), AUTHORIZATIONS.items())
def test_authorizations_by_status(status, told):
    event, *order = answer_to(AUTHORIZATION, a_capture(status=status)).events
    assert event.kind is told[0]
    assert event.amount == (0 if status == "CAPTURED" else 12900)
    assert [it.payment_ref for it in order] == ([f"order-{ORDER_ID}"] if event.kind in STANDS else [])
    assert event.failure is (FailureClass.UNKNOWN if status == "DENIED" else told[1])


@pytest.mark.parametrize(("status", "kind"), REFUNDS.items())
def test_refunds_by_status(status, kind):
    (event,) = answer_to(REFUND, a_refund(status=status)).events
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "1REF1", CAPTURE_ID)
    assert (event.order_ref, event.amount) == ("ORDER-1", 400)
    (event,) = answer_to(SALE_REFUND, a_sale_refund(state=status.lower())).events
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "sale-1REF1", f"sale-{CAPTURE_ID}")


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("CREATED", []),
        ("SAVED", []),
        ("PAYER_ACTION_REQUIRED", []),
        ("APPROVED", [Kind.PAYMENT_PENDING]),
        ("VOIDED", [Kind.PAYMENT_CANCELLED]),
        ("COMPLETED", []),
    ],
)
def test_orders_by_status(status, kinds):
    answer = answer_to(ORDER, an_order(status=status))
    assert answer.found
    assert [it.kind for it in answer.events] == kinds


def test_an_order_tells_its_captures():
    authorization = a_capture(id="3AUT1", status="CAPTURED", custom_id=None)
    captures = [a_capture(custom_id=None), a_capture(id="7CAP2", status="DECLINED")]
    told = answer_to(ORDER, paid_order(*captures, authorizations=[authorization])).events
    assert [(it.kind, it.payment_ref, it.order_ref) for it in told] == [
        (Kind.PAYMENT_SUCCEEDED, f"order-{ORDER_ID}", "ORDER-1"),
        (Kind.PAYMENT_SUCCEEDED, CAPTURE_ID, "ORDER-1"),
        (Kind.PAYMENT_FAILED, "7CAP2", "ORDER-1"),
        (Kind.PAYMENT_REVERSED, "7CAP2", "ORDER-1"),
        (Kind.PAYMENT_SUCCEEDED, "authorization-3AUT1", "ORDER-1"),
    ]


def test_an_approved_order_whose_captures_all_failed_has_failed():
    """Otherwise its approval would be under way for ever."""
    approved = event_of("CHECKOUT.ORDER.APPROVED", an_order())
    later = (NOW + timedelta(seconds=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    declined = a_capture(status="DECLINED", processor_response={"response_code": "5120"})
    answer = answer_to(ORDER, paid_order(declined) | {"update_time": later})
    assert status_after(approved, *answer.events) is Status.FAILED
    assert {it.failure for it in answer.events} == {FailureClass.INSUFFICIENT_FUNDS}


@pytest.mark.parametrize("status", ["VOIDED", "EXPIRED"])
@pytest.mark.parametrize("times", [{"update_time": "2026-10-08T12:00:00Z"}, {"create_time": None, "update_time": None}])
def test_an_approved_order_whose_authorization_was_let_go_is_over(status, times):
    approved = event_of("CHECKOUT.ORDER.APPROVED", an_order())
    declined = a_capture(status="DECLINED")
    authorization = a_capture(id="3AUT1", status=status, **times)
    told = answer_to(ORDER, paid_order(declined, authorizations=[authorization])).events
    assert status_after(approved, *told) is Status.FAILED
    assert (told[-1].kind, told[-1].failure) == (Kind.PAYMENT_CANCELLED, AUTHORIZATIONS[status][1])
    assert told[-1].payment_ref == f"order-{ORDER_ID}"


def test_an_order_tells_what_its_captures_gave_back():
    """Nobody else does where the refunds' webhooks were lost: the capture says only that it was a part."""
    given = a_refund(5000, seller_payable_breakdown={"total_refunded_amount": paypal_money(7000, "EUR")})
    capture = a_capture(status="PARTIALLY_REFUNDED")
    told = answer_to(ORDER, paid_order(capture, refunds=[given])).events
    assert [(it.kind, it.payment_ref, it.refund_ref, it.amount, it.total) for it in told[2:]] == [
        (Kind.REFUND_SUCCEEDED, CAPTURE_ID, "1REF1", 5000, None),
        (Kind.REFUND_SUCCEEDED, CAPTURE_ID, None, None, 7000),
    ]
    assert {it.order_ref for it in told} == {"ORDER-1"}
    assert summary_after(*told).refunded == 7000
    alone = answer_to(ORDER, paid_order(capture, refunds=[a_refund(5000, seller_payable_breakdown=None)])).events
    assert (summary_after(*alone).refunded, len(alone)) == (5000, 3)
    pending = answer_to(ORDER, paid_order(capture, refunds=[a_refund(5000, status="PENDING")])).events
    assert summary_after(*pending).status is Status.REFUNDING


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, a_capture(id="7CAP2")),
        (ORDER, paid_order() | {"purchase_units": {}}),
        (ORDER, paid_order(authorizations={})),
    ],
)
def test_an_answer_that_could_be_counted_wrong_is_refused(query, content):
    with pytest.raises(BadPayload):
        answer_to(query, content)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, a_capture(status="MELTED")),
        (SALE, a_sale(state="melted")),
        (AUTHORIZATION, a_capture(status="MELTED")),
        (REFUND, a_refund(status="MELTED")),
        (ORDER, an_order(status="MELTED")),
        (ORDER, paid_order(refunds=[a_refund(status="MELTED")])),
    ],
)
def test_a_state_of_an_answer_that_nobody_knows_says_nothing_and_is_noted(query, content):
    with unknown_words() as words:
        answer = answer_to(query, content)
    assert (answer.found, answer.events) == (True, ())
    assert [it.word for it in words] == ["MELTED"]


@pytest.mark.parametrize("name", ["RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"])
def test_not_found_is_said_by_name(name):
    assert not answer_to(PAYMENT, {"name": name}, 404).found


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (404, b"<html>", BadPayload),
        (404, {"name": "OTHER"}, BadPayload),
        (422, {}, BadPayload),
        (401, b"", AccessDenied),
        (403, b"", AccessDenied),
        (408, b"", Unavailable),
        (429, b"", Unavailable),
        (500, b"", Unavailable),
    ],
)
def test_other_answers(status, content, error):
    with pytest.raises(error):
        answer_to(PAYMENT, content, status)


def test_the_state_of_an_object_without_a_time_is_that_of_the_answer():
    timeless = a_capture(create_time=None, update_time=None)
    assert {it.occurred_at for it in answer_to(PAYMENT, timeless).events} == {TOLD_AT}


OURS, OTHERS_PAYEE = "MERCHANT1", "MERCHANT2"


@pytest.mark.parametrize("merchant_id", [None, OURS, OTHERS_PAYEE])
def test_what_names_another_payee_changes_nothing(merchant_id):
    counts = merchant_id != OTHERS_PAYEE
    ours = {"payee": {"merchant_id": OURS}}
    unit = {"amount": paypal_money(12900, "EUR"), "custom_id": "ORDER-1", **ours}
    seller = [{"seller_transaction_id": CAPTURE_ID, "seller": {"merchant_id": OURS}}]
    confirming = a_gateway(merchant_id=merchant_id, confirm_by_query=True)
    for event_type, resource in (
        ("PAYMENT.CAPTURE.PENDING", a_capture(**ours)),
        ("CHECKOUT.ORDER.APPROVED", an_order(purchase_units=[unit])),
        ("CUSTOMER.DISPUTE.CREATED", a_dispute(disputed_transactions=seller)),
    ):
        assert bool(fetched(event_type, resource, confirming)[0]) is counts
    events, queries = fetched("PAYMENT.CAPTURE.COMPLETED", a_capture(**ours), confirming)
    assert (events, bool(queries)) == ((), counts)
    assert fetched("PAYMENT.CAPTURE.REFUNDED", a_refund(), confirming)[1]  # it names none
    theirs = unit | {"payee": {"merchant_id": "MERCHANT3"}, "payments": {"captures": [a_capture(id="7CAP3")]}}
    mixed = an_order(status="COMPLETED", purchase_units=[unit | {"payments": {"captures": [a_capture()]}}, theirs])
    for query, content in ((PAYMENT, a_capture(**ours)), (ORDER, mixed)):
        answer = confirming.read_response(query, response_of(({}, json.dumps(content).encode())), now=NOW)
        assert answer.found
        told = {it.payment_ref for it in answer.events} - {f"order-{ORDER_ID}", "order-5ORD3"}
        assert told == (
            ({CAPTURE_ID} if merchant_id or query is PAYMENT else {CAPTURE_ID, "7CAP3"}) if counts else set()
        )


# The sandbox plays it.


# Those in two currencies are told by tests/sandbox.
TOLD = [it for it in SIMULATOR.templates if not it.in_other_currency]


def asked_of(walk, story, query):
    return asked_at(
        walk.gateway, walk.simulator.api(walk.signer, ledger_of({"played-main": "paypal"}, [story])), query, now=NOW
    )


def told_by(walk, story):
    for event in story.events:
        verified = walk.gateway.verify(request_of(walk.signer.sign(story, event, now=NOW, again=0)), NOW)
        yield from walk.gateway.parse(verified)
        for query in walk.gateway.queries_for(verified):
            yield from asked_of(walk, story, query).events


@pytest.mark.parametrize("currency", ["USD", "JPY", "HUF", "TWD"])
@pytest.mark.parametrize("template", TOLD, ids=lambda it: it.name)
def test_what_the_play_tells_comes_true(template, currency):
    walk = Walk(SIMULATOR)
    story = in_whole_units(story_of(SIMULATOR, template, currency=currency))
    events = list(told_by(walk, story))
    assert_ends_as_told(story, events)
    refunds = {it.refund_ref for it in story.events if it.event_type in CONFIRMED and "REFUND" in it.event_type}
    ref = story.payment_ref
    queries = [
        Query(about="payment", order_ref=story.order_ref, payment_ref=it) for it in (ref, f"order-5ORD{ref[4:]}")
    ]
    queries += [Query(about="refund", order_ref=story.order_ref, refund_ref=it) for it in sorted(refunds)]
    told = [event for query in queries for event in asked_of(walk, story, query).events]
    assert_ends_as_told(story, [*events, *told])


def in_whole_units(story):
    """A hundred times as much: forints are written without decimals, and so each tenth of them must be whole."""
    times = 100
    events = tuple(type(it)(**{**fields(it), "amount": it.amount * times}) for it in story.events)
    truth = type(story.expected)(
        status=story.expected.status, paid=story.expected.paid * times, refunded=story.expected.refunded * times
    )
    return type(story)(**{**fields(story), "amount": story.amount * times, "happenings": events, "truth": truth})


def fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
