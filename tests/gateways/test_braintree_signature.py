"""Braintree: what the official package signs is verified, all else is refused."""

from base64 import encodebytes
from datetime import UTC
from urllib.parse import quote, urlencode

import braintree as package
import pytest
from braintree.util.xml_util import XmlUtil
from braintree.webhook_testing_gateway import WebhookTestingGateway
from braintree_factories import FORM, a_gateway, events_of_request, unquoted
from pydantic import ValidationError
from simulator_walk import story_of
from specimen import NOW, request_of
from specimen_braintree import CREDIT, VOICE

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.messages import Query, Request
from tillkeeper.sandbox.simulators.braintree.objects import document, notification
from tillkeeper.sandbox.simulators.braintree.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.braintree.templates import TEMPLATES


@pytest.fixture
def the_package():
    configuration = package.Configuration(
        environment=package.Environment.Sandbox,
        merchant_id=VOICE.merchant_id,
        public_key=VOICE.public_key,
        private_key=VOICE.private_key,
    )
    return package.BraintreeGateway(configuration)


# The package signs, we verify; and the other way round.

KINDS = sorted(kind for name, kind in vars(package.WebhookNotification.Kind).items() if not name.startswith("_"))
EVENTS = {
    "transaction_settled": (Kind.PAYMENT_SUCCEEDED, "my_id", 10000),
    "transaction_settlement_declined": (Kind.PAYMENT_FAILED, "my_id", 10000),
    "dispute_opened": (Kind.DISPUTE_OPENED, "my_id", 10000),
    "dispute_under_review": (Kind.DISPUTE_OPENED, "my_id", 10000),
    "dispute_disputed": (Kind.DISPUTE_OPENED, "my_id", 10000),
    "dispute_won": (Kind.DISPUTE_WON, "my_id", 10000),
    "dispute_lost": (Kind.DISPUTE_LOST, "my_id", 10000),
    "dispute_accepted": (Kind.DISPUTE_LOST, "my_id", 10000),
    "dispute_auto_accepted": (Kind.DISPUTE_LOST, "my_id", 10000),
    "dispute_expired": (Kind.DISPUTE_LOST, "my_id", 10000),
    "transaction_retried": (Kind.PAYMENT_PENDING, "my_id", 10000),
    "local_payment_expired": (Kind.PAYMENT_CANCELLED, "a-payment-id", None),
    "local_payment_reversed": (Kind.PAYMENT_CANCELLED, "a-payment-id", None),
}
FETCHED = {
    "transaction_disbursed": Query(about="payment", payment_ref="my_id"),
    "refund_failed": Query(about="refund", refund_ref="my_id"),
    "transaction_settlement_declined": Query(about="payment", payment_ref="my_id"),
    "local_payment_completed": Query(about="payment", payment_ref="1"),
    "local_payment_funded": Query(about="payment", payment_ref="1"),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_every_kind_by_the_package_are_verified(the_package, kind):
    sample = WebhookTestingGateway(the_package).sample_notification(kind, "my_id")
    events, queries = events_of_request(request_of((FORM, urlencode(sample).encode())))
    if kind in EVENTS:
        (event,) = events
        assert (event.kind, event.payment_ref, event.amount) == EVENTS[kind]
        assert event.event_id.startswith(f"{kind}:{event.dispute_ref or event.payment_ref}:20")
    else:
        assert events == ()
    assert queries == ((FETCHED[kind],) if kind in FETCHED else ())


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("kind", ["dispute_opened", "dispute_won", "dispute_lost", "local_payment_completed"])
@pytest.mark.parametrize("ref", ["legacy_dispute_id", "blik_one_click_id"])
def test_older_and_odd_samples_by_the_package_are_taken(the_package, kind, ref):
    sample = WebhookTestingGateway(the_package).sample_notification(kind, ref)
    events, queries = events_of_request(request_of((FORM, urlencode(sample).encode())))
    assert len(events) + len(queries) == 1


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_the_package_parses_what_the_sandbox_signs(the_package, template):
    story = story_of(SIMULATOR, VOICE, template)
    for event in story.events:
        _, body = VOICE.sign(story, event, now=NOW, again=0)
        fields = dict(pair.split("=") for pair in body.decode().split("&"))
        told = the_package.webhook_notification.parse(
            *(unquoted(fields[name]) for name in ("bt_signature", "bt_payload"))
        )
        assert told.timestamp.replace(tzinfo=UTC) == event.at
        subject = getattr(told, "transaction", None) or getattr(told, "dispute", None)
        assert subject is None or subject.id in {story.payment_ref, event.refund_ref, f"dp_{story.payment_ref[2:]}"}


def test_the_package_reads_the_sandboxs_answers(the_package):
    told = package.Transaction(the_package, XmlUtil.dict_from_xml(document("transaction", CREDIT))["transaction"])
    assert (told.id, told.status, told.type, told.refunded_transaction_id) == (
        "r3fundq8",
        "settled",
        "credit",
        "e5z9qk2n",
    )
    assert told.status_history[0].status == "settled"
    assert str(told.amount) == "4.00"


def test_the_challenge_is_answered_as_the_package_answers_it(the_package):
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    reply = a_gateway().answer_challenge(Request(headers={}, body=b"", query=f"bt_challenge={challenge}"))
    assert reply.body.decode() == the_package.webhook_notification.verify(challenge)
    assert reply.status == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "bt_challenge=",
        "bt_challenge=" + "a" * 19,
        "bt_challenge=" + "a" * 33,
        "bt_challenge=" + "G" * 24,
        "bt_challenge=" + "a" * 24 + "%0A",
        "bt_challenge=" + "a" * 24 + "&bt_challenge=" + "b" * 24,
        "challenge=" + "a" * 24,
    ],
)
def test_what_is_no_challenge_is_not_signed(query):
    assert a_gateway().answer_challenge(Request(headers={}, body=b"", query=query)) is None


def test_an_answered_challenge_is_no_payload():
    """What a challenge has us sign is base64 too; it decodes to nothing that could be XML."""
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    reply = a_gateway().answer_challenge(Request(headers={}, body=b"", query=f"bt_challenge={challenge}"))
    body = urlencode({"bt_signature": reply.body.decode(), "bt_payload": challenge}).encode()
    with pytest.raises(BadPayload):
        a_gateway().verify(request_of((FORM, body)), NOW)


# The signature.


def form(payload, signature):
    return request_of((FORM, urlencode({"bt_signature": signature, "bt_payload": payload}).encode()))


def signed(body=None):
    payload = encodebytes(body or notification("check", NOW, {"check": "true"})).decode()
    _, sent = VOICE.sent_payload(payload)
    return payload, dict(each.split("=") for each in sent.decode().split("&"))["bt_signature"].replace("%7C", "|")


def test_the_pair_of_our_public_key_is_picked():
    payload, pair = signed()
    for pairs in (f"other|{'0' * 40}&{pair}", f"{pair}&other|{'0' * 40}", f"no_bar&{pair}"):
        assert a_gateway().verify(form(payload, pairs), NOW).key.startswith("private_key[0]:")
    with pytest.raises(BadSignature, match="public_key") as refused:
        a_gateway().verify(form(payload, pair.replace("integration", "other")), NOW)
    assert refused.value.step is VerificationStep.KEY
    with pytest.raises(BadSignature):
        a_gateway().verify(form(payload, f"{VOICE.public_key}|{'0' * 40}"), NOW)


def test_a_payload_that_lost_its_last_line_end_is_verified():
    payload, pair = signed()
    assert payload.endswith("\n")
    assert a_gateway().verify(form(payload[:-1], pair), NOW)
    for changed in (payload + "\n", payload[:-2], payload.replace("\n", "")):
        with pytest.raises(BadSignature):
            a_gateway().verify(form(changed, pair), NOW)


@pytest.mark.parametrize("odd", ["{}", "\r\n", " ", "%", "-_", "é"])
def test_a_payload_of_other_characters_is_refused_before_anything_else(odd):
    payload, pair = signed()
    with pytest.raises(BadSignature, match="base64") as refused:
        a_gateway().verify(form(payload + odd, pair), NOW)
    assert refused.value.step is VerificationStep.HEADER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"bt_payload=AAAA",
        b"bt_signature=a%7Cb",
        b"bt_payload=&bt_signature=a%7Cb",
        b"bt_payload=AAAA&bt_signature=" + b"a" * 5000,
        b"bt_payload=AAAA&bt_signature=" + quote(VOICE.public_key).encode() + b"%7C%C3%A9",
    ],
)
def test_what_is_missing_or_too_long_is_refused(body):
    with pytest.raises(BadSignature) as refused:
        a_gateway().verify(request_of((FORM, body)), NOW)
    assert refused.value.step is VerificationStep.HEADER


def test_more_fields_than_braintrees_are_refused():
    payload, pair = signed()
    body = urlencode({"bt_signature": pair, "bt_payload": payload, "more": "1"}).encode()
    with pytest.raises(BadPayload):
        a_gateway().verify(request_of((FORM, body)), NOW)


@pytest.mark.parametrize("payload", ["=", "A", "AAAA=AAA", "AA=A\n"])
def test_an_authentic_payload_that_is_no_base64_is_refused(payload):
    with pytest.raises(BadPayload):
        a_gateway().verify(request_of(VOICE.sent_payload(payload)), NOW)


@pytest.mark.parametrize(
    "body", [b"<a/>", b"<notification/>", b"<notification><kind>check</kind><kind>x</kind></notification>"]
)
def test_an_authentic_payload_that_is_no_notification_is_refused(body):
    with pytest.raises(BadPayload):
        events_of_request(request_of(VOICE.sent(body)))


@pytest.mark.parametrize(
    "more", [{"private_key": ""}, {"private_key": "short"}, {"public_key": ""}, {"merchant_id": ""}]
)
def test_settings_that_would_let_anybody_sign_are_refused(more):
    with pytest.raises(ValidationError):
        a_gateway(**more)


def test_the_api_base_tells_live_from_sandbox():
    assert a_gateway().live is True
    assert a_gateway(api_base="https://api.sandbox.braintreegateway.com/").live is False
    assert a_gateway(api_base="http://127.0.0.1:1").live is None
